"""TLV: type, length, value, nested as objects are. lwm2m.md §8.1.

A payload says ids only from the level beneath its base downwards:

    base /O          object instances, each with resources
    base /O/OI       resources; on input also the one instance that wraps them
    base /O/OI/R     that resource
    base /O/OI/R/RI  that resource instance
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

from lwm2m.codec.value import check_beneath, check_count, check_multiple, check_place, type_of, typed, wire_type
from lwm2m.errors import BadRequest, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import MAX_ID, Path
from lwm2m.model.record import ObjectLink, Record, Value


class _Kind(IntEnum):
    OBJECT_INSTANCE = 0b00
    RESOURCE_INSTANCE = 0b01
    MULTIPLE_RESOURCE = 0b10
    RESOURCE = 0b11


class _Entry(NamedTuple):
    kind: _Kind
    id: int
    value: bytes


class _Ids:
    """A set of ids, one bit each: thousands of them are in a payload that is all ids."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """False: it was there."""
        index, bit = number >> 3, 1 << (number & 7)
        if index >= len(self._bits):
            self._bits.extend(bytes(index + 1 - len(self._bits)))
        if self._bits[index] & bit:
            return False
        self._bits[index] |= bit
        return True


def decode(payload: bytes, base: Path, definitions: Definitions) -> list[Record]:
    if not base:
        raise UnsupportedContentFormat("TLV says no object ids, so it cannot carry several objects")
    records: list[Record] = []
    for record in _records(payload, base, definitions):
        check_count(len(records) + 1)
        records.append(record)
    return records


def encode(records: Sequence[Record], base: Path, definitions: Definitions) -> bytes:
    if not base:
        raise NotAcceptable("TLV says no object ids, so it cannot carry several objects")
    for record in records:
        check_beneath(record.path, base)
    if len({record.path for record in records}) < len(records):
        raise BadRequest("a path appears twice, which TLV cannot say")
    match len(base):
        case 1:
            return b"".join(_written_instances(records, definitions))
        case 2:
            return _written_resources(records, definitions)
        case 3:
            return _written_resource(base, records, definitions)
    if len(records) != 1:
        raise BadRequest(f"{base} has one value, not {len(records)}")
    return _written_value(_Kind.RESOURCE_INSTANCE, base[3], records[0], definitions)


def _entries(data: bytes) -> Iterator[_Entry]:
    """The entries of one level, each read when it is asked for. Raises BadRequest for what is truncated, or has an id
    twice."""
    known = _Ids()
    position = 0
    while position < len(data):
        first = data[position]
        id_end = position + 1 + (2 if first & 0b0010_0000 else 1)
        length_size = first >> 3 & 0b11
        start = id_end + length_size
        if start > len(data):
            raise BadRequest("the TLV is truncated within a header")
        length = int.from_bytes(data[id_end:start], "big") if length_size else first & 0b111
        if start + length > len(data):
            raise BadRequest("the TLV is truncated within a value")
        number = int.from_bytes(data[position + 1 : id_end], "big")
        if number > MAX_ID:
            raise BadRequest(f"the TLV has the id {number}, which is reserved")
        if not known.add(number):
            raise BadRequest("the TLV has an id twice on one level")
        yield _Entry(_Kind(first >> 6), number, data[start : start + length])
        position = start + length


def _records(payload: bytes, base: Path, definitions: Definitions) -> Iterator[Record]:
    match len(base):
        case 1:
            yield from _read_instances(_entries(payload), base, definitions)
        case 2 if _begins_with(_Kind.OBJECT_INSTANCE, payload):
            yield from _read_instances([_only(payload, base)], base.parent, definitions)
        case 2:
            yield from _read_resources(_entries(payload), base, definitions)
        case 3:
            yield from _read_resources([_only(payload, base)], base.parent, definitions)
        case _:
            yield _read_resource_instance(payload, base, definitions)


def _begins_with(kind: _Kind, data: bytes) -> bool:
    return data[:1] != b"" and data[0] >> 6 == kind


def _only(data: bytes, base: Path) -> _Entry:
    entries = _entries(data)
    found = next(entries, None)
    if found is None or found.id != base[-1] or next(entries, None) is not None:
        raise BadRequest(f"the TLV must hold {base} and nothing else")
    return found


def _read_instances(entries: Iterable[_Entry], base: Path, definitions: Definitions) -> Iterator[Record]:
    for entry in entries:
        if entry.kind is not _Kind.OBJECT_INSTANCE:
            raise BadRequest(f"the TLV for {base} has a resource outside an object instance")
        instance = base.child(entry.id)
        if entry.value:
            yield from _read_resources(_entries(entry.value), instance, definitions)
        else:
            yield Record(instance, None)


def _read_resources(entries: Iterable[_Entry], instance: Path, definitions: Definitions) -> Iterator[Record]:
    for entry in entries:
        path = instance.child(entry.id)
        match entry.kind:
            case _Kind.RESOURCE:
                yield _read_value(entry, path, definitions)
            case _Kind.MULTIPLE_RESOURCE:
                yield from _read_multiple(entry, path, definitions)
            case _:
                raise BadRequest(f"the TLV has an entry in {instance} that is not a resource")


def _read_multiple(entry: _Entry, path: Path, definitions: Definitions) -> Iterator[Record]:
    check_multiple(path, definitions)
    if not entry.value:
        yield Record(path, None)
    for inner in _entries(entry.value):
        if inner.kind is not _Kind.RESOURCE_INSTANCE:
            raise BadRequest(f"the TLV has an entry in the multiple resource {path} that is not an instance of it")
        yield _read_value(inner, path.child(inner.id), definitions)


def _read_resource_instance(payload: bytes, base: Path, definitions: Definitions) -> Record:
    """A bare entry; peers also send it as a resource, or within its multiple resource."""
    wrapped = _begins_with(_Kind.MULTIPLE_RESOURCE, payload)
    entry = _only(_only(payload, base.parent).value if wrapped else payload, base)
    if entry.kind not in (_Kind.RESOURCE_INSTANCE, _Kind.RESOURCE):
        raise BadRequest(f"the TLV for {base} does not hold a resource instance")
    return _read_value(entry, base, definitions)


def _read_value(entry: _Entry, path: Path, definitions: Definitions) -> Record:
    check_place(path, path, definitions)
    item = _item(entry.value, path, type_of(path, definitions))
    return Record(path, typed(path, item, definitions))


def _item(data: bytes, path: Path, expected: Type | None) -> Value:
    match expected:
        case Type.STRING | Type.CORELNK:
            try:
                return data.decode()
            except UnicodeDecodeError:
                raise BadRequest(f"the text for {path} is not UTF-8") from None
        case Type.INTEGER | Type.TIME if len(data) in (1, 2, 4, 8):
            return int.from_bytes(data, "big", signed=True)
        case Type.UNSIGNED if len(data) in (1, 2, 4, 8):
            return int.from_bytes(data, "big")
        case Type.FLOAT if len(data) in (4, 8):
            return float(struct.unpack(">f" if len(data) == 4 else ">d", data)[0])
        case Type.BOOLEAN if data in (b"\0", b"\1"):
            return data == b"\1"
        case Type.OBJLNK if len(data) == 4:
            return ObjectLink(*struct.unpack(">HH", data))
        case Type.OPAQUE | None:
            return data
    raise BadRequest(f"{len(data)} bytes are not the {expected.value} that {path} takes")


def _written_instances(records: Sequence[Record], definitions: Definitions) -> Iterator[bytes]:
    for instance, inside in groupby(sorted(records, key=_instance), key=_instance):
        if len(instance) < 2:
            raise BadRequest("an object has no value")
        yield _entry(_Kind.OBJECT_INSTANCE, instance[1], _written_resources(list(inside), definitions))


def _instance(record: Record) -> tuple[int, ...]:
    return record.path[:2]


def _written_resources(records: Sequence[Record], definitions: Definitions) -> bytes:
    by_resource: dict[Path, list[Record]] = {}
    for record in records:
        if len(record.path) > 2:
            by_resource.setdefault(Path(*record.path[:3]), []).append(record)
        elif record.value is not None:
            raise BadRequest(f"{record.path} is not a resource and has no value")
    return b"".join(_written_resource(path, inside, definitions) for path, inside in by_resource.items())


def _written_resource(path: Path, records: Sequence[Record], definitions: Definitions) -> bytes:
    match records:
        case [Record(path=at, value=value) as record] if at == path and value is not None:
            return _written_value(_Kind.RESOURCE, path[2], record, definitions)
        case [] | [Record(value=None)] if all(record.path == path for record in records):
            check_multiple(path, definitions)
            return _entry(_Kind.MULTIPLE_RESOURCE, path[2], b"")
    instances = (_written_value(_Kind.RESOURCE_INSTANCE, record.path[-1], record, definitions) for record in records)
    return _entry(_Kind.MULTIPLE_RESOURCE, path[2], b"".join(instances))


def _written_value(kind: _Kind, number: int, record: Record, definitions: Definitions) -> bytes:
    path = record.path
    if record.value is None or (kind is _Kind.RESOURCE_INSTANCE and len(path) < 4):
        raise BadRequest(f"{path} has no value to write, or holds instances beside one")
    check_place(path, path, definitions)
    value = typed(path, record.value, definitions)
    return _entry(kind, number, _value_bytes(wire_type(path, value, definitions), value))


def _value_bytes(expected: Type, value: Value) -> bytes:
    match value:
        case bool():
            return b"\1" if value else b"\0"
        case int():
            return _integer_bytes(value, signed=expected is not Type.UNSIGNED)
        case float():
            return _float_bytes(value)
        case str():
            return value.encode()
        case bytes():
            return value
        case ObjectLink():
            return struct.pack(">HH", *value)


def _integer_bytes(value: int, signed: bool) -> bytes:
    bits = (value if value >= 0 else ~value).bit_length() + signed
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    return value.to_bytes(size, "big", signed=signed)


def _float_bytes(value: float) -> bytes:
    """Single precision where that keeps the value."""
    try:
        single = struct.pack(">f", value)
    except OverflowError:
        return struct.pack(">d", value)
    return single if struct.unpack(">f", single)[0] == value else struct.pack(">d", value)


def _entry(kind: _Kind, number: int, value: bytes) -> bytes:
    length = len(value)
    length_size = 0 if length < 8 else (length.bit_length() + 7) // 8
    if length_size > 3:
        raise NotAcceptable(f"{length} bytes are more than one TLV entry can hold")
    first = kind << 6 | (number > 255) << 5 | length_size << 3 | (0 if length_size else length)
    identifier = number.to_bytes(2 if number > 255 else 1, "big")
    long_length = length.to_bytes(length_size, "big") if length_size else b""
    return bytes((first,)) + identifier + long_length + value
