"""Device management and reporting: what a server asks of a client. Core 1.1.1 §6.3, §6.4; Transport 1.1.1 §6.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.coap.message import Code, Request
from lwm2m.errors import BadRequest, LwM2MError, MethodNotAllowed, NotFound, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.operations.body import Body
from lwm2m.operations.composite import (
    CancelCompositeObservation,
    ObserveComposite,
    ReadComposite,
    WriteComposite,
    composite_from_coap,
)


@dataclass(frozen=True, slots=True)
class Read:
    path: Path
    accept: int | None = None


@dataclass(frozen=True, slots=True)
class Discover:
    path: Path


@dataclass(frozen=True, slots=True)
class Write:
    """`replace` tells Replace (PUT) from Partial Update (POST)."""

    path: Path
    body: Body
    replace: bool = True


@dataclass(frozen=True, slots=True)
class WriteAttributes:
    """Attribute name -> text of its value, None to remove it. Unchecked."""

    path: Path
    attributes: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Execute:
    path: Path
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    path: Path
    body: Body


@dataclass(frozen=True, slots=True)
class Delete:
    path: Path


@dataclass(frozen=True, slots=True)
class Observe:
    path: Path
    accept: int | None = None


@dataclass(frozen=True, slots=True)
class CancelObservation:
    path: Path
    accept: int | None = None


DeviceOperation: TypeAlias = (
    Read
    | Discover
    | Write
    | WriteAttributes
    | Execute
    | Create
    | Delete
    | Observe
    | CancelObservation
    | ReadComposite
    | WriteComposite
    | ObserveComposite
    | CancelCompositeObservation
)


def to_coap(operation: DeviceOperation, root: tuple[str, ...] = ()) -> Request:
    """The request of an operation; `root` is the alternate path the client registered with. It has no place in the
    request of a composite operation, where `path_list` and `encode` put it into the names."""
    path = root + operation.path.segments
    match operation:
        case Read(accept=accept):
            return Request(Code.GET, path, accept=accept)
        case Discover():
            return Request(Code.GET, path, accept=ContentFormat.LINK)
        case Observe(accept=accept):
            return Request(Code.GET, path, accept=accept, observe=0)
        case CancelObservation(accept=accept):
            return Request(Code.GET, path, accept=accept, observe=1)
        case Write(body=body, replace=replace):
            return _with_body(Code.PUT if replace else Code.POST, path, body)
        case Create(body=body):
            return _with_body(Code.POST, path, body)
        case WriteAttributes(attributes=attributes):
            return Request(Code.PUT, path, query=tuple(map(_query_item, attributes.items())))
        case Execute(arguments=arguments):
            content_format = ContentFormat.TEXT if arguments else None
            return Request(Code.POST, path, payload=arguments.encode(), content_format=content_format)
        case Delete():
            return Request(Code.DELETE, path)
        case ReadComposite(body=body, accept=accept):
            return _fetching(body, accept, None)
        case ObserveComposite(body=body, accept=accept):
            return _fetching(body, accept, 0)
        case CancelCompositeObservation(body=body, accept=accept):
            return _fetching(body, accept, 1)
        case WriteComposite(body=body):
            return _with_body(Code.IPATCH, (), body)


def _fetching(body: Body, accept: int | None, observe: int | None) -> Request:
    return Request(Code.FETCH, payload=body.payload, content_format=body.content_format, accept=accept, observe=observe)


def _with_body(method: Code, path: tuple[str, ...], body: Body) -> Request:
    return Request(method, path, payload=body.payload, content_format=body.content_format)


def _query_item(item: tuple[str, str | None]) -> str:
    name, value = item
    return name if value is None else f"{name}={value}"


def from_coap(request: Request, definitions: Definitions) -> DeviceOperation:
    """The operation a request means. Raises LwM2MError as lwm2m.md §13 says. A POST on a writable multiple resource is
    a partial update of it, any other POST on a resource an Execute."""
    if request.method in (Code.FETCH, Code.IPATCH):
        return composite_from_coap(request)
    path = parse_path(request.path)
    match request.method:
        case Code.GET:
            return _reading(path, request)
        case Code.PUT:
            return _putting(path, request)
        case Code.POST:
            return _posting(path, request, definitions)
        case Code.DELETE:
            return Delete(_beneath_root(path))
    raise MethodNotAllowed(f"{request.method.name} is no operation here")


def parse_path(segments: tuple[str, ...]) -> Path:
    """Raises MethodNotAllowed for more than 4 ids, NotFound for no or too large a number, BadRequest for "007"."""
    if segments and segments[-1] == "":
        segments = segments[:-1]
    if not all(segment.isascii() and segment.isdigit() for segment in segments):
        raise NotFound("no such path")
    if len(segments) > 4:
        raise MethodNotAllowed("a path has at most four ids")
    if any(len(segment) > 1 and segment[0] == "0" for segment in segments):
        raise BadRequest("an id has no leading zeros")
    try:
        return Path.of_segments(segments)
    except ValueError as error:
        raise NotFound(str(error)) from None


def _beneath_root(path: Path) -> Path:
    if not path:
        raise MethodNotAllowed("the root takes no such operation")
    return path


def _reading(path: Path, request: Request) -> DeviceOperation:
    _beneath_root(path)
    if request.observe == 0:
        return Observe(path, request.accept)
    if request.observe == 1:
        return CancelObservation(path, request.accept)
    if request.accept == ContentFormat.LINK:
        return Discover(path)
    return Read(path, request.accept)


def _putting(path: Path, request: Request) -> DeviceOperation:
    _beneath_root(path)
    if request.query and request.payload:
        raise BadRequest("attributes and a payload do not go together")
    if request.query:
        return WriteAttributes(path, dict(map(_attribute, request.query)))
    if len(path) == 1:
        raise MethodNotAllowed("an object cannot be written as a whole")
    return Write(path, Body(request.payload, request.content_format))


def _attribute(item: str) -> tuple[str, str | None]:
    name, separator, value = item.partition("=")
    return name, value if separator else None


def _posting(path: Path, request: Request, definitions: Definitions) -> DeviceOperation:
    _beneath_root(path)
    body = Body(request.payload, request.content_format)
    if len(path) == 1:
        return Create(path, body)
    if len(path) == 2:
        return Write(path, body, replace=False)
    if len(path) == 4:
        raise MethodNotAllowed("a resource instance takes no POST")
    definition = definitions.resource(path)
    if definition and definition.multiple and definition.operations.writable:
        return Write(path, body, replace=False)
    if definition and not definition.operations.executable:
        raise MethodNotAllowed("this resource is not executable")
    return Execute(path, _arguments(request))


def _arguments(request: Request) -> str:
    if request.content_format not in (None, ContentFormat.TEXT):
        raise UnsupportedContentFormat("arguments of an Execute are plain text")
    try:
        return request.payload.decode()
    except UnicodeDecodeError:
        raise BadRequest("arguments are not UTF-8") from None


__all__ = ["Body", "DeviceOperation", "LwM2MError", "from_coap", "parse_path", "to_coap"]
