"""Messages that came before, and how they were answered. RFC 7252 §4.5. No IO, `now` is an argument."""

from __future__ import annotations

from collections.abc import Hashable

EXCHANGE_LIFETIME = 247.0
"""Seconds during which a message ID names one message. RFC 7252 §4.8.2"""


class Duplicates:
    """At most `capacity` messages, each for `EXCHANGE_LIFETIME` or more. They are kept in two generations, so that no
    message needs a timer or a place in an order: when the younger one is full, or old enough that nothing in the older
    one is needed, the older one goes at once. Where more than half of `capacity` comes within the lifetime, the oldest
    are forgotten before their time."""

    __slots__ = ("_half", "_old", "_turn", "_young")

    def __init__(self, capacity: int = 100_000) -> None:
        self._half = max(1, capacity // 2)
        self._young: dict[Hashable, bytes] = {}
        self._old: dict[Hashable, bytes] = {}
        self._turn = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: Hashable, now: float) -> bytes | None:
        """How the message was answered: empty while it was not, None when it did not come before."""
        if now >= self._turn:
            self._age(now)
        seen = self._young.get(key)
        if seen is None and self._old:
            return self._old.get(key)
        return seen

    def keep(self, key: Hashable, answer: bytes = b"") -> None:
        """Recognise the message from now on. Called again once there is an answer."""
        young = self._young
        young[key] = answer
        if len(young) >= self._half:
            self._old, self._young = young, {}

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()

    def _age(self, now: float) -> None:
        self._old = self._young if now < self._turn + EXCHANGE_LIFETIME else {}
        self._young = {}
        self._turn = now + EXCHANGE_LIFETIME
