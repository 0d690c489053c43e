"""The message IDs that one peer gets from us. RFC 7252 §4.4. No IO, `now` is an argument."""

from __future__ import annotations

from lwm2m.coap.messaging.duplicates import EXCHANGE_LIFETIME

IDS = 1 << 16
SEGMENT = 1 << 12
"""When a message ID may be used again is known for this many at a time."""


class MessageIds:
    """One after the other from a start that cannot be guessed, and none again while a copy of the message that had it
    may be on its way."""

    __slots__ = ("_left", "_next")

    def __init__(self, start: int) -> None:
        self._next = start % IDS
        self._left: dict[int, float] | None = None

    def take(self, now: float) -> int | None:
        """None when all are in use."""
        taken = self._next
        if taken % SEGMENT == 0 and not self._enter(taken // SEGMENT, now):
            return None
        self._next = (taken + 1) % IDS
        return taken

    def _enter(self, segment: int, now: float) -> bool:
        if self._left is None:
            self._left = {}
        if now < self._left.get(segment, 0.0):
            return False
        self._left[(segment - 1) % (IDS // SEGMENT)] = now + EXCHANGE_LIFETIME
        return True
