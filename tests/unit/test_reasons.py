"""Why a client notified, as far as a server can tell. lwm2m.md §7.7."""

from __future__ import annotations

import pytest

from lwm2m.attributes import Reason
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.server.reasons import Reasons

TEMPERATURE = Path(3303, 0, 5700)


def inferred(
    attributes: dict[str, str | None],
    first: Value,
    second: Value,
    elapsed: float = 30.0,
    at: Path = TEMPERATURE,
    observed: Path | tuple[Path, ...] = TEMPERATURE,
) -> Reason:
    """Of the second of two reports."""
    reasons = Reasons()
    reasons.wrote("a", at, attributes)
    reasons.initial("a", observed, [Record(TEMPERATURE, first)], 100.0)
    return reasons.infer("a", observed, [Record(TEMPERATURE, second)], 100.0 + elapsed)


@pytest.mark.parametrize(
    ("attributes", "first", "second", "elapsed", "reason"),
    [
        ({}, 20.0, 21.0, 30.0, Reason.CHANGE),
        ({}, 20.0, 20.0, 300.0, Reason.PMAX),
        ({"pmax": "60"}, 20.0, 20.0, 60.0, Reason.PMAX),
        ({"pmax": "60"}, 20.0, 21.0, 20.0, Reason.CHANGE),
        ({"gt": "25"}, 20.0, 26.0, 30.0, Reason.GREATER_THAN),
        ({"lt": "10"}, 20.0, 9.0, 30.0, Reason.LESS_THAN),
        ({"st": "5"}, 20.0, 25.0, 30.0, Reason.STEP),
        ({"st": "5", "pmax": "60"}, 20.0, 21.0, 60.2, Reason.PMAX),
        ({"st": "5"}, 20.0, 21.0, 30.0, Reason.CHANGE),
        ({"pmin": "10"}, 20.0, 21.0, 10.1, Reason.PMIN_DEFERRED),
        ({"pmin": "10"}, 20.0, 21.0, 25.0, Reason.CHANGE),
    ],
)
def test_the_reason_follows_from_attributes_values_and_time(
    attributes: dict[str, str | None], first: float, second: float, elapsed: float, reason: Reason
) -> None:
    assert inferred(attributes, first, second, elapsed) is reason


def test_attributes_are_inherited_and_hold_for_each_path_of_a_composite_observation() -> None:
    assert inferred({"pmin": "10"}, 1.0, 2.0, 10.0, at=Path(3303)) is Reason.PMIN_DEFERRED
    assert inferred({"gt": "5"}, 1.0, 9.0, observed=(Path(3, 0, 9), TEMPERATURE)) is Reason.GREATER_THAN


def test_the_first_report_is_initial_also_after_the_observation_or_the_client_ended() -> None:
    reasons = Reasons()
    records = [Record(TEMPERATURE, 20.0)]
    assert reasons.infer("a", TEMPERATURE, records, 0.0) is Reason.INITIAL
    assert reasons.infer("a", TEMPERATURE, records, 9.0) is Reason.PMAX
    reasons.ended("a", TEMPERATURE)
    assert reasons.infer("a", TEMPERATURE, records, 9.0) is Reason.INITIAL
    reasons.forget("a")
    assert reasons.infer("a", TEMPERATURE, records, 9.0) is Reason.INITIAL


def test_what_appears_or_vanishes_was_created_or_deleted() -> None:
    reasons = Reasons()
    one, two = [Record(TEMPERATURE, 20.0)], [Record(TEMPERATURE, 20.0), Record(Path(3303, 1, 5700), 5.0)]
    reasons.initial("a", Path(3303), one, 0.0)
    assert reasons.infer("a", Path(3303), two, 10.0) is Reason.CREATED
    assert reasons.infer("a", Path(3303), one, 20.0) is Reason.DELETED


def test_several_values_of_a_path_were_stored() -> None:
    reasons = Reasons()
    reasons.initial("a", TEMPERATURE, [Record(TEMPERATURE, 20.0)], 0.0)
    records = [Record(TEMPERATURE, 21.0, 5.0), Record(TEMPERATURE, 22.0, 10.0)]
    assert reasons.infer("a", TEMPERATURE, records, 11.0) is Reason.STORED


def test_attributes_that_a_client_took_against_the_specification_change_nothing() -> None:
    assert inferred({"gt": "25", "lt": "30"}, 20.0, 26.0) is Reason.CHANGE


def test_a_removed_attribute_holds_no_more() -> None:
    reasons = Reasons()
    reasons.wrote("a", TEMPERATURE, {"gt": "25", "pmin": "1"})
    reasons.wrote("a", TEMPERATURE, {"gt": None})
    reasons.initial("a", TEMPERATURE, [Record(TEMPERATURE, 20.0)], 0.0)
    assert reasons.infer("a", TEMPERATURE, [Record(TEMPERATURE, 26.0)], 30.0) is Reason.CHANGE
