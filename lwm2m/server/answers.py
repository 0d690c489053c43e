"""What a client answered, read. A refusal is data like any other answer. lwm2m.md §2.1, §13."""

from __future__ import annotations

from typing import NamedTuple

from lwm2m.coap.message import Code, Response
from lwm2m.codec import decode
from lwm2m.errors import LwM2MError
from lwm2m.link_format import Link, parse
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.composite import CancelCompositeObservation, ObserveComposite, ReadComposite
from lwm2m.operations.device_management import CancelObservation, DeviceOperation, Discover, Observe, Read

READING = (Read, Observe, CancelObservation, ReadComposite, ObserveComposite, CancelCompositeObservation)


class InvalidAnswer(Exception):
    """The client answered with something that does not decode."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint = endpoint
        self.reason = reason


class Answer(NamedTuple):
    """`records` for what was read, `links` for what was discovered, `location` where a Create put the instance.
    `diagnostic` is the client's own text on a refusal. `observing`: the client accepted an observation."""

    code: Code
    records: tuple[Record, ...] = ()
    links: tuple[Link, ...] = ()
    location: tuple[str, ...] = ()
    diagnostic: str = ""
    content_format: int | None = None
    payload: bytes = b""
    observing: bool = False

    @property
    def ok(self) -> bool:
        return self.code.is_success


def read_answer(
    endpoint: str,
    operation: DeviceOperation,
    response: Response,
    definitions: Definitions,
    wall: float,
    root: tuple[str, ...] = (),
) -> Answer:
    """Raises InvalidAnswer. `wall` is now in Unix seconds, from which relative times in a payload count; `root` is the
    alternate path that names in a payload may begin with."""
    records: tuple[Record, ...] = ()
    links: tuple[Link, ...] = ()
    if isinstance(operation, READING):
        records = read_records(endpoint, operation.path, response, definitions, wall, root)
    elif response.code is Code.CONTENT and isinstance(operation, Discover):
        try:
            links = _links(response)
        except ValueError as error:
            raise _invalid(endpoint, operation.path, error) from error
    return Answer(
        response.code,
        records,
        links,
        response.location,
        response.diagnostic,
        response.content_format,
        response.payload,
        response.observing,
    )


def read_records(
    endpoint: str, path: Path, response: Response, definitions: Definitions, wall: float, root: tuple[str, ...] = ()
) -> tuple[Record, ...]:
    """What a response to a read or observation of `path` says, () where it is no content. Raises InvalidAnswer."""
    if response.code is not Code.CONTENT:
        return ()
    try:
        return _records(path, response, definitions, wall, root)
    except (LwM2MError, ValueError) as error:
        raise _invalid(endpoint, path, error) from error


def _invalid(endpoint: str, path: Path, error: Exception) -> InvalidAnswer:
    return InvalidAnswer(endpoint, f"the answer for {path} cannot be read: {error}")


def _records(
    path: Path, response: Response, definitions: Definitions, wall: float, root: tuple[str, ...]
) -> tuple[Record, ...]:
    content_format = response.content_format
    if content_format is None:
        if not response.payload and len(path) < 3:
            return ()
        if len(path) < 3:
            raise ValueError("it has no content format")
        content_format = ContentFormat.TEXT
    return tuple(decode(response.payload, content_format, path, definitions, now=wall, root=root))


def _links(response: Response) -> tuple[Link, ...]:
    if response.content_format not in (None, ContentFormat.LINK):
        raise ValueError(f"content format {response.content_format} is not the link format")
    return parse(response.payload.decode())
