"""The connection states of a device and its heartbeat, moment by moment. osap.md §§5, 6.5"""

from __future__ import annotations

import pytest

from osap_bridge.osap.device.session import (
    TRANSITIONS,
    Action,
    Beat,
    ConnectionState,
    DeviceSession,
    Heartbeat,
    Notice,
    Outcome,
)

S, A, H, N = ConnectionState, Action, Outcome, Notice


def session(*outcomes: Outcome) -> DeviceSession:
    """One to which that has happened, all at 0."""
    session = DeviceSession(0.0)
    for outcome in outcomes:
        session.handle(outcome, 0.0)
    return session


ONLINE = (H.ADMITTED, H.ACCEPTED)


def waits(session: DeviceSession, outcome: Outcome, times: int) -> list[float]:
    delays = []
    for _ in range(times):
        session.handle(outcome, 100.0)
        delays.append(session.due - 100.0)
    return delays


@pytest.mark.parametrize(
    ("before", "outcome", "state", "action", "notice"),
    [
        ((), H.ADMITTED, S.REDIRECTED, A.REGISTER, None),
        ((), H.WRONG_CODE, S.UNREDIRECTED, A.AUTHENTICATE_LOWER_CASE, None),
        ((), H.NO_MATCH, S.GIVEN_UP, A.NOTHING, N.OFFLINE),
        ((H.WRONG_CODE,), H.ADMITTED, S.REDIRECTED, A.REGISTER, None),
        ((H.WRONG_CODE,), H.WRONG_CODE, S.UNREDIRECTED, A.AUTHENTICATE, None),
        ((H.ADMITTED,), H.ACCEPTED, S.ONLINE, A.SERVE, N.ONLINE),
        ((H.ADMITTED,), H.FAILED, S.REDIRECTED, A.REGISTER, None),
        ((H.ADMITTED,), H.BLACK_LISTED, S.OFFLINE_FORCED, A.NOTHING, N.OFFLINE),
        ((H.ADMITTED,), H.SESSION_INVALID, S.UNREDIRECTED, A.AUTHENTICATE, N.OFFLINE),
        ((H.ADMITTED,), H.SESSION_EXISTS, S.REDIRECTED, A.TAKE_OVER, None),
        ((H.ADMITTED, H.SESSION_EXISTS), H.ACCEPTED, S.ONLINE, A.SERVE, N.ONLINE),
        ((H.ADMITTED, H.SESSION_EXISTS), H.SESSION_EXISTS, S.REDIRECTED, A.REGISTER, None),
        (ONLINE, H.LINK_LOST, S.BROKEN, A.RESUME, None),
        (ONLINE, H.FORCED_OFFLINE, S.OFFLINE_FORCED, A.NOTHING, N.OFFLINE),
        (ONLINE, H.SWITCH_OVER, S.UNREDIRECTED, A.AUTHENTICATE, N.SWITCHOVER),
        ((*ONLINE, H.LINK_LOST), H.ACCEPTED, S.ONLINE, A.SERVE, N.RECONNECT),
        ((*ONLINE, H.LINK_LOST), H.SESSION_INVALID, S.UNREDIRECTED, A.AUTHENTICATE, N.OFFLINE),
    ],
)
def test_what_leads_where(
    before: tuple[Outcome, ...], outcome: Outcome, state: ConnectionState, action: Action, notice: Notice | None
) -> None:
    device = session(*before)
    assert device.handle(outcome, 0.0) is notice
    assert (device.state, device.action) == (state, action)


def test_refusals_wait_two_seconds_longer_each_time_up_to_two_minutes() -> None:
    delays = waits(session(), H.REFUSED, 62)
    assert delays[:3] == [2.0, 4.0, 6.0]
    assert delays[58:] == [118.0, 120.0, 120.0, 120.0]


@pytest.mark.parametrize("outcome", [H.UNREACHABLE, H.REMATCH])
def test_an_lbs_out_of_reach_or_a_rematch_starts_the_back_off_over(outcome: Outcome) -> None:
    device = session(H.REFUSED, H.REFUSED, H.REFUSED)
    assert waits(device, outcome, 3) == [2.0, 2.0, 2.0]
    assert waits(device, H.REFUSED, 1) == [4.0]


def test_having_been_online_ends_the_back_off() -> None:
    device = session(H.REFUSED, H.REFUSED, *ONLINE, H.SWITCH_OVER)
    assert waits(device, H.REFUSED, 1) == [2.0]


def test_six_failures_at_the_das_lead_back_to_the_lbs() -> None:
    device = session(H.ADMITTED)
    assert waits(device, H.FAILED, 6) == [2.0, 4.0, 6.0, 8.0, 10.0, 0.0]
    assert (device.state, device.action) == (S.UNREDIRECTED, A.AUTHENTICATE)


def test_four_failures_after_a_break_are_offline() -> None:
    device = session(*ONLINE, H.LINK_LOST)
    assert waits(device, H.FAILED, 3) == [1.0, 2.0, 3.0]
    assert device.handle(H.FAILED, 100.0) is N.OFFLINE
    assert (device.state, device.due) == (S.UNREDIRECTED, 100.0)


def test_a_session_that_stays_invalid_is_asked_for_ever_more_slowly() -> None:
    device = session()
    delays = []
    for _ in range(4):
        device.handle(H.ADMITTED, 100.0)
        delays += waits(device, H.SESSION_INVALID, 1)
    assert delays == [0.0, 2.0, 4.0, 6.0]


def test_every_action_has_an_end() -> None:
    acting = {action for action, _ in TRANSITIONS}
    assert acting == set(Action) - {A.NOTHING}
    assert {transition.action for transition in TRANSITIONS.values()} == set(Action)


def test_a_ping_goes_out_at_the_interval_whatever_else_is_heard() -> None:
    heartbeat = Heartbeat(30.0, pinged=0.0, heard=0.0)
    assert heartbeat.deadline() == 30.0
    assert heartbeat.handle(29.9) is None
    heartbeat.heard = 29.9
    assert heartbeat.handle(30.0) is Beat.PING
    assert heartbeat.handle(30.0) is None
    assert heartbeat.deadline() == 60.0


def test_two_intervals_of_silence_are_death() -> None:
    heartbeat = Heartbeat(30.0, pinged=0.0, heard=5.0)
    assert heartbeat.handle(60.0) is Beat.PING
    assert heartbeat.deadline() == 65.0
    assert heartbeat.handle(65.0) is Beat.DEAD


def test_a_shorter_interval_holds_at_once() -> None:
    heartbeat = Heartbeat(30.0, pinged=0.0, heard=0.0)
    heartbeat.interval = 5.0
    assert heartbeat.deadline() == 5.0
