"""The bootstrap sequence of a client: when it asks, gives up, gives way and purges. lwm2m.md §4.7, §4.8."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.client.bootstrap import (
    Abandon,
    Accepted,
    Begin,
    BootstrapEvent,
    BootstrapSequence,
    BootstrapState,
    Due,
    Failed,
    Finished,
    GiveWay,
    Operated,
    PurgeAccount,
    RollBack,
    SendRequest,
)


def requesting() -> BootstrapSequence:
    sequence = BootstrapSequence()
    sequence.handle(Begin(), 0)
    assert sequence.handle(Due(), 0) == (SendRequest(),)
    return sequence


def test_it_asks_after_the_hold_off_time() -> None:
    sequence = BootstrapSequence()
    assert sequence.handle(Begin(hold_off=10), 100) == ()
    assert sequence.handle(Due(), 109.9) == ()
    assert sequence.handle(Due(), 110) == (SendRequest(),)


def test_the_server_may_begin_during_the_hold_off_time() -> None:
    sequence = BootstrapSequence()
    sequence.handle(Begin(hold_off=10), 0)
    sequence.handle(Operated(), 3)
    assert (sequence.state, sequence.deadline()) == (BootstrapState.RUNNING, 250)
    assert sequence.handle(Due(), 10) == ()


def test_five_tries_back_off_then_a_day_of_rest_gives_way_to_the_servers() -> None:
    sequence = requesting()
    waits, now = [], 0.0
    for _ in range(4):
        assert sequence.handle(Failed("no answer"), now) == ()
        deadline = sequence.deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        assert sequence.handle(Due(), now) == (SendRequest(),)
    assert waits == [60, 120, 240, 480]
    assert sequence.handle(Failed("no answer"), now) == (GiveWay(),)
    assert (sequence.state, sequence.deadline()) == (BootstrapState.RESTING, now + 86_400)
    assert sequence.handle(Due(), now + 86_400) == (SendRequest(),)


def test_silence_rolls_back_and_asks_again() -> None:
    sequence = requesting()
    sequence.handle(Accepted(), 1)
    sequence.handle(Operated(), 100)
    assert sequence.handle(Due(), 346) == ()
    assert sequence.handle(Due(), 347) == (RollBack(),)
    assert (sequence.state, sequence.deadline()) == (BootstrapState.WAITING, 407)


def test_an_answer_to_the_request_that_comes_late_changes_nothing() -> None:
    sequence = requesting()
    sequence.handle(Operated(), 1)
    assert sequence.handle(Accepted(), 2) == sequence.handle(Failed("no answer"), 93) == ()
    assert sequence.state is BootstrapState.RUNNING


@pytest.mark.parametrize(("timeout", "deadline"), [(0, None), (30, 42)])
def test_the_account_is_purged_some_time_after_success(timeout: int, deadline: float | None) -> None:
    sequence = requesting()
    sequence.handle(Accepted(), 1)
    assert sequence.handle(Finished(timeout), 12) == ()
    assert sequence.deadline() == deadline
    if deadline is not None:
        assert sequence.handle(Due(), deadline) == (PurgeAccount(),)
        assert sequence.deadline() is None


events = st.one_of(
    st.builds(Begin, st.floats(0, 100)),
    st.just(Due()),
    st.just(Accepted()),
    st.just(Failed("no")),
    st.just(Operated()),
    st.builds(Finished, st.just(0.0)),
    st.just(Abandon()),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(events, max_size=40))
def test_it_is_never_stuck(history: list[BootstrapEvent]) -> None:
    """Idle, waiting for an answer of ours, or for a deadline."""
    sequence, now = BootstrapSequence(), 0.0
    for event in history:
        now = max(now, sequence.deadline() or now) if isinstance(event, Due) else now + 1
        sequence.handle(event, now)
        busy = sequence.state not in (BootstrapState.IDLE, BootstrapState.REQUESTING)
        assert (sequence.deadline() is not None) is busy
