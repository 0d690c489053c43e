"""What happens at a server, and how those who listen get it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.registration import Update
from lwm2m.server.registry import Registration


class DeregistrationReason(StrEnum):
    DEREGISTERED = "deregistered"
    EXPIRED = "expired"
    REPLACED = "replaced"


class EndReason(StrEnum):
    """Why an observation ended. After `LOST` it is asked again when the client registers or updates."""

    CANCELLED = "cancelled"
    REFUSED = "refused"
    DEREGISTERED = "deregistered"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Registered:
    """`replaced` is the registration that this one took the place of; its `Deregistered` came just before."""

    registration: Registration
    replaced: Registration | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    registration: Registration
    update: Update


@dataclass(frozen=True, slots=True)
class Deregistered:
    registration: Registration
    reason: DeregistrationReason


@dataclass(frozen=True, slots=True)
class Notified:
    """A notification, or the first value of an observation that was asked again. `code` is no success when the client
    ends the observation with it. `time` is its arrival in Unix seconds."""

    endpoint: str
    path: Path
    records: tuple[Record, ...]
    code: Code
    time: float


@dataclass(frozen=True, slots=True)
class InvalidNotification:
    """A notification that does not decode; the observation goes on."""

    endpoint: str
    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Values that the client sent by itself; times where it said them, in the order of the message."""

    endpoint: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class ObservationEnded:
    endpoint: str
    path: Path
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Overflow:
    """The subscriber was too slow and gets no more events: the last one of its stream."""


ServerEvent: TypeAlias = (
    Registered | Updated | Deregistered | Notified | InvalidNotification | Sent | ObservationEnded | Overflow
)


class EventStream(AsyncIterator[ServerEvent]):
    """Events from its making on. One consumer."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[ServerEvent] = deque()
        self._capacity = capacity
        self._arrival = asyncio.Event()
        self._ended = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> ServerEvent:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Listen no more."""
        self._waiting.clear()
        self.end()

    @property
    def ended(self) -> bool:
        return self._ended

    def put(self, event: ServerEvent) -> None:
        if self._ended:
            return
        if len(self._waiting) >= self._capacity:
            self._waiting.append(Overflow())
            self._ended = True
        else:
            self._waiting.append(event)
        self._arrival.set()

    def end(self) -> None:
        self._ended = True
        self._arrival.set()


class Broadcast:
    """Gives every event to every stream; a slow one falls out and holds up nobody."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._streams: list[EventStream] = []

    def subscribe(self) -> EventStream:
        stream = EventStream(self._capacity)
        self._streams.append(stream)
        return stream

    def publish(self, event: ServerEvent) -> None:
        for stream in self._streams:
            stream.put(event)
        self._streams = [stream for stream in self._streams if not stream.ended]

    def end(self) -> None:
        for stream in self._streams:
            stream.end()
        self._streams.clear()
