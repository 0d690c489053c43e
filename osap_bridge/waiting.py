"""What stands for a client that has no credentials yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from lwm2m import Path, Record
from osap_bridge.account import NoCredentials
from osap_bridge.clients import HostedClient
from osap_bridge.narration import Tell

log = logging.getLogger(__name__)

RETRY = 10.0
"""Seconds after which credentials are looked for again."""

MakeOf: TypeAlias = Callable[[Sequence[Record]], HostedClient]
"""The client itself, with these records. Raises NoCredentials."""


class WaitingClient:
    """It keeps what its device says, and is the client as soon as there is something to show servers. What is missing
    is told once, and to `tell`."""

    def __init__(
        self, endpoint: str, records: Sequence[Record], make: MakeOf, tell: Tell, *, retry: float = RETRY
    ) -> None:
        self._endpoint = endpoint
        self._records = {record.path: record for record in records}
        self._make = make
        self._tell = tell
        self._retry = retry
        self._told = ""
        self._client: HostedClient | None = None
        self._waiting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._waiting = asyncio.create_task(self._wait(), name=f"credentials of {self._endpoint}")

    async def stop(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)
        if self._client is not None:
            await self._client.stop()

    def update(self, records: Iterable[Record]) -> None:
        if self._client is not None:
            self._client.update(records)
        else:
            self._records |= {record.path: record for record in records}

    def remove(self, paths: Iterable[Path]) -> None:
        if self._client is not None:
            self._client.remove(paths)
            return
        gone = tuple(paths)
        self._records = {
            path: record for path, record in self._records.items() if not any(path[: len(one)] == one for one in gone)
        }

    async def _wait(self) -> None:
        while True:
            if (client := self._made()) is not None:
                self._client = client
                await client.start()
                return
            await asyncio.sleep(self._retry)

    def _made(self) -> HostedClient | None:
        try:
            return self._make(list(self._records.values()))
        except NoCredentials as error:
            if str(error) != self._told:
                self._told = str(error)
                log.warning("%s does not register: %s", self._endpoint, error)
                self._tell(f"it does not register: {error}")
            return None
