"""Composite operations: several targets at once, all of them named in the payload. Core 1.1.1 §6.3.8, §6.3.9, §6.4.6;
lwm2m.md §6.9-6.11, §7.4."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from lwm2m.coap.message import Code, Request
from lwm2m.codec import decode, encode
from lwm2m.errors import BadRequest, MethodNotAllowed, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.body import Body

COMPOSITE_FORMATS = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)

_UNTYPED = Definitions()


@dataclass(frozen=True, slots=True)
class ReadComposite:
    """`body` is a list of paths, as `path_list` makes them."""

    path: ClassVar[Path] = Path()
    body: Body
    accept: int | None = None


@dataclass(frozen=True, slots=True)
class WriteComposite:
    """`body` has resources and resource instances with their values, in SenML."""

    path: ClassVar[Path] = Path()
    body: Body


@dataclass(frozen=True, slots=True)
class ObserveComposite:
    path: ClassVar[Path] = Path()
    body: Body
    accept: int | None = None


@dataclass(frozen=True, slots=True)
class CancelCompositeObservation:
    """`body` is that of the observation to end."""

    path: ClassVar[Path] = Path()
    body: Body
    accept: int | None = None


CompositeOperation: TypeAlias = ReadComposite | WriteComposite | ObserveComposite | CancelCompositeObservation


def path_list(paths: Iterable[Path], content_format: int, root: tuple[str, ...] = ()) -> Body:
    """`root` is the alternate path the client registered with. Raises NotAcceptable where the format is not SenML."""
    if content_format not in COMPOSITE_FORMATS:
        raise NotAcceptable("a list of paths is SenML")
    records = [Record(path, None) for path in paths]
    return Body(encode(records, content_format, Path(), _UNTYPED, root=root), content_format)


def paths_of(body: Body, root: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """The paths of a list, in its order and as often as they stand there. Raises BadRequest, also for an empty list,
    UnsupportedContentFormat, RequestEntityTooLarge."""
    records = decode(body.payload, _senml(body.content_format), Path(), _UNTYPED, root=root)
    if any(record.value is not None for record in records):
        raise BadRequest("a list of paths has no values")
    if not records:
        raise BadRequest("the list of paths is empty")
    return tuple(record.path for record in records)


def composite_from_coap(
    request: Request,
) -> ReadComposite | WriteComposite | ObserveComposite | CancelCompositeObservation:
    """A FETCH or an iPATCH. Raises MethodNotAllowed, UnsupportedContentFormat, NotAcceptable."""
    if any(request.path):
        raise MethodNotAllowed("a composite operation names its targets in the payload")
    body = Body(request.payload, _senml(request.content_format))
    if request.method is Code.IPATCH:
        return WriteComposite(body)
    if request.accept is not None and request.accept not in COMPOSITE_FORMATS:
        raise NotAcceptable("the answer to a composite operation is SenML")
    if request.observe == 0:
        return ObserveComposite(body, request.accept)
    if request.observe == 1:
        return CancelCompositeObservation(body, request.accept)
    return ReadComposite(body, request.accept)


def _senml(content_format: int | None) -> int:
    if content_format not in COMPOSITE_FORMATS:
        raise UnsupportedContentFormat("the payload of a composite operation is SenML")
    return content_format
