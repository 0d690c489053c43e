"""Nodes: their kinds, the reading rules, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.web.nodes import BadNode, created_records, newest_values, node_of, records_of
from lwm2m.web.values import WrongJsonType

BATTERY = Path(3, 0, 9)
UNKNOWN = Definitions()


def test_of_several_times_the_newest_value_counts_and_one_without_time_is_current() -> None:
    older, newer = Record(BATTERY, 1, 100.0), Record(BATTERY, 2, 200.0)
    assert newest_values([newer, older]) == [newer]
    assert newest_values([Record(BATTERY, 3), newer]) == [Record(BATTERY, 3)]
    assert newest_values([Record(BATTERY, 3, 5.0), Record(BATTERY, 4, 5.0)]) == [Record(BATTERY, 4, 5.0)]


def test_what_has_no_definition_is_typed_by_its_value() -> None:
    node = node_of(Path(9999, 0, 1), [Record(Path(9999, 0, 1), b"\x01")], UNKNOWN)
    assert node == {"kind": "singleResource", "id": 1, "type": "OPAQUE", "value": "01"}


def test_a_value_that_is_not_of_its_defined_type_is_shown_as_what_it_is() -> None:
    node = node_of(BATTERY, [Record(BATTERY, "full")], shipped())
    assert node == {"kind": "singleResource", "id": 9, "type": "STRING", "value": "full"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_float_beyond_json_is_text_like_any_other(value: float) -> None:
    path = Path(3303, 0, 5700)
    node = node_of(path, [Record(path, value)], shipped())
    assert node is not None
    assert node["value"] == repr(value)


def test_an_empty_object_instance_and_multiple_resource() -> None:
    assert node_of(Path(3303), [], shipped()) == {"kind": "obj", "id": 3303, "instances": []}
    assert node_of(Path(3303), [Record(Path(3303, 4), None)], shipped()) == {
        "kind": "obj",
        "id": 3303,
        "instances": [{"kind": "instance", "id": 4, "resources": []}],
    }
    empty = {"kind": "multiResource", "id": 7, "type": "INTEGER", "values": {}}
    assert node_of(Path(3, 0, 7), [Record(Path(3, 0, 7), None)], shipped()) == empty
    assert node_of(Path(3, 0, 7), [], shipped()) == empty
    assert node_of(BATTERY, [], shipped()) is None


def test_the_kind_may_be_left_out_except_for_a_resource_instance() -> None:
    single = {"id": 9, "type": "integer", "value": 5}
    assert records_of(single, BATTERY) == [Record(BATTERY, 5)]
    assert records_of({"resources": [single]}, Path(3, 0)) == [Record(BATTERY, 5)]
    assert records_of({"id": 7, "type": "INTEGER", "values": {"1": "5"}}, Path(3, 0, 7)) == [
        Record(Path(3, 0, 7, 1), 5)
    ]
    inside = {"id": 1, "type": "INTEGER", "value": "5"}
    assert records_of({"kind": "resourceInstance", **inside}, Path(3, 0, 7, 1)) == [Record(Path(3, 0, 7, 1), 5)]
    with pytest.raises(BadNode, match="singleResource does not fit"):
        records_of(inside, Path(3, 0, 7, 1))


def test_an_empty_multiple_resource_is_written_as_such() -> None:
    assert records_of({"id": 7, "type": "INTEGER", "values": {}}, Path(3, 0, 7)) == [Record(Path(3, 0, 7), None)]


def test_milliseconds_become_seconds() -> None:
    node = {"id": 13, "type": "TIME", "value": 1767225600999}
    assert records_of(node, Path(3, 0, 13)) == [Record(Path(3, 0, 13), 1767225600)]


@pytest.mark.parametrize(
    "node",
    [
        [],
        {},
        {"value": 5, "type": "INTEGER"},
        {"id": 8, "value": 5, "type": "INTEGER"},
        {"id": True, "value": 5, "type": "INTEGER"},
        {"id": 9, "value": 5},
        {"id": 9, "value": 5, "type": 7},
        {"id": 9, "value": 5, "type": "MAGIC"},
        {"id": 9, "value": None, "type": "NONE"},
        {"id": 9, "value": "9" * 5000, "type": "INTEGER"},
        {"id": 9, "value": str(2**63), "type": "INTEGER"},
        {"id": 9, "value": "-1", "type": "UNSIGNED_INTEGER"},
        {"id": 9, "value": "1e999", "type": "FLOAT"},
        {"id": 9, "value": "NaN", "type": "FLOAT"},
        {"id": 9, "value": 10**400, "type": "FLOAT"},
        {"id": 9, "value": "\ud800", "type": "STRING"},
        {"id": 9, "value": "\ud800", "type": "OPAQUE"},
        {"id": 9, "value": "0x1", "type": "OPAQUE"},
        {"id": 9, "value": "0 1 ", "type": "OPAQUE"},
        {"id": 9, "value": {"objectId": 3, "objectInstanceId": 70000}, "type": "OBJLNK"},
        {"kind": "instance", "id": 9, "resources": []},
        {"kind": "multiResource", "id": 9, "type": "INTEGER", "values": []},
        {"kind": "multiResource", "id": 9, "type": "INTEGER", "values": {"-1": 5}},
    ],
)
def test_what_is_no_node_for_the_path_is_refused(node: Any) -> None:
    with pytest.raises(BadNode):
        records_of(node, BATTERY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRING", 5),
        ("INTEGER", 5.5),
        ("INTEGER", True),
        ("FLOAT", True),
        ("BOOLEAN", "true"),
        ("TIME", "1767225600000"),
        ("OPAQUE", [1]),
        ("OBJLNK", "3:0"),
        ("OBJLNK", {"objectId": 3}),
    ],
)
def test_a_wrong_json_type_names_the_expected_one(name: str, value: Any) -> None:
    with pytest.raises(WrongJsonType, match=f"/3/0/9 of type {name}: "):
        records_of({"id": 9, "type": name, "value": value}, BATTERY)


def test_a_created_instance_may_leave_its_id_to_the_device() -> None:
    resources = [{"id": 5700, "type": "FLOAT", "value": "1"}]
    base, records = created_records({"resources": resources}, Path(3303))
    assert (base, records) == (Path(3303, 0), [Record(Path(3303, 0, 5700), 1.0)])
    base, records = created_records({"id": 6, "resources": resources}, Path(3303))
    assert (base, records) == (Path(3303), [Record(Path(3303, 6, 5700), 1.0)])
    assert created_records({"id": 6, "resources": []}, Path(3303)) == (Path(3303), [Record(Path(3303, 6), None)])
    with pytest.raises(BadNode, match="only an instance"):
        created_records(resources[0], Path(3303))
