"""Notification attributes: grammar, rules, precedence, change conditions. lwm2m.md §7.2, §7.3."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lwm2m.attributes import Attributes, Reason, ThresholdMode, effective, is_due, written
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Value

HERE = Path(3303, 0, 5700)


def due(
    attributes: Attributes, last: Value | None, new: Value | None, mode: ThresholdMode = ThresholdMode.BOTH
) -> Reason | None:
    return is_due(attributes, {HERE: last}, {HERE: new}, mode)


def test_named_attributes_change_and_the_others_stay() -> None:
    first = written(Attributes(), {"pmin": "10", "gt": "-1.5"}, numeric=True)
    assert first == Attributes(pmin=10, gt=-1.5)
    assert written(first, {"pmin": None, "pmax": "60"}, numeric=True) == Attributes(pmax=60, gt=-1.5)
    assert written(first, {"gt": ""}, numeric=True) == Attributes(pmin=10)


@pytest.mark.parametrize(
    "changes",
    [
        {"foo": "1"},
        {"foo": None},
        {"dim": "1"},
        {"edge": "1"},
        {"pmin": "-1"},
        {"pmin": "1.5"},
        {"pmin": "١"},
        {"pmax": "x"},
        {"pmax": "99999999999"},
        {"gt": "1e3"},
        {"gt": "nan"},
        {"st": "-1"},
        {"gt": "5", "lt": "5"},
        {"gt": "5", "lt": "6"},
        {"gt": "10", "lt": "0", "st": "5"},
        {"epmin": "5", "epmax": "5"},
    ],
)
def test_what_breaks_a_rule_is_refused(changes: Mapping[str, str | None]) -> None:
    with pytest.raises(BadRequest):
        written(Attributes(), changes, numeric=True)


def test_rules_hold_for_what_would_come_out() -> None:
    current = Attributes(lt=3)
    with pytest.raises(BadRequest):
        written(current, {"gt": "2"}, numeric=True)
    assert written(current, {"gt": "2", "lt": None}, numeric=True) == Attributes(gt=2)


def test_thresholds_need_a_number_and_may_always_be_removed() -> None:
    with pytest.raises(BadRequest):
        written(Attributes(), {"st": "1"}, numeric=False)
    assert written(Attributes(), {"st": None, "pmin": "1"}, numeric=False) == Attributes(pmin=1)


def test_a_pmax_that_makes_no_sense_is_kept_and_ignored() -> None:
    assert written(Attributes(), {"pmin": "10", "pmax": "5"}, numeric=False).most is None
    assert written(Attributes(), {"pmax": "0"}, numeric=False).most is None
    assert Attributes(pmin=10, pmax=10).is_periodic
    assert not Attributes(pmin=0, pmax=0).is_periodic


def test_links_show_numbers_as_people_write_them() -> None:
    attributes = written(Attributes(), {"gt": "+6.50", "lt": "-0.000001", "st": "2", "pmin": "010"}, numeric=True)
    assert attributes.texts() == {"pmin": "10", "gt": "6.5", "lt": "-0.000001", "st": "2"}
    assert Attributes(lt=42.2, st=0.1, gt=1e-15).texts() == {"gt": "0.000000000000001", "lt": "42.2", "st": "0.1"}


def test_the_nearest_attribute_wins_each_by_itself() -> None:
    chain = [Attributes(gt=5), Attributes(pmin=1, gt=6), Attributes(pmin=2, pmax=3)]
    assert effective(chain, Attributes(pmin=9, pmax=9)) == Attributes(pmin=1, pmax=3, gt=5)
    assert effective([], Attributes(pmin=9)) == Attributes(pmin=9)


@pytest.mark.parametrize(
    ("attributes", "last", "new", "reason"),
    [
        (Attributes(gt=45, st=10), 40, 50, Reason.GREATER_THAN),
        (Attributes(gt=45, st=10), 45, 50, Reason.GREATER_THAN),
        (Attributes(gt=45, st=10), 38, 44, None),
        (Attributes(gt=45, st=10), 30, 41, Reason.STEP),
        (Attributes(gt=45), 50, 44, Reason.GREATER_THAN),
        (Attributes(gt=45), 50, 45, None),
        (Attributes(lt=20), 24, 17, Reason.LESS_THAN),
        (Attributes(lt=20), 17, 24, Reason.LESS_THAN),
        (Attributes(lt=20, gt=85, st=10), 75, 90, Reason.GREATER_THAN),
        (Attributes(lt=20, gt=85, st=10), 50, 10, Reason.LESS_THAN),
        (Attributes(lt=20, gt=85, st=10), 87, 99, Reason.STEP),
        (Attributes(st=2.5), 1, 3.5, Reason.STEP),
        (Attributes(st=0), 1, 1, None),
        (Attributes(), 1, 2, Reason.CHANGE),
        (Attributes(), 1, 1, None),
        (Attributes(gt=1), "a", "b", Reason.CHANGE),
        (Attributes(gt=1), False, True, Reason.CHANGE),
    ],
)
def test_conditions_compare_the_last_reported_value_with_the_new_one(
    attributes: Attributes, last: Value, new: Value, reason: Reason | None
) -> None:
    assert due(attributes, last, new) is reason


@pytest.mark.parametrize(
    ("attributes", "last", "new", "is_sent"),
    [
        (Attributes(gt=45, st=10), 45, 50, True),
        (Attributes(gt=45, st=10), 38, 49, True),
        (Attributes(gt=45, st=10), 48, 42, False),
        (Attributes(lt=20, gt=85, st=10), 75, 90, True),
        (Attributes(lt=20, gt=85, st=10), 50, 10, True),
        (Attributes(lt=20, gt=85, st=10), 87, 99, True),
        (Attributes(lt=20, gt=85, st=10), 17, 24, False),
    ],
)
def test_one_way_thresholds_fit_the_samples_of_the_specification(
    attributes: Attributes, last: int, new: int, is_sent: bool
) -> None:
    assert (due(attributes, last, new, ThresholdMode.ONE_WAY) is not None) is is_sent


def test_instances_of_a_multiple_resource_are_tested_one_by_one() -> None:
    first, second = Path(3, 0, 7, 0), Path(3, 0, 7, 1)
    attributes = Attributes(gt=100)
    assert is_due(attributes, {first: 90, second: 50}, {first: 95, second: 60}) is None
    assert is_due(attributes, {first: 90, second: 50}, {first: 95, second: 101}) is Reason.GREATER_THAN
    assert is_due(attributes, {first: 90}, {first: 90, second: 1}) is Reason.CHANGE
    assert is_due(attributes, {first: 90, second: 1}, {first: 90}) is Reason.CHANGE
