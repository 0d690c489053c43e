"""Registration and Send: what a client asks of a server. Core 1.1.1 §6.2; lwm2m.md §5.2, §7.5, §13."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from lwm2m.coap.message import Code, Request
from lwm2m.errors import BadRequest, MethodNotAllowed, NotFound, PreconditionFailed, UnsupportedContentFormat
from lwm2m.link_format import Link, parse, serialize
from lwm2m.model.content_format import ContentFormat
from lwm2m.operations.device_management import Body

VERSIONS = ("1.0", "1.1", "1.2")
MAX_ENDPOINT = 255
MAX_LIFETIME = 2**63 - 1
DEFAULT_LIFETIME = 86400
MAX_KEPT = 4096
"""Bytes of an object list that is worth remembering."""
SEND_FORMATS = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)

NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})
"""No additional parameters: the same mapping for all."""

_LETTERS = {"1.1": "UTSN", "1.2": "UTSNMH"}
_REGISTER_KEYS = frozenset({"lt", "lwm2m", "b", "Q", "sms"})
_UPDATE_KEYS = frozenset({"lt", "b", "Q", "sms"})


@dataclass(frozen=True, slots=True)
class Binding:
    """Transport letters and queue mode: "UQ" of a 1.0 client and "U" with "Q" of a 1.1 client are the same.
    Raises ValueError for letters that no version has, or that repeat."""

    letters: str = "U"
    queue_mode: bool = False

    def __post_init__(self) -> None:
        if not _are_letters(self.letters, _LETTERS["1.2"]):
            raise ValueError(f"{self.letters!r} is not a binding")

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str, queue_mode: bool, version: str) -> Binding:
        """Read the `b` and `Q` parameters as a client of `version` spells them. Raises ValueError."""
        if version == "1.0":
            if queue_mode or text not in _BINDINGS_1_0:
                raise ValueError(f"{text!r}{' with Q' if queue_mode else ''} is not a binding of LwM2M 1.0")
            return _BINDINGS_1_0[text]
        if not _are_letters(text, _LETTERS[version]):
            raise ValueError(f"{text!r} is not a binding of LwM2M {version}")
        return Binding(text, queue_mode)


def _are_letters(text: str, allowed: str) -> bool:
    return 0 < len(text) == len(set(text)) and set(text) <= set(allowed)


_BINDINGS_1_0 = {
    "U": Binding("U"),
    "UQ": Binding("U", True),
    "S": Binding("S"),
    "SQ": Binding("S", True),
    "US": Binding("US"),
    "UQS": Binding("US", True),
}
_SPELT_1_0 = {binding: text for text, binding in _BINDINGS_1_0.items()}


class Register(NamedTuple):
    """`lifetime` in seconds, 0 is infinite. `links` is the object list. `additional` holds parameters that the
    specification does not know; "" is one without a value."""

    endpoint: str
    lifetime: int
    links: tuple[Link, ...]
    version: str = "1.1"
    binding: Binding = Binding()
    sms: str | None = None
    additional: Mapping[str, str] = NOTHING_ELSE


class Update(NamedTuple):
    """None: unchanged. `location` is the path the server gave, "rd" included. `version` is the one registered with:
    it decides how the binding is spelt."""

    location: tuple[str, ...]
    lifetime: int | None = None
    links: tuple[Link, ...] | None = None
    binding: Binding | None = None
    sms: str | None = None
    additional: Mapping[str, str] = NOTHING_ELSE
    version: str = "1.1"


@dataclass(frozen=True, slots=True)
class Deregister:
    location: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """`body` is SenML."""

    body: Body


RegistrationOperation: TypeAlias = Register | Update | Deregister | Send


def to_coap(operation: RegistrationOperation) -> Request:
    match operation:
        case Register(endpoint=endpoint, lifetime=lifetime, version=version, binding=binding, sms=sms):
            query = [f"ep={endpoint}", f"lt={lifetime}", f"lwm2m={version}", *_binding_items(binding, version)]
            query += [*_sms_item(sms), *_additional_items(operation.additional)]
            return _with_links(("rd",), query, operation.links)
        case Update(location=location, lifetime=lifetime, binding=binding, sms=sms):
            query = [] if lifetime is None else [f"lt={lifetime}"]
            query += [] if binding is None else _binding_items(binding, operation.version)
            query += [*_sms_item(sms), *_additional_items(operation.additional)]
            return _with_links(location, query, operation.links)
        case Deregister(location=location):
            return Request(Code.DELETE, location)
        case Send(body=body):
            return Request(Code.POST, ("dp",), payload=body.payload, content_format=body.content_format)


def _binding_items(binding: Binding, version: str) -> list[str]:
    """Raises ValueError for a binding that LwM2M 1.0 cannot say."""
    if version != "1.0":
        return [f"b={binding.letters}", *(["Q"] if binding.queue_mode else [])]
    if binding not in _SPELT_1_0:
        raise ValueError(f"{binding.letters!r} is not a binding of LwM2M 1.0")
    return [f"b={_SPELT_1_0[binding]}"]


def _sms_item(sms: str | None) -> list[str]:
    return [] if sms is None else [f"sms={sms}"]


def _additional_items(additional: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in additional.items()]


def _with_links(path: tuple[str, ...], query: list[str], links: tuple[Link, ...] | None) -> Request:
    if links is None:
        return Request(Code.POST, path, tuple(query))
    return Request(Code.POST, path, tuple(query), serialize(links).encode(), ContentFormat.LINK)


class Standing(NamedTuple):
    """What a registration says already, on which its Updates build."""

    version: str = "1.1"
    binding: Binding = Binding()
    sms: str | None = None


UNSAID = Standing()
_NOTHING_SAID = {version: Standing(version) for version in VERSIONS}


def from_coap(
    request: Request, *, identity: str | None = None, standing: Standing = UNSAID, strict: bool = False
) -> RegistrationOperation:
    """The operation a request means; raises LwM2MError as lwm2m.md §13 says. `identity` is what the security layer
    proved: it is the endpoint name of a Register without `ep`. `standing` is the registration that an Update is for.
    `strict` refuses parameters that the specification does not know; else they are kept as `additional`."""
    path = request.path[:-1] if request.path[-1:] == ("",) else request.path
    match path:
        case ("rd", _):
            if request.method is Code.DELETE:
                return Deregister(path)
            return _update(_only(request, Code.POST), path, standing, strict)
        case ("rd",):
            return _register(_only(request, Code.POST), identity, strict)
        case ("dp",):
            return _send(_only(request, Code.POST))
    raise NotFound("no such path")


def _only(request: Request, method: Code) -> Request:
    if request.method is not method:
        raise MethodNotAllowed(f"{request.method.name} is no operation here")
    return request


def _register(request: Request, identity: str | None, strict: bool) -> Register:
    names = [item for item in request.query if item == "ep" or item.startswith("ep=")]
    terms = _terms(tuple([item for item in request.query if item not in names]), strict)
    return Register(
        _endpoint(names, identity),
        terms.lifetime,
        _object_list(request),
        terms.version,
        terms.binding,
        terms.sms,
        terms.additional,
    )


class _Terms(NamedTuple):
    """What a Register says besides its name and object list."""

    version: str
    binding: Binding
    sms: str | None
    lifetime: int
    additional: Mapping[str, str]


@lru_cache(maxsize=512)
def _terms(items: tuple[str, ...], strict: bool) -> _Terms:
    """Thousands of equal devices register on equal terms: those are read once, and kept once."""
    query = _parameters(items)
    version = _version(query)
    binding = _binding(query, _NOTHING_SAID[version]) or UNSAID.binding
    sms = _sms(query, binding, None)
    return _Terms(version, binding, sms, _lifetime(query, version), _additional(query, _REGISTER_KEYS, strict))


def _update(request: Request, location: tuple[str, ...], standing: Standing, strict: bool) -> Update:
    if not request.query:
        if "S" in standing.binding.letters:
            _sms(NOTHING_ELSE, standing.binding, standing.sms)
        return Update(location, None, _new_object_list(request), version=standing.version)
    query = _parameters(request.query)
    binding = _binding(query, standing)
    return Update(
        location,
        _seconds(query["lt"]) if "lt" in query else None,
        _new_object_list(request),
        binding,
        _sms(query, binding or standing.binding, standing.sms),
        _additional(query, _UPDATE_KEYS, strict),
        standing.version,
    )


def _send(request: Request) -> Send:
    if request.content_format not in SEND_FORMATS:
        raise UnsupportedContentFormat("a Send is SenML")
    if not request.payload:
        raise BadRequest("a Send without a payload")
    return Send(Body(request.payload, request.content_format))


def _parameters(items: Iterable[str]) -> dict[str, str | None]:
    """None: the parameter has no value."""
    query: dict[str, str | None] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not name or name in query:
            raise BadRequest(f"parameter {name!r} stands twice" if name else "a parameter without a name")
        query[name] = value if separator else None
    return query


def _version(query: Mapping[str, str | None]) -> str:
    version = query.get("lwm2m")
    if not version:
        raise BadRequest("lwm2m, the version, is missing")
    if version not in VERSIONS:
        raise PreconditionFailed(f"supported versions are {', '.join(VERSIONS)}")
    return version


def _endpoint(items: Sequence[str], identity: str | None) -> str:
    if len(items) > 1:
        raise BadRequest("parameter 'ep' stands twice")
    endpoint = items[0].partition("=")[2] if items else identity
    if not endpoint:
        raise BadRequest("ep, the endpoint name, is missing")
    if len(endpoint.encode()) > MAX_ENDPOINT:
        raise BadRequest(f"the endpoint name has more than {MAX_ENDPOINT} bytes")
    return endpoint


def _lifetime(query: Mapping[str, str | None], version: str) -> int:
    if "lt" in query:
        return _seconds(query["lt"])
    if version == "1.0":
        return DEFAULT_LIFETIME
    raise BadRequest("lt, the lifetime, is missing")


def _seconds(text: str | None) -> int:
    if not text or not _is_digits(text) or len(text) > 19 or int(text) > MAX_LIFETIME:
        raise BadRequest("lt is a number of seconds")
    return int(text)


def _binding(query: Mapping[str, str | None], standing: Standing) -> Binding | None:
    """`Q` without `b` keeps the letters."""
    queue_mode = "Q" in query
    if query.get("Q") is not None:
        raise BadRequest("Q has no value")
    if "b" not in query and not queue_mode:
        return None
    try:
        return Binding.parse(query.get("b", standing.binding.letters) or "", queue_mode, standing.version)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _sms(query: Mapping[str, str | None], binding: Binding, known: str | None) -> str | None:
    if "sms" not in query:
        if "S" in binding.letters and known is None:
            raise BadRequest("binding S needs a number in sms")
        return None
    number = query["sms"]
    if not number or not _is_digits(number) or len(number) > 32:
        raise BadRequest("sms is a number in digits")
    return number


def _additional(query: Mapping[str, str | None], known: frozenset[str], strict: bool) -> Mapping[str, str]:
    if query.keys() <= known:
        return NOTHING_ELSE
    unknown = {name: value or "" for name, value in query.items() if name not in known}
    if strict:
        raise BadRequest(f"parameter {next(iter(unknown))!r} is unknown")
    return MappingProxyType(unknown)


def _object_list(request: Request) -> tuple[Link, ...]:
    if not request.payload:
        raise BadRequest("the object list is missing")
    if request.content_format != ContentFormat.LINK:
        raise UnsupportedContentFormat("an object list is in link format")
    read = _kept_links if len(request.payload) <= MAX_KEPT else _links
    return read(request.payload)


def _links(payload: bytes) -> tuple[Link, ...]:
    try:
        return parse(payload.decode())
    except ValueError as error:
        raise BadRequest(f"the object list cannot be read: {error}") from None


_kept_links = lru_cache(maxsize=256)(_links)
"""Thousands of equal devices register with equal lists: those are read once."""


def _new_object_list(request: Request) -> tuple[Link, ...] | None:
    return _object_list(request) if request.payload else None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
