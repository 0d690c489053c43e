"""The part of JSON Schema that product profiles use, in its long and its compact spelling. osap.md §8."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isclose
from typing import Any


class InvalidSchema(ValueError):
    """A schema that cannot be read."""


class Type(StrEnum):
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    ARRAY = "array"
    OBJECT = "object"


_COMPACT_TYPES = {
    "bool": Type.BOOLEAN,
    "int": Type.INTEGER,
    "num": Type.NUMBER,
    "str": Type.STRING,
    "arr": Type.ARRAY,
    "obj": Type.OBJECT,
}
_COMPACT_KEYS = {
    "mn": "minimum",
    "mx": "maximum",
    "emn": "exclusiveMinimum",
    "emx": "exclusiveMaximum",
    "multi": "multipleOf",
    "mnl": "minLength",
    "mxl": "maxLength",
    "itm": "items",
    "mnitm": "minItems",
    "mxitm": "maxItems",
    "unq": "uniqueItems",
    "req": "required",
    "prop": "properties",
    "dep": "dependencies",
    "mnp": "maxProperties",  # these two are exchanged in real devices, so profiles written for them are too
    "mxp": "minProperties",
}
_NUMBERS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
    "multipleOf": "multiple_of",
}
_COUNTS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_items",
    "maxItems": "max_items",
    "minProperties": "min_properties",
    "maxProperties": "max_properties",
}
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Schema:
    """What values a function point may have. None: not limited in that way; `type` None allows every type."""

    type: Type | None = None
    enum: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    items: Schema | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    properties: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    min_properties: int | None = None
    max_properties: int | None = None

    def violation(self, value: Any, where: str = "value") -> str | None:
        """Why the value is not allowed, as a sentence; None where it is."""
        if self.type is not None and not _IS_A[self.type](value):
            return f"{where} is not of type {self.type}"
        if self.enum is not None and _identity(value) not in map(_identity, self.enum):
            return f"{where} is none of the values allowed"
        for check in _CHECKS:
            if (reason := check(self, value, where)) is not None:
                return reason
        return None

    def allows(self, value: Any) -> bool:
        return self.violation(value) is None


def parse_schema(content: Any) -> Schema:
    """Either spelling, also mixed. Members that are not known (a title, say) are left out. Raises InvalidSchema."""
    return _parse(content, _MAX_DEPTH)


def _parse(content: Any, depth: int) -> Schema:
    if not isinstance(content, dict):
        raise InvalidSchema("a schema is not an object")
    if depth == 0:
        raise InvalidSchema(f"a schema nested more than {_MAX_DEPTH} deep")
    members = {_COMPACT_KEYS.get(name, name): value for name, value in content.items()}
    fields: dict[str, Any] = {"type": _type(members.get("type"))}
    fields |= {name: _number(members[key], key) for key, name in _NUMBERS.items() if key in members}
    fields |= {name: _count(members[key], key) for key, name in _COUNTS.items() if key in members}
    if "enum" in members:
        fields["enum"] = tuple(_list(members["enum"], "enum"))
    if "items" in members:
        fields["items"] = _parse(members["items"], depth - 1)
    properties = _properties(members.get("properties", {}), depth)
    return Schema(
        **fields,
        unique_items=members.get("uniqueItems") is True,
        properties=properties,
        required=_required(members.get("required", []), members.get("properties")),
        dependencies=_dependencies(members.get("dependencies", {})),
    )


def _type(name: Any) -> Type | None:
    if name is None:
        return None
    try:
        return _COMPACT_TYPES.get(name) or Type(name)
    except (ValueError, TypeError):
        raise InvalidSchema(f"{name!r} is not a type") from None


def _number(value: Any, key: str) -> float:
    if not _is_number(value) or (key == "multipleOf" and value <= 0):
        raise InvalidSchema(f"{key} is {value!r}")
    number: float = value
    return number


def _count(value: Any, key: str) -> int:
    if not _is_integer(value) or value < 0:
        raise InvalidSchema(f"{key} is {value!r}")
    return int(value)


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidSchema(f"{key} is not a list")
    return value


def _properties(content: Any, depth: int) -> dict[str, Schema]:
    """An object by name, or (compact) a list whose members carry their name as `key`."""
    return {name: _parse(schema, depth - 1) for name, schema in _named(content)}


def _named(content: Any) -> list[tuple[str, Any]]:
    if isinstance(content, dict):
        return list(content.items())
    named = []
    for item in _list(content, "properties"):
        if not isinstance(item, dict) or not isinstance(item.get("key"), str):
            raise InvalidSchema("a property of a compact schema has no key")
        named.append((item["key"], item))
    return named


def _required(content: Any, properties: Any) -> tuple[str, ...]:
    """A list of names on the object, or (compact) a mark on each property."""
    if isinstance(content, bool):
        content = []
    names = _names(content, "required")
    marked = [name for name, item in _named(properties or {}) if isinstance(item, dict) and item.get("req") is True]
    return tuple(dict.fromkeys((*names, *marked)))


def _dependencies(content: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise InvalidSchema("dependencies are not an object")
    return {name: _names(others, f"dependencies of {name!r}") for name, others in content.items()}


def _names(content: Any, what: str) -> tuple[str, ...]:
    names = _list(content, what)
    if not all(isinstance(name, str) for name in names):
        raise InvalidSchema(f"{what} are not a list of texts")
    return tuple(names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


_IS_A: dict[Type, Callable[[Any], bool]] = {
    Type.BOOLEAN: lambda value: isinstance(value, bool),
    Type.INTEGER: _is_integer,
    Type.NUMBER: _is_number,
    Type.STRING: lambda value: isinstance(value, str),
    Type.ARRAY: lambda value: isinstance(value, list),
    Type.OBJECT: lambda value: isinstance(value, dict),
}


def _identity(value: Any) -> Hashable:
    """Equal for what is equal as JSON: True is not 1."""
    if isinstance(value, dict):
        return dict, frozenset((name, _identity(item)) for name, item in value.items())
    if isinstance(value, list):
        return list, tuple(map(_identity, value))
    return isinstance(value, bool), value


def _check_number(schema: Schema, value: Any, where: str) -> str | None:
    if not _is_number(value):
        return None
    if schema.minimum is not None and value < schema.minimum:
        return f"{where} is less than {schema.minimum}"
    if schema.maximum is not None and value > schema.maximum:
        return f"{where} is more than {schema.maximum}"
    if schema.exclusive_minimum is not None and value <= schema.exclusive_minimum:
        return f"{where} is not more than {schema.exclusive_minimum}"
    if schema.exclusive_maximum is not None and value >= schema.exclusive_maximum:
        return f"{where} is not less than {schema.exclusive_maximum}"
    if schema.multiple_of is not None and not _is_multiple(value, schema.multiple_of):
        return f"{where} is not a multiple of {schema.multiple_of}"
    return None


def _is_multiple(value: float, step: float) -> bool:
    """A tenth is not exact in binary: 0.3 is a multiple of 0.1. So many steps that no float counts them are none."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        quotient = value / step
        return isclose(quotient, round(quotient), rel_tol=1e-9, abs_tol=1e-9)
    except OverflowError:
        return False


def _check_string(schema: Schema, value: Any, where: str) -> str | None:
    if not isinstance(value, str):
        return None
    return _check_count(len(value), schema.min_length, schema.max_length, where, "characters")


def _check_array(schema: Schema, value: Any, where: str) -> str | None:
    if not isinstance(value, list):
        return None
    if (reason := _check_count(len(value), schema.min_items, schema.max_items, where, "items")) is not None:
        return reason
    if schema.unique_items and len(set(map(_identity, value))) < len(value):
        return f"{where} holds an item twice"
    if schema.items is not None:
        for number, item in enumerate(value):
            if (reason := schema.items.violation(item, f"{where}[{number}]")) is not None:
                return reason
    return None


def _check_object(schema: Schema, value: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return None
    if (reason := _check_count(len(value), schema.min_properties, schema.max_properties, where, "members")) is not None:
        return reason
    needed = [*schema.required, *(name for key, names in schema.dependencies.items() if key in value for name in names)]
    for name in needed:
        if name not in value:
            return f"{where} has no {name!r}"
    for name, inner in schema.properties.items():
        if name in value and (reason := inner.violation(value[name], f"{where}.{name}")) is not None:
            return reason
    return None


def _check_count(count: int, least: int | None, most: int | None, where: str, what: str) -> str | None:
    if least is not None and count < least:
        return f"{where} has fewer than {least} {what}"
    if most is not None and count > most:
        return f"{where} has more than {most} {what}"
    return None


_CHECKS: tuple[Callable[[Schema, Any, str], str | None], ...] = (
    _check_number,
    _check_string,
    _check_array,
    _check_object,
)
