"""The bootstrap of a client, as a machine: when it asks, how long it waits, when it gives way. No IO; `now` is
monotonic seconds. Core 1.1.1 §6.1; lwm2m.md §4.7, §4.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

TRIES = 5
FIRST_RETRY = 60.0
REST = 86_400.0
SILENCE = 247.0
"""EXCHANGE_LIFETIME: a bootstrap server that says nothing for so long has gone."""


class BootstrapState(Enum):
    IDLE = "idle"
    HOLDING_OFF = "holding off"
    REQUESTING = "requesting"
    RUNNING = "running"
    WAITING = "waiting"
    """Until it is time to ask again."""
    RESTING = "resting"
    """All tries are used up: the servers that are configured get their chance, and in a day we ask again."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Bootstrap was decided on. Times in seconds."""

    hold_off: float = 0.0


@dataclass(frozen=True, slots=True)
class Due:
    """The deadline has passed."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The bootstrap server said yes to our request."""


@dataclass(frozen=True, slots=True)
class Failed:
    """`is_final`: asking again within the day is of no use."""

    reason: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Operated:
    """The bootstrap server asked something of us."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The new configuration is in force; `account_timeout` as in /0/x/12."""

    account_timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody needs it any more."""


BootstrapEvent: TypeAlias = Begin | Due | Accepted | Failed | Operated | Finished | Abandon


@dataclass(frozen=True, slots=True)
class SendRequest:
    """What was written in an earlier attempt is void."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """What was written so far is void; the configuration stays as it was."""


@dataclass(frozen=True, slots=True)
class GiveWay:
    """Register with the servers that are configured, as far as there are any."""


@dataclass(frozen=True, slots=True)
class PurgeAccount:
    """Remove the account of the bootstrap server."""


BootstrapAction: TypeAlias = SendRequest | RollBack | GiveWay | PurgeAccount


class BootstrapSequence:
    def __init__(self) -> None:
        self.state = BootstrapState.IDLE
        self._deadline: float | None = None
        self._purge_at: float | None = None
        self._attempt = 0

    def deadline(self) -> float | None:
        return self._purge_at if self.state is BootstrapState.IDLE else self._deadline

    def handle(self, event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        """What to do now. An event that means nothing in this state does nothing."""
        if isinstance(event, Due) and ((deadline := self.deadline()) is None or now < deadline):
            return ()
        if (transition := TRANSITIONS.get((self.state, type(event)))) is None:
            return ()
        self.state, step = transition
        return step(self, event, now)

    def _hold_off(self, event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        assert isinstance(event, Begin)
        self._attempt = 0
        self._deadline = now + event.hold_off
        return ()

    def _request(self, _event: BootstrapEvent, _now: float) -> tuple[BootstrapAction, ...]:
        self._attempt += 1
        self._deadline = None
        return (SendRequest(),)

    def _listen(self, _event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        self._deadline = now + SILENCE
        return ()

    def _retry(self, event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        self._deadline = now + FIRST_RETRY * 2 ** max(0, self._attempt - 1)
        if self._attempt < TRIES and not (isinstance(event, Failed) and event.is_final):
            return ()
        self.state = BootstrapState.RESTING
        self._attempt = 0
        self._deadline = now + REST
        return (GiveWay(),)

    def _roll_back(self, event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        return (RollBack(), *self._retry(event, now))

    def _finish(self, event: BootstrapEvent, now: float) -> tuple[BootstrapAction, ...]:
        assert isinstance(event, Finished)
        self._purge_at = now + event.account_timeout if event.account_timeout else None
        return ()

    def _purge(self, _event: BootstrapEvent, _now: float) -> tuple[BootstrapAction, ...]:
        self._purge_at = None
        return (PurgeAccount(),)

    def _rest(self, _event: BootstrapEvent, _now: float) -> tuple[BootstrapAction, ...]:
        return ()


_Step: TypeAlias = Callable[[BootstrapSequence, BootstrapEvent, float], tuple[BootstrapAction, ...]]
_S, _B = BootstrapState, BootstrapSequence

TRANSITIONS: dict[tuple[BootstrapState, type[BootstrapEvent]], tuple[BootstrapState, _Step]] = {
    (_S.IDLE, Begin): (_S.HOLDING_OFF, _B._hold_off),
    (_S.IDLE, Due): (_S.IDLE, _B._purge),
    (_S.HOLDING_OFF, Due): (_S.REQUESTING, _B._request),
    (_S.HOLDING_OFF, Operated): (_S.RUNNING, _B._listen),
    (_S.REQUESTING, Accepted): (_S.RUNNING, _B._listen),
    (_S.REQUESTING, Operated): (_S.RUNNING, _B._listen),
    (_S.REQUESTING, Failed): (_S.WAITING, _B._retry),
    (_S.RUNNING, Operated): (_S.RUNNING, _B._listen),
    (_S.RUNNING, Due): (_S.WAITING, _B._roll_back),
    (_S.RUNNING, Finished): (_S.IDLE, _B._finish),
    (_S.WAITING, Due): (_S.REQUESTING, _B._request),
    (_S.WAITING, Operated): (_S.RUNNING, _B._listen),
    (_S.RESTING, Due): (_S.REQUESTING, _B._request),
    (_S.RESTING, Operated): (_S.RUNNING, _B._listen),
    **{(state, Abandon): (_S.IDLE, _B._rest) for state in BootstrapState},
}
"""(state, event) -> (next state, step); the last try, and one that fails for good, leads to RESTING, not WAITING."""
