"""Create: from a payload to the one instance it asks for. lwm2m.md §6.7."""

from __future__ import annotations

from typing import NamedTuple

from lwm2m.codec import decode, registered
from lwm2m.errors import BadRequest, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.body import Body

_OBJECT_INSTANCE = 0b00


class Creation(NamedTuple):
    """`named`: the payload said the id. `records` have the resources; value None is an empty multiple resource."""

    instance: Path
    named: bool
    records: tuple[Record, ...]


def records_to_create(body: Body, object_path: Path, chosen_instance: int, definitions: Definitions) -> Creation:
    """`chosen_instance` is the id for a payload that names none: TLV without an object instance around the resources,
    or an empty pack. Raises UnsupportedContentFormat, BadRequest, also for more than one instance,
    RequestEntityTooLarge."""
    if body.content_format is None:
        raise UnsupportedContentFormat("a Create needs a content format")
    chosen = object_path.child(chosen_instance)
    base = chosen if _is_without_instance(body) else object_path
    records = decode(body.payload, body.content_format, base, definitions)
    named = {_instance_of(record) for record in records} if base == object_path else set()
    if len(named) > 1:
        raise BadRequest("a Create is of one instance")
    resources = tuple(record for record in records if len(record.path) > 2)
    return Creation(next(iter(named), chosen), bool(named), resources)


def _is_without_instance(body: Body) -> bool:
    """TLV tells by the kind of its first entry, the two highest bits (lwm2m.md §8.1)."""
    is_tlv = body.content_format is not None and registered(body.content_format) is ContentFormat.TLV
    return is_tlv and (not body.payload or body.payload[0] >> 6 != _OBJECT_INSTANCE)


def _instance_of(record: Record) -> Path:
    if len(record.path) < 2:
        raise BadRequest("a Create names an instance or none, not the object")
    return Path(*record.path[:2])
