"""Handlers that take their time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from lwm2m.coap.message import Peer, Response

log = logging.getLogger("lwm2m.coap")

PATIENCE = 3.0
"""Seconds that handlers get to end when the endpoint stops."""

Finished = Callable[[Response | BaseException], None]


class RunningHandlers:
    """At most `most` at a time, and `most_of_peer` for each peer."""

    def __init__(self, most: int, most_of_peer: int) -> None:
        self._most = most
        self._most_of_peer = most_of_peer
        self._stopping = False
        self._running: set[asyncio.Future[Response]] = set()
        self._of_peer: Counter[Peer] = Counter()

    def wait_for(self, peer: Peer, result: Awaitable[Response], finished: Finished) -> bool:
        """Call `finished` with the result, or with what was raised instead. False, and it is cancelled, where too many
        run."""
        task = asyncio.ensure_future(result)
        if len(self._running) >= self._most or self._of_peer[peer] >= self._most_of_peer:
            task.cancel()
            return False
        self._of_peer[peer] += 1
        self._running.add(task)
        task.add_done_callback(lambda task: self._done(peer, finished, task))
        return True

    async def stop(self) -> None:
        """Cancel them all; none is answered any more."""
        self._stopping = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            _, stubborn = await asyncio.wait(running, timeout=PATIENCE)
            for task in stubborn:
                log.error("a request handler does not end when it is cancelled: %r", task)

    def _done(self, peer: Peer, finished: Finished, task: asyncio.Future[Response]) -> None:
        self._running.discard(task)
        self._of_peer[peer] -= 1
        if not self._of_peer[peer]:
            del self._of_peer[peer]
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not self._stopping:
            finished(task.result() if error is None else error)
