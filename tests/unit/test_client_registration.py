"""The registration machine: when a client registers, updates, retries, gives up and leaves. lwm2m.md §5.4 to §5.10."""

from __future__ import annotations

import pytest

from lwm2m.client.registration import (
    TRANSITIONS,
    Accepted,
    Changed,
    Disable,
    Due,
    Failed,
    Halt,
    Refused,
    Registration,
    Restart,
    SendDeregister,
    SendRegister,
    SendUpdate,
    Settings,
    Start,
    State,
    Stop,
    Triggered,
    WrongVersion,
    outcome,
    update_after,
)
from lwm2m.coap.message import Code, Response

RD = ("rd", "5a3f")


def machine(settings: Settings = Settings(lifetime=60), gather: float = 0.1) -> Registration:  # noqa: B008
    return Registration(lambda: settings, gather)


def registered(settings: Settings = Settings(lifetime=60)) -> Registration:  # noqa: B008
    """Registered at time 0."""
    registration = machine(settings)
    registration.handle(Start(), 0)
    assert registration.handle(Due(), settings.initial_delay) == (SendRegister(),)
    registration.handle(Accepted(RD), 0)
    return registration


def test_it_registers_after_the_initial_delay() -> None:
    registration = machine(Settings(initial_delay=7))
    assert registration.handle(Start(), 100) == ()
    assert registration.deadline() == 107
    assert registration.handle(Due(), 106.9) == ()
    assert registration.handle(Due(), 107) == (SendRegister(),)
    assert registration.state is State.REGISTERING
    registration.handle(Accepted(RD), 108)
    assert (registration.state, registration.location) == (State.REGISTERED, RD)


@pytest.mark.parametrize(("lifetime", "seconds"), [(60, 30), (185, 92.5), (186, 93), (300, 207), (86400, 86307)])
def test_the_update_comes_well_before_the_lifetime_ends(lifetime: int, seconds: float) -> None:
    assert update_after(lifetime) == seconds
    registration = registered(Settings(lifetime=lifetime))
    assert registration.deadline() == seconds
    assert registration.handle(Due(), seconds) == (SendUpdate(RD),)
    registration.handle(Accepted(), seconds + 1)
    assert registration.deadline() == 2 * seconds + 1
    assert registration.location == RD


def test_an_infinite_lifetime_needs_no_update() -> None:
    assert registered(Settings(lifetime=0)).deadline() is None


def test_failed_tries_back_off_then_sequences_follow_then_it_gives_up() -> None:
    settings = Settings(retry_count=3, retry_timer=10, sequence_delay=1000, sequence_count=2)
    registration = machine(settings)
    registration.handle(Start(), 0)
    waits: list[float] = []
    now = 0.0
    while registration.state is not State.FAILED:
        assert registration.handle(Due(), now) == (SendRegister(),)
        registration.handle(Failed("no answer"), now)
        if (deadline := registration.deadline()) is not None:
            waits.append(deadline - now)
            now = deadline
    assert waits == [10, 20, 1000, 10, 20]
    assert registration.deadline() is None
    assert registration.handle(Restart(), now) == (SendRegister(),)


def test_a_refusal_ends_its_sequence_at_once() -> None:
    registration = machine(Settings(sequence_delay=500, sequence_count=2))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(Refused("4.03"), 1)
    assert registration.deadline() == 501
    registration.handle(Due(), 501)
    registration.handle(Refused("4.03"), 502)
    assert registration.state is State.FAILED


def test_the_largest_sequence_delay_means_no_further_sequence() -> None:
    registration = machine(Settings(retry_count=1, sequence_delay=2**32 - 1, sequence_count=9))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(Failed("no answer"), 1)
    assert registration.state is State.FAILED


def test_a_second_lies_between_tries_whatever_a_server_wrote() -> None:
    registration = machine(Settings(retry_count=10**9, retry_timer=0))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(Failed("no answer"), 5)
    assert registration.deadline() == 6


def test_success_forgets_the_tries_before() -> None:
    registration = machine(Settings(lifetime=60, retry_timer=10))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(Failed("no answer"), 0)
    registration.handle(Due(), 10)
    registration.handle(Accepted(RD), 10)
    registration.handle(Due(), 40)
    assert registration.handle(Failed("no answer"), 41) == (SendRegister(),)
    registration.handle(Failed("no answer"), 42)
    assert registration.deadline() == 52


@pytest.mark.parametrize("answer", [Failed("4.04"), Refused("4.00")])
def test_an_update_that_fails_leads_to_a_new_register(answer: Failed | Refused) -> None:
    registration = registered()
    registration.handle(Due(), 30)
    assert registration.handle(answer, 31) == (SendRegister(),)
    assert registration.state is State.REGISTERING


def test_changes_of_the_object_list_are_gathered() -> None:
    registration = registered()
    assert registration.handle(Changed(objects=True), 5) == ()
    registration.handle(Changed(objects=True), 5.05)
    assert registration.deadline() == 5.1
    assert registration.handle(Due(), 5.1) == (SendUpdate(RD, objects=True),)


def test_a_new_lifetime_is_told_at_once_with_what_was_gathered() -> None:
    registration = registered()
    registration.handle(Changed(objects=True), 5)
    registration.handle(Changed(lifetime=True), 5.05)
    assert registration.deadline() == 5.05
    assert registration.handle(Due(), 5.05) == (SendUpdate(RD, objects=True, lifetime=True),)


def test_what_changes_during_an_exchange_is_told_after_it() -> None:
    registration = machine(Settings(lifetime=60))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(Changed(objects=True), 0.5)
    registration.handle(Accepted(RD), 1)
    assert registration.handle(Due(), 1) == (SendUpdate(RD, objects=True),)
    registration.handle(Changed(binding=True), 1.5)
    registration.handle(Accepted(), 2)
    assert registration.handle(Due(), 2) == (SendUpdate(RD, binding=True),)


def test_the_trigger_asks_for_an_update_with_nothing_in_it() -> None:
    assert registered().handle(Triggered(), 5) == (SendUpdate(RD),)


def test_disable_deregisters_and_comes_back() -> None:
    registration = registered(Settings(lifetime=60, disable_timeout=120))
    assert registration.handle(Disable(), 10) == (SendDeregister(RD),)
    registration.handle(Accepted(), 11)
    assert registration.state is State.DISABLED
    assert registration.deadline() == 131
    assert registration.handle(Triggered(), 50) == ()
    assert registration.handle(Due(), 131) == (SendRegister(),)


def test_a_reboot_registers_anew() -> None:
    registration = registered()
    assert registration.handle(Restart(), 5) == (SendRegister(),)
    assert registration.location == ()


@pytest.mark.parametrize("answer", [Accepted(), Failed("no answer"), Refused("4.00")])
def test_stopping_deregisters_and_is_done_whatever_the_answer(answer: Accepted | Failed | Refused) -> None:
    registration = registered()
    assert registration.handle(Stop(), 5) == (SendDeregister(RD),)
    registration.handle(answer, 6)
    assert (registration.state, registration.deadline()) == (State.STOPPED, None)


def test_stopping_unregistered_says_nothing() -> None:
    registration = machine()
    registration.handle(Start(), 0)
    assert registration.handle(Stop(), 0) == ()
    assert (registration.state, registration.deadline()) == (State.STOPPED, None)


def test_halt_ends_every_state_without_a_word() -> None:
    for state in State:
        registration = registered()
        registration.state = state
        assert registration.handle(Halt(), 5) == ()
        assert (registration.state, registration.deadline()) == (State.STOPPED, None)


def test_every_state_can_be_reached_and_left() -> None:
    entered = {state for state, _ in TRANSITIONS.values()}
    left = {state for state, _ in TRANSITIONS}
    assert entered | {State.IDLE} == set(State)
    assert left == set(State)


def test_a_server_of_an_older_version_is_met_with_that() -> None:
    registration = Registration(lambda: Settings(lifetime=60), versions=("1.1", "1.0"))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    assert registration.handle(WrongVersion("4.12"), 1) == (SendRegister(),)
    assert (registration.state, registration.version) == (State.REGISTERING, "1.0")
    registration.handle(Accepted(RD), 2)
    registration.handle(Due(), 32)
    assert registration.handle(Failed("4.04"), 33) == (SendRegister(),)
    assert registration.version == "1.0"


def test_a_server_that_speaks_no_version_of_ours_refuses() -> None:
    registration = Registration(lambda: Settings(sequence_count=1), versions=("1.0",))
    registration.handle(Start(), 0)
    registration.handle(Due(), 0)
    registration.handle(WrongVersion("4.12"), 1)
    assert registration.state is State.FAILED
    registration.handle(Start(), 2)
    assert registration.version == "1.0"


@pytest.mark.parametrize(
    ("action", "response", "expected"),
    [
        (SendRegister(), Response(Code.CREATED, location=RD), Accepted(RD)),
        (SendRegister(), Response(Code.CREATED), Failed("the server gave no location")),
        (SendRegister(), Response(Code.BAD_REQUEST, b"no"), Refused("4.00 no")),
        (SendRegister(), Response(Code.FORBIDDEN), Refused("4.03")),
        (
            SendRegister(),
            Response(Code.UNAUTHORIZED, b"Security context not found"),
            Failed("4.01 Security context not found: add our sender id at the server, or correct it here"),
        ),
        (SendRegister(), Response(Code.PRECONDITION_FAILED), WrongVersion("4.12")),
        (SendRegister(), Response(Code.SERVICE_UNAVAILABLE), Failed("5.03")),
        (SendRegister(), Response(Code.CHANGED), Failed("2.04")),
        (SendUpdate(RD), Response(Code.CHANGED), Accepted()),
        (SendUpdate(RD), Response(Code.NOT_FOUND), Failed("4.04")),
        (SendDeregister(RD), Response(Code.DELETED), Accepted()),
    ],
)
def test_what_an_answer_means(
    action: SendRegister | SendUpdate | SendDeregister, response: Response, expected: object
) -> None:
    assert outcome(action, response) == expected
