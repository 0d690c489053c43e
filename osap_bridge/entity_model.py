"""The LwM2M side of one entity: its product's translator, narrowed by the profile to what this entity has.

Paths are in the translator's own numbers throughout; `placement` turns them into those that a server sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lwm2m import NO_LINK, Definitions, Path, Record, ResourceDefinition, Type, Value, check, parse_range
from lwm2m.errors import BadRequest, LwM2MError, MethodNotAllowed, NotFound
from osap_bridge.installed import Product
from osap_bridge.osap.schema import Schema
from osap_bridge.osap.schema import Type as JsonType
from osap_bridge.placement import Slot
from osap_bridge.protocol import Entity, EventReport, FunctionPoint
from osap_bridge.store import Occurrences
from osap_bridge.translator import Event, Operation, Point, Property

SENSOR_UNITS = 5701
APPLICATION_TYPE = 5750
_CREATION_TIME, _DESCRIPTION, _FORMAT = 2, 3, 4
_DESCRIPTION_LENGTH = 32


class DoesNotFit(ValueError):
    """A device's value has no place in the data model. The text names the point, not the value."""


class EntityModel:
    """`name_of` makes the application type of an instance from the point's name (the topology decides)."""

    def __init__(
        self, product: Product, entity: Entity, definitions: Definitions, name_of: Callable[[Entity, str], str]
    ) -> None:
        self.entity = entity
        self._product = product
        self._definitions = definitions
        self._name_of = name_of
        self.points = tuple(point for point in product.translator.points if self._offers(point))
        self.slots = frozenset(Slot.of(path) for point in self.points for path in point.paths)

    def _offers(self, point: Point) -> bool:
        profile, where = self._product.profile, (self.entity.resource_type, *point.point)
        if profile is None:
            return True
        kinds = {Property: profile.property, Operation: profile.action, Event: profile.event}
        return kinds[type(point)](*where) is not None

    def _access(self, point: FunctionPoint) -> tuple[bool, bool, Schema]:
        """Readable, writable and the values allowed, as far as the profile knows."""
        profile = self._product.profile
        known = profile.property(self.entity.resource_type, *point) if profile else None
        return (known.readable, known.writable, known.schema) if known else (True, True, Schema())

    @property
    def readable(self) -> tuple[Property, ...]:
        """The properties that a device can be asked for."""
        return tuple(point for point in self.points if isinstance(point, Property) and self._access(point.point)[0])

    def point_at(self, path: Path) -> FunctionPoint:
        """Raises KeyError."""
        if (point := self._at(path)) is None:
            raise KeyError(str(path))
        return point.point

    def fixed(self) -> Iterator[Record]:
        """What is there before the device has said anything: operations, constants, units, application types, and a
        neutral value in each mandatory resource that no point of the device fills."""
        mapped = {path for point in self.points for path in point.paths}
        for record in self._named():
            mapped.add(record.path)
            yield record
        for slot in sorted(self.slots):
            yield from self._mandatory(slot, mapped)
        for point in self.points:
            if isinstance(point, Operation):
                yield Record(point.paths[0], None)

    def _named(self) -> Iterator[Record]:
        """Each path once; what the table says goes before what is derived."""
        records: dict[Path, Record] = {}
        for constant in self._product.translator.constants:
            if Slot.of(constant.path) in self.slots:
                records[constant.path] = Record(constant.path, constant.value)
        for point in sorted(self.points, key=lambda point: not point.application):
            for record in self._derived(point):
                if self._definitions.resource(record.path) is not None:
                    records.setdefault(record.path, record)
        yield from records.values()

    def _derived(self, point: Point) -> Iterator[Record]:
        for path in point.paths:
            name = point.application or point.point.domain
            yield Record(path.parent.child(APPLICATION_TYPE), self._name_of(self.entity, name))
            if isinstance(point, Property) and point.unit:
                yield Record(path.parent.child(SENSOR_UNITS), point.unit)
        if isinstance(point, Event) and point.record_path is not None:
            container = point.record_path.parent
            yield Record(container.child(_DESCRIPTION), point.point.identifier[:_DESCRIPTION_LENGTH])
            yield Record(container.child(_FORMAT), "json")

    def _mandatory(self, slot: Slot, mapped: Iterable[Path]) -> Iterator[Record]:
        definition = self._definitions.object(slot.object_id)
        if definition is None:
            return
        name = self._name_of(self.entity, definition.name)
        for resource in definition.resources.values():
            path = Path(*slot, resource.id)
            if resource.mandatory and resource.operations.readable and path not in mapped:
                yield Record(path, None if resource.multiple else neutral(resource, name))

    def of_report(self, point: FunctionPoint, value: Any) -> Record | None:
        """None: this point is not mapped. Raises DoesNotFit."""
        known = self._product.translator.at_point(point)
        if not isinstance(known, Property) or known not in self.points:
            return None
        (path,) = known.paths
        return Record(path, outward_value(self._definition(path), known, value))

    def of_event(self, point: FunctionPoint, occurrences: Occurrences, time: float | None = None) -> list[Record]:
        """An event as it stands now, `time` being that of the last one. Empty: this point is not mapped."""
        known = self._product.translator.at_point(point)
        if not isinstance(known, Event) or known not in self.points:
            return []
        records = []
        if (counter := known.counter_path) is not None:
            records.append(Record(counter, occurrences.count))
        if (kept := known.record_path) is not None:
            last = occurrences.last_record
            records.append(Record(kept.child(0), last) if last else Record(kept, None))
            if time is not None:
                records.append(Record(kept.parent.child(_CREATION_TIME), int(time)))
        return records

    def has_event(self, point: FunctionPoint) -> bool:
        known = self._product.translator.at_point(point)
        return isinstance(known, Event) and known in self.points

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(point for point in self.points if isinstance(point, Event))

    def to_device(self, path: Path, value: Value | None) -> tuple[Property, Any]:
        """What to set for a written value. Raises LwM2MError: it is not the device's, or not a value for it."""
        point = self._at(path)
        if not isinstance(point, Property):
            raise self._not_offered(path)
        _, writable, schema = self._access(point.point)
        if not writable:
            raise MethodNotAllowed(f"{point.name} cannot be set on this product")
        if len(path) != 3 or value is None:
            raise BadRequest(f"{point.name} takes one value")
        try:
            wanted = inward_value(schema, point, value)
        except DoesNotFit as error:
            raise BadRequest(str(error)) from None
        return point, wanted

    def to_operation(self, path: Path, arguments: str) -> tuple[Operation, Any]:
        """What to ask of the device for an Execute. Raises LwM2MError."""
        point = self._at(path)
        if not isinstance(point, Operation):
            raise NotFound(f"this product has no operation {path}")
        try:
            return point, point.input(arguments)
        except ValueError as error:
            raise BadRequest(str(error)) from None

    def _not_offered(self, path: Path) -> LwM2MError:
        if any(record.path.contains(path) for record in self.fixed()):
            return MethodNotAllowed(f"{path} is kept by the gateway")
        return NotFound(f"this product has no {path}")

    def _at(self, path: Path) -> Point | None:
        point = self._product.translator.at_path(Path(*path[:3]))
        return point if point in self.points else None

    def _definition(self, path: Path) -> ResourceDefinition:
        definition = self._definitions.resource(path)
        if definition is None:
            raise DoesNotFit(f"there is no resource {path}")
        return definition


def outward_value(definition: ResourceDefinition, point: Property, value: Any) -> Value:
    """A device's value as its resource holds it. Raises DoesNotFit."""
    try:
        converted = point.converter.to_lwm2m(value)
        if isinstance(converted, float) and converted.is_integer() and definition.type in _WHOLE:
            converted = int(converted)
        return check(definition, converted)
    except (ValueError, TypeError, OverflowError) as error:
        raise DoesNotFit(f"{point.name}: {error}") from None


def inward_value(schema: Schema, point: Property, value: Value) -> Any:
    """A resource's value as the device counts it. Raises DoesNotFit."""
    try:
        wanted = point.converter.to_device(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise DoesNotFit(f"{point.name}: {error}") from None
    if isinstance(wanted, float) and wanted.is_integer() and schema.type is JsonType.INTEGER:
        wanted = int(wanted)
    if (reason := schema.violation(wanted, point.name)) is not None:
        raise DoesNotFit(reason)
    return wanted


_WHOLE = (Type.INTEGER, Type.UNSIGNED, Type.TIME)

_NEUTRAL: dict[Type, Value] = {
    Type.INTEGER: 0,
    Type.UNSIGNED: 0,
    Type.FLOAT: 0.0,
    Type.BOOLEAN: False,
    Type.OPAQUE: b"",
    Type.TIME: 0,
    Type.OBJLNK: NO_LINK,
    Type.CORELNK: "",
}


def neutral(definition: ResourceDefinition, name: str) -> Value:
    """A value that claims as little as the definition permits: `name` for a text, zero or the lowest allowed number."""
    value = _NEUTRAL.get(definition.type, name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        allowed = parse_range(definition.range, of_length=False) if definition.range else None
        if allowed is not None and value not in allowed:
            value = type(value)(allowed.intervals[0][0])
    return value


def record_of(event: EventReport) -> bytes:
    """An event as it is kept in object 19: UTF-8 JSON with `event`, `time` (Unix seconds) and `content`."""
    content = {"event": str(event.point), "time": event.time, "content": dict(event.content)}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
