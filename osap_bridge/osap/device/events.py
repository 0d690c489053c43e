"""What a device tells the application that uses it; never with keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakSet

from osap_bridge.osap.device.handshake import Flow
from osap_bridge.osap.device.thing import PointKey

MAX_WAITING = 1024


@dataclass(frozen=True, slots=True)
class Authenticated:
    flow: Flow


@dataclass(frozen=True, slots=True)
class SessionKeyAgreed:
    """A new session key is in use; the DAS is at `das`."""

    das: str


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """`result` is the LBS's code (osap.md §2.4); None where it gave none."""

    reason: str
    result: int | None = None


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """`connack` is None where the DAS did not answer."""

    reason: str
    connack: int | None = None


@dataclass(frozen=True, slots=True)
class Online:
    pass


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Online again after a short break."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The connection broke; the device tries to resume it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Offline:
    """`final`: the device does nothing more until it is restarted."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Switchover:
    """The platform sent the device to another LBS."""

    lbs: str


@dataclass(frozen=True, slots=True)
class ValueSet:
    """By the platform."""

    key: PointKey
    value: Any


@dataclass(frozen=True, slots=True)
class Operated:
    """By the platform; `accepted` is what it was told."""

    key: PointKey
    accepted: bool


DeviceEvent: TypeAlias = (
    Authenticated
    | SessionKeyAgreed
    | AuthenticationFailed
    | RegistrationFailed
    | Online
    | Reconnect
    | LinkLost
    | Offline
    | Switchover
    | ValueSet
    | Operated
)


class EventStream:
    """Everything from the moment it was made until the device stops. Who does not read loses the oldest."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[DeviceEvent | None] = asyncio.Queue(MAX_WAITING)

    def put(self, event: DeviceEvent | None) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> DeviceEvent:
        event = await self._queue.get()
        if event is None:
            self.put(None)
            raise StopAsyncIteration
        return event


class Announcer:
    """Streams that nobody holds any more are forgotten."""

    def __init__(self) -> None:
        self._streams: WeakSet[EventStream] = WeakSet()

    def stream(self) -> EventStream:
        stream = EventStream()
        self._streams.add(stream)
        return stream

    def tell(self, event: DeviceEvent) -> None:
        for stream in tuple(self._streams):
            stream.put(event)

    def end(self) -> None:
        for stream in tuple(self._streams):
            stream.put(None)
