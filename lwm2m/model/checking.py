"""Does a value fit its resource? Type, size and range. lwm2m.md §3.3, §6.3."""

from __future__ import annotations

import math
from collections.abc import Callable

from lwm2m.model.definition import ResourceDefinition, Type
from lwm2m.model.record import ObjectLink, Value
from lwm2m.model.value_range import parse_range


def check(definition: ResourceDefinition, value: Value) -> Value:
    """The value as the resource holds it: an int for a Float becomes a float. Raises ValueError, whose text names the
    resource and not the value, for a wrong type or a value out of range."""
    fitting = _CHECKS[definition.type](value)
    if fitting is None:
        raise ValueError(f"{definition.name} is of type {definition.type.value or 'none'}")
    _check_range(definition, fitting)
    return fitting


def _text(value: Value) -> Value | None:
    return value if isinstance(value, str) else None


def _integer(value: Value) -> Value | None:
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _unsigned(value: Value) -> Value | None:
    return value if type(value) is int and 0 <= value < 2**64 else None


def _float(value: Value) -> Value | None:
    if type(value) is int:
        return float(value) if abs(value) < 2**1023 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _boolean(value: Value) -> Value | None:
    return value if isinstance(value, bool) else None


def _opaque(value: Value) -> Value | None:
    return value if isinstance(value, bytes) else None


def _object_link(value: Value) -> Value | None:
    return value if isinstance(value, ObjectLink) else None


def _untyped(value: Value) -> Value | None:
    return value


_CHECKS: dict[Type, Callable[[Value], Value | None]] = {
    Type.STRING: _text,
    Type.CORELNK: _text,
    Type.INTEGER: _integer,
    Type.TIME: _integer,
    Type.UNSIGNED: _unsigned,
    Type.FLOAT: _float,
    Type.BOOLEAN: _boolean,
    Type.OPAQUE: _opaque,
    Type.OBJLNK: _object_link,
    Type.NONE: _untyped,
}


def _check_range(definition: ResourceDefinition, value: Value) -> None:
    if isinstance(value, (bool, ObjectLink)) or not definition.range:
        return
    of_length = isinstance(value, (str, bytes))
    measure = len(value) if isinstance(value, (str, bytes)) else value
    allowed = parse_range(definition.range, of_length=of_length)
    if allowed is not None and measure not in allowed:
        raise ValueError(f"{'length of ' if of_length else ''}{definition.name} is not within {allowed}")
