"""When what we asked for is given up: one timer for all that an endpoint waits for."""

from __future__ import annotations

import asyncio
from typing import Protocol

from lwm2m.coap.deadlines import NEVER, Deadlines


class Waiting(Protocol):
    due: float
    """See `deadlines.Timed`."""

    def late(self) -> None: ...


class Patience:
    """Nearly all is answered long before its time: then a place in a heap costs a third of a timer of its own. The
    timer is set for the nearest deadline there was, and looks again when that has passed. `max_wait` seconds is how
    long those wait who set no deadline of their own. To be made in the event loop."""

    def __init__(self, max_wait: float) -> None:
        self.max_wait = max_wait
        self._loop = asyncio.get_running_loop()
        self._deadlines: Deadlines[Waiting] = Deadlines()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER

    def wait(self, due: float, waiting: Waiting) -> None:
        """Call `late` then. It waits for nothing else."""
        self._deadlines.add(due, waiting)
        if due < self._timer_at:
            self._set_timer(due)

    def end(self, waiting: Waiting) -> None:
        """It came in time, or waits for nothing at all."""
        self._deadlines.drop(waiting)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, NEVER

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(due, self._look), due

    def _look(self) -> None:
        self._timer, self._timer_at = None, NEVER
        for waiting in self._deadlines.take(self._loop.time()):
            waiting.late()
        nearest = self._deadlines.first()
        if nearest < self._timer_at:
            self._set_timer(nearest)
