"""The observation engine against the rules of lwm2m.md §7.3, read second by second."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.attributes import Attributes, is_due
from lwm2m.client import DataModel
from lwm2m.client.observation import Notify, Observations, Observed
from lwm2m.coap.message import Peer, Subscription
from lwm2m.model.path import Path
from lwm2m.model.record import Record

HERE = Path(3303, 0, 5700)
TOKEN = Subscription(Peer(("127.0.0.1", 1), ("127.0.0.1", 2)), b"\x01")
END = 120

periods = st.none() | st.integers(0, 20)
thresholds = st.none() | st.integers(-5, 5)
attributes = st.builds(
    Attributes, pmin=periods, pmax=periods, gt=thresholds, lt=thresholds, st=st.none() | st.integers(0, 5),
    epmin=st.none() | st.integers(0, 8), epmax=st.none() | st.integers(9, 20),
)  # fmt: skip
timelines = st.dictionaries(st.integers(0, END), st.integers(-8, 8), max_size=30)


@dataclass
class Rules:
    """The rules as they are written, evaluated at every second."""

    attributes: Attributes
    reported: int = 0
    sent_at: int = 0
    evaluated_at: int = 0
    held: bool = False
    pending: bool = False

    def second(self, now: int, value: int, changed: bool) -> bool:
        self.held |= changed
        ticked = bool(self.attributes.epmax) and now - self.evaluated_at >= (self.attributes.epmax or 0)
        if (self.held and now - self.evaluated_at >= (self.attributes.epmin or 0)) or ticked:
            self.held, self.evaluated_at = False, now
            self.pending |= is_due(self.attributes, {HERE: self.reported}, {HERE: value}) is not None
        wanted = self.pending and not self.attributes.is_periodic and now - self.sent_at >= self.attributes.least
        overdue = self.attributes.most is not None and now - self.sent_at >= self.attributes.most
        if wanted or overdue:
            self.reported, self.sent_at, self.pending = value, now, False
        return wanted or overdue


def expected(attributes: Attributes, timeline: dict[int, int]) -> list[tuple[int, int]]:
    rules = Rules(attributes)
    value, sent = 0, []
    for now in range(END + 1):
        changed = timeline.get(now, value) != value
        value = timeline.get(now, value)
        if rules.second(now, value, changed):
            sent.append((now, value))
    return sent


def engine(model: DataModel, attributes: Attributes) -> Observations:
    observations = Observations(
        lambda path: {record.path: record.value for record in model.read(path)}, model.has, lambda _path: attributes
    )
    observations.begin(TOKEN, Observed((HERE,)), 0, 0)
    return observations


def sent(attributes: Attributes, timeline: dict[int, int]) -> list[tuple[int, int]]:
    """What the engine sends when it is woken at its deadlines only."""
    model = DataModel([Record(HERE, 0)])
    observations = engine(model, attributes)
    found: list[tuple[int, int]] = []

    def wake(until: float) -> None:
        while (deadline := observations.deadline()) is not None and deadline <= until:
            for action in observations.due(deadline):
                assert isinstance(action, Notify)
                value = model.value(HERE)
                assert isinstance(value, int)
                found.append((int(deadline), value))
            following = observations.deadline()
            assert following is None or following > deadline

    for moment in sorted(timeline):
        wake(moment - 0.5)
        observations.touch(model.update([Record(HERE, timeline[moment])]), moment)
        wake(moment)
    wake(END)
    return found


@settings(max_examples=200, deadline=None)
@given(attributes, timelines)
def test_it_sends_what_the_rules_say_when_they_say_it(attributes: Attributes, timeline: dict[int, int]) -> None:
    assert sent(attributes, timeline) == expected(attributes, timeline)


@settings(max_examples=100, deadline=None)
@given(attributes, timelines)
def test_periods_are_kept(attributes: Attributes, timeline: dict[int, int]) -> None:
    times = [0, *(now for now, _ in sent(attributes, timeline))]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap >= attributes.least for gap in gaps)
    if attributes.most is not None:
        assert all(gap <= attributes.most for gap in [*gaps, END - times[-1]])


@settings(max_examples=100, deadline=None)
@given(st.builds(Attributes, pmin=periods, epmin=st.none() | st.integers(0, 8)), timelines)
def test_the_last_value_always_arrives(attributes: Attributes, timeline: dict[int, int]) -> None:
    quiet = {moment: value for moment, value in timeline.items() if moment <= END - 30}
    last = quiet[max(quiet)] if quiet else 0
    notifications = sent(attributes, quiet)
    assert (notifications[-1][1] if notifications else 0) == last
