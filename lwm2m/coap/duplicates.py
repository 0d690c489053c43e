"""Requests that came before, and how they were answered. RFC 7252 §4.5. No IO, `now` is an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

EXCHANGE_LIFETIME = 247.0
"""Seconds during which a message ID names one message. RFC 7252 §4.8.2"""


@dataclass(slots=True)
class Seen:
    """`answer` is the datagram to repeat, None while there is none."""

    until: float
    answer: bytes | None = None


@dataclass
class Duplicates:
    """At most `capacity` requests: beyond, the oldest is forgotten before its time."""

    capacity: int = 100_000
    _seen: OrderedDict[Hashable, Seen] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._seen)

    def check(self, key: Hashable, now: float) -> Seen | None:
        """None for a new request, which is remembered from now on."""
        self._forget_old(now)
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = Seen(now + EXCHANGE_LIFETIME)
            if len(self._seen) > self.capacity:
                self._seen.popitem(last=False)
        return seen

    def answered(self, key: Hashable, answer: bytes) -> None:
        seen = self._seen.get(key)
        if seen is not None:
            seen.answer = answer

    def clear(self) -> None:
        self._seen.clear()

    def _forget_old(self, now: float) -> None:
        while self._seen and next(iter(self._seen.values())).until <= now:
            self._seen.popitem(last=False)
