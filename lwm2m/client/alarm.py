"""The one timer of a machine: rings when its deadline has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Call `set` whenever the deadline may have moved; needs a running loop."""

    def __init__(
        self, deadline: Callable[[], float | None], clock: Callable[[], float], ring: Callable[[], None]
    ) -> None:
        self._deadline = deadline
        self._clock = clock
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self) -> None:
        self.off()
        if (deadline := self._deadline()) is not None:
            delay = max(0.0, deadline - self._clock())
            self._handle = asyncio.get_running_loop().call_later(delay, self._fire)

    def off(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._ring()
