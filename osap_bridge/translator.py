"""Data model translators: tables from the function points of a product to LwM2M paths.

Instance numbers in a table count within one entity (a device, a channel, a sub-device); `placement` does the rest.
Types, what may be written, mandatory resources: the object definition and the product's profile know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lwm2m import Path, Value
from osap_bridge.converters import Converter, unchanged
from osap_bridge.protocol import FunctionPoint


def no_input(arguments: str) -> dict[str, Any]:
    """The input of an operation that takes none. Raises ValueError when arguments were given all the same."""
    if arguments:
        raise ValueError("this operation takes no arguments")
    return {}


def argument_choices(table: dict[str, Any]) -> Callable[[str], Any]:
    """The input of an operation by the text of the Execute's arguments: `argument_choices({"1": {"Lock": True}})`."""

    def chosen(arguments: str) -> Any:
        if arguments not in table:
            raise ValueError(f"the argument is one of {', '.join(sorted(table))}")
        return table[arguments]

    return chosen


@dataclass(frozen=True, slots=True)
class Property:
    """A lasting state. `unit` becomes 5701 of the same object instance, `application` its 5750."""

    name: str
    target: str
    converter: Converter = unchanged
    unit: str = ""
    application: str = ""

    def __post_init__(self) -> None:
        _resource(self.target)
        FunctionPoint.parse(self.name)

    @property
    def point(self) -> FunctionPoint:
        return FunctionPoint.parse(self.name)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (_resource(self.target),)


@dataclass(frozen=True, slots=True)
class Operation:
    """Something to execute. `input` turns the text of the Execute's arguments into what the device is sent; a
    ValueError of it refuses the Execute."""

    name: str
    target: str
    input: Callable[[str], Any] = no_input
    application: str = ""

    def __post_init__(self) -> None:
        _resource(self.target)
        FunctionPoint.parse(self.name)

    @property
    def point(self) -> FunctionPoint:
        return FunctionPoint.parse(self.name)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (_resource(self.target),)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens. `counter` counts the occurrences, so that none is missed behind pmin or a lost
    notification; `record` (a resource 0 of object 19) keeps the last one with its time and content as JSON."""

    name: str
    counter: str = ""
    record: str = ""
    application: str = ""

    def __post_init__(self) -> None:
        FunctionPoint.parse(self.name)
        if not self.paths:
            raise ValueError(f"the event {self.name} has neither a counter nor a record")

    @property
    def point(self) -> FunctionPoint:
        return FunctionPoint.parse(self.name)

    @property
    def counter_path(self) -> Path | None:
        return _resource(self.counter) if self.counter else None

    @property
    def record_path(self) -> Path | None:
        return _resource(self.record) if self.record else None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.counter_path, self.record_path) if path is not None)


@dataclass(frozen=True, slots=True)
class Constant:
    """A resource that is always the same, such as the name of a lock."""

    target: str
    value: Value

    def __post_init__(self) -> None:
        _resource(self.target)

    @property
    def path(self) -> Path:
        return _resource(self.target)


Point: TypeAlias = Property | Operation | Event


def _resource(text: str) -> Path:
    path = Path.parse(text)
    if len(path) != 3:
        raise ValueError(f"{text} is not the path of a resource")
    return path


@dataclass(frozen=True)
class DataModelTranslator:
    """How the function points of one product appear. `product` is the DevType that a device announces; `profile` the
    product's profile, a JSON file beside the module that defines the translator. Raises ValueError for a table that
    names a point or a path twice."""

    product: str
    points: tuple[Point, ...]
    profile: str = ""
    constants: tuple[Constant, ...] = ()
    _by_point: dict[FunctionPoint, Point] = field(init=False, repr=False, compare=False)
    _by_path: dict[Path, Point] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.product:
            raise ValueError("a translator names its product")
        object.__setattr__(self, "_by_point", _unique((point.point, point) for point in self.points))
        paths = [(path, point) for point in self.points for path in point.paths]
        object.__setattr__(self, "_by_path", _unique(iter(paths)))
        _unique(iter([*((path, None) for path, _ in paths), *((constant.path, None) for constant in self.constants)]))

    def at_point(self, point: FunctionPoint) -> Point | None:
        return self._by_point.get(point)

    def at_path(self, path: Path) -> Point | None:
        """`path` is a resource in the translator's own numbers."""
        return self._by_path.get(path)


def _unique(pairs: Iterator[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} stands in the table twice")
        found[key] = value
    return found
