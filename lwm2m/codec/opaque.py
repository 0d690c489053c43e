"""OPAQUE: the bytes of one opaque value and nothing else. lwm2m.md §8.5."""

from __future__ import annotations

from collections.abc import Sequence

from lwm2m.codec.value import opaque_target, single_value
from lwm2m.errors import NotAcceptable, UnsupportedContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record


def decode(payload: bytes, base: Path, definitions: Definitions) -> list[Record]:
    opaque_target(base, definitions, UnsupportedContentFormat)
    return [Record(base, bytes(payload))]


def encode(records: Sequence[Record], base: Path, definitions: Definitions) -> bytes:
    opaque_target(base, definitions, NotAcceptable)
    value = single_value(records, base, definitions)
    if not isinstance(value, bytes):
        raise NotAcceptable(f"{base} is not opaque")
    return value
