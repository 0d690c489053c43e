"""Payloads to records and back: one module of two functions for each content format. Core 1.1.1 §7.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lwm2m.codec import cbor, oma_json, opaque, senml_cbor, senml_json, text, tlv
from lwm2m.codec.value import MAX_RECORDS, is_single, wire_type
from lwm2m.errors import LwM2MError, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record

__all__ = ["CODECS", "MAX_RECORDS", "Codec", "decode", "default_format", "encode", "is_single_value", "registered"]


class Codec(Protocol):
    """Both functions name paths in full, `base` being the target of the request, and raise LwM2MError."""

    def decode(self, payload: bytes, base: Path, definitions: Definitions) -> list[Record]: ...

    def encode(self, records: Sequence[Record], base: Path, definitions: Definitions) -> bytes: ...


class PackCodec(Codec, Protocol):
    """A format that says whole names and times. Relative times are resolved against `now`, Unix seconds, if it is
    given; `root` is the alternate path that names begin with, "" or such as "/lwm2m"."""

    def decode(
        self, payload: bytes, base: Path, definitions: Definitions, now: float | None = None, root: str = ""
    ) -> list[Record]: ...

    def encode(self, records: Sequence[Record], base: Path, definitions: Definitions, root: str = "") -> bytes: ...


_PACKS: dict[int, PackCodec] = {
    ContentFormat.SENML_JSON: senml_json,
    ContentFormat.SENML_CBOR: senml_cbor,
    ContentFormat.OMA_JSON: oma_json,
}
CODECS: dict[ContentFormat, Codec] = {
    ContentFormat.TEXT: text,
    ContentFormat.OPAQUE: opaque,
    ContentFormat.CBOR: cbor,
    ContentFormat.TLV: tlv,
    **{ContentFormat(number): pack for number, pack in _PACKS.items()},
}

_FORMATS: dict[int, ContentFormat] = {int(known): known for known in CODECS}

# Numbers that were in use before OMA's were registered; read, never written.
_PRE_REGISTRATION = {1541: ContentFormat.TEXT, 1542: ContentFormat.TLV, 1543: ContentFormat.OMA_JSON}
_SINGLE_VALUE = frozenset({ContentFormat.TEXT, ContentFormat.OPAQUE, ContentFormat.CBOR})


def decode(
    payload: bytes,
    content_format: int,
    base: Path,
    definitions: Definitions,
    now: float | None = None,
    *,
    root: tuple[str, ...] = (),
) -> list[Record]:
    """The records of a payload, typed by `definitions`; an unknown resource keeps the type it has on the wire (bytes
    in TLV). Value None stands for an empty instance, an empty multiple resource, or a path in a list of paths.
    Names may begin with `root`, the alternate path of the client.

    Raises UnsupportedContentFormat when the format is unknown or cannot carry the target, BadRequest when the payload
    does not decode, has a wrong type or leaves `base`, RequestEntityTooLarge beyond MAX_RECORDS."""
    pack = _PACKS.get(_PRE_REGISTRATION.get(content_format, content_format))
    if pack is not None:
        return pack.decode(payload, base, definitions, now, _name_of(root))
    return CODECS[registered(content_format)].decode(payload, base, definitions)


def encode(
    records: Sequence[Record], content_format: int, base: Path, definitions: Definitions, *, root: tuple[str, ...] = ()
) -> bytes:
    """The payload that says `records`, all of them within `base`. Times are kept by the formats of packs only; there,
    names begin with `root`, the alternate path of the client.

    Raises NotAcceptable when the format is unknown or cannot say this, BadRequest when a value is not of the type
    defined for it."""
    known = _format(content_format, NotAcceptable)
    if known in _PACKS:
        return _PACKS[known].encode(records, base, definitions, _name_of(root))
    return CODECS[known].encode(records, base, definitions)


def registered(content_format: int) -> ContentFormat:
    """The format of a number, also of one from before the registration. Raises UnsupportedContentFormat."""
    return _format(_PRE_REGISTRATION.get(content_format, content_format), UnsupportedContentFormat)


def is_single_value(content_format: int) -> bool:
    """True for formats without paths: they carry the value of one resource or resource instance and nothing else."""
    return content_format in _SINGLE_VALUE


def default_format(base: Path, records: Sequence[Record], definitions: Definitions, version: str) -> ContentFormat:
    """What to answer with where no format was asked for; `version` is the peer's LwM2M version. lwm2m.md §2.1."""
    match records:
        case [Record(path=path, value=value)] if value is not None and path == base and is_single(base, definitions):
            is_opaque = wire_type(base, value, definitions) is Type.OPAQUE
            return ContentFormat.OPAQUE if is_opaque else ContentFormat.TEXT
    return ContentFormat.TLV if version == "1.0" else ContentFormat.SENML_CBOR


def _format(number: int, refusal: type[LwM2MError]) -> ContentFormat:
    found = _FORMATS.get(number)
    if found is None:
        raise refusal(f"content format {number} is not supported here")
    return found


def _name_of(root: tuple[str, ...]) -> str:
    return "".join([f"/{segment}" for segment in root]) if root else ""
