"""CBOR: one value as one CBOR item. lwm2m.md §8.4."""

from __future__ import annotations

from collections.abc import Sequence

from lwm2m.codec import cbor_item
from lwm2m.codec.value import object_link, single_target, single_value, type_of, typed
from lwm2m.errors import BadRequest, UnsupportedContentFormat
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record

_TIME_TAG = cbor_item.head(6, 1)


def decode(payload: bytes, base: Path, definitions: Definitions) -> list[Record]:
    single_target(base, definitions, UnsupportedContentFormat)
    item = cbor_item.load(payload)
    expected = type_of(base, definitions)
    if isinstance(item, cbor_item.Timestamp):
        if expected not in (None, Type.TIME):
            raise BadRequest(f"{base} takes {expected.value}, not a time")
        item = int(item)
    elif expected is Type.OBJLNK and isinstance(item, str):
        item = object_link(item.rstrip("\0"), base)
    return [Record(base, typed(base, item, definitions))]


def encode(records: Sequence[Record], base: Path, definitions: Definitions) -> bytes:
    value = single_value(records, base, definitions)
    if isinstance(value, ObjectLink):
        return cbor_item.dump(str(value))
    return (_TIME_TAG if type_of(base, definitions) is Type.TIME else b"") + cbor_item.dump(value)
