"""Bootstrap: what a client asks of a bootstrap server, and what that asks of the client. Core 1.1.1 §6.1;
lwm2m.md §4.1-4.7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.coap.message import Code, Request
from lwm2m.errors import BadRequest, MethodNotAllowed, NotFound, Unauthorized, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations.body import Body
from lwm2m.operations.device_management import parse_path
from lwm2m.operations.registration import MAX_ENDPOINT

PREFERRED_FORMATS = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.TLV)
READABLE_OBJECTS = frozenset({1, 2})

_INTERFACE = ("bs",)
_ROOT = Path()
_DEVICE = Path(3, 0)


@dataclass(frozen=True, slots=True)
class BootstrapRequest:
    """`endpoint` None: the security layer says who asks. `preferred_format` None: TLV, which every client reads."""

    endpoint: str | None = None
    preferred_format: int | None = None


@dataclass(frozen=True, slots=True)
class BootstrapDiscover:
    """Of the root or one object."""

    path: Path = _ROOT


@dataclass(frozen=True, slots=True)
class BootstrapRead:
    """Of the Server or the Access Control object, or one instance of them."""

    path: Path
    accept: int | None = None


@dataclass(frozen=True, slots=True)
class BootstrapWrite:
    """Of an object, an object instance or a resource, whether it exists or not. Its body may hold keys."""

    path: Path
    body: Body = field(repr=False)


@dataclass(frozen=True, slots=True)
class BootstrapDelete:
    """Of everything, an object or an object instance."""

    path: Path = _ROOT


@dataclass(frozen=True, slots=True)
class BootstrapFinish:
    pass


BootstrapOperation: TypeAlias = BootstrapDiscover | BootstrapRead | BootstrapWrite | BootstrapDelete | BootstrapFinish
"""What a bootstrap server asks of a client."""


def to_coap(operation: BootstrapRequest | BootstrapOperation) -> Request:
    match operation:
        case BootstrapRequest(endpoint=endpoint, preferred_format=preferred):
            query = [] if endpoint is None else [f"ep={endpoint}"]
            query += [] if preferred is None else [f"pct={int(preferred)}"]
            return Request(Code.POST, _INTERFACE, tuple(query))
        case BootstrapDiscover(path=path):
            return Request(Code.GET, path.segments, accept=ContentFormat.LINK)
        case BootstrapRead(path=path, accept=accept):
            return Request(Code.GET, path.segments, accept=accept)
        case BootstrapWrite(path=path, body=body):
            return Request(Code.PUT, path.segments, payload=body.payload, content_format=body.content_format)
        case BootstrapDelete(path=path):
            return Request(Code.DELETE, path.segments)
        case BootstrapFinish():
            return Request(Code.POST, _INTERFACE)


def request_from_coap(request: Request) -> BootstrapRequest:
    """What a client asks of a bootstrap server; parameters that the specification does not know are left out.
    Raises LwM2MError as lwm2m.md §4.1 says."""
    if _without_slash(request.path) != _INTERFACE:
        raise NotFound("no such path")
    if request.method is not Code.POST:
        raise MethodNotAllowed(f"{request.method.name} is no operation here")
    query = _parameters(request.query)
    return BootstrapRequest(_endpoint(query.get("ep")), _preferred(query.get("pct")))


def from_coap(request: Request) -> BootstrapOperation:
    """What a bootstrap server asks of a client. Raises LwM2MError as lwm2m.md §4.1-4.6 says."""
    if _without_slash(request.path) == _INTERFACE:
        if request.method is not Code.POST:
            raise MethodNotAllowed(f"{request.method.name} is no operation here")
        return BootstrapFinish()
    path = parse_path(request.path)
    match request.method:
        case Code.GET if request.accept == ContentFormat.LINK:
            return _discovering(path)
        case Code.GET:
            return _reading(path, request.accept)
        case Code.PUT:
            return _writing(path, request)
        case Code.DELETE:
            return _deleting(path)
    raise MethodNotAllowed(f"{request.method.name} is no operation here")


def _without_slash(path: tuple[str, ...]) -> tuple[str, ...]:
    return path[:-1] if path[-1:] == ("",) else path


def _parameters(items: Iterable[str]) -> dict[str, str]:
    query: dict[str, str] = {}
    for item in items:
        name, _, value = item.partition("=")
        if name in query:
            raise BadRequest(f"parameter {name!r} stands twice")
        query[name] = value
    return query


def _endpoint(text: str | None) -> str | None:
    if text == "":
        raise BadRequest("ep, the endpoint name, is empty")
    if text is not None and len(text.encode()) > MAX_ENDPOINT:
        raise BadRequest(f"the endpoint name has more than {MAX_ENDPOINT} bytes")
    return text


def _preferred(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise BadRequest("pct is the number of a content format")
    if int(text) not in PREFERRED_FORMATS:
        raise UnsupportedContentFormat(f"pct is one of {', '.join(str(int(known)) for known in PREFERRED_FORMATS)}")
    return int(text)


def _discovering(path: Path) -> BootstrapDiscover:
    if len(path) > 1:
        raise BadRequest("a Bootstrap-Discover is of the root or of one object")
    return BootstrapDiscover(path)


def _reading(path: Path, accept: int | None) -> BootstrapRead:
    if not path:
        raise MethodNotAllowed("the root takes no Bootstrap-Read")
    if path.object_id not in READABLE_OBJECTS:
        raise Unauthorized(f"object {path.object_id} is not for a bootstrap server to read")
    if len(path) > 2:
        raise MethodNotAllowed("a Bootstrap-Read is of an object or an object instance")
    return BootstrapRead(path, accept)


def _writing(path: Path, request: Request) -> BootstrapWrite:
    if not path or len(path) > 3:
        raise MethodNotAllowed("a Bootstrap-Write is of an object, an object instance or a resource")
    if request.query:
        raise BadRequest("a Bootstrap-Write has no parameters")
    return BootstrapWrite(path, Body(request.payload, request.content_format))


def _deleting(path: Path) -> BootstrapDelete:
    if len(path) > 2:
        raise BadRequest("a Bootstrap-Delete is of everything, an object or an object instance")
    if path == _DEVICE:
        raise BadRequest("the Device object stays")
    return BootstrapDelete(path)
