"""A translator is a table; what is wrong with a table is said when it is made."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.model.path import Path
from osap_bridge import (
    Constant,
    DataModelTranslator,
    Event,
    FunctionPoint,
    Operation,
    Property,
    argument_choices,
    choices,
    divided,
    inverted,
    no_input,
)

SWITCH = Property("LightControl/Switch", "/3311/0/5850")
BUTTON = Event("LightControl/ButtonPressed", counter="/3347/0/5501", record="/19/0/0")


def test_points_are_found_by_name_and_by_path():
    lamp = DataModelTranslator("Lamp", (SWITCH, BUTTON))
    assert lamp.at_point(FunctionPoint("LightControl", "Switch")) is SWITCH
    assert lamp.at_path(Path(3311, 0, 5850)) is SWITCH
    assert lamp.at_path(Path(19, 0, 0)) is BUTTON
    assert lamp.at_path(Path(3311, 0, 5851)) is None
    assert lamp.at_point(FunctionPoint("LightControl", "Colour")) is None


@pytest.mark.parametrize(
    ("points", "constants"),
    [
        ((SWITCH, Property("LightControl/Switch", "/3311/1/5850")), ()),
        ((SWITCH, Property("LightControl/Other", "/3311/0/5850")), ()),
        ((BUTTON, Property("LightControl/Other", "/19/0/0")), ()),
        ((SWITCH,), (Constant("/3311/0/5850", True),)),
    ],
)
def test_a_point_or_path_named_twice_is_refused(points, constants):
    with pytest.raises(ValueError, match="twice"):
        DataModelTranslator("Lamp", points, constants=constants)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Property("Switch", "/3311/0/5850"),
        lambda: Property("LightControl/Switch", "/3311/0"),
        lambda: Operation("PowerMeter/Reset", "/3305/0/x"),
        lambda: Event("LightControl/ButtonPressed"),
        lambda: Constant("/3311", 1),
        lambda: DataModelTranslator("", ()),
        lambda: divided(0),
        lambda: choices({0: "on", 1: "on"}),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**9), 10**9), st.sampled_from([1, 2, 3, 10, 100, 1000]))
def test_division_is_undone_exactly(counted, by):
    assert divided(by).to_device(divided(by).to_lwm2m(counted)) == counted


def test_tenths_are_the_numbers_people_write():
    assert divided(10).to_lwm2m(3) == 0.3
    assert divided(10).to_lwm2m(215) == 21.5


def test_choices_keep_one_and_true_apart():
    state = choices({0: "idle", 1: "on"})
    assert state.to_lwm2m(1) == "on"
    assert state.to_device("idle") == 0
    for wrong in (True, 2, "on", None, [1]):
        with pytest.raises(ValueError, match="none of the choices"):
            state.to_lwm2m(wrong)


def test_inverted_is_its_own_inverse():
    assert inverted.to_lwm2m(True) is False
    assert inverted.to_device(False) is True


def test_a_number_is_wanted_where_something_is_divided():
    for wrong in (True, "21", None):
        with pytest.raises(TypeError):
            divided(10).to_lwm2m(wrong)


def test_arguments_of_an_execute_choose_the_input():
    assert no_input("") == {}
    with pytest.raises(ValueError, match="no arguments"):
        no_input("5")
    lock = argument_choices({"0": {"Action": "unlock"}, "1": {"Action": "lock"}})
    assert lock("1") == {"Action": "lock"}
    with pytest.raises(ValueError, match="one of 0, 1"):
        lock("7")
