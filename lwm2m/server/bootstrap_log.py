"""What was said in bootstrap sessions, as values that hold no key. Leshan's names for what happened are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.model.record import Record

OSCORE = 21
"""Its keys are text in object versions 1.0 and 1.1; what is told of its instances are links."""
SECRET_OBJECTS = (0, OSCORE)
LONGEST_TEXT = 200
MOST_VALUES = 256


class SessionEvent(StrEnum):
    NEW_SESSION = "new session"
    UNAUTHORIZED = "unauthorized"
    AUTHORIZED = "authorized"
    NO_CONFIG = "no config"
    SEND_DISCOVER = "send discover"
    SEND_READ = "send read"
    SEND_DELETE = "send delete"
    SEND_WRITE = "send write"
    SEND_FINISH = "send finish"
    RECEIVE_SUCCESS = "receive success response"
    RECEIVE_ERROR = "receive error response"
    REQUEST_FAILURE = "request failure"
    RETRY = "retry"
    FINISHED = "finished"
    FAILED = "failed"


class SessionOutcome(StrEnum):
    """What a session is or has come to. `RESTARTED`: the client asked anew before the end."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ShownValue:
    """`text` is for people; opaque values of objects 0 and 21 are a number of bytes there."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """`time` is Unix seconds. `path` and `values` are those of a request or of what a client answered to it."""

    time: float
    event: SessionEvent
    message: str
    path: Path | None = None
    code: Code | None = None
    values: tuple[ShownValue, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionLog:
    """One session so far; `number` tells sessions of an endpoint apart. `peer` is its address."""

    number: int
    endpoint: str
    peer: str
    outcome: SessionOutcome
    entries: tuple[LogEntry, ...]

    @property
    def started(self) -> float:
        return self.entries[0].time


def shown(records: Iterable[Record]) -> tuple[ShownValue, ...]:
    """At most MOST_VALUES of them."""
    listed = list(records)
    values = tuple(ShownValue(record.path, _text(record)) for record in listed[:MOST_VALUES])
    if len(listed) <= MOST_VALUES:
        return values
    return (*values, ShownValue(Path(), f"and {len(listed) - MOST_VALUES} more"))


def shortened(text: str) -> str:
    """Text from elsewhere for one line of a log."""
    clean = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return clean if len(clean) <= LONGEST_TEXT else f"{clean[:LONGEST_TEXT]}..."


def _text(record: Record) -> str:
    match record.value:
        case None:
            return ""
        case bytes() if record.path.object_id in SECRET_OBJECTS:
            return f"({len(record.value)} bytes)"
        case str() if record.path.object_id == OSCORE and len(record.path) > 2:
            return f"({len(record.value.encode())} bytes)"
        case bytes():
            return shortened(record.value.hex())
        case bool():
            return "true" if record.value else "false"
    return shortened(str(record.value))
