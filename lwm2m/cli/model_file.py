"""The model file of a simulated client: TOML, one `[[resource]]` for each resource or resource instance.

    [[resource]]
    path = "/3303/0/5700"
    value = 21.5

A value is written as its type asks: a number, true or false, a text; opaque bytes as hexadecimal digits in quotes, an
object link as "3:0", a time as a TOML date-time or as seconds. Without a value the resource exists and holds none, as
an executable one does. `signal` lets a value change by itself, see `lwm2m.cli.signals`. Unknown keys are refused by
line. A factory configuration is the same with objects 0 and 21 and without signals; there `file = "device.pem"` takes
the value of an opaque resource from a file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from lwm2m.cli.key_material import key_material
from lwm2m.cli.signals import Signal, SignalError, read_signal
from lwm2m.cli.values import parse_value
from lwm2m.model.checking import check
from lwm2m.model.definition import Definitions, Operations, ResourceDefinition, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

KEYS = ("path", "value", "signal")
FILE = "file"
_TABLE = re.compile(r"""\s*\[\[\s*["']?resource["']?\s*\]\]""")
_SPELT = frozenset({Type.OPAQUE, Type.OBJLNK, Type.TIME})
_SECURITY = frozenset({0, 21})


class ModelError(ValueError):
    """The text names the line and says what is wrong there."""


class Model(NamedTuple):
    """`signals` are of resources that have a value among the records."""

    records: list[Record]
    signals: dict[Path, Signal]


def read_model(text: str, definitions: Definitions, folder: FilePath) -> Model:
    """What a model file says, in its order; `folder` is where the files that it names lie. Raises ModelError."""
    model = Model([], {})
    for record, table, section in _resources(text, definitions, _SECURITY):
        model.records.append(record)
        if "signal" in table:
            try:
                model.signals[record.path] = _signal(table["signal"], record, definitions, folder)
            except SignalError as error:
                raise ModelError(f"line {section.line_of('signal')}: {error}") from None
    return model


def read_factory(text: str, definitions: Definitions, folder: FilePath) -> list[Record]:
    """A factory configuration: a model file that may hold the objects of accounts; `folder` is where the files that it
    names lie. Raises ModelError."""
    records: list[Record] = []
    for record, table, section in _resources(text, definitions, frozenset(), folder):
        if "signal" in table:
            raise ModelError(f"line {section.line_of('signal')}: a factory configuration has no signals")
        records.append(record)
    return records


def _resources(
    text: str, definitions: Definitions, closed: frozenset[int], folder: FilePath | None = None
) -> Iterator[tuple[Record, Mapping[str, Any], _Section]]:
    """`folder` is where keys lie; None: there are none."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"not TOML: {error}") from None
    for key in document:
        if key != "resource":
            raise ModelError(
                f"line {_line_of(text.splitlines(), key)}: there is no key {key!r} here, only [[resource]]"
            )
    tables = document.get("resource", [])
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise ModelError(f"line {_line_of(text.splitlines(), 'resource')}: resources are tables, [[resource]]")
    return _records(tables, list(_sections(text)), definitions, closed, folder)


def _records(
    tables: Iterable[Mapping[str, Any]],
    sections: list[_Section],
    definitions: Definitions,
    closed: frozenset[int],
    folder: FilePath | None,
) -> Iterator[tuple[Record, Mapping[str, Any], _Section]]:
    seen: set[Path] = set()
    for number, table in enumerate(tables):
        section = sections[number] if number < len(sections) else _Section(1, [])
        try:
            record = _record(table, definitions, closed, folder)
            if record.path in seen:
                raise _Wrong("path", f"{record.path} is there twice")
        except _Wrong as wrong:
            raise ModelError(f"line {section.line_of(wrong.key)}: {wrong}") from None
        seen.add(record.path)
        yield record, table, section


class _Wrong(Exception):
    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


class _Section:
    """The lines from one [[resource]] to the next; `first` is the number of its header."""

    def __init__(self, first: int, lines: list[str]) -> None:
        self._first = first
        self._lines = lines

    def line_of(self, key: str) -> int:
        return self._first - 1 + _line_of(self._lines, key)


def _sections(text: str) -> Iterator[_Section]:
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if _TABLE.match(line)]
    for head, following in pairwise([*heads, len(lines)]):
        yield _Section(head + 1, lines[head:following])


def _line_of(lines: list[str], key: str) -> int:
    spelt = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(lines, 1) if spelt.match(line)), 1)


def _record(
    table: Mapping[str, Any], definitions: Definitions, closed: frozenset[int], folder: FilePath | None
) -> Record:
    known = KEYS if folder is None else (*KEYS, FILE)
    for key in table:
        if key not in known:
            raise _Wrong(key, f"this version knows no {key!r} in a [[resource]], only {', '.join(known)}")
    path = _path(table.get("path"), closed)
    definition = definitions.resource(path)
    if definition is None and definitions.object(path[0]) is not None:
        raise _Wrong("path", f"object {path[0]} has no resource {path[2]}")
    if folder is not None and FILE in table:
        return _from_file(table, path, definition, folder)
    if "value" not in table:
        return _valueless(path, definition)
    if definition is not None:
        _check_shape(path, definition)
    if path[0] in _SECURITY and definition is not None and definition.type is Type.OPAQUE:
        return Record(path, _secret(table["value"]))
    return Record(path, _value(table["value"], definition))


def _from_file(table: Mapping[str, Any], path: Path, definition: ResourceDefinition | None, folder: FilePath) -> Record:
    if "value" in table:
        raise _Wrong(FILE, "there is to be a value or a file, not both")
    if definition is not None and definition.type is not Type.OPAQUE:
        raise _Wrong(FILE, f"{definition.name} takes a value and no file")
    if not isinstance(table[FILE], str):
        raise _Wrong(FILE, 'a file is a name such as "device.pem"')
    try:
        return Record(path, key_material(folder / table[FILE]))
    except ValueError as error:
        raise _Wrong(FILE, str(error)) from None


def _secret(value: Any) -> bytes:
    """It may be a key, which is quoted nowhere."""
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _Wrong("value", "this takes bytes as hexadecimal digits in quotes") from None


def _path(text: object, closed: frozenset[int]) -> Path:
    if not isinstance(text, str):
        raise _Wrong("path", 'a [[resource]] needs a path such as "/3303/0/5700"')
    try:
        path = Path.parse(text)
    except ValueError as error:
        raise _Wrong("path", str(error)) from None
    if len(path) < 3:
        raise _Wrong("path", f"{path} is no resource: a path here looks like /3303/0/5700")
    if path[0] in closed:
        raise _Wrong("path", f"object {path[0]} is made from the options of the command")
    return path


def _check_shape(path: Path, definition: ResourceDefinition) -> None:
    if definition.operations is Operations.E:
        raise _Wrong("value", f"{definition.name} can only be executed and takes no value")
    if definition.multiple and len(path) == 3:
        raise _Wrong("path", f"{definition.name} is a multiple resource: name an instance, as {path.child(0)}")
    if not definition.multiple and len(path) == 4:
        raise _Wrong("path", f"{definition.name} is a single resource: {path.parent}")


def _valueless(path: Path, definition: ResourceDefinition | None) -> Record:
    without = definition is not None and (
        definition.operations is Operations.E or definition.operations is Operations.W or definition.multiple
    )
    if not without or len(path) == 4:
        raise _Wrong("path", f"{path} needs a value")
    return Record(path, None)


def _value(value: Any, definition: ResourceDefinition | None) -> Value:
    if isinstance(value, datetime) and (definition is None or definition.type is Type.TIME):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if not isinstance(value, str | int | float | bool):
        raise _Wrong("value", "a value is a number, true or false, a text or a time")
    if definition is None:
        return value
    try:
        if isinstance(value, str) and definition.type in _SPELT:
            return parse_value(value, definition)
        return check(definition, value)
    except ValueError as error:
        raise _Wrong("value", _clause(error)) from None


def _signal(table: Any, record: Record, definitions: Definitions, folder: FilePath) -> Signal:
    if not isinstance(table, dict):
        raise SignalError('a signal is a table such as {kind = "sine", mean = 21, amplitude = 3, period = 60}')
    if record.value is None:
        raise SignalError("a signal needs a value to begin with")
    definition = definitions.resource(record.path)

    def lines(name: str) -> list[Value]:
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise SignalError(f"{name} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise SignalError(f"{name} cannot be read: {error}") from None
        numbered = enumerate(map(str.strip, text.splitlines()), 1)
        return [_line_value(f"{name}, line {number}", line, definition) for number, line in numbered if line]

    return read_signal(table, record.value, definition, lines)


def _line_value(place: str, text: str, definition: ResourceDefinition | None) -> Value:
    try:
        return text if definition is None else parse_value(text, definition)
    except ValueError as error:
        raise SignalError(f"{place}: {_clause(error)}") from None


def _clause(error: ValueError) -> str:
    """A sentence without its full stop: who tells it adds one."""
    return str(error).removesuffix(".")
