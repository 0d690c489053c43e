"""What `Client.events()` yields. `short_server_id` says which server; a client that is made with one URI has one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.attributes import Reason
from lwm2m.coap.message import Code, Request
from lwm2m.model.path import Path
from lwm2m.operations.bootstrap import BootstrapOperation
from lwm2m.operations.device_management import DeviceOperation

QUEUE_LENGTH = 1000
"""Events that wait for a slow reader; beyond that the oldest are lost."""


@dataclass(frozen=True, slots=True)
class Registering:
    server: str
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Registered:
    """`location` is the path that the server gave."""

    location: str
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """`retry_in` in seconds; None: no further try."""

    reason: str
    retry_in: float | None
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Updated:
    """The server accepted an Update."""

    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class UpdateFailed:
    """The client registers anew."""

    reason: str
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Deregistered:
    """`answered`: the server said yes."""

    answered: bool
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Disabled:
    """By the server, for so many seconds."""

    seconds: float
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Served:
    """What the server asked, and our answer's code. `operation` is None where the request was none."""

    request: Request
    operation: DeviceOperation | None
    code: Code
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Notified:
    """`paths` are those of a composite observation or a Send; `path` is the root then."""

    path: Path
    reason: Reason
    confirmable: bool
    short_server_id: int = 1
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservationEnded:
    """By us because the target is gone, or by the server with a Reset."""

    path: Path
    reset: bool
    short_server_id: int = 1


@dataclass(frozen=True, slots=True)
class Asleep:
    """The client listens no more, until it has something to say."""


@dataclass(frozen=True, slots=True)
class Awake:
    pass


@dataclass(frozen=True, slots=True)
class Bootstrapping:
    """The client decided to ask this bootstrap server, after its hold-off time."""

    server: str


@dataclass(frozen=True, slots=True)
class BootstrapServed:
    """What the bootstrap server asked, and our answer's code. `operation` is None where the request was none. Both may
    hold keys."""

    request: Request = field(repr=False)
    operation: BootstrapOperation | None
    code: Code


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """A new configuration is in force."""


@dataclass(frozen=True, slots=True)
class BootstrapFailed:
    """The configuration is what it was. `retry_in` in seconds; None: no further try."""

    reason: str
    retry_in: float | None


ClientEvent: TypeAlias = (
    Asleep
    | Awake
    | Bootstrapping
    | BootstrapServed
    | Bootstrapped
    | BootstrapFailed
    | Registering
    | Registered
    | RegistrationFailed
    | Updated
    | UpdateFailed
    | Deregistered
    | Disabled
    | Served
    | Notified
    | ObservationEnded
)


class EventStream:
    """Every reader gets every event from the moment it asked; closing ends the readers."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Queue[ClientEvent | None]] = set()

    def publish(self, event: ClientEvent | None) -> None:
        for queue in self._readers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def close(self) -> None:
        self.publish(None)
        self._readers.clear()

    def read(self) -> AsyncIterator[ClientEvent]:
        queue: asyncio.Queue[ClientEvent | None] = asyncio.Queue(QUEUE_LENGTH)
        self._readers.add(queue)
        return self._drain(queue)

    async def _drain(self, queue: asyncio.Queue[ClientEvent | None]) -> AsyncIterator[ClientEvent]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._readers.discard(queue)
