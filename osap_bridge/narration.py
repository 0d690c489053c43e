"""An LwM2M client whose registration is told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable

from lwm2m import Path, Record
from lwm2m.client import Client, ClientEvent, Deregistered, Registered, RegistrationFailed, UpdateFailed

log = logging.getLogger(__name__)


class NarratedClient:
    """A reason that stays the same is told once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        events = self._client.events()
        self._telling = asyncio.create_task(self._tell(events), name=f"telling of {self._client.endpoint}")
        await self._client.start()

    async def stop(self) -> None:
        """The client's events end with it."""
        await self._client.stop()
        if self._telling is not None:
            await self._telling

    def update(self, records: Iterable[Record]) -> None:
        self._client.update(records)

    def remove(self, paths: Iterable[Path]) -> None:
        self._client.remove(paths)

    async def _tell(self, events: AsyncIterator[ClientEvent]) -> None:
        told = ""
        async for event in events:
            match event:
                case Registered():
                    told = ""
                    log.info("%s is registered with %s", self._client.endpoint, self._client.server)
                case RegistrationFailed(reason=reason) if reason != told:
                    told = reason
                    log.warning("%s is not registered with %s: %s", self._client.endpoint, self._client.server, reason)
                case UpdateFailed(reason=reason):
                    log.warning("%s registers anew: %s", self._client.endpoint, reason)
                case Deregistered(answered=answered):
                    log.info("%s is de-registered%s", self._client.endpoint, "" if answered else ", without an answer")
