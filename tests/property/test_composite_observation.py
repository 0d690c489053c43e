"""A composite observation against the rules of lwm2m.md §7.3 and §7.4, read second by second."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.attributes import Attributes, is_due
from lwm2m.client import DataModel
from lwm2m.client.observation import Notify, Observations, Observed
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.property.test_observation import END, TOKEN, attributes

PATHS = (Path(3303, 0, 5700), Path(3303, 1, 5700))
timelines = st.dictionaries(st.tuples(st.integers(1, END), st.sampled_from(PATHS)), st.integers(-8, 8), max_size=30)


def expected(held: dict[Path, Attributes], timeline: dict[tuple[int, Path], int]) -> list[int]:
    """The seconds at which all of it is sent."""
    least = max(one.pmin or 0 for one in held.values())
    longest = [one.pmax for one in held.values() if one.pmax and one.pmax >= (one.pmin or 0)]
    most = max(least, min(longest)) if longest else None
    epmin = max(one.epmin or 0 for one in held.values())
    epmax = min((one.epmax for one in held.values() if one.epmax), default=None)
    values = dict.fromkeys(PATHS, 0)
    reported = dict(values)
    sent_at = evaluated_at = 0
    changed = pending = False
    sent = []
    for now in range(END + 1):
        for path in PATHS:
            new = timeline.get((now, path), values[path])
            changed |= new != values[path]
            values[path] = new
        if (changed and now - evaluated_at >= epmin) or (epmax is not None and now - evaluated_at >= epmax):
            changed, evaluated_at = False, now
            pending |= any(is_due(held[path], {path: reported[path]}, {path: values[path]}) for path in PATHS)
        due = pending and most != least and now - sent_at >= least
        if due or (most is not None and now - sent_at >= most):
            sent.append(now)
            reported, sent_at, pending = dict(values), now, False
    return sent


def sent(held: dict[Path, Attributes], timeline: dict[tuple[int, Path], int]) -> list[int]:
    model = DataModel([Record(path, 0) for path in PATHS])
    observations = Observations(
        lambda path: {record.path: record.value for record in model.read(path)}, model.has, held.__getitem__
    )
    observations.begin(TOKEN, Observed(PATHS, composite=True), 110, 0)
    found: list[int] = []

    def wake(until: float) -> None:
        while (deadline := observations.deadline()) is not None and deadline <= until:
            actions = observations.due(deadline)
            assert all(isinstance(action, Notify) for action in actions)
            found.extend(int(deadline) for _ in actions)

    for moment in sorted({now for now, _ in timeline}):
        wake(moment - 0.5)
        records = [Record(path, timeline[moment, path]) for path in PATHS if (moment, path) in timeline]
        observations.touch(model.update(records), moment)
        wake(moment)
    wake(END)
    return found


@settings(max_examples=200, deadline=None)
@given(attributes, attributes, timelines)
def test_it_sends_when_the_rules_say_it(
    first: Attributes, second: Attributes, timeline: dict[tuple[int, Path], int]
) -> None:
    held = dict(zip(PATHS, (first, second), strict=True))
    assert sent(held, timeline) == expected(held, timeline)
