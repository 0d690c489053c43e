"""One bootstrap session of a client: what is asked next. One request is outstanding at a time. lwm2m.md §4.11."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.coap.message import Code, Response
from lwm2m.codec import encode
from lwm2m.errors import LwM2MError
from lwm2m.link_format import Link, serialize
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import (
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapWrite,
)
from lwm2m.operations.device_management import Body, Discover, Read
from lwm2m.server.answers import Answer, InvalidAnswer, read_answer
from lwm2m.server.bootstrap_config import WRITE_FORMATS, BootstrapConfig, BootstrapStep, StepOperation, WriteRecords
from lwm2m.server.bootstrap_log import LogEntry, SessionEvent, SessionLog, SessionOutcome, ShownValue, shortened, shown
from lwm2m.server.security_instances import placed, placement

ATTEMPTS = 2
"""How often a configuration is written whose Finish the client answers with 4.06."""

_SECURITY = Path(0)
_VERSION_1_0 = re.compile(rb"\A\s*(lwm2m=[\"0-9.]+)")


@dataclass(frozen=True, slots=True)
class Start:
    """The answer to the Bootstrap-Request has left."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the client answered to the outstanding request."""

    response: Response = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unanswered:
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """From outside: the client asked anew, or the server stops."""

    outcome: SessionOutcome


BootstrapSessionEvent: TypeAlias = Start | Answered | Unanswered | Ended


class BootstrapSession:
    """`handle` takes what happened and returns the next request, None when there is none. `preferred_format` is the
    client's `pct`. Times are Unix seconds, for the log only."""

    def __init__(
        self,
        number: int,
        endpoint: str,
        peer: str,
        config: BootstrapConfig,
        preferred_format: int | None,
        definitions: Definitions,
    ) -> None:
        self.endpoint = endpoint
        self.number = number
        self._peer = peer
        self._definitions = definitions
        self._content_format = _write_format(config, preferred_format)
        identifying = (BootstrapStep(BootstrapDiscover(_SECURITY)),) if config.auto_id else ()
        self._agenda = identifying + config.steps
        self._identifies = config.auto_id
        self._written = config.written
        self._placement: dict[int, int] = {}
        self._position = 0
        self._attempt = 1
        self._outcome = SessionOutcome.RUNNING
        self._entries: list[LogEntry] = []
        self._told = 0

    @property
    def outcome(self) -> SessionOutcome:
        return self._outcome

    @property
    def log(self) -> SessionLog:
        return SessionLog(self.number, self.endpoint, self._peer, self._outcome, tuple(self._entries))

    def note(self, entry: LogEntry) -> None:
        """Something that happened around the session."""
        self._entries.append(entry)

    def news(self) -> tuple[LogEntry, ...]:
        """The entries since the last call."""
        told, self._told = self._told, len(self._entries)
        return tuple(self._entries[told:])

    def handle(self, event: BootstrapSessionEvent, now: float) -> BootstrapOperation | None:
        if self._outcome is not SessionOutcome.RUNNING:
            return None
        match event:
            case Start():
                return self._send(now)
            case Answered(response=response):
                return self._answered(response, now)
            case Unanswered(reason=reason):
                self.note(LogEntry(now, SessionEvent.REQUEST_FAILURE, shortened(reason), _path(self._step)))
                return self._failed(f"no answer to the {_name(self._step)}", now)
            case Ended(outcome=outcome):
                self._outcome = outcome
                self.note(LogEntry(now, SessionEvent.FAILED, f"{outcome} before the end"))
        return None

    @property
    def _step(self) -> BootstrapStep:
        return self._agenda[self._position]

    def _send(self, now: float) -> BootstrapOperation | None:
        operation = self._step.operation
        if isinstance(operation, WriteRecords):
            return self._write(operation, now)
        self.note(LogEntry(now, _SENT[type(operation)], _asking(operation), _path(self._step)))
        return operation

    def _write(self, write: WriteRecords, now: float) -> BootstrapOperation | None:
        target, records = placed(write.path, write.records, self._placement)
        try:
            body = Body(encode(records, self._content_format, target, self._definitions), self._content_format)
        except LwM2MError as error:
            return self._failed(f"what is configured for {target} cannot be written: {error.diagnostic}", now)
        message = f"write {target} in {self._content_format.name}"
        self.note(LogEntry(now, SessionEvent.SEND_WRITE, message, target, values=shown(records)))
        return BootstrapWrite(target, body)

    def _answered(self, response: Response, now: float) -> BootstrapOperation | None:
        if not response.code.is_success:
            return self._refused(response, now)
        try:
            answer = self._read(response, now)
        except InvalidAnswer as error:
            self.note(LogEntry(now, SessionEvent.RECEIVE_ERROR, shortened(error.reason), code=response.code))
            return self._unless_tolerated("an answer that cannot be read", now)
        self.note(
            LogEntry(now, SessionEvent.RECEIVE_SUCCESS, response.code.dotted, code=response.code, values=_told(answer))
        )
        if self._identifies and self._position == 0 and (problem := self._identified(answer.links)):
            return self._failed(problem, now)
        return self._next(now)

    def _refused(self, response: Response, now: float) -> BootstrapOperation | None:
        text = shortened(f"{response.code.dotted} {response.diagnostic}".rstrip())
        self.note(LogEntry(now, SessionEvent.RECEIVE_ERROR, text, code=response.code))
        if isinstance(self._step.operation, BootstrapFinish) and response.code is Code.NOT_ACCEPTABLE:
            return self._again(now)
        return self._unless_tolerated(f"the client refused the {_name(self._step)} with {response.code.dotted}", now)

    def _again(self, now: float) -> BootstrapOperation | None:
        """The client finds what was written inconsistent: write all of it once more, then report."""
        if self._attempt == ATTEMPTS:
            return self._failed(f"the client found the configuration inconsistent {ATTEMPTS} times", now)
        self._attempt += 1
        self._position = 0
        self.note(LogEntry(now, SessionEvent.RETRY, "the client finds the configuration inconsistent; all of it again"))
        return self._send(now)

    def _unless_tolerated(self, problem: str, now: float) -> BootstrapOperation | None:
        return self._next(now) if self._step.continue_on_error else self._failed(problem, now)

    def _next(self, now: float) -> BootstrapOperation | None:
        self._position += 1
        if self._position < len(self._agenda):
            return self._send(now)
        self._outcome = SessionOutcome.FINISHED
        self.note(LogEntry(now, SessionEvent.FINISHED, "the client took the configuration"))
        return None

    def _failed(self, problem: str, now: float) -> BootstrapOperation | None:
        self._outcome = SessionOutcome.FAILED
        self.note(LogEntry(now, SessionEvent.FAILED, problem))
        return None

    def _read(self, response: Response, now: float) -> Answer:
        operation = self._step.operation
        match operation:
            case BootstrapDiscover(path=path) | BootstrapRead(path=path):
                if response.code is not Code.CONTENT:
                    raise InvalidAnswer(self.endpoint, f"{response.code.dotted} is no answer to a {_name(self._step)}")
                if isinstance(operation, BootstrapRead):
                    return read_answer(self.endpoint, Read(path), response, self._definitions, now)
                return read_answer(self.endpoint, Discover(path), _with_root(response), self._definitions, now)
        return Answer(response.code)

    def _identified(self, links: Iterable[Link]) -> str:
        """What stands in the way, "" when nothing does."""
        try:
            self._placement = placement(self._written, links)
        except ValueError as error:
            return str(error)
        return ""


def _with_root(response: Response) -> Response:
    """LwM2M 1.0 says its version before the links, not in one: lwm2m="1.0",</0/0>. lwm2m.md §4.4."""
    return response._replace(payload=_VERSION_1_0.sub(rb"</>;\1", response.payload, count=1))


def _write_format(config: BootstrapConfig, preferred: int | None) -> ContentFormat:
    if config.content_format is not None:
        return config.content_format
    return next((known for known in WRITE_FORMATS if known == preferred), WRITE_FORMATS[0])


_SENT: dict[type, SessionEvent] = {
    BootstrapDiscover: SessionEvent.SEND_DISCOVER,
    BootstrapRead: SessionEvent.SEND_READ,
    BootstrapDelete: SessionEvent.SEND_DELETE,
    BootstrapFinish: SessionEvent.SEND_FINISH,
}


def _name(step: BootstrapStep) -> str:
    sent = _SENT.get(type(step.operation), SessionEvent.SEND_WRITE)
    return sent.removeprefix("send ")


def _path(step: BootstrapStep) -> Path | None:
    return None if isinstance(step.operation, BootstrapFinish) else step.operation.path


def _asking(operation: StepOperation) -> str:
    name = _SENT[type(operation)].removeprefix("send ")
    return name if isinstance(operation, BootstrapFinish) else f"{name} {operation.path}"


def _told(answer: Answer) -> tuple[ShownValue, ...]:
    """What the client told about itself, by path; a link without a path is left out."""
    return (*shown(answer.records), *shown(_link_records(answer.links)))


def _link_records(links: Sequence[Link]) -> list[Record]:
    records = []
    for link in links:
        try:
            path = Path.parse(link.target.removesuffix("/"))
        except ValueError:
            continue
        records.append(Record(path, serialize([link])))
    return records
