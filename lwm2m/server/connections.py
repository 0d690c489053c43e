"""What the server learns of the connections of its endpoints: a client whose connection has ended is not there until it
comes back. Its registration stays, requests to it fail at once; in queue mode it counts as asleep, and they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Peer


class Connections:
    def __init__(self, lost: Callable[[Peer], None]) -> None:
        self._lost = lost
        self._watching: list[asyncio.Task[None]] = []

    def watch(self, endpoints: Iterable[Endpoint]) -> None:
        """From now on, until `stop`."""
        loop = asyncio.get_running_loop()
        self._watching = [loop.create_task(self._watch(endpoint), name="lwm2m-connections") for endpoint in endpoints]

    async def stop(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self._watching.clear()

    async def _watch(self, endpoint: Endpoint) -> None:
        async for event in endpoint.events():
            self._lost(event.peer)
