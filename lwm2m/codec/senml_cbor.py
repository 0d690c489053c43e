"""SENML_CBOR: SenML written as CBOR, its labels mostly numbers. lwm2m.md §8.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lwm2m.codec import cbor_item, senml
from lwm2m.model.definition import Definitions
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


def decode(
    payload: bytes, base: Path, definitions: Definitions, now: float | None = None, root: str = ""
) -> list[Record]:
    return senml.to_records(map(_named, cbor_item.load_array(payload)), base, definitions, now, root)


def encode(records: Sequence[Record], base: Path, definitions: Definitions, root: str = "") -> bytes:
    entries = senml.from_records(records, base, definitions, root)
    return cbor_item.head(_ARRAY, len(entries)) + b"".join(map(_entry, entries))


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
