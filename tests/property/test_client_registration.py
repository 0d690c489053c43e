"""The registration of a client is never stuck, whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.client.registration import (
    Accepted,
    Action,
    Changed,
    Disable,
    Due,
    Event,
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
)

EXPECTED = {
    State.REGISTERING: SendRegister,
    State.UPDATING: SendUpdate,
    State.DISABLING: SendDeregister,
    State.DEREGISTERING: SendDeregister,
}
"""What an exchange under way is about; the shell has one at a time, and a later one ends the one before."""

small = st.integers(0, 3)
server_settings = st.builds(
    Settings,
    lifetime=st.sampled_from([0, 1, 60, 86_400]),
    disable_timeout=st.integers(0, 100),
    initial_delay=st.integers(0, 10),
    retry_count=small,
    retry_timer=st.integers(0, 100),
    sequence_delay=st.sampled_from([0, 50, 2**32 - 1]),
    sequence_count=small,
)
outcomes = st.sampled_from([Accepted(("rd", "1")), Failed("no answer"), Refused("4.00"), WrongVersion("4.12")])
others = st.one_of(
    st.sampled_from([Start(), Due(), Triggered(), Disable(), Restart()]),
    st.builds(Changed, st.booleans(), st.booleans(), st.booleans()),
)
histories = st.lists(st.tuples(st.floats(0, 200), st.one_of(outcomes, others, others, st.just(Due()))), max_size=60)


class Shell:
    """Does what the real one does: one exchange at a time, whose outcome comes once."""

    def __init__(self, settings: Settings) -> None:
        self.machine = Registration(lambda: settings, versions=("1.1", "1.0"))
        self.under_way: Action | None = None

    def feed(self, event: Event, now: float) -> None:
        if isinstance(event, Accepted | Failed | Refused | WrongVersion):
            if self.under_way is None:
                return
            self.under_way = None
        for action in self.machine.handle(event, now):
            self.under_way = action

    def is_alive(self, lifetime: int) -> bool:
        state = self.machine.state
        if state in EXPECTED:
            return isinstance(self.under_way, EXPECTED[state])
        if state in (State.WAITING, State.DISABLED):
            return self.machine.deadline() is not None
        if state is State.REGISTERED:
            return self.machine.deadline() is not None or lifetime == 0
        return state in (State.IDLE, State.FAILED, State.STOPPED)


@settings(deadline=None, max_examples=200)
@given(server_settings, histories)
def test_there_is_always_something_to_wait_for(settings: Settings, history: list[tuple[float, Event]]) -> None:
    shell, now = Shell(settings), 0.0
    shell.feed(Start(), now)
    for seconds, event in history:
        deadline = shell.machine.deadline()
        now = deadline if isinstance(event, Due) and deadline is not None and deadline > now else now + seconds
        shell.feed(event, now)
        assert shell.is_alive(settings.lifetime), (shell.machine.state, shell.under_way)


@settings(deadline=None, max_examples=200)
@given(server_settings, histories)
def test_a_server_that_comes_back_is_registered_with_unless_all_tries_are_used_up(
    settings: Settings, history: list[tuple[float, Event]]
) -> None:
    shell, now = Shell(settings), 0.0
    shell.feed(Start(), now)
    for seconds, event in history:
        now += seconds
        shell.feed(event, now)
    for _ in range(4):
        if shell.under_way is not None:
            shell.feed(Accepted(("rd", "2")), now)
        elif (deadline := shell.machine.deadline()) is not None:
            now = max(now, deadline)
            shell.feed(Due(), now)
    assert shell.machine.state in (State.REGISTERED, State.UPDATING, State.FAILED)


@settings(deadline=None, max_examples=200)
@given(server_settings, histories, st.booleans())
def test_stopping_ends_it_from_anywhere(settings: Settings, history: list[tuple[float, Event]], halt: bool) -> None:
    shell, now = Shell(settings), 0.0
    for seconds, event in history:
        now += seconds
        shell.feed(event, now)
    shell.feed(Halt() if halt else Stop(), now)
    if shell.machine.state is State.DEREGISTERING:
        shell.feed(Failed("no answer"), now)
    assert shell.machine.state is State.STOPPED
    assert shell.machine.deadline() is None
