"""Registration and Send: what a client asks of a server. Core 1.1.1 §6.2; lwm2m.md §5.2, §7.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.coap.message import Code, Request
from lwm2m.link_format import Link, serialize
from lwm2m.model.content_format import ContentFormat
from lwm2m.operations.device_management import Body


@dataclass(frozen=True, slots=True)
class Binding:
    """Transport letters and queue mode: "UQ" of a 1.0 client and "U" with "Q" of a 1.1 client are the same."""

    letters: str = "U"
    queue_mode: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """`lifetime` in seconds, 0 is infinite. `links` is the object list."""

    endpoint: str
    lifetime: int
    links: tuple[Link, ...]
    version: str = "1.1"
    binding: Binding = Binding()
    sms: str | None = None
    additional: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """None: unchanged. `location` is the path the server gave, "rd" included."""

    location: tuple[str, ...]
    lifetime: int | None = None
    links: tuple[Link, ...] | None = None
    binding: Binding | None = None
    sms: str | None = None
    additional: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deregister:
    location: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Send:
    body: Body


RegistrationOperation: TypeAlias = Register | Update | Deregister | Send


def to_coap(operation: RegistrationOperation) -> Request:
    match operation:
        case Register(endpoint=endpoint, lifetime=lifetime, version=version, binding=binding, sms=sms):
            query = [f"ep={endpoint}", f"lt={lifetime}", f"lwm2m={version}", *_binding_items(binding, version)]
            return _with_links(("rd",), [*query, *_sms_item(sms)], operation.links)
        case Update(location=location, lifetime=lifetime, binding=binding, sms=sms):
            query = [] if lifetime is None else [f"lt={lifetime}"]
            query += [] if binding is None else _binding_items(binding, "1.1")
            return _with_links(location, [*query, *_sms_item(sms)], operation.links)
        case Deregister(location=location):
            return Request(Code.DELETE, location)
        case Send(body=body):
            return Request(Code.POST, ("dp",), payload=body.payload, content_format=body.content_format)


def _binding_items(binding: Binding, version: str) -> list[str]:
    if version == "1.0":
        letters = binding.letters.replace("U", "UQ") if binding.queue_mode else binding.letters
        return [f"b={letters}"]
    return [f"b={binding.letters}", *(["Q"] if binding.queue_mode else [])]


def _sms_item(sms: str | None) -> list[str]:
    return [] if sms is None else [f"sms={sms}"]


def _with_links(path: tuple[str, ...], query: list[str], links: tuple[Link, ...] | None) -> Request:
    if links is None:
        return Request(Code.POST, path, tuple(query))
    return Request(Code.POST, path, tuple(query), serialize(links).encode(), ContentFormat.LINK)
