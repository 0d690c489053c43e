"""Cookies: a client shows that it is where it says before we keep anything of it. RFC 6347 §4.2.1."""

from __future__ import annotations

import hmac

from lwm2m.dtls.messages import ClientHello

LENGTH = 16
PERIOD = 60.0
"""Seconds; a cookie of the period before is good too."""


class Cookies:
    """`secret` is random and of this process only. `body` is a ClientHello's as it came: its cookie apart, all of it
    counts."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, body: bytes, address: bytes, now: float) -> bytes:
        """Raises Fatal when this is no ClientHello."""
        head, _, tail = ClientHello.around_cookie(body)
        return self._cookie(head + tail, address, int(now // PERIOD))

    def accepts(self, body: bytes, address: bytes, now: float) -> bool:
        """Raises Fatal when this is no ClientHello."""
        head, cookie, tail = ClientHello.around_cookie(body)
        if not cookie:
            return False
        period, said = int(now // PERIOD), head + tail
        good = [hmac.compare_digest(cookie, self._cookie(said, address, at)) for at in (period, period - 1)]
        return any(good)

    def _cookie(self, said: bytes, address: bytes, period: int) -> bytes:
        head = period.to_bytes(8, "big", signed=True) + len(address).to_bytes(2, "big") + address
        return hmac.digest(self._secret, head + said, "sha256")[:LENGTH]
