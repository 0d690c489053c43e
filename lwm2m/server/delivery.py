"""Requests take turns at clients in queue mode: the shell around `queue_mode`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count

from lwm2m.coap.endpoint import Rejected, RequestFailed, TimedOut, TooBusy, Unreachable
from lwm2m.server.answers import InvalidAnswer
from lwm2m.server.events import Awake, ServerEvent, Sleeping
from lwm2m.server.queue_mode import FellAsleep, Granted, Happening, QueueFull, QueueMode, Ticket, TooLate, WokeUp
from lwm2m.server.registry import Registration


class ClientGone(Unreachable):
    """The client ended its registration, or let it expire, while a request waited for it."""


class Delivery:
    """`current` knows who is registered now, `afterwards` does something once the answer to a client has left. A
    request waits at most `patience` seconds for its turn where nobody says how long."""

    def __init__(
        self,
        queue_mode: QueueMode,
        current: Callable[[str], Registration | None],
        publish: Callable[[ServerEvent], None],
        afterwards: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self._queue_mode = queue_mode
        self._current = current
        self._publish = publish
        self._afterwards = afterwards
        self._clock = clock
        self._patience = patience
        self._tickets = count(1)
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_sleeping(self, registration: Registration) -> bool:
        return registration.queue_mode and not self._queue_mode.is_awake(registration.endpoint)

    def has_room(self, endpoint: str) -> bool:
        return self._queue_mode.has_room(endpoint)

    def heard(self, endpoint: str) -> None:
        """A message of the client came; what waits goes out after its answer."""
        registration = self._current(endpoint)
        if registration is None:
            return
        if registration.queue_mode or not self._queue_mode.is_idle(endpoint):
            self._queue_mode.heard(endpoint, self._clock(), queue_mode=registration.queue_mode)
            self._afterwards(lambda: self._follow(self._queue_mode.answered(endpoint)))

    def unreachable(self, endpoint: str) -> None:
        """The connection with the client has ended."""
        self._follow(self._queue_mode.unreachable(endpoint))

    def forget(self, endpoint: str) -> None:
        """The client is gone."""
        for ticket in self._queue_mode.forget(endpoint):
            self._fail(ticket, ClientGone(f"{endpoint} is gone"))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @asynccontextmanager
    async def turn(self, endpoint: str, patience: float | None) -> AsyncIterator[None]:
        """The client is awake, and no other request is with it, while inside; at once unless it is in queue mode.
        Raises TimedOut after `patience` seconds, ClientGone, TooBusy."""
        registration = self._current(endpoint)
        if registration is None or not registration.queue_mode:
            yield
            return
        ticket = next(self._tickets)
        was_answered: bool | None = None
        try:
            await self._wait(endpoint, ticket, self._patience if patience is None else patience)
            try:
                yield
                was_answered = True
            except (TimedOut, Unreachable):
                was_answered = False
                raise
            except (Rejected, InvalidAnswer):
                was_answered = True
                raise
        finally:
            self._follow(self._queue_mode.done(endpoint, ticket, self._clock(), was_answered=was_answered))

    async def _wait(self, endpoint: str, ticket: Ticket, patience: float) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = granted
        try:
            self._follow(self._queue_mode.join(endpoint, ticket, self._clock() + patience))
            await granted
        except QueueFull as error:
            raise TooBusy(str(error)) from None
        finally:
            del self._waiting[ticket]

    def _follow(self, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            match happening:
                case Granted(ticket):
                    self._grant(ticket)
                case TooLate(ticket):
                    self._fail(ticket, TimedOut("the client did not wake up in time"))
                case WokeUp(endpoint):
                    self._publish(Awake(endpoint))
                case FellAsleep(endpoint):
                    self._publish(Sleeping(endpoint))
        self._arm()

    def _grant(self, ticket: Ticket) -> None:
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _fail(self, ticket: Ticket, error: RequestFailed) -> None:
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _arm(self) -> None:
        """One timer for the nearest deadline."""
        deadline = self._queue_mode.deadline()
        loop = asyncio.get_running_loop()
        at = None if deadline is None else loop.time() + max(0.0, deadline - self._clock())
        if self._timer is not None:
            if at is not None and self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = None if at is None else loop.call_at(at, self._due)

    def _due(self) -> None:
        self._timer = None
        self._follow(self._queue_mode.expire(self._clock()))
