"""Who of the clients in queue mode is awake, and whose turn it is at each. Pure: `now` is an argument, and what follows
is returned. lwm2m.md §5.12.

* A client is awake for the window after each message from it, and asleep after a request that it left unanswered.
* One request at a time is with a client; the others wait in the order they came, each until its deadline.
* Nothing is asked of a client before the message that woke it has been answered.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypeAlias

Ticket: TypeAlias = int
"""A request that waits for its turn, or has it."""


class Granted(NamedTuple):
    ticket: Ticket


class TooLate(NamedTuple):
    """The deadline passed before there was a turn."""

    ticket: Ticket


class WokeUp(NamedTuple):
    endpoint: str


class FellAsleep(NamedTuple):
    endpoint: str


Happening: TypeAlias = Granted | TooLate | WokeUp | FellAsleep


class QueueFull(Exception):
    """As many requests wait for this client as may."""


@dataclass(slots=True)
class _Lane:
    awake_until: float | None = None
    """None: asleep."""
    announced: bool = False
    unanswered: int = 0
    """Messages of the client that were not answered yet."""
    current: Ticket | None = None
    waiting: dict[Ticket, float] = field(default_factory=dict)
    """Ticket -> deadline, in the order they came."""

    def deadline(self) -> float:
        sleep = self.awake_until if self.awake_until is not None and self.current is None else inf
        return min(sleep, min(self.waiting.values(), default=inf))


class _Deadline(NamedTuple):
    at: float
    endpoint: str


class QueueMode:
    def __init__(self, max_waiting: int, window: float) -> None:
        self._max_waiting = max_waiting
        self._window = window
        self._lanes: dict[str, _Lane] = {}
        self._deadlines: list[_Deadline] = []

    def is_awake(self, endpoint: str) -> bool:
        lane = self._lanes.get(endpoint)
        return lane is not None and lane.awake_until is not None

    def is_idle(self, endpoint: str) -> bool:
        """Nothing is known of this client, and nothing waits for it."""
        return endpoint not in self._lanes

    def has_room(self, endpoint: str) -> bool:
        lane = self._lanes.get(endpoint)
        return lane is None or len(lane.waiting) < self._max_waiting

    def heard(self, endpoint: str, now: float, *, queue_mode: bool) -> None:
        """A message came; `answered` follows. Without queue mode a client is always awake."""
        lane = self._lane(endpoint)
        lane.awake_until = now + self._window if queue_mode else inf
        lane.unanswered += 1
        self._note(endpoint)

    def answered(self, endpoint: str) -> tuple[Happening, ...]:
        lane = self._lanes.get(endpoint)
        if lane is None:
            return ()
        lane.unanswered = max(0, lane.unanswered - 1)
        woke = () if lane.announced or lane.awake_until in (None, inf) else (WokeUp(endpoint),)
        lane.announced = lane.announced or bool(woke)
        return *woke, *self._next(endpoint)

    def join(self, endpoint: str, ticket: Ticket, deadline: float) -> tuple[Happening, ...]:
        """Raises QueueFull."""
        if not self.has_room(endpoint):
            raise QueueFull(f"{self._max_waiting} requests wait for {endpoint} already")
        self._lane(endpoint).waiting[ticket] = deadline
        return self._next(endpoint)

    def done(self, endpoint: str, ticket: Ticket, now: float, *, was_answered: bool | None) -> tuple[Happening, ...]:
        """A turn is over, or a wait given up; None: nobody knows whether the client would have answered."""
        lane = self._lanes.get(endpoint)
        if lane is None:
            return ()
        lane.waiting.pop(ticket, None)
        if lane.current == ticket:
            lane.current = None
            if was_answered and lane.awake_until != inf:
                lane.awake_until = now + self._window
            if was_answered is False and lane.awake_until != inf:
                return self._asleep(endpoint, lane)
        return self._next(endpoint)

    def unreachable(self, endpoint: str) -> tuple[Happening, ...]:
        """Nothing gets to the client until it speaks again."""
        lane = self._lanes.get(endpoint)
        return () if lane is None or lane.awake_until == inf else self._asleep(endpoint, lane)

    def forget(self, endpoint: str) -> tuple[Ticket, ...]:
        """The client is gone; the tickets that waited for it."""
        lane = self._lanes.pop(endpoint, None)
        return () if lane is None else tuple(lane.waiting)

    def expire(self, now: float) -> tuple[Happening, ...]:
        """Everything whose time is up."""
        found: list[Happening] = []
        while self._deadlines and (self._is_stale(self._deadlines[0]) or self._deadlines[0].at <= now):
            due = heapq.heappop(self._deadlines)
            lane = self._lanes.get(due.endpoint)
            if lane is not None:
                found += self._expired(due.endpoint, lane, now)
        return tuple(found)

    def deadline(self) -> float | None:
        """When to call `expire` next, at the latest."""
        while self._deadlines and self._is_stale(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0].at if self._deadlines else None

    def _expired(self, endpoint: str, lane: _Lane, now: float) -> list[Happening]:
        late = [ticket for ticket, deadline in lane.waiting.items() if deadline <= now]
        for ticket in late:
            del lane.waiting[ticket]
        found: list[Happening] = [TooLate(ticket) for ticket in late]
        if lane.current is None and lane.awake_until is not None and lane.awake_until <= now:
            found += self._asleep(endpoint, lane)
        self._note(endpoint)
        return found

    def _asleep(self, endpoint: str, lane: _Lane) -> tuple[Happening, ...]:
        lane.awake_until = None
        told, lane.announced = lane.announced, False
        self._note(endpoint)
        return (FellAsleep(endpoint),) if told else ()

    def _next(self, endpoint: str) -> tuple[Happening, ...]:
        lane = self._lanes[endpoint]
        granted: tuple[Happening, ...] = ()
        if lane.awake_until is not None and not lane.unanswered and lane.current is None and lane.waiting:
            lane.current = next(iter(lane.waiting))
            del lane.waiting[lane.current]
            granted = (Granted(lane.current),)
        self._note(endpoint)
        return granted

    def _lane(self, endpoint: str) -> _Lane:
        return self._lanes.setdefault(endpoint, _Lane())

    def _note(self, endpoint: str) -> None:
        """Every change leaves a deadline behind: rebuild before the stale ones outnumber the living."""
        at = self._lanes[endpoint].deadline()
        if at < inf:
            heapq.heappush(self._deadlines, _Deadline(at, endpoint))
        if len(self._deadlines) > 2 * len(self._lanes) + 64:
            living = {_Deadline(lane.deadline(), name) for name, lane in self._lanes.items()}
            self._deadlines = [deadline for deadline in living if deadline.at < inf]
            heapq.heapify(self._deadlines)

    def _is_stale(self, deadline: _Deadline) -> bool:
        lane = self._lanes.get(deadline.endpoint)
        return lane is None or lane.deadline() != deadline.at
