"""Values in the JSON of the HTTP interface: their type names and forms, both ways. leshan-rest-api.md §2.3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lwm2m.model.definition import Type
from lwm2m.model.record import ObjectLink, Value

MAX_SIGNED = 2**63 - 1
MAX_UNSIGNED = 2**64 - 1

TYPE_NAMES: dict[Type, str] = {
    Type.STRING: "STRING",
    Type.INTEGER: "INTEGER",
    Type.UNSIGNED: "UNSIGNED_INTEGER",
    Type.FLOAT: "FLOAT",
    Type.BOOLEAN: "BOOLEAN",
    Type.OPAQUE: "OPAQUE",
    Type.TIME: "TIME",
    Type.OBJLNK: "OBJLNK",
    Type.CORELNK: "CORELINK",
    Type.NONE: "NONE",
}
TYPES_BY_NAME = {name: type_ for type_, name in TYPE_NAMES.items()}

PYTHON_TYPES: dict[Type, tuple[type, ...]] = {
    Type.STRING: (str,),
    Type.CORELNK: (str,),
    Type.INTEGER: (int,),
    Type.UNSIGNED: (int,),
    Type.TIME: (int,),
    Type.FLOAT: (float, int),
    Type.BOOLEAN: (bool,),
    Type.OPAQUE: (bytes,),
    Type.OBJLNK: (ObjectLink,),
    Type.NONE: (),
}
UNDEFINED_TYPES: tuple[tuple[type, Type], ...] = (
    (bool, Type.BOOLEAN),
    (int, Type.INTEGER),
    (float, Type.FLOAT),
    (str, Type.STRING),
    (bytes, Type.OPAQUE),
    (ObjectLink, Type.OBJLNK),
)


class WrongJsonType(Exception):
    """A value has a JSON form that its type does not take."""


def type_of(value: Value, defined: Type | None) -> Type:
    """The defined type when the value has it, else the type that the value itself shows: a device may send what its
    object definition does not say."""
    if defined is not None and fits(value, defined):
        return defined
    return next(type_ for python_type, type_ in UNDEFINED_TYPES if isinstance(value, python_type))


def fits(value: Value, type_: Type) -> bool:
    if isinstance(value, bool):
        return type_ is Type.BOOLEAN
    return isinstance(value, PYTHON_TYPES[type_])


def to_json(value: Value, type_: Type) -> Any:
    """The JSON form of a value that `fits` the type. Numbers are text, so that browsers lose no digits."""
    match value:
        case bool() | str():
            return value
        case bytes():
            return value.hex()
        case ObjectLink(object_id, instance_id):
            null = object_id == instance_id == 65535
            return {"objectId": object_id, "objectInstanceId": instance_id, "nullLink": null}
        case int() | float() if type_ is Type.FLOAT:
            return repr(float(value))
        case int() if type_ is Type.TIME:
            return value * 1000
    return str(value)


def from_json(value: object, type_: Type) -> Value:
    """Raises WrongJsonType for a JSON type that does not belong to `type_`, ValueError for content that is no such
    value."""
    return READERS[type_](value)


def _string(value: object) -> Value:
    if not isinstance(value, str):
        raise WrongJsonType(f"a string was expected, not {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is no text") from None
    return value


def _signed(value: object) -> Value:
    return _whole(value, -MAX_SIGNED - 1, MAX_SIGNED)


def _unsigned(value: object) -> Value:
    return _whole(value, 0, MAX_UNSIGNED)


def _time(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongJsonType(f"a whole number of milliseconds was expected, not {_kind(value)}")
    return value // 1000


def _whole(value: object, lowest: int, highest: int) -> int:
    if isinstance(value, str):
        if len(value) > 20 or not value.removeprefix("-").isascii() or not value.removeprefix("-").isdigit():
            raise ValueError(f"{value[:40]!r} is not a whole number")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongJsonType(f"a whole number, or one as a string, was expected, not {_kind(value)}")
    if not lowest <= value <= highest:
        raise ValueError(f"{value} does not lie between {lowest} and {highest}")
    return value


def _float(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise WrongJsonType(f"a number, or one as a string, was expected, not {_kind(value)}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{str(value)[:40]!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError("NaN and infinities have no place in a resource")
    return number


def _boolean(value: object) -> Value:
    if not isinstance(value, bool):
        raise WrongJsonType(f"true or false was expected, not {_kind(value)}")
    return value


def _opaque(value: object) -> Value:
    text = _string(value)
    assert isinstance(text, str)
    if len(text) % 2 or not all(character in "0123456789abcdefABCDEF" for character in text):
        raise ValueError("an opaque value is written as pairs of hexadecimal digits")
    return bytes.fromhex(text)


def _object_link(value: object) -> Value:
    if not isinstance(value, dict):
        raise WrongJsonType(f"an object with objectId and objectInstanceId was expected, not {_kind(value)}")
    link = ObjectLink(_link_number(value, "objectId"), _link_number(value, "objectInstanceId"))
    if not all(0 <= number <= 65535 for number in link):
        raise ValueError("objectId and objectInstanceId lie between 0 and 65535")
    return link


def _link_number(value: dict[str, object], name: str) -> int:
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, int):
        raise WrongJsonType(f"{name} is a whole number")
    return number


def _nothing(_value: object) -> Value:
    raise ValueError("a resource of type NONE has no value")


def _kind(value: object) -> str:
    return JSON_KINDS.get(type(value), "null")


JSON_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
READERS: dict[Type, Callable[[object], Value]] = {
    Type.STRING: _string,
    Type.CORELNK: _string,
    Type.INTEGER: _signed,
    Type.UNSIGNED: _unsigned,
    Type.TIME: _time,
    Type.FLOAT: _float,
    Type.BOOLEAN: _boolean,
    Type.OPAQUE: _opaque,
    Type.OBJLNK: _object_link,
    Type.NONE: _nothing,
}
