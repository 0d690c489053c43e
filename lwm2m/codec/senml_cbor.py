"""SENML_CBOR: SenML written as CBOR, its labels mostly numbers. lwm2m.md §8.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct

from lwm2m.codec import cbor_item, senml
from lwm2m.codec.value import type_of, typed
from lwm2m.errors import LwM2MError
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_LABELS: dict[str, int | str] = {
    "bver": -1,
    "bn": -2,
    "bt": -3,
    "bu": -4,
    "bv": -5,
    "bs": -6,
    "n": 0,
    "u": 1,
    "v": 2,
    "vs": 3,
    "vb": 4,
    "s": 5,
    "t": 6,
    "ut": 7,
    "vd": 8,
    "vlo": "vlo",
}
_NAMES = {number: name for name, number in _LABELS.items()}
_LABEL_BYTES = {name: cbor_item.dump(label) for name, label in _LABELS.items()}
_ARRAY, _MAP = 4, 5
_TEXTS_OF_ONE = {cbor_item.head(_ARRAY, 1) + cbor_item.head(_MAP, texts + 1): texts for texts in (1, 2)}
"""What a pack begins with that has one record, of a base name or a name or both before the value."""
_SHORT_TEXT = 0x60
_NUMBER_FORMS = {
    0x18: Struct(">B"),
    0x19: Struct(">H"),
    0x1A: Struct(">I"),
    0xF9: Struct(">e"),
    0xFA: Struct(">f"),
    0xFB: Struct(">d"),
}


def decode(
    payload: bytes, base: Path, definitions: Definitions, now: float | None = None, root: str = ""
) -> list[Record]:
    record = _single_number(payload, base, definitions, root)
    return _records(payload, base, definitions, now, root) if record is None else [record]


def encode(records: Sequence[Record], base: Path, definitions: Definitions, root: str = "") -> bytes:
    entries = senml.from_records(records, base, definitions, root)
    return cbor_item.head(_ARRAY, len(entries)) + b"".join(map(_entry, entries))


def _records(payload: bytes, base: Path, definitions: Definitions, now: float | None, root: str) -> list[Record]:
    return senml.to_records(map(_named, cbor_item.load_array(payload)), base, definitions, now, root)


def _single_number(payload: bytes, base: Path, definitions: Definitions, root: str) -> Record | None:
    """Nearly every notification: one record of names below 24 bytes and a number, without a time. None: something
    else. Of what is equal from one to the next nothing is read twice, which makes it ten times as fast."""
    texts = _TEXTS_OF_ONE.get(payload[:2])
    if texts is None or len(payload) < 7:
        return None
    value_at = payload[3] - _SHORT_TEXT + 5
    if texts == 2:
        if not 0 < value_at < len(payload):
            return None
        value_at += payload[value_at] - _SHORT_TEXT + 2
    number = _number(payload, value_at)
    if number is None:
        return None
    place = _place(payload[:value_at], base, definitions, root)
    if place is None:
        return None
    path, takes_float = place
    return Record(path, number if takes_float and type(number) is float else typed(path, number, definitions))


@lru_cache(maxsize=4096)
def _place(head: bytes, base: Path, definitions: Definitions, root: str) -> tuple[Path, bool] | None:
    """What a pack is about that has a number after `head`; None where it is none, or not allowed there. The second says
    that a Float stays as it is. That the 0 put in its place is read as one shows that the number begins there."""
    if not _SHORT_TEXT <= head[3] < _SHORT_TEXT + 24 or head[-1] != _LABELS["v"]:
        return None
    try:
        ((path, value, time),) = _records(head + b"\0", base, definitions, None, root)
    except (LwM2MError, ValueError):
        return None
    return (path, type_of(path, definitions) in (None, Type.FLOAT)) if value == 0 and time is None else None


def _number(payload: bytes, start: int) -> int | float | None:
    """The number that the payload ends with; None: something else, or in a rare spelling."""
    if not 0 < start < len(payload):
        return None
    kind, size = payload[start], len(payload) - start - 1
    if size == 0:
        return kind if kind < 24 else None
    form = _NUMBER_FORMS.get(kind)
    if form is None or form.size != size:
        return None
    number: int | float = form.unpack_from(payload, start + 1)[0]
    return number


def _named(entry: object) -> object:
    """The entry with the labels of SenML JSON; what no label stands for is left out, but for must-understand names."""
    if not isinstance(entry, Mapping):
        return entry
    named = {}
    for label, item in entry.items():
        if (name := _NAMES.get(label) if type(label) in (int, str) else None) is not None:
            named[name] = item
        elif isinstance(label, str) and label.endswith("_"):
            named[label] = item
    return named


def _entry(entry: dict[str, senml.Item]) -> bytes:
    items = (_LABEL_BYTES[name] + cbor_item.dump(value) for name, value in entry.items())
    return cbor_item.head(_MAP, len(entry)) + b"".join(items)
