"""Events on their way to those who listen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Overflow:
    """The subscriber was too slow and gets no more events: the last one of its stream."""


class Stream(AsyncIterator[Event | Overflow], Generic[Event]):
    """Events from its making on. One consumer."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[Event | Overflow] = deque()
        self._capacity = capacity
        self._arrival = asyncio.Event()
        self.ended = False

    def __aiter__(self) -> Stream[Event]:
        return self

    async def __anext__(self) -> Event | Overflow:
        while not self._waiting:
            if self.ended:
                raise StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Listen no more."""
        self._waiting.clear()
        self.end()

    def put(self, event: Event) -> None:
        if self.ended:
            return
        waiting = self._waiting
        if len(waiting) >= self._capacity:
            waiting.append(Overflow())
            self.ended = True
        else:
            waiting.append(event)
        if len(waiting) == 1:
            self._arrival.set()

    def end(self) -> None:
        self.ended = True
        self._arrival.set()


class Broadcast(Generic[Event]):
    """Gives every event to every stream; a slow one falls out and holds up nobody."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._streams: list[Stream[Event]] = []

    def subscribe(self) -> Stream[Event]:
        stream = Stream[Event](self._capacity)
        self._streams.append(stream)
        return stream

    def publish(self, event: Event) -> None:
        for stream in self._streams:
            stream.put(event)
            if stream.ended:
                self._streams = [stream for stream in self._streams if not stream.ended]

    def end(self) -> None:
        for stream in self._streams:
            stream.end()
        self._streams.clear()
