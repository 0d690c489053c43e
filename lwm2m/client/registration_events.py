"""What the moves of a registration mean to those who listen to the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from lwm2m.client import events
from lwm2m.client.registration import Accepted, Event, Failed, GaveUp, Refused, State, WrongVersion

Negative: TypeAlias = Failed | Refused | WrongVersion | GaveUp


class Move(NamedTuple):
    """`remaining` are the seconds until the registration does something by itself; None: it will not. `location` is the
    path that the server gave."""

    before: State
    event: Event
    after: State
    server: str
    location: str
    remaining: float | None


def events_of(move: Move, number: int) -> Iterator[events.ClientEvent]:
    """`number` is the Short Server ID."""
    before, event, after = move.before, move.event, move.after
    if before is State.REGISTERING and isinstance(event, Accepted):
        yield events.Registered(move.location, number)
    elif before is State.REGISTERING and after is not before and isinstance(event, Negative):
        yield events.RegistrationFailed(event.reason, move.remaining, number)
    elif before is State.UPDATING and isinstance(event, Accepted):
        yield events.Updated(number)
    elif before is State.UPDATING and isinstance(event, Negative):
        yield events.UpdateFailed(event.reason, number)
    elif before is State.DISABLING and after is State.DISABLED:
        yield events.Disabled(move.remaining or 0.0, number)
    elif before is State.DEREGISTERING and after is State.STOPPED:
        yield events.Deregistered(isinstance(event, Accepted), number)
    if after is State.REGISTERING and before is not State.REGISTERING:
        yield events.Registering(move.server, number)
