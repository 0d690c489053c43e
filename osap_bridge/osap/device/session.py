"""The connection states of a device as a table, its back-off, its heartbeat. `now` is monotonic. osap.md §§5, 6.5"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class ConnectionState(Enum):
    UNREDIRECTED = "unredirected"
    REDIRECTED = "redirected"
    ONLINE = "online"
    BROKEN = "broken"
    OFFLINE_FORCED = "offline, forced"
    GIVEN_UP = "given up"


class Action(Enum):
    """What the device does next."""

    AUTHENTICATE = "run the LBS flow"
    AUTHENTICATE_LOWER_CASE = "run the LBS flow with the lower-case share key"
    REGISTER = "full registration and SUBSCRIBE"
    TAKE_OVER = "light registration and SUBSCRIBE"
    RESUME = "light registration"
    SERVE = "serve"
    NOTHING = "nothing until restarted"


class Outcome(Enum):
    """How an action ended."""

    ADMITTED = "the LBS named a DAS"
    UNREACHABLE = "no connection to the LBS"
    REMATCH = "the LBS wants another protocol type"
    NO_MATCH = "no protocol type in common"
    WRONG_CODE = "result 1"
    REFUSED = "another result, silence, or an answer that makes no sense"
    ACCEPTED = "CONNACK 0, and SUBACK where subscribed"
    FAILED = "no connection to the DAS, silence, or CONNACK 1 to 5"
    BLACK_LISTED = "CONNACK 10"
    SESSION_INVALID = "CONNACK 11"
    SESSION_EXISTS = "CONNACK 12"
    LINK_LOST = "socket error or silence"
    FORCED_OFFLINE = "ordered to go offline"
    SWITCH_OVER = "ordered to another LBS"


class Notice(Enum):
    """What the application is told."""

    ONLINE = "online"
    RECONNECT = "reconnect"
    OFFLINE = "offline"
    SWITCHOVER = "switchover"


class _Wait(Enum):
    AT_ONCE = "at once"
    SHORTEST = "as after the first failure"
    GROWING = "longer with every failure in a row"
    ONCE_AT_ONCE = "at once, but growing when it happens again before the device was online"


class _Transition(NamedTuple):
    state: ConnectionState
    action: Action
    wait: _Wait = _Wait.AT_ONCE
    notice: Notice | None = None


class _BackOff(NamedTuple):
    """The n-th failure in a row waits n x `step` seconds; n is `most` at most, or from there on `beyond` happens."""

    step: float
    most: int
    beyond: _Transition | None


_S, _A, _O = ConnectionState, Action, Outcome

_AUTHENTICATE_AGAIN = _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE, _Wait.GROWING)
_AUTHENTICATE_SOON = _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE, _Wait.SHORTEST)
_REGISTER_AGAIN = _Transition(_S.REDIRECTED, _A.REGISTER, _Wait.GROWING)
_GIVE_UP = _Transition(_S.GIVEN_UP, _A.NOTHING, notice=Notice.OFFLINE)
_FORCED = _Transition(_S.OFFLINE_FORCED, _A.NOTHING, notice=Notice.OFFLINE)
_EXPIRED = _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE, _Wait.ONCE_AT_ONCE, Notice.OFFLINE)
_ONLINE = _Transition(_S.ONLINE, _A.SERVE, notice=Notice.ONLINE)

TRANSITIONS: dict[tuple[Action, Outcome], _Transition] = {
    (_A.AUTHENTICATE, _O.ADMITTED): _Transition(_S.REDIRECTED, _A.REGISTER),
    (_A.AUTHENTICATE, _O.UNREACHABLE): _AUTHENTICATE_SOON,
    (_A.AUTHENTICATE, _O.REMATCH): _AUTHENTICATE_SOON,
    (_A.AUTHENTICATE, _O.REFUSED): _AUTHENTICATE_AGAIN,
    (_A.AUTHENTICATE, _O.WRONG_CODE): _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE_LOWER_CASE),
    (_A.AUTHENTICATE, _O.NO_MATCH): _GIVE_UP,
    (_A.AUTHENTICATE_LOWER_CASE, _O.ADMITTED): _Transition(_S.REDIRECTED, _A.REGISTER),
    (_A.AUTHENTICATE_LOWER_CASE, _O.UNREACHABLE): _AUTHENTICATE_SOON,
    (_A.AUTHENTICATE_LOWER_CASE, _O.REMATCH): _AUTHENTICATE_SOON,
    (_A.AUTHENTICATE_LOWER_CASE, _O.REFUSED): _AUTHENTICATE_AGAIN,
    (_A.AUTHENTICATE_LOWER_CASE, _O.WRONG_CODE): _AUTHENTICATE_AGAIN,
    (_A.AUTHENTICATE_LOWER_CASE, _O.NO_MATCH): _GIVE_UP,
    (_A.REGISTER, _O.ACCEPTED): _ONLINE,
    (_A.REGISTER, _O.FAILED): _REGISTER_AGAIN,
    (_A.REGISTER, _O.BLACK_LISTED): _FORCED,
    (_A.REGISTER, _O.SESSION_INVALID): _EXPIRED,
    (_A.REGISTER, _O.SESSION_EXISTS): _Transition(_S.REDIRECTED, _A.TAKE_OVER),
    (_A.TAKE_OVER, _O.ACCEPTED): _ONLINE,
    (_A.TAKE_OVER, _O.FAILED): _REGISTER_AGAIN,
    (_A.TAKE_OVER, _O.BLACK_LISTED): _FORCED,
    (_A.TAKE_OVER, _O.SESSION_INVALID): _EXPIRED,
    (_A.TAKE_OVER, _O.SESSION_EXISTS): _REGISTER_AGAIN,
    (_A.RESUME, _O.ACCEPTED): _Transition(_S.ONLINE, _A.SERVE, notice=Notice.RECONNECT),
    (_A.RESUME, _O.FAILED): _Transition(_S.BROKEN, _A.RESUME, _Wait.GROWING),
    (_A.RESUME, _O.BLACK_LISTED): _FORCED,
    (_A.RESUME, _O.SESSION_INVALID): _EXPIRED,
    (_A.RESUME, _O.SESSION_EXISTS): _Transition(_S.REDIRECTED, _A.TAKE_OVER),
    (_A.SERVE, _O.LINK_LOST): _Transition(_S.BROKEN, _A.RESUME),
    (_A.SERVE, _O.FORCED_OFFLINE): _FORCED,
    (_A.SERVE, _O.SWITCH_OVER): _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE, notice=Notice.SWITCHOVER),
}

_BACK_OFF = {
    _S.UNREDIRECTED: _BackOff(2.0, 60, None),
    _S.REDIRECTED: _BackOff(2.0, 5, _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE)),
    _S.BROKEN: _BackOff(1.0, 3, _Transition(_S.UNREDIRECTED, _A.AUTHENTICATE, notice=Notice.OFFLINE)),
}


class DeviceSession:
    """Where a device stands and what it does next, not before `due`."""

    def __init__(self, now: float) -> None:
        self.state = ConnectionState.UNREDIRECTED
        self.action = Action.AUTHENTICATE
        self.due = now
        self._failures = dict.fromkeys(_BACK_OFF, 0)
        self._expired_before = False

    def handle(self, outcome: Outcome, now: float) -> Notice | None:
        """Raises KeyError for an outcome that the current action cannot have."""
        transition, delay = self._waiting(TRANSITIONS[self.action, outcome])
        self.state, self.action = transition.state, transition.action
        self.due = now + delay
        if outcome is Outcome.ADMITTED:
            self._failures[_S.REDIRECTED] = 0
        elif outcome is Outcome.ACCEPTED:
            self._failures = dict.fromkeys(_BACK_OFF, 0)
            self._expired_before = False
        return transition.notice

    def _waiting(self, transition: _Transition) -> tuple[_Transition, float]:
        if transition.wait is _Wait.AT_ONCE:
            return transition, 0.0
        if transition.wait is _Wait.ONCE_AT_ONCE and not self._expired_before:
            self._expired_before = True
            return transition, 0.0
        back_off = _BACK_OFF[transition.state]
        if transition.wait is _Wait.SHORTEST:
            self._failures[transition.state] = 1
            return transition, back_off.step
        failures = self._failures[transition.state] + 1
        if failures > back_off.most and back_off.beyond is not None:
            self._failures[transition.state] = 0
            return back_off.beyond, 0.0
        self._failures[transition.state] = min(failures, back_off.most)
        return transition, self._failures[transition.state] * back_off.step


class Beat(Enum):
    PING = "send a PINGREQ"
    DEAD = "the link is dead"


@dataclass(slots=True)
class Heartbeat:
    """A PINGREQ every `interval` seconds whatever else is said; dead after two intervals in which nothing was heard."""

    interval: float
    pinged: float
    heard: float

    def deadline(self) -> float:
        return min(self.pinged + self.interval, self.heard + 2 * self.interval)

    def handle(self, now: float) -> Beat | None:
        if now >= self.heard + 2 * self.interval:
            return Beat.DEAD
        if now >= self.pinged + self.interval:
            self.pinged = now
            return Beat.PING
        return None
