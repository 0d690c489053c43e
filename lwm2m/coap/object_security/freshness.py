"""Whether a protected message was made just now. RFC 9175 §2. No IO, `now` is an argument."""

from __future__ import annotations

import hmac
from hashlib import blake2s

LIFETIME = 30.0
"""Seconds that an Echo value shows that."""
_TIME = 6
_MAC = 8
LENGTH = _TIME + _MAC
"""Bytes of an Echo value."""
_MILLISECONDS = 1000


class Freshness:
    """Makes Echo values and knows them again; nothing is remembered for them. `secret` is random and this process's
    own."""

    def __init__(self, secret: bytes, lifetime: float = LIFETIME) -> None:
        self._secret = secret
        self._lifetime = lifetime

    def challenge(self, subject: bytes, now: float) -> bytes:
        """For this subject and no other."""
        time = int(now * _MILLISECONDS).to_bytes(_TIME, "big")
        return time + self._mac(subject, time)

    def accepts(self, subject: bytes, echo: bytes, now: float) -> bool:
        time, mac = echo[:_TIME], echo[_TIME:]
        age = now - int.from_bytes(time, "big") / _MILLISECONDS
        return hmac.compare_digest(mac, self._mac(subject, time)) and age <= self._lifetime

    def _mac(self, subject: bytes, time: bytes) -> bytes:
        return blake2s(time + subject, key=self._secret, digest_size=_MAC).digest()
