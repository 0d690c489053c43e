"""The last events, numbered, and who follows them. Server-sent events as text; no HTTP here.

An id is "<start>-<number>": a reader that comes back with the last id it saw misses nothing that is still kept, also
when it knew an earlier start of this server.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """`endpoint` is whom the event is about; `data` is one line of JSON."""

    number: int
    name: str
    endpoint: str
    data: str


class EventLog:
    """Keeps `kept` events. A reader that falls further behind is told how many it lost."""

    def __init__(self, start: str, kept: int = 1000) -> None:
        self._start = start
        self._events: deque[LoggedEvent] = deque(maxlen=kept)
        self._next = 1
        self._news = asyncio.Event()
        self._closed = False
        self._followed: Counter[str] = Counter()

    def publish(self, name: str, endpoint: str, data: Any) -> None:
        """`data` is what `json` can write."""
        line = json.dumps(data, separators=(",", ":"), allow_nan=False)
        self._events.append(LoggedEvent(self._next, name, endpoint, line))
        self._next += 1
        self._wake()

    def close(self) -> None:
        """End every `follow`, now and from now on."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    @property
    def followed_endpoints(self) -> tuple[str, ...]:
        """The endpoints that somebody follows by name."""
        return tuple(self._followed)

    async def follow(self, endpoint: str | None, last_id: str | None, heartbeat: float) -> AsyncGenerator[str, None]:
        """Server-sent events as text: those after `last_id` that are still kept, then the coming ones, of one endpoint
        where one is named; a comment after every `heartbeat` seconds of silence. Ends with `close`."""
        with self._following(endpoint):
            async for text in self._follow(endpoint, self._position_after(last_id), heartbeat):
                yield text

    @contextmanager
    def _following(self, endpoint: str | None) -> Iterator[None]:
        if endpoint is None:
            yield
            return
        self._followed[endpoint] += 1
        try:
            yield
        finally:
            self._followed[endpoint] -= 1
            self._followed += Counter()

    async def _follow(self, endpoint: str | None, position: int, heartbeat: float) -> AsyncGenerator[str, None]:
        clock = asyncio.get_running_loop().time
        yield ": connected\n\n"
        spoken = clock()
        while not self._closed:
            news, pending, position = self._news, self._from(position, endpoint), self._next
            for text in pending:
                yield text
                spoken = clock()
            if not await _happens(news, spoken + heartbeat - clock()):
                yield ": still here\n\n"
                spoken = clock()

    def _from(self, position: int, endpoint: str | None) -> list[str]:
        """What a reader gets that has come to `position`."""
        first = self._first_kept()
        lost = [f": {first - position} events were lost\n\n"] if position < first else []
        events = islice(self._events, max(0, position - first), None)
        return lost + [self._text(event) for event in events if endpoint is None or event.endpoint == endpoint]

    def _first_kept(self) -> int:
        return self._events[0].number if self._events else self._next

    def _position_after(self, last_id: str | None) -> int:
        if last_id is None:
            return self._next
        start, _, number = last_id.rpartition("-")
        if start != self._start or not (number.isascii() and number.isdigit() and len(number) < 19):
            return self._first_kept()
        return min(int(number) + 1, self._next)

    def _text(self, event: LoggedEvent) -> str:
        return f"id: {self._start}-{event.number}\nevent: {event.name}\ndata: {event.data}\n\n"


async def _happens(news: asyncio.Event, timeout: float) -> bool:
    """Whether there is news within `timeout` seconds; at once when there is already, however little time is left."""
    if news.is_set():
        return True
    try:
        async with asyncio.timeout(timeout):
            await news.wait()
    except TimeoutError:
        return False
    return True
