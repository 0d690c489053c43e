"""`lwm2m decode`: a payload as named resources. Needs no server."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from lwm2m import codec, link_format
from lwm2m.cli.failure import Failed
from lwm2m.cli.options import AsJson
from lwm2m.cli.render import print_json, print_table
from lwm2m.cli.values import printable, value_text
from lwm2m.codec.senml import RELATIVE_BELOW
from lwm2m.codec.value import wire_type
from lwm2m.errors import LwM2MError
from lwm2m.link_format import Link
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value

NAMES = {known.name.lower().replace("_", "-"): known for known in ContentFormat}
COLUMNS = ("Path", "Name", "Type", "Value", "Unit", "Time")


def read_format(text: str) -> int:
    """A name of NAMES, or any number: `codec.decode` knows more of them. Raises BadParameter."""
    if (known := NAMES.get(text.lower().replace("_", "-"))) is not None:
        return known
    if text.isascii() and text.isdigit() and len(text) <= 5:
        return int(text)
    raise typer.BadParameter(f"{text!r} is no content format; use {', '.join(NAMES)} or a number")


def read_base(text: str) -> Path:
    try:
        return Path.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; a path looks like /3/0") from None


Format = Annotated[
    int,
    typer.Argument(
        metavar="FORMAT",
        parser=read_format,
        help=f"{', '.join(NAMES)}, or a content format number.",
        show_default=False,
    ),
]
Payload = Annotated[
    list[str],
    typer.Argument(
        metavar="HEX|-", help="Hexadecimal digits, blanks allowed; - reads standard input, bytes or digits."
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(
        "--path", metavar="PATH", parser=read_base, help="What the payload is about: the path of its request."
    ),
]


def decode(content_format: Format, payload: Payload, path: Base = None, as_json: AsJson = False) -> None:
    """Show a payload as named resources."""
    data = read_payload(payload)
    if content_format == ContentFormat.LINK:
        show_links(read_links(data), as_json)
    else:
        show_records(read_records(data, content_format, path or Path()), as_json)


def read_payload(words: Iterable[str]) -> bytes:
    """Raises BadParameter for what is no hexadecimal text."""
    text = " ".join(words)
    if text == "-":
        return read_input()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise typer.BadParameter("the payload is not pairs of hexadecimal digits", param_hint="HEX") from None


def read_input() -> bytes:
    data = sys.stdin.buffer.read()
    try:
        return bytes.fromhex(data.decode("ascii"))
    except ValueError:
        return data


def read_links(data: bytes) -> tuple[Link, ...]:
    try:
        return link_format.parse(data.decode())
    except ValueError as error:
        raise Failed(f"the payload is not a list of links: {error}") from None


def read_records(data: bytes, content_format: int, path: Path) -> list[Record]:
    try:
        return codec.decode(data, content_format, path, shipped())
    except LwM2MError as error:
        hint = "" if path else "; --path says what the payload is about"
        raise Failed(f"the payload cannot be read: {printable(error.diagnostic)}{hint}") from None


def show_links(links: Iterable[Link], as_json: bool) -> None:
    if as_json:
        found = [
            {"target": link.target, "attributes": {name: link.text(name) for name in link.attributes}} for link in links
        ]
        print_json(found)
    else:
        print_table(("Target", "Attributes"), ((link.target, attributes_text(link)) for link in links))


def attributes_text(link: Link) -> str:
    return " ".join(name if raw is None else f"{name}={raw}" for name, raw in link.attributes.items())


def show_records(records: Iterable[Record], as_json: bool) -> None:
    definitions = shipped()
    if as_json:
        print_json([record_json(record, definitions) for record in records])
    else:
        print_table(COLUMNS, (record_row(record, definitions) for record in records))


def record_row(record: Record, definitions: Definitions) -> tuple[str, ...]:
    path, value, time = record
    name, unit = name_of(path, definitions), unit_of(path, definitions)
    if value is None:
        return str(path), name, "", "(no value)", unit, time_text(time)
    type_ = wire_type(path, value, definitions)
    return str(path), name, type_.value, value_text(value, type_), unit, time_text(time)


def record_json(record: Record, definitions: Definitions) -> dict[str, Any]:
    path, value, time = record
    return {
        "path": str(path),
        "name": name_of(path, definitions),
        "type": None if value is None else wire_type(path, value, definitions).value,
        "value": None if value is None else json_value(value),
        "unit": unit_of(path, definitions),
        "time": time,
    }


def json_value(value: Value) -> str | int | float | bool:
    """Opaque values as hexadecimal digits; what JSON has no spelling for as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, ObjectLink) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return value


def name_of(path: Path, definitions: Definitions) -> str:
    """ "Device / Manufacturer", as far as it is known."""
    known = definitions.object(path[0]) if path else None
    resource = definitions.resource(path)
    return " / ".join(found.name for found in (known, resource) if found is not None)


def unit_of(path: Path, definitions: Definitions) -> str:
    definition = definitions.resource(path)
    return definition.units if definition is not None else ""


def time_text(time: float | None) -> str:
    if time is None:
        return ""
    if time < RELATIVE_BELOW:
        return f"{time:+} s"
    try:
        return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time} s"
