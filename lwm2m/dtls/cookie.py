"""Cookies: a client shows that it is where it says before we keep anything of it. RFC 6347 §4.2.1."""

from __future__ import annotations

import hmac

from lwm2m.dtls.messages import ClientHello

LENGTH = 16
PERIOD = 60.0
"""Seconds; a cookie of the period before is good too."""


class Cookies:
    """`secret` is random and of this process only."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, hello: ClientHello, address: bytes, now: float) -> bytes:
        return self._cookie(hello, address, int(now // PERIOD))

    def accepts(self, hello: ClientHello, address: bytes, now: float) -> bool:
        period = int(now // PERIOD)
        given = hello.cookie
        good = [hmac.compare_digest(given, self._cookie(hello, address, at)) for at in (period, period - 1)]
        return any(good)

    def _cookie(self, hello: ClientHello, address: bytes, period: int) -> bytes:
        said = hello._replace(cookie=b"").encode()
        head = period.to_bytes(8, "big", signed=True) + len(address).to_bytes(2, "big") + address
        return hmac.digest(self._secret, head + said, "sha256")[:LENGTH]
