"""The news that peers are gone, for everybody who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from lwm2m.coap.endpoint import AssociationLost
from lwm2m.coap.message import Peer

EVENTS_KEPT = 1024
"""How many lost peers wait for a slow listener; then the oldest go."""


class LostPeers:
    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[AssociationLost | None]] = set()
        self._ended = False

    def begin(self) -> None:
        """There will be news, again perhaps."""
        self._ended = False

    def tell(self, peer: Peer) -> None:
        for reader in self._readers:
            _put(reader, AssociationLost(peer))

    def end(self) -> None:
        """Who listens hears of nothing more."""
        self._ended = True
        for reader in self._readers:
            _put(reader, None)

    async def events(self) -> AsyncIterator[AssociationLost]:
        """What is told from now on."""
        if self._ended:
            return
        reader: asyncio.Queue[AssociationLost | None] = asyncio.Queue(EVENTS_KEPT)
        self._readers.add(reader)
        try:
            while (event := await reader.get()) is not None:
                yield event
        finally:
            self._readers.discard(reader)


def _put(reader: asyncio.Queue[AssociationLost | None], event: AssociationLost | None) -> None:
    if reader.full():
        reader.get_nowait()
    reader.put_nowait(event)
