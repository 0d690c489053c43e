"""Queue mode on the client: how long it stays awake. No IO; `now` is monotonic seconds. lwm2m.md §5.12."""

from __future__ import annotations

from lwm2m.coap.endpoint import Transmission

AWAKE_FOR = Transmission().max_wait
"""Seconds that a server may count on after each exchange."""


class Wakefulness:
    def __init__(self, window: float = AWAKE_FOR) -> None:
        self._window = window
        self._deadline: float | None = None
        self.is_awake = True

    def deadline(self) -> float | None:
        """When it may fall asleep; None while it sleeps, or nothing was exchanged yet."""
        return self._deadline

    def exchanged(self, now: float) -> bool:
        """Something was sent, answered or asked. True when that woke it."""
        woken, self.is_awake = not self.is_awake, True
        self._deadline = now + self._window
        return woken

    def due(self, now: float) -> bool:
        """True when it falls asleep now."""
        return self._deadline is not None and self._deadline <= now and self.sleep()

    def sleep(self) -> bool:
        """Whatever the deadline is. False when it slept already."""
        fell_asleep, self.is_awake = self.is_awake, False
        self._deadline = None
        return fell_asleep
