"""Read, Write and Execute of every resource, Create and Delete of instances, for every object version that is shipped:
what its definition says is what a client does. lwm2m.md §6, §13."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from lwm2m.client.creating import KEPT
from lwm2m.client.versions import in_force
from lwm2m.coap.message import Code
from lwm2m.codec import decode, encode
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, Record, Value
from lwm2m.model.value_range import parse_range
from tests.unit.test_client_create_delete import Making
from tests.unit.test_client_dispatch import Bench

DEFINITIONS = in_force(shipped(), "1.1")
CLOSED = {0, 21}
VERSIONS = sorted(shipped().all_versions(), key=lambda definition: (definition.id, definition.version))
OPEN = [definition for definition in VERSIONS if definition.id not in CLOSED]
NUMBERS = {Type.INTEGER: int, Type.UNSIGNED: int, Type.TIME: int, Type.FLOAT: float}


def fitting(resource: ResourceDefinition) -> Value:
    """The lowest value, or a text or data of the least length, that the range allows."""
    of_length = resource.type not in NUMBERS
    bounds = parse_range(resource.range, of_length=of_length)
    least = max(bounds.intervals[0][0] if bounds else Decimal(1), Decimal(0) if of_length else Decimal(-(2**63)))
    match resource.type:
        case Type.BOOLEAN:
            return True
        case Type.OBJLNK:
            return NO_LINK
        case Type.OPAQUE:
            return b"x" * int(least)
        case Type.STRING | Type.CORELNK | Type.NONE:
            return "x" * int(least)
        case Type.FLOAT:
            return float(least)
    return math.ceil(least)


def place(definition: ObjectDefinition, resource: ResourceDefinition) -> Path:
    """Where the one value of a resource lies."""
    path = Path(definition.id, 0, resource.id)
    return path.child(0) if resource.multiple else path


def values(definition: ObjectDefinition, resources: Iterable[ResourceDefinition]) -> list[Record]:
    return [Record(place(definition, resource), fitting(resource)) for resource in resources]


class Case(NamedTuple):
    """A resource that a server may touch, and a client that has an instance of its object with every resource."""

    bench: Bench
    definitions: Definitions
    object_definition: ObjectDefinition
    resource: ResourceDefinition

    @property
    def path(self) -> Path:
        return Path(self.object_definition.id, 0, self.resource.id)

    @property
    def place(self) -> str:
        return str(place(self.object_definition, self.resource))

    def __str__(self) -> str:
        return f"{self.path} of version {self.object_definition.version}, {self.resource.operations}"

    def payload(self, content_format: ContentFormat, base: Path) -> dict[str, object]:
        content = encode(values(self.object_definition, [self.resource]), content_format, base, self.definitions)
        return {"payload": content, "content_format": content_format}


def bench_of(definition: ObjectDefinition) -> tuple[Bench, Definitions]:
    chosen = DEFINITIONS.choose({definition.id: definition.version})
    bench = Bench(chosen)
    bench.model.update(values(definition, definition.resources.values()))
    return bench, chosen


def cases(objects: Iterable[ObjectDefinition]) -> Iterator[Case]:
    for definition in objects:
        bench, chosen = bench_of(definition)
        for resource in definition.resources.values():
            yield Case(bench, chosen, definition, resource)


def test_the_values_that_are_written_here_fit() -> None:
    checked = [resource for definition in VERSIONS for resource in definition.resources.values()]
    assert len(checked) > 3000
    assert {resource.operations for resource in checked} == set(Operations)
    for resource in checked:
        if resource.type is not Type.NONE:
            assert check(resource, fitting(resource)) == fitting(resource)


async def test_a_resource_is_read_when_it_is_readable() -> None:
    for case in cases(OPEN):
        code, path = case.bench.code, str(case.path)
        expected = "2.05" if case.resource.operations.readable else "4.05"
        assert await code(Code.GET, path) == expected, str(case)
        assert await code(Code.GET, path, observe=0) == expected, str(case)
        assert await code(Code.GET, case.place) == expected, str(case)
        assert await code(Code.GET, path, accept=ContentFormat.LINK) == "2.05", str(case)
        if not case.resource.multiple:
            assert await code(Code.GET, f"{path}/0") == "4.05", str(case)


async def test_an_instance_shows_what_is_readable() -> None:
    for definition in OPEN:
        bench, chosen = bench_of(definition)
        path = Path(definition.id, 0)
        readable = values(definition, (found for found in definition.resources.values() if found.operations.readable))
        if readable:
            answer = await bench.ask(Code.GET, str(path), accept=ContentFormat.SENML_CBOR)
            assert sorted(decode(answer.payload, ContentFormat.SENML_CBOR, path, chosen)) == sorted(readable)
        else:
            assert await bench.code(Code.GET, str(path)) == "4.01", definition


async def test_a_resource_is_written_when_it_is_writable() -> None:
    for case in cases(OPEN):
        code, instance = case.bench.code, case.path.parent
        expected = "2.04" if case.resource.operations.writable else "4.05"
        tlv = case.payload(ContentFormat.TLV, case.path)
        senml = case.payload(ContentFormat.SENML_JSON, instance)
        assert await code(Code.PUT, str(case.path), **tlv) == expected, str(case)
        assert await code(Code.PUT, case.place, **senml) == expected, str(case)
        assert await code(Code.POST, str(instance), **senml) == expected, str(case)
        written = values(case.object_definition, [case.resource]) * 3 if case.resource.operations.writable else []
        assert case.bench.actuator.written == written, str(case)
        case.bench.actuator.written.clear()


async def test_a_resource_is_executed_when_it_is_executable() -> None:
    for case in cases(OPEN):
        code, path = case.bench.code, str(case.path)
        if case.resource.multiple and case.resource.operations.writable:
            assert await code(Code.POST, path) == "4.15", f"{case}: a POST is a Write of instances, and says nothing"
            continue
        expected = "2.04" if case.resource.operations.executable else "4.05"
        assert await code(Code.POST, path) == expected, str(case)
        assert await code(Code.POST, path, payload=b"0='a'") == expected, str(case)
        executed = [(case.path, ""), (case.path, "0='a'")] if case.resource.operations.executable else []
        assert case.bench.actuator.executed == executed, str(case)
        case.bench.actuator.executed.clear()


def contents(definition: ObjectDefinition, resources: Iterable[ResourceDefinition]) -> list[Record]:
    """Of instance 0 with these resources, or none."""
    return values(definition, resources) or [Record(Path(definition.id, 0), None)]


def body_of(instance: list[Record], definitions: Definitions) -> dict[str, object]:
    """The body of a Create. TLV has a word for an instance without resources."""
    payload = encode(instance, ContentFormat.TLV, Path(instance[0].path[0]), definitions)
    return {"payload": payload, "content_format": ContentFormat.TLV}


def making(chosen: Definitions, records: Iterable[Record]) -> Bench:
    """A client of which servers may make and take away instances, unless an object says no."""
    bench = Bench(chosen)
    bench.model.update(records)
    bench.actuator = Making(bench.model)
    bench.management = bench.make(chosen, 8, bench.actuator)
    return bench


async def test_an_instance_is_created_with_its_mandatory_resources_unless_it_is_the_only_one() -> None:
    for definition in (found for found in OPEN if found.id not in KEPT):
        chosen = DEFINITIONS.choose({definition.id: definition.version})
        writable = [resource for resource in definition.resources.values() if resource.operations.writable]
        mandatory = [resource for resource in writable if resource.mandatory]
        bench = making(chosen, [Record(Path(definition.id), None)])
        path = f"/{definition.id}"
        for left_out in mandatory:
            lacking = body_of(contents(definition, (found for found in writable if found is not left_out)), chosen)
            assert await bench.code(Code.POST, path, **lacking) == "4.00", f"{definition.name}, {left_out.name}"
        whole = contents(definition, writable)
        assert await bench.code(Code.POST, path, **body_of(whole, chosen)) == "2.01", definition
        assert sorted(bench.model.read(Path(definition.id, 0))) == sorted(whole), definition
        again = "4.00" if definition.multiple else "4.05"
        assert await bench.code(Code.POST, path, **body_of(whole, chosen)) == again, definition


async def test_an_instance_is_deleted_unless_its_object_is_mandatory() -> None:
    for definition in OPEN:
        chosen = DEFINITIONS.choose({definition.id: definition.version})
        bench = making(chosen, values(definition, definition.resources.values()))
        stays = definition.id in KEPT or definition.mandatory
        assert await bench.code(Code.DELETE, f"/{definition.id}/0") == ("4.05" if stays else "2.02"), definition
        assert bench.model.has(Path(definition.id, 0)) is stays
        assert await bench.code(Code.DELETE, f"/{definition.id}") == "4.05", definition


async def test_what_is_the_bootstrap_servers_is_closed() -> None:
    for case in cases(definition for definition in VERSIONS if definition.id in CLOSED):
        tlv = case.payload(ContentFormat.TLV, case.path)
        for method in (Code.GET, Code.PUT, Code.POST):
            assert await case.bench.code(method, str(case.path), **tlv) == "4.01", str(case)
        for method in (Code.GET, Code.PUT, Code.POST, Code.DELETE):
            assert await case.bench.code(method, f"/{case.object_definition.id}/0") == "4.01", str(case)
            assert await case.bench.code(method, f"/{case.object_definition.id}") == "4.01", str(case)
        assert case.bench.actuator.written == []
