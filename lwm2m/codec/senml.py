"""SenML as LwM2M uses it, apart from how it is written: entries with base names and times to records and back.
RFC 8428; lwm2m.md §8.2.

An entry maps the labels of SenML JSON to items: `n` and `bn` to text, `t` and `bt` to numbers, and at most one of
`v`, `vs`, `vb`, `vd` (bytes here) and `vlo` to the value. Peers also put an object link in `vs`; that is read too.
Unknown labels are ignored as the RFC asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from lwm2m.codec.value import check_beneath, check_count, check_place, object_link, type_of, typed, wire_type
from lwm2m.errors import BadRequest
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value

Entry: TypeAlias = Mapping[str, object]
Item: TypeAlias = str | int | float | bool | bytes

RELATIVE_BELOW = 2**28
"""A time below this many seconds is relative to now. RFC 8428 §4.5.3."""

NEWEST_VERSION = 10

_QUOTED = 40
"""Characters of a peer's text that a refusal repeats."""

_VALUE_TYPES: dict[str, tuple[type, ...]] = {
    "v": (int, float, Decimal),
    "vs": (str,),
    "vb": (bool,),
    "vd": (bytes,),
    "vlo": (str,),
}
_NOT_IN_LWM2M = frozenset({"s", "bs", "bv"})
_LABELS = {Type.BOOLEAN: "vb", Type.STRING: "vs", Type.CORELNK: "vs", Type.OPAQUE: "vd", Type.OBJLNK: "vlo"}


@dataclass(slots=True)
class _Base:
    """The base name and time, which hold until an entry replaces them."""

    name: str = ""
    time: float | None = None


def to_records(
    entries: Iterable[object], base: Path, definitions: Definitions, now: float | None, root: str
) -> list[Record]:
    """An entry without a value becomes a record with value None: a path in a list of paths.
    Relative times are resolved against `now`, or kept as they are when it is None. `root` is the alternate path, "" or
    "/lwm2m"; names may have it or not. Raises BadRequest, RequestEntityTooLarge."""
    context = _Base()
    records: list[Record] = []
    for entry in entries:
        check_count(len(records) + 1)
        records.append(_record(_checked(entry), context, base, definitions, now, root))
    return records


def from_records(records: Sequence[Record], base: Path, definitions: Definitions, root: str) -> list[dict[str, Item]]:
    """Records that say "exists, without value" are left out, as SenML has no words for them; but at the root, where
    there is nothing else, they are a list of paths. Raises BadRequest."""
    valued = [record for record in records if record.value is not None]
    if not valued and not base:
        return [{"n": root + str(record.path)} for record in records]
    for record in valued:
        check_place(record.path, base, definitions)
    prefix = _common_prefix([record.path for record in valued])
    start = _base_time(valued)
    return list(_written(valued, root, prefix and root + prefix, start, definitions))


def path_of(name: str, root: str) -> Path:
    """The path that a whole name says. Raises BadRequest."""
    if not name.startswith("/"):
        raise BadRequest("the name of a record does not start with /")
    inside = name.removeprefix(root) if name == root or name.startswith(f"{root}/") else name
    try:
        return Path.parse(inside if inside == "/" else inside.removesuffix("/"))
    except ValueError:
        raise BadRequest(f"the name of a record, {name[:_QUOTED]!r}, is not a path") from None


def _checked(entry: object) -> Entry:
    if not isinstance(entry, Mapping):
        raise BadRequest("a record is not a map")
    if refused := next((label for label in entry if label in _NOT_IN_LWM2M or str(label).endswith("_")), None):
        raise BadRequest(f"label {str(refused)[:_QUOTED]!r} is not used in LwM2M")
    version = entry.get("bver", NEWEST_VERSION)
    if type(version) is not int or not 0 < version <= NEWEST_VERSION:
        raise BadRequest("the SenML version is not known")
    return entry


def _record(entry: Entry, context: _Base, base: Path, definitions: Definitions, now: float | None, root: str) -> Record:
    if "bn" in entry:
        context.name = _text(entry, "bn")
    if "bt" in entry:
        context.time = _seconds(entry, "bt")
    path = path_of(context.name + (_text(entry, "n") if "n" in entry else ""), root)
    check_beneath(path, base)
    return Record(path, _value(entry, path, definitions), _time(entry, context, now))


def _text(entry: Entry, label: str) -> str:
    if not isinstance(text := entry[label], str):
        raise BadRequest(f"the label {label} is not text")
    return text


def _seconds(entry: Entry, label: str) -> float:
    """An int stays one, so that whole seconds stay exact."""
    number = entry[label]
    if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
        raise BadRequest(f"the label {label} is not a number")
    if isinstance(number, Decimal):
        number = float(number)
    if not -(2**63) < number < 2**63:
        raise BadRequest(f"the label {label} is out of range")
    return number


def _value(entry: Entry, path: Path, definitions: Definitions) -> Value | None:
    labels = [label for label in _VALUE_TYPES if label in entry]
    if not labels:
        return None
    if len(labels) > 1:
        raise BadRequest(f"{path} has several values in one record")
    label = labels[0]
    item = entry[label]
    if not isinstance(item, _VALUE_TYPES[label]) or (label == "v" and isinstance(item, bool)):
        raise BadRequest(f"{path} has a value that does not fit its label {label}")
    check_place(path, path, definitions)
    if isinstance(item, str) and (label == "vlo" or type_of(path, definitions) is Type.OBJLNK):
        item = object_link(item, path)
    return typed(path, item, definitions)


def _time(entry: Entry, context: _Base, now: float | None) -> float | None:
    if context.time is None and "t" not in entry:
        return None
    total = (context.time or 0) + (_seconds(entry, "t") if "t" in entry else 0)
    return now + total if total < RELATIVE_BELOW and now is not None else total


def _common_prefix(paths: Sequence[Path]) -> str:
    """What the names of several records have in common, up to the object instance: "/3/0/", "/3/" or nothing."""
    if len(paths) < 2:
        return ""
    lowest, highest = min(paths)[:2], max(paths)[:2]
    if lowest == highest:
        return f"/{lowest[0]}/{lowest[1]}/"
    return f"/{lowest[0]}/" if lowest[0] == highest[0] else ""


def _base_time(records: Iterable[Record]) -> int | None:
    """The first time, if all records have one and all are whole seconds: then differences are exact."""
    times = [record.time for record in records]
    whole = [int(time) for time in times if time is not None and math.isfinite(time) and time == int(time)]
    return whole[0] if whole and len(whole) == len(times) else None


def _written(
    records: Iterable[Record], root: str, prefix: str, start: int | None, definitions: Definitions
) -> Iterator[dict[str, Item]]:
    for index, (path, value, time) in enumerate(records):
        entry: dict[str, Item] = {}
        if prefix and index == 0:
            entry["bn"] = prefix
        if start is not None and index == 0:
            entry["bt"] = start
        entry["n"] = (root + str(path)).removeprefix(prefix)
        checked = typed(path, value, definitions)
        label = _LABELS.get(wire_type(path, checked, definitions), "v")
        entry[label] = str(checked) if isinstance(checked, ObjectLink) else checked
        if time is not None and time != start:
            entry["t"] = _written_time(path, time, start)
        yield entry


def _written_time(path: Path, time: float, start: int | None) -> float:
    if not math.isfinite(time):
        raise BadRequest(f"the time of {path} is not finite")
    whole = int(time) if time == int(time) else time
    return whole if start is None else whole - start
