"""Who is awake and whose turn it is, by the clock of the test. lwm2m.md §5.12."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.server.queue_mode import FellAsleep, Granted, Happening, QueueFull, QueueMode, TooLate, WokeUp


def awake(machine: QueueMode, now: float, endpoint: str = "a") -> tuple[Happening, ...]:
    machine.heard(endpoint, now, queue_mode=True)
    return machine.answered(endpoint)


@pytest.fixture
def machine() -> QueueMode:
    return QueueMode(max_waiting=3, window=93.0)


def test_a_client_is_asleep_until_it_is_heard_and_93_s_after(machine: QueueMode) -> None:
    assert not machine.is_awake("a")
    assert awake(machine, 100.0) == (WokeUp("a"),)
    assert machine.is_awake("a")
    assert (machine.deadline(), machine.expire(192.9)) == (193.0, ())
    assert machine.expire(193.0) == (FellAsleep("a"),)
    assert (machine.is_awake("a"), machine.deadline()) == (False, None)


def test_every_message_opens_the_window_anew_and_is_told_once(machine: QueueMode) -> None:
    awake(machine, 100.0)
    assert awake(machine, 150.0) == ()
    assert machine.expire(200.0) == ()
    assert machine.expire(243.0) == (FellAsleep("a"),)


def test_what_waits_goes_out_after_the_message_was_answered_and_one_at_a_time(machine: QueueMode) -> None:
    assert machine.join("a", 1, 1000.0) == machine.join("a", 2, 1000.0) == ()
    machine.heard("a", 100.0, queue_mode=True)
    assert machine.join("a", 3, 1000.0) == ()
    assert machine.answered("a") == (WokeUp("a"), Granted(1))
    assert machine.done("a", 1, 101.0, was_answered=True) == (Granted(2),)
    assert machine.done("a", 2, 102.0, was_answered=True) == (Granted(3),)
    assert machine.done("a", 3, 103.0, was_answered=True) == ()
    assert machine.deadline() == 196.0


def test_nothing_goes_out_between_two_messages_of_which_one_is_unanswered(machine: QueueMode) -> None:
    machine.heard("a", 100.0, queue_mode=True)
    machine.heard("a", 100.5, queue_mode=True)
    assert machine.join("a", 1, 1000.0) == ()
    assert machine.answered("a") == (WokeUp("a"),)
    assert machine.answered("a") == (Granted(1),)


def test_a_request_without_an_answer_means_asleep_and_the_rest_waits(machine: QueueMode) -> None:
    awake(machine, 100.0)
    machine.join("a", 1, 1000.0)
    machine.join("a", 2, 1000.0)
    assert machine.done("a", 1, 105.0, was_answered=False) == (FellAsleep("a"),)
    assert awake(machine, 300.0) == (WokeUp("a"), Granted(2))


def test_a_client_does_not_fall_asleep_under_a_request(machine: QueueMode) -> None:
    awake(machine, 100.0)
    machine.join("a", 1, 1000.0)
    assert (machine.deadline(), machine.expire(500.0)) == (None, ())
    assert machine.done("a", 1, 500.0, was_answered=None) == ()
    assert machine.expire(500.0) == (FellAsleep("a"),)


def test_a_request_that_waited_too_long_is_given_up(machine: QueueMode) -> None:
    machine.join("a", 1, 60.0)
    machine.join("a", 2, 50.0)
    assert machine.deadline() == 50.0
    assert machine.expire(50.0) == (TooLate(2),)
    assert machine.expire(70.0) == (TooLate(1),)
    assert awake(machine, 80.0) == (WokeUp("a"),)


def test_one_that_left_is_not_asked(machine: QueueMode) -> None:
    machine.join("a", 1, 60.0)
    machine.join("a", 2, 60.0)
    machine.done("a", 1, 10.0, was_answered=None)
    assert awake(machine, 20.0) == (WokeUp("a"), Granted(2))


def test_the_queue_of_a_client_has_a_length_of_its_own(machine: QueueMode) -> None:
    for ticket in (1, 2, 3):
        machine.join("a", ticket, 60.0)
    assert not machine.has_room("a")
    with pytest.raises(QueueFull):
        machine.join("a", 4, 60.0)
    assert machine.join("b", 5, 60.0) == ()


def test_what_waits_for_a_client_that_is_gone_is_named(machine: QueueMode) -> None:
    awake(machine, 0.0)
    for ticket in (1, 2, 3):
        machine.join("a", ticket, 60.0)
    assert machine.forget("a") == (2, 3)
    assert machine.done("a", 1, 10.0, was_answered=True) == ()
    assert (machine.deadline(), machine.expire(1000.0)) == (None, ())


def test_a_client_that_left_queue_mode_gets_what_waits_and_never_sleeps(machine: QueueMode) -> None:
    machine.join("a", 1, 60.0)
    machine.heard("a", 10.0, queue_mode=False)
    assert machine.answered("a") == (Granted(1),)
    assert machine.done("a", 1, 20.0, was_answered=False) == ()
    assert (machine.is_awake("a"), machine.deadline()) == (True, None)


STEPS = st.lists(
    st.tuples(st.sampled_from(["heard", "answered", "join", "done", "silent", "leave", "wait"]), st.integers(0, 60)),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_happens_turns_come_in_order_one_at_a_time_and_never_while_asleep(
    steps: list[tuple[str, int]],
) -> None:
    machine, now, ticket = QueueMode(max_waiting=5, window=93.0), 0.0, 0
    waiting: list[int] = []
    with_client: list[int] = []

    def follow(happenings: tuple[Happening, ...]) -> None:
        for happening in happenings:
            match happening:
                case Granted(granted):
                    assert with_client == []
                    assert machine.is_awake("a")
                    assert granted == waiting.pop(0)
                    with_client.append(granted)
                case TooLate(late):
                    waiting.remove(late)

    for name, number in steps:
        match name:
            case "heard":
                machine.heard("a", now, queue_mode=True)
            case "answered":
                follow(machine.answered("a"))
            case "join" if machine.has_room("a"):
                ticket += 1
                waiting.append(ticket)
                follow(machine.join("a", ticket, now + number))
            case "done" | "silent" if with_client:
                follow(machine.done("a", with_client.pop(), now, was_answered=name == "done"))
            case "leave" if waiting:
                left = waiting.pop(number % len(waiting))
                follow(machine.done("a", left, now, was_answered=None))
            case "wait":
                now += number
                follow(machine.expire(now))
    assert set(machine.forget("a")) == set(waiting)


def test_a_client_that_nothing_gets_to_is_asleep_until_it_is_heard(machine: QueueMode) -> None:
    assert machine.unreachable("a") == ()
    awake(machine, 100.0)
    assert machine.unreachable("a") == (FellAsleep("a"),)
    assert machine.join("a", 1, 1000.0) == machine.unreachable("a") == ()
    assert awake(machine, 101.0) == (WokeUp("a"), Granted(1))


def test_a_client_without_queue_mode_is_never_asleep(machine: QueueMode) -> None:
    machine.heard("a", 100.0, queue_mode=False)
    assert machine.unreachable("a") == ()
    assert machine.is_awake("a")
