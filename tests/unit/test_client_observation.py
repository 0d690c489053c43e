"""The observation engine, told the time. lwm2m.md §7.1, §7.3."""

from __future__ import annotations

import pytest

from lwm2m.attributes import Attributes, Reason
from lwm2m.client import DataModel
from lwm2m.client.observation import CONFIRM_EVERY, End, Notify, Observations, Observed
from lwm2m.coap.message import Peer, Subscription
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

TEMPERATURE = Path(3303, 0, 5700)
SERVER = Peer(("127.0.0.1", 1000), ("127.0.0.1", 5683))
TOKEN = Subscription(SERVER, b"\x01")


class Bench:
    """A data model, the attributes of every path, and a clock that a test moves."""

    def __init__(self, attributes: Attributes = Attributes()) -> None:  # noqa: B008
        self.model = DataModel([Record(TEMPERATURE, 0.0), Record(Path(3, 0, 7, 0), 10), Record(Path(3, 0, 7, 1), 20)])
        self.attributes = attributes
        self.observations = Observations(
            lambda path: {record.path: record.value for record in self.model.read(path)},
            self.model.has,
            lambda _path: self.attributes,
        )

    def observe(self, path: Path = TEMPERATURE, subscription: Subscription = TOKEN, now: float = 0) -> None:
        self.observations.begin(subscription, Observed((path,)), 0, now)

    def observe_all(self, *paths: Path) -> None:
        self.observations.begin(TOKEN, Observed(paths, composite=True), 110, 0)

    def set(self, value: Value, now: float, path: Path = TEMPERATURE) -> list[tuple[float, Reason]]:
        self.observations.touch(self.model.update([Record(path, value)]), now)
        return self.until(now)

    def remove(self, path: Path, now: float) -> list[Notify | End]:
        self.observations.touch(self.model.remove(path), now)
        return self.observations.due(now)

    def until(self, end: float) -> list[tuple[float, Reason]]:
        """What is sent until then, each at its deadline."""
        sent = []
        while (deadline := self.observations.deadline()) is not None and deadline <= end:
            for action in self.observations.due(deadline):
                assert isinstance(action, Notify)
                sent.append((deadline, action.reason))
        return sent


def test_without_attributes_every_change_is_sent_at_once() -> None:
    bench = Bench()
    bench.observe()
    assert bench.observations.deadline() is None
    assert [reason for _, reason in bench.set(1.0, now=3)] == [Reason.CHANGE]
    assert bench.set(1.0, now=4) == []
    assert bench.observations.deadline() is None


def test_a_change_inside_pmin_waits_and_is_sent_even_if_it_went_back() -> None:
    """The time line of lwm2m.md §7.3."""
    bench = Bench(Attributes(pmin=10, pmax=60))
    bench.observe()
    assert bench.set(1.0, now=3) == []
    assert bench.until(10) == [(10, Reason.PMIN_DEFERRED)]
    assert bench.set(2.0, now=12) == []
    assert bench.set(1.0, now=15) == []
    assert bench.until(79.9) == [(20, Reason.PMIN_DEFERRED)]
    assert bench.until(80) == [(80, Reason.PMAX)]


def test_a_change_after_pmin_is_sent_with_its_reason() -> None:
    bench = Bench(Attributes(pmin=10, gt=5))
    bench.observe()
    assert bench.set(6.0, now=11) == [(11, Reason.GREATER_THAN)]


def test_pmin_equal_to_pmax_sends_by_the_clock_alone() -> None:
    bench = Bench(Attributes(pmin=10, pmax=10))
    bench.observe()
    assert bench.set(1.0, now=3) == []
    assert bench.until(31) == [(10, Reason.PMAX), (20, Reason.PMAX), (30, Reason.PMAX)]


def test_epmin_spaces_evaluations_and_the_last_value_wins() -> None:
    bench = Bench(Attributes(epmin=10, gt=5))
    bench.observe()
    assert bench.set(9.0, now=2) == []
    assert bench.set(1.0, now=4) == []
    assert bench.until(100) == []
    assert bench.set(9.0, now=101) == [(101, Reason.GREATER_THAN)]
    assert bench.set(1.0, now=103) == []
    assert bench.until(120) == [(111, Reason.GREATER_THAN)]


def test_epmax_evaluates_what_new_attributes_make_due() -> None:
    bench = Bench(Attributes(gt=50, epmax=30))
    bench.observe()
    assert bench.set(20.0, now=1) == []
    bench.attributes = Attributes(gt=10, epmax=30)
    bench.observations.refresh()
    assert bench.until(100) == [(31, Reason.GREATER_THAN)]


def test_a_new_pmax_counts_from_the_last_notification() -> None:
    bench = Bench()
    bench.observe(now=100)
    bench.attributes = Attributes(pmax=20)
    bench.observations.refresh()
    assert bench.until(125) == [(120, Reason.PMAX)]


def test_an_aggregate_ignores_thresholds_beneath() -> None:
    bench = Bench(Attributes(gt=1000))
    bench.observe(Path(3303))
    assert [reason for _, reason in bench.set(1.0, now=1)] == [Reason.CHANGE]
    assert [reason for _, reason in bench.set(2.0, now=2, path=Path(3303, 5, 5700))] == [Reason.CREATED]
    bench.observations.touch(bench.model.remove(Path(3303, 5)), 3)
    assert [reason for _, reason in bench.until(3)] == [Reason.DELETED]


def test_each_instance_of_a_multiple_resource_may_cross_the_threshold() -> None:
    bench = Bench(Attributes(gt=100))
    bench.observe(Path(3, 0, 7))
    assert bench.set(90, now=1, path=Path(3, 0, 7, 1)) == []
    assert [reason for _, reason in bench.set(110, now=2, path=Path(3, 0, 7, 1))] == [Reason.GREATER_THAN]
    assert [reason for _, reason in bench.set(5, now=3, path=Path(3, 0, 7, 2))] == [Reason.CHANGE]


def test_other_paths_do_not_matter() -> None:
    bench = Bench()
    bench.observe(Path(3, 0, 7, 0))
    assert bench.set(1, now=1, path=Path(3, 0, 7, 1)) == []
    assert bench.set(1.0, now=1) == []


@pytest.mark.parametrize("path", [Path(3303, 0), TEMPERATURE])
def test_what_is_gone_ends_its_observation(path: Path) -> None:
    bench = Bench(Attributes(pmin=100))
    bench.observe(path)
    assert bench.remove(Path(3303, 0), now=1) == [End(TOKEN, path)]
    assert len(bench.observations) == 0
    assert bench.set(1.0, now=2) == []


def test_an_object_outlives_its_instances() -> None:
    bench = Bench()
    bench.observe(Path(3303))
    (action,) = bench.remove(Path(3303, 0), now=1)
    assert isinstance(action, Notify)
    assert bench.remove(Path(3303), now=2) == [End(TOKEN, Path(3303))]


def test_a_second_observation_of_a_path_replaces_the_first() -> None:
    bench = Bench()
    bench.observe()
    other = Subscription(SERVER, b"\x02")
    stranger = Subscription(Peer(SERVER.local, ("127.0.0.1", 9)), b"\x01")
    assert bench.observations.begin(other, Observed((TEMPERATURE,)), 0, 1) == [TOKEN]
    assert bench.observations.begin(stranger, Observed((TEMPERATURE,)), 0, 1) == []
    assert len(bench.observations) == 2
    assert not bench.observations.cancel(TOKEN)
    assert bench.observations.clear() == [other, stranger]
    assert bench.observations.deadline() is None


def test_once_a_day_a_notification_asks_to_be_confirmed() -> None:
    bench = Bench(Attributes(pmax=CONFIRM_EVERY // 2))
    bench.observe()
    confirmable = []
    for _ in range(4):
        deadline = bench.observations.deadline()
        assert deadline is not None
        confirmable += [action.confirmable for action in bench.observations.due(deadline) if isinstance(action, Notify)]
    assert confirmable == [False, True, False, True]


def test_deadlines_do_not_pile_up() -> None:
    bench = Bench(Attributes(pmax=86_400))
    bench.observe()
    for step in range(5_000):
        bench.set(float(step + 1), now=float(step))
    assert len(bench.observations._wakeups.heap) <= 65


def test_a_composite_observation_reports_whichever_of_its_paths_changes() -> None:
    bench = Bench()
    bench.observe_all(TEMPERATURE, Path(3, 0, 7))
    assert [reason for _, reason in bench.set(1.0, now=1)] == [Reason.CHANGE]
    assert [reason for _, reason in bench.set(9, now=2, path=Path(3, 0, 7, 1))] == [Reason.CHANGE]
    assert bench.set(1, now=3, path=Path(3, 0, 9)) == []


def test_its_periods_are_the_longest_pmin_and_the_shortest_pmax_and_its_conditions_those_of_each_path() -> None:
    bench = Bench()
    of_path = {TEMPERATURE: Attributes(pmin=5, pmax=60, gt=10), Path(3, 0, 7): Attributes(pmin=20, pmax=40)}
    bench.observations = Observations(
        lambda path: {record.path: record.value for record in bench.model.read(path)},
        bench.model.has,
        lambda path: of_path[path],
    )
    bench.observe_all(TEMPERATURE, Path(3, 0, 7))
    assert bench.set(9.0, now=1) == []
    assert bench.set(11.0, now=2) == []
    assert bench.until(19) == []
    assert bench.until(20) == [(20, Reason.PMIN_DEFERRED)]
    assert bench.until(60) == [(60, Reason.PMAX)]


def test_a_pmax_shorter_than_the_pmin_of_another_path_counts_from_there() -> None:
    bench = Bench()
    of_path = {TEMPERATURE: Attributes(pmin=30), Path(3, 0, 7): Attributes(pmax=10)}
    bench.observations = Observations(
        lambda path: {record.path: record.value for record in bench.model.read(path)},
        bench.model.has,
        lambda path: of_path[path],
    )
    bench.observe_all(TEMPERATURE, Path(3, 0, 7))
    assert bench.until(60) == [(30, Reason.PMAX), (60, Reason.PMAX)]


def test_what_a_composite_observation_misses_may_appear_and_vanish() -> None:
    bench = Bench()
    later = Path(16, 1)
    bench.observe_all(TEMPERATURE, later)
    assert [reason for _, reason in bench.set("x", now=1, path=later.child(0, 0))] == [Reason.CREATED]
    assert bench.remove(later, now=2) != []
    assert TOKEN in bench.observations
    assert [reason for _, reason in bench.set("y", now=3, path=later.child(0, 0))] == [Reason.CREATED]


def test_a_composite_observation_of_the_root_sees_everything() -> None:
    bench = Bench()
    bench.observe_all(Path())
    assert [reason for _, reason in bench.set(5.0, now=1)] == [Reason.CHANGE]


def test_what_may_not_be_seen_is_not_sent_and_not_forgotten() -> None:
    bench = Bench(Attributes(pmax=10))
    visible = False
    bench.observations = Observations(
        lambda path: {record.path: record.value for record in bench.model.read(path)},
        bench.model.has,
        lambda _path: bench.attributes,
        shown=lambda _path: visible,
    )
    bench.observe()
    assert bench.set(5.0, now=1) == []
    assert bench.until(25) == []
    visible = True
    assert bench.until(31) == [(31, Reason.PMAX)]
