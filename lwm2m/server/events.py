"""What happens at a server, and how those who listen get it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from lwm2m.attributes import Reason
from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.registration import Update
from lwm2m.server import streams
from lwm2m.server.admission import Refused
from lwm2m.server.answers import Answer
from lwm2m.server.queued import QueuedRequest
from lwm2m.server.registry import Registration
from lwm2m.server.streams import Overflow, Stream


class DeregistrationReason(StrEnum):
    """`REVOKED`: the endpoint's credentials are others now, or none."""

    DEREGISTERED = "deregistered"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REVOKED = "revoked"


class EndReason(StrEnum):
    """Why an observation ended. After `LOST` it is asked again when the client registers or updates."""

    CANCELLED = "cancelled"
    REFUSED = "refused"
    DEREGISTERED = "deregistered"
    LOST = "lost"


class Registered(NamedTuple):
    """`replaced` is the registration that this one took the place of; its `Deregistered` came just before."""

    registration: Registration
    replaced: Registration | None = None


class Updated(NamedTuple):
    registration: Registration
    update: Update


class Deregistered(NamedTuple):
    registration: Registration
    reason: DeregistrationReason


class Notified(NamedTuple):
    """A notification, or the first value of an observation that was asked again. `code` is no success when the client
    ends the observation with it. `time` is its arrival in Unix seconds. Of a composite observation `paths` is the list,
    in its order, and `path` the root; so in the next two events. `reason` is why the client sent it, as far as we can
    tell: `inferred` from what we know of it, since the wire does not say."""

    endpoint: str
    path: Path
    records: tuple[Record, ...]
    code: Code
    time: float
    paths: tuple[Path, ...] = ()
    reason: Reason | None = None
    inferred: bool = True


@dataclass(frozen=True, slots=True)
class InvalidNotification:
    """A notification that does not decode; the observation goes on."""

    endpoint: str
    path: Path
    reason: str
    paths: tuple[Path, ...] = ()


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
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Awake:
    """A client in queue mode can be reached now."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Sleeping:
    """A client in queue mode is not reached any more; requests wait for it."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A submitted request is over: `answer`, or None and `failure` in words. Both are empty where there was nothing to
    ask, as when an observation to cancel had ended."""

    endpoint: str
    request: QueuedRequest
    answer: Answer | None
    failure: str = ""


ServerEvent: TypeAlias = (
    Registered
    | Updated
    | Deregistered
    | Notified
    | InvalidNotification
    | Sent
    | ObservationEnded
    | Awake
    | Sleeping
    | RequestAnswered
    | Refused
    | Overflow
)


EventStream: TypeAlias = Stream[ServerEvent]
Broadcast: TypeAlias = streams.Broadcast[ServerEvent]
