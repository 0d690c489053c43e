"""Values as people type and read them. Time is ISO 8601 or whole seconds, opaque is hexadecimal."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from lwm2m.model.checking import check
from lwm2m.model.definition import ResourceDefinition, Type
from lwm2m.model.record import ObjectLink, Value

INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
OPAQUE = re.compile(r"(0x)?((?:[0-9a-fA-F]{2})*)")


def parse_value(text: str, definition: ResourceDefinition) -> Value:
    """The value of a resource from its text. Raises ValueError with a sentence."""
    value = PARSERS[definition.type](text)
    if value is None:
        raise ValueError(f"{text!r} does not fit {definition.name}, which takes {EXPECTED[definition.type]}.")
    return check(definition, value)


def value_text(value: Value, type_: Type) -> str:
    """For reading: nothing in it moves the cursor of a terminal."""
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return value.hex()
        case int() if type_ is Type.TIME:
            return _moment(value)
        case str():
            return printable(value)
    return str(value)


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"


def _integer(text: str) -> Value | None:
    return int(text) if INTEGER.fullmatch(text) else None


def _float(text: str) -> Value | None:
    try:
        return float(text)
    except ValueError:
        return None


def _boolean(text: str) -> Value | None:
    return BOOLEANS.get(text.lower())


def _time(text: str) -> Value | None:
    if INTEGER.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _opaque(text: str) -> Value | None:
    digits = OPAQUE.fullmatch(text)
    return bytes.fromhex(digits[2]) if digits else None


def _object_link(text: str) -> Value | None:
    try:
        return ObjectLink.parse(text)
    except ValueError:
        return None


def _none(_text: str) -> Value | None:
    return None


PARSERS: dict[Type, Callable[[str], Value | None]] = {
    Type.STRING: str,
    Type.CORELNK: str,
    Type.INTEGER: _integer,
    Type.UNSIGNED: _integer,
    Type.FLOAT: _float,
    Type.BOOLEAN: _boolean,
    Type.TIME: _time,
    Type.OPAQUE: _opaque,
    Type.OBJLNK: _object_link,
    Type.NONE: _none,
}
EXPECTED = {
    Type.STRING: "text",
    Type.CORELNK: "links such as </3/0>",
    Type.INTEGER: "a whole number",
    Type.UNSIGNED: "a whole number from 0",
    Type.FLOAT: "a number",
    Type.BOOLEAN: "true or false",
    Type.TIME: "a time such as 2026-01-31T12:00:00Z, or seconds since 1970",
    Type.OPAQUE: "bytes as pairs of hexadecimal digits",
    Type.OBJLNK: "an object link such as 3:0",
    Type.NONE: "no value: it can be executed only",
}
