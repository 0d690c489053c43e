"""What every data model translator keeps, whoever wrote it. `osap-bridge check` runs these over all installed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from lwm2m import Definitions, Path, ResourceDefinition, Type, Value, check, parse_range
from osap_bridge.entity_model import APPLICATION_TYPE, SENSOR_UNITS, DoesNotFit, inward_value, outward_value
from osap_bridge.installed import Product
from osap_bridge.osap.profile import Profile
from osap_bridge.osap.profile import Property as ProfileProperty
from osap_bridge.osap.schema import Schema
from osap_bridge.osap.schema import Type as JsonType
from osap_bridge.translator import Event, Operation, Point, Property

ENGINE_OBJECTS = frozenset({0, 1, 2, 21})
"""Objects that belong to the LwM2M client itself."""

_DATA_CONTAINER = (19, 0)
_ALL_UP_TO = 4096
_SPREAD = 512


def violations(product: Product, definitions: Definitions) -> list[str]:
    """One sentence for each law broken."""
    return [
        *(sentence for point in product.translator.points for sentence in _of_point(point, product, definitions)),
        *(
            sentence
            for constant in product.translator.constants
            for sentence in _of_constant(constant.path, constant.value, definitions)
        ),
    ]


def remarks(product: Product) -> list[str]:
    """What an author may want to know although no law is broken."""
    if product.profile is None:
        return ["without a profile the laws were tried over what the object definitions allow"]
    mapped = {point.point for point in product.translator.points}
    left_out = [name for name in _points_of(product.profile) if name not in {str(point) for point in mapped}]
    return [f"the profile's {', '.join(left_out)} appear nowhere"] if left_out else []


def _points_of(profile: Profile) -> Iterator[str]:
    for domain in (domain for resource in profile.resources for domain in resource.domains):
        identifiers = [
            *(each.identifier for each in domain.properties),
            *(each.identifier for each in domain.actions),
            *(each.identifier for each in domain.events),
        ]
        yield from (f"{domain.identifier}/{identifier}" for identifier in identifiers)


def _of_point(point: Point, product: Product, definitions: Definitions) -> Iterator[str]:
    for path in point.paths:
        definition = definitions.resource(path)
        if definition is None:
            yield f"{point.name}: there is no resource {path}"
            continue
        yield from _of_path(point.name, path, definitions)
        match point:
            case Property():
                yield from _of_property(point, path, definition, product.profile)
            case Operation():
                yield from _of_operation(point, path, definition, product.profile)
            case Event():
                yield from _of_event(point, path, definition, product.profile)
    yield from _of_derived(point, definitions)


def _of_path(name: str, path: Path, definitions: Definitions) -> Iterator[str]:
    definition = definitions.object(path[0])
    if path[0] in ENGINE_OBJECTS:
        yield f"{name}: object {path[0]} belongs to the LwM2M client"
    if definition and not definition.multiple and path[1] != 0:
        yield f"{name}: object {path[0]} has instance 0 only, not {path[1]}"


def _of_derived(point: Point, definitions: Definitions) -> Iterator[str]:
    wanted = [(APPLICATION_TYPE, point.application)]
    if isinstance(point, Property):
        wanted.append((SENSOR_UNITS, point.unit))
    for resource, text in wanted:
        if text and all(definitions.resource(path.parent.child(resource)) is None for path in point.paths):
            yield f"{point.name}: {text!r} has no place, for object {point.paths[0][0]} has no resource {resource}"


def _of_operation(
    point: Operation, path: Path, definition: ResourceDefinition, profile: Profile | None
) -> Iterator[str]:
    if not definition.operations.executable:
        yield f"{point.name}: {path} is not executable"
    if profile is not None and not any(
        action and not action.from_device for action in (profile.action(kind, *point.point) for kind in _kinds(profile))
    ):
        yield f"{point.name} is no operation of the profile"


def _of_event(point: Event, path: Path, definition: ResourceDefinition, profile: Profile | None) -> Iterator[str]:
    if path == point.counter_path and definition.type not in (Type.INTEGER, Type.UNSIGNED):
        yield f"{point.name}: {path} cannot count, for it is of type {definition.type.value}"
    if path == point.record_path and (path[0], path[2]) != _DATA_CONTAINER:
        yield f"{point.name}: a record is kept in resource 0 of object 19, not in {path}"
    if not definition.operations.readable:
        yield f"{point.name}: {path} is not readable"
    if profile is not None and not any(profile.event(kind, *point.point) for kind in _kinds(profile)):
        yield f"{point.name} is no event of the profile"


def _of_property(point: Property, path: Path, definition: ResourceDefinition, profile: Profile | None) -> Iterator[str]:
    if definition.operations.executable or definition.multiple:
        yield f"{point.name}: {path} does not hold one value"
        return
    if profile is None:
        yield from _reversed(point, path, definition)
        return
    known = [each for kind in _kinds(profile) if (each := profile.property(kind, *point.point))]
    if not known:
        yield f"{point.name} is no property of the profile"
    for each in known:
        yield from _of_values(point, path, definition, each)


def _of_values(point: Property, path: Path, definition: ResourceDefinition, known: ProfileProperty) -> Iterator[str]:
    operations = definition.operations
    if not ((known.readable and operations.readable) or (known.writable and operations.writable)):
        yield f"{point.name}: {path} can neither show it nor set it"
    for value in samples(known.schema):
        try:
            seen = outward_value(definition, point, value)
            back = inward_value(known.schema, point, seen) if known.writable and operations.writable else value
        except DoesNotFit as error:
            yield f"{error} (tried {value!r})"
            return
        if back != value or isinstance(back, bool) is not isinstance(value, bool):
            yield f"{point.name}: {value!r} appears as {seen!r} and is set as {back!r}"
            return


def _reversed(point: Property, path: Path, definition: ResourceDefinition) -> Iterator[str]:
    """Without a profile: what the definition allows must come back as it went."""
    for value in _allowed(definition) if definition.operations.writable else ():
        try:
            seen = outward_value(definition, point, inward_value(Schema(), point, value))
        except DoesNotFit as error:
            yield f"{error} (tried {value!r} of {path})"
            return
        if seen != value:
            yield f"{point.name}: {value!r} written to {path} is read as {seen!r}"
            return


def _of_constant(path: Path, value: Value, definitions: Definitions) -> Iterator[str]:
    definition = definitions.resource(path)
    if definition is None:
        yield f"the constant {path}: there is no such resource"
        return
    yield from _of_path(f"the constant {path}", path, definitions)
    try:
        check(definition, value)
    except ValueError as error:
        yield f"the constant {path}: {error}"


def _kinds(profile: Profile) -> tuple[str, ...]:
    return tuple(dict.fromkeys(resource.category for resource in profile.resources))


def samples(schema: Schema) -> Iterable[Any]:
    """Values that a schema allows: all where they are few, else both ends and a spread between."""
    if schema.enum is not None:
        return schema.enum
    return [value for value in _candidates(schema) if schema.allows(value)]


def _candidates(schema: Schema) -> Iterable[Any]:
    match schema.type:
        case JsonType.BOOLEAN:
            return (False, True)
        case JsonType.INTEGER:
            return _numbers(schema, Decimal(1))
        case JsonType.NUMBER:
            return _numbers(schema, Decimal("0.1"))
        case JsonType.STRING:
            return _texts(schema.min_length, schema.max_length)
    return ()


def _numbers(schema: Schema, step: Decimal) -> Iterator[int | float]:
    whole = schema.type is JsonType.INTEGER
    step = Decimal(str(schema.multiple_of)) if schema.multiple_of else step
    low = _first(schema.minimum, schema.exclusive_minimum, default=-(2**31))
    high = _first(schema.maximum, schema.exclusive_maximum, default=2**31 - 1)
    count = int((high - low) / step)
    stride = 1 if count <= _ALL_UP_TO else max(1, count // _SPREAD)
    for number in (*range(0, count + 1, stride), 1, count - 1, count):
        value = low + number * step
        yield int(value) if whole and value == value.to_integral_value() else float(value)


def _first(*bounds: float | None, default: int) -> Decimal:
    return next((Decimal(str(bound)) for bound in bounds if bound is not None), Decimal(default))


def _texts(least: int | None, most: int | None) -> Iterator[str]:
    longest = 64 if most is None else min(most, 1024)
    yield from ("".join("aZ0 é"[i % 5] for i in range(length)) for length in {least or 0, min(1, longest), longest})


def _allowed(definition: ResourceDefinition) -> Iterator[Value]:
    """A spread over what a resource may hold, for products without a profile."""
    if definition.type is Type.BOOLEAN:
        yield from (False, True)
    elif definition.type is Type.STRING:
        yield from _texts(None, 16)
    elif definition.type in (Type.INTEGER, Type.UNSIGNED, Type.TIME, Type.FLOAT):
        allowed = parse_range(definition.range, of_length=False) if definition.range else None
        low, high = allowed.intervals[0] if allowed else (Decimal(0), Decimal("1000.5"))
        for percent in range(101):
            value = low + (high - low) * percent / 100
            yield float(value) if definition.type is Type.FLOAT else int(value)
