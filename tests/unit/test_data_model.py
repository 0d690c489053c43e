"""The data model: values by path, and which paths an update changes."""

from __future__ import annotations

import pytest

from lwm2m.client import DataModel
from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.model.record import Record

TEMPERATURE = Path(3303, 0, 5700)
ERRORS = Path(3, 0, 11)


def test_a_value_makes_its_resource_instance_and_object() -> None:
    model = DataModel()
    assert model.update([Record(TEMPERATURE, 21.5)]) == {Path(3303), Path(3303, 0), TEMPERATURE}
    assert model.value(TEMPERATURE) == 21.5
    assert model.has(Path(3303, 0))
    assert model.instances(3303) == (0,)


def test_an_equal_value_is_no_change_but_another_type_is() -> None:
    model = DataModel([Record(TEMPERATURE, 1.0, time=5.0)])
    assert model.update([Record(TEMPERATURE, 1.0, time=9.0)]) == frozenset()
    assert model.read(TEMPERATURE) == [Record(TEMPERATURE, 1.0, 9.0)]
    assert model.update([Record(TEMPERATURE, 1)]) == {TEMPERATURE}


def test_reading_gives_everything_beneath_in_order() -> None:
    model = DataModel(
        [
            Record(Path(3303, 2, 5700), 3.0),
            Record(ERRORS.child(1), 7),
            Record(ERRORS.child(0), 5),
            Record(Path(3, 0, 4), None),
            Record(Path(3303, 0), None),
            Record(Path(5), None),
        ]
    )
    assert model.read(Path()) == [
        Record(Path(3, 0, 4), None),
        Record(ERRORS.child(0), 5),
        Record(ERRORS.child(1), 7),
        Record(Path(5), None),
        Record(Path(3303, 0), None),
        Record(Path(3303, 2, 5700), 3.0),
    ]
    assert model.read(ERRORS) == [Record(ERRORS.child(0), 5), Record(ERRORS.child(1), 7)]
    assert model.read(Path(3303, 1)) == []
    assert model.read(Path(99)) == []


def test_what_has_no_value_raises_key_error() -> None:
    model = DataModel([Record(Path(3, 0, 4), None), Record(ERRORS.child(0), 5)])
    for path in (Path(3, 0, 4), ERRORS, ERRORS.child(9), Path(3, 0), Path(3, 0, 99)):
        with pytest.raises(KeyError):
            model.value(path)


def test_removing_tells_every_path_that_vanished() -> None:
    model = DataModel([Record(ERRORS.child(0), 5), Record(Path(3, 0, 0), "Acme")])
    assert model.remove(Path(3, 0)) == {Path(3, 0), Path(3, 0, 0), ERRORS, ERRORS.child(0)}
    assert not model.has(Path(3, 0))
    assert model.has(Path(3))
    assert model.remove(Path(3)) == {Path(3)}
    assert not model.has(Path(3))
    assert model.remove(Path(3)) == frozenset()


def test_the_last_resource_instance_leaves_an_empty_resource() -> None:
    model = DataModel([Record(ERRORS.child(0), 5)])
    assert model.remove(ERRORS.child(0)) == {ERRORS.child(0)}
    assert model.read(ERRORS) == [Record(ERRORS, None)]
    assert model.resource_instances(ERRORS) is None


def test_a_resource_turns_from_multiple_to_single_and_back() -> None:
    model = DataModel([Record(ERRORS.child(0), 5), Record(ERRORS.child(1), 6)])
    assert model.update([Record(ERRORS, 1)]) == {ERRORS, ERRORS.child(0), ERRORS.child(1)}
    assert model.update([Record(ERRORS.child(3), 1)]) == {ERRORS, ERRORS.child(3)}
    assert model.read(ERRORS) == [Record(ERRORS.child(3), 1)]


@pytest.mark.parametrize(
    "record", [Record(Path(), 1), Record(Path(3), 1), Record(Path(3, 0), 1), Record(ERRORS.child(0), None)]
)
def test_a_value_where_none_can_be_is_refused(record: Record) -> None:
    with pytest.raises(ValueError, match="value"):
        DataModel([record])


def test_the_object_list_leaves_out_security_and_names_versions() -> None:
    model = DataModel(
        [
            Record(Path(0, 0, 0), "coap://x"),
            Record(Path(1, 0, 0), 1),
            Record(Path(5), None),
            Record(Path(21, 0), None),
            Record(Path(3303, 1), None),
            Record(Path(3303, 0), None),
        ]
    )
    assert model.links({3303: "1.1"}) == (
        Link("/1/0"),
        Link("/5"),
        Link("/3303", {"ver": "1.1"}),
        Link("/3303/0"),
        Link("/3303/1"),
    )


def test_a_live_value_is_read_fresh_and_goes_with_its_path() -> None:
    time = 100
    model = DataModel()
    model.live(Path(3, 0, 13), lambda: time)
    assert model.value(Path(3, 0, 13)) == 100
    time = 101
    assert model.read(Path(3)) == [Record(Path(3, 0, 13), 101)]
    model.remove(Path(3, 0))
    model.update([Record(Path(3, 0, 13), 5)])
    assert model.value(Path(3, 0, 13)) == 5


def test_a_copy_has_everything_and_goes_its_own_way() -> None:
    model = DataModel([Record(Path(9), None), Record(Path(3, 0, 0), "Acme"), Record(Path(3, 0, 11, 0), 0)])
    copy = model.copy()
    assert (copy.objects(), copy.read(Path())) == (model.objects(), model.read(Path()))
    copy.update([Record(Path(3, 0, 11, 1), 5)])
    copy.remove(Path(9))
    assert model.objects() == (3, 9)
    assert model.resource_instances(Path(3, 0, 11)) == (0,)
