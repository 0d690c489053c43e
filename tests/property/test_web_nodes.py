"""Whatever a device holds survives the way into JSON and back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.web.nodes import BadNode, node_of, records_of
from lwm2m.web.values import PYTHON_TYPES, WrongJsonType

VALUES: dict[Type, st.SearchStrategy[Value]] = {
    Type.STRING: st.text(st.characters(exclude_categories=["Cs"])),
    Type.CORELNK: st.just("</3/0>"),
    Type.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Type.UNSIGNED: st.integers(0, 2**64 - 1),
    Type.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Type.BOOLEAN: st.booleans(),
    Type.OPAQUE: st.binary(max_size=64),
    Type.TIME: st.integers(-(2**40), 2**40),
    Type.OBJLNK: st.builds(ObjectLink, st.integers(0, 65535), st.integers(0, 65535)),
}
TYPES = list(VALUES)


def resource(number: int, multiple: bool) -> ResourceDefinition:
    return ResourceDefinition(number, f"resource {number}", TYPES[number % 100], Operations.RW, multiple)


SINGLE = {number: resource(number, False) for number in range(len(TYPES))}
MULTIPLE = {100 + number: resource(100 + number, True) for number in range(len(TYPES))}
DEFINITIONS = Definitions([ObjectDefinition(26241, "all types", resources=SINGLE | MULTIPLE)])
INSTANCES = st.integers(0, 65534)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    found: dict[Path, Value] = {}
    for instance in draw(st.sets(INSTANCES, max_size=3)):
        for number in draw(st.sets(st.sampled_from([*SINGLE, *MULTIPLE]), min_size=1, max_size=6)):
            values = VALUES[TYPES[number % 100]]
            path = Path(26241, instance, number)
            if number in SINGLE:
                found[path] = draw(values)
            else:
                for index in draw(st.sets(INSTANCES, min_size=1, max_size=3)):
                    found[path.child(index)] = draw(values)
    return [Record(path, found[path]) for path in sorted(found)]


@given(records())
def test_an_object_comes_back_as_it_was(held: list[Record]) -> None:
    node = json.loads(json.dumps(node_of(Path(26241), held, DEFINITIONS)))
    assert sorted(records_of(node, Path(26241))) == held


@given(records(), st.integers(2, 4))
def test_every_part_of_it_comes_back_too(held: list[Record], depth: int) -> None:
    for path in {Path(*record.path[:depth]) for record in held}:
        part = [record for record in held if path.contains(record.path)]
        node = json.loads(json.dumps(node_of(path, part, DEFINITIONS)))
        assert sorted(records_of(node, path)) == part


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "id", "type", "value", "values", "resources", "instances", "0"]), inner, max_size=5
        )
    ),
    max_leaves=15,
)


@given(JSON, st.sampled_from([Path(3), Path(3, 0), Path(3, 0, 9), Path(3, 0, 7, 1)]))
def test_any_json_is_records_or_a_told_error(found: object, path: Path) -> None:
    try:
        read = records_of(found, path)
    except (BadNode, WrongJsonType):
        return
    assert all(path.contains(record.path) for record in read)


@given(st.sampled_from(["STRING", "INTEGER", "FLOAT", "BOOLEAN", "OPAQUE", "TIME", "OBJLNK"]), JSON)
def test_a_value_is_of_its_type_or_refused(name: str, found: object) -> None:
    try:
        (record,) = records_of({"id": 9, "type": name, "value": found}, Path(3, 0, 9))
    except (BadNode, WrongJsonType):
        return
    expected = Type.OBJLNK if name == "OBJLNK" else Type[name]
    assert isinstance(record.value, PYTHON_TYPES[expected])
