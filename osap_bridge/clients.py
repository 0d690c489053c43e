"""The gateway's LwM2M clients, by endpoint name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from lwm2m import Path, Record

log = logging.getLogger(__name__)


class Actuator(Protocol):
    """What happens when a server acts on a client. `check_readable` raises an lwm2m error where a read is refused."""

    async def write(self, records: Sequence[Record]) -> None: ...

    async def execute(self, path: Path, arguments: str) -> None: ...

    def check_readable(self, path: Path) -> None: ...


class HostedClient(Protocol):
    """What the gateway asks of an LwM2M client: it registers and stays registered until it is stopped."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def update(self, records: Iterable[Record]) -> object: ...

    def remove(self, paths: Iterable[Path]) -> object: ...


MakeClient: TypeAlias = Callable[[str, Sequence[Record], Actuator], HostedClient]


class Clients:
    """Opening and closing return at once; what they begin goes on by itself, in order for each endpoint."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make
        self._open: dict[str, HostedClient] = {}
        self._work: dict[str, asyncio.Task[None]] = {}

    def get(self, endpoint: str) -> HostedClient | None:
        return self._open.get(endpoint)

    def open(self, endpoint: str, records: Sequence[Record], actuator: Actuator) -> None:
        client = self._open[endpoint] = self._make(endpoint, records, actuator)
        self._then(endpoint, client.start)

    def close(self, endpoint: str) -> None:
        if (client := self._open.pop(endpoint, None)) is not None:
            self._then(endpoint, client.stop)

    async def stop(self) -> None:
        """Close all and wait until every server has been told or has not answered."""
        for endpoint in list(self._open):
            self.close(endpoint)
        await asyncio.gather(*self._work.values(), return_exceptions=True)

    def _then(self, endpoint: str, act: Callable[[], Awaitable[None]]) -> None:
        before = self._work.get(endpoint)
        task = self._work[endpoint] = asyncio.create_task(self._in_turn(before, act), name=f"client {endpoint}")
        task.add_done_callback(lambda done: self._finished(endpoint, done))

    async def _in_turn(self, before: asyncio.Task[None] | None, act: Callable[[], Awaitable[None]]) -> None:
        if before is not None:
            await asyncio.wait([before])
        await act()

    def _finished(self, endpoint: str, task: asyncio.Task[None]) -> None:
        if self._work.get(endpoint) is task:
            del self._work[endpoint]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("client %s: %s", endpoint, error)
