"""Values and clients as tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lwm2m.cli.failure import Failed
from lwm2m.cli.values import printable, value_text
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.web.nodes import BadNode, records_of
from lwm2m.web.values import WrongJsonType, type_of

PIPE_WIDTH = 200
_SENSOR_UNITS = 5701
_MEASURED = frozenset({(5700,), (5601,), (5602,), (5603,), (5604,)})
"""Sensor Value, least and greatest value measured, and the limits of the range."""


def print_json(found: Any) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None, *, unbroken: bool = False
) -> None:
    """Nothing is cut off: long cells fold, and a pipe gets wide lines. Where `unbroken`, the cells of the first column
    fold last, if they take no more than half of the line."""
    console = _console()
    cells = [[Text(printable(cell)) for cell in row] for row in rows]
    longest = max((row[0].cell_len for row in cells), default=0)
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        whole = unbroken and number == 0 and longest <= console.width // 2
        table.add_column(column, overflow="fold", no_wrap=whole)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def line_width() -> int:
    return _console().width


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)


def records_in(node: object, path: Path) -> list[Record]:
    """Raises Failed when the server sent no node."""
    try:
        return records_of(node, path)
    except (BadNode, WrongJsonType) as error:
        raise Failed(f"the server answered with values that make no sense: {error}") from None


def value_rows(records: Iterable[Record], definitions: Definitions) -> list[tuple[str, str, str, str]]:
    """Path, name, value and unit of each. What an IPSO sensor measures has the unit that its instance says in Sensor
    Units, if that is among the records."""
    known = list(records)
    units = {record.path.parent: record.value for record in known if record.path[2:] == (_SENSOR_UNITS,)}
    rows = []
    for record in known:
        name, text, unit = described(record, definitions)
        said = units.get(record.path.parent) if record.path[2:] in _MEASURED else None
        rows.append((str(record.path), name, text, unit or (said if isinstance(said, str) else "")))
    return rows


def described(record: Record, definitions: Definitions) -> tuple[str, str, str]:
    """Name, value and unit."""
    definition = definitions.resource(record.path)
    if record.value is None:
        return path_name(record.path, definitions), "(empty)", ""
    text = value_text(record.value, type_of(record.value, definition.type if definition else None))
    return path_name(record.path, definitions), text, definition.units if definition else ""


def path_name(path: Path, definitions: Definitions) -> str:
    """The name of the resource, or of the object above it; "" when unknown."""
    if len(path) >= 3:
        resource = definitions.resource(path)
        return resource.name if resource else ""
    known = definitions.object(path[0]) if path else None
    return known.name if known else ""
