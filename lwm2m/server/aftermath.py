"""What follows from requests once their answers have left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], None]


class Aftermath:
    """Does work in its order, all of a turn of the loop together, two turns after it was added: an answer that was
    awaited is sent a turn after its handler ended, and a client that has not seen its 2.01 yet would ignore what we
    ask."""

    def __init__(self) -> None:
        self._coming: list[Work] = []
        self._ready: list[Work] = []
        self._turning = False
        self._stopped = False

    def add(self, work: Work) -> None:
        self._coming.append(work)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        """Nothing follows any more."""
        self._stopped = True

    def _turn(self) -> None:
        if self._stopped:
            return
        ready, self._ready, self._coming = self._ready, self._coming, []
        for work in ready:
            try:
                work()
            except Exception:  # of this request, and the others wait
                log.exception("what follows from a request failed")
        self._turning = bool(self._ready or self._coming)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._turn)
