"""TEXT: one value in readable characters. lwm2m.md §3.3, §8.5."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from decimal import Decimal

from lwm2m.codec.value import object_link, single_target, single_value, type_of, typed
from lwm2m.errors import BadRequest, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

_INTEGER = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,5})?", re.ASCII)
_BOOLEANS = {"0": False, "1": True}


def decode(payload: bytes, base: Path, definitions: Definitions) -> list[Record]:
    single_target(base, definitions, UnsupportedContentFormat)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise BadRequest("the text is not UTF-8") from None
    return [Record(base, typed(base, _read(text, base, type_of(base, definitions)), definitions))]


def encode(records: Sequence[Record], base: Path, definitions: Definitions) -> bytes:
    return _write(single_value(records, base, definitions), base).encode()


def _read(text: str, path: Path, expected: Type | None) -> Value:
    match expected:
        case Type.INTEGER | Type.UNSIGNED | Type.TIME if _INTEGER.fullmatch(text):
            return int(text)
        case Type.FLOAT if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        case Type.BOOLEAN if text in _BOOLEANS:
            return _BOOLEANS[text]
        case Type.OBJLNK:
            return object_link(text, path)
        case Type.OPAQUE:
            return _read_base64(text, path)
        case Type.STRING | Type.CORELNK | None:
            return text
    raise BadRequest(f"the text is not the {expected.value} that {path} takes")


def _read_base64(text: str, path: Path) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except binascii.Error:
        raise BadRequest(f"the text for the opaque {path} is not Base64") from None


def _write(value: Value, path: Path) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case bytes():
            return base64.b64encode(value).decode()
        case float() if not math.isfinite(value):
            raise NotAcceptable(f"{path} holds {value}, which text cannot say")
        case float():
            return _without_exponent(value)
    return str(value)


def _without_exponent(value: float) -> str:
    shortest = repr(value)
    return format(Decimal(shortest), "f") if "e" in shortest else shortest
