"""An LwM2M client whose registration is told in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeAlias

from lwm2m import Path, Record
from lwm2m.client import (
    BootstrapFailed,
    Bootstrapped,
    Client,
    ClientEvent,
    Deregistered,
    Registered,
    RegistrationFailed,
    UpdateFailed,
)

log = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[str], None]
"""Why a client is not registered, in a few words; "" when it is."""


class NarratedClient:
    """A reason that stays the same is told once, and to `tell`."""

    def __init__(self, client: Client, tell: Tell = lambda _: None) -> None:
        self._client = client
        self._tell_why = tell
        self._told = ""
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
        endpoint = self._client.endpoint
        async for event in events:
            match event:
                case Registered():
                    self._told = ""
                    self._tell_why("")
                    log.info("%s is registered with %s", endpoint, self._client.server)
                case RegistrationFailed(reason=reason, retry_in=retry_in):
                    self._failed(f"not registered with {self._client.server}: {reason}", retry_in)
                case BootstrapFailed(reason=reason, retry_in=retry_in):
                    self._failed(f"not bootstrapped: {reason}", retry_in)
                case Bootstrapped():
                    log.info("%s is bootstrapped", endpoint)
                case UpdateFailed(reason=reason):
                    log.warning("%s registers anew: %s", endpoint, reason)
                case Deregistered(answered=answered):
                    log.info("%s is de-registered%s", endpoint, "" if answered else ", without an answer")

    def _failed(self, why: str, retry_in: float | None) -> None:
        if why != self._told:
            self._told = why
            self._tell_why(why)
            log.warning("%s is %s%s", self._client.endpoint, why, "; no further try" if retry_in is None else "")
