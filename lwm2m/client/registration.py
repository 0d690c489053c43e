"""The registration of a client with one server: a state machine as a table. No IO; `now` is monotonic seconds.

Feed `handle` with what happened and do what it returns; when `deadline` has passed, feed `Due`. lwm2m.md §5.4 to §5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from lwm2m.coap.message import Code, Response

NO_FURTHER_SEQUENCE = 2**32 - 1
"""The Communication Sequence Delay Timer that says so. lwm2m.md §5.6."""
LEAST_DELAY = 1.0
"""Seconds between two tries whatever object 1 says: a server may write zeros there and then be gone."""
_MOST_DOUBLINGS = 20


class State(Enum):
    IDLE = "idle"
    REGISTERING = "registering"
    REGISTERED = "registered"
    UPDATING = "updating"
    WAITING = "waiting"
    """Until it is time to register, for the first time or again."""
    FAILED = "failed"
    """All tries are used up; only `Start` or `Restart` leads out."""
    DISABLING = "disabling"
    DISABLED = "disabled"
    DEREGISTERING = "deregistering"
    STOPPED = "stopped"


class Settings(NamedTuple):
    """What object 1 says, by resource id; the defaults are those of lwm2m.md §5.6. Seconds and counts."""

    lifetime: int = 86_400
    disable_timeout: int = 86_400
    initial_delay: int = 0
    retry_count: int = 5
    retry_timer: int = 60
    sequence_delay: int = 86_400
    sequence_count: int = 1


@dataclass(frozen=True, slots=True)
class Start: ...


@dataclass(frozen=True, slots=True)
class Due:
    """The deadline has passed."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server said yes. `location` comes with the answer to a Register."""

    location: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or one that may be better next time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that asking again within this sequence would not change."""

    reason: str


@dataclass(frozen=True, slots=True)
class WrongVersion:
    """The server does not speak the LwM2M version that we registered with."""

    reason: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The last try of the last sequence failed, which `handle` finds out itself; or one that no further try can
    better."""

    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The server should know: object list (gathered for a while), lifetime or binding (told at once)."""

    objects: bool = False
    lifetime: bool = False
    binding: bool = False


@dataclass(frozen=True, slots=True)
class Triggered:
    """Registration Update Trigger, /1/x/8. `transport` is the letter of another one to take, "" for none."""

    transport: str = ""


@dataclass(frozen=True, slots=True)
class Disable:
    """Disable, /1/x/4."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The device was restarted: register anew."""


@dataclass(frozen=True, slots=True)
class Stop:
    """De-register if registered, and be done."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Be done at once, without a word to the server."""


Outcome: TypeAlias = Accepted | Failed | Refused | WrongVersion | GaveUp
Event: TypeAlias = Start | Due | Outcome | Changed | Triggered | Disable | Restart | Stop | Halt


@dataclass(frozen=True, slots=True)
class SendRegister:
    """Observations of an earlier registration are over."""


@dataclass(frozen=True, slots=True)
class SendUpdate:
    """What to say in it; nothing refreshes the lifetime."""

    location: tuple[str, ...]
    objects: bool = False
    lifetime: bool = False
    binding: bool = False


@dataclass(frozen=True, slots=True)
class SendDeregister:
    location: tuple[str, ...]


Action: TypeAlias = SendRegister | SendUpdate | SendDeregister


class Registration:
    """`settings` is asked each time one of them is needed; `gather` is how long changes of the object list are
    collected, in seconds. `versions` are those that the client speaks, the one to begin with first; `version` is the
    one in use."""

    def __init__(
        self, settings: Callable[[], Settings], gather: float = 0.1, versions: Sequence[str] = ("1.1",)
    ) -> None:
        self.state = State.IDLE
        self.location: tuple[str, ...] = ()
        self.version = versions[0]
        self._versions = versions
        self._settings = settings
        self._gather = gather
        self._deadline: float | None = None
        self._refresh_at: float | None = None
        self._unsaid = Changed()
        self._attempt = 0
        self._sequence = 1

    def deadline(self) -> float | None:
        return self._deadline

    def handle(self, event: Event, now: float) -> tuple[Action, ...]:
        """What to do now. An event that means nothing in this state does nothing."""
        if isinstance(event, Due) and (self._deadline is None or now < self._deadline):
            return ()
        if isinstance(event, WrongVersion) and not (self.state is State.REGISTERING and self._lower_versions()):
            event = Refused(event.reason)
        if isinstance(event, Failed | Refused) and self.state is State.REGISTERING and self._is_last(event):
            event = GaveUp(event.reason)
        if (transition := TRANSITIONS.get((self.state, type(event)))) is None:
            return ()
        self.state, step = transition
        return step(self, event, now)

    def _lower_versions(self) -> Sequence[str]:
        return self._versions[self._versions.index(self.version) + 1 :]

    def _is_last(self, event: Failed | Refused) -> bool:
        settings = self._settings()
        tries_left = isinstance(event, Failed) and self._attempt < settings.retry_count
        more = self._sequence < settings.sequence_count and settings.sequence_delay < NO_FURTHER_SEQUENCE
        return not (tries_left or more)

    def _send_register(self, _event: Event, _now: float) -> tuple[Action, ...]:
        self._deadline = None
        self._unsaid = Changed()
        self._attempt += 1
        self.location = ()
        return (SendRegister(),)

    def _send_lower(self, _event: Event, _now: float) -> tuple[Action, ...]:
        """Another version is no further try: the server answers."""
        self.version = self._lower_versions()[0]
        return (SendRegister(),)

    def _start_over(self, event: Event, now: float) -> tuple[Action, ...]:
        self._attempt, self._sequence = 0, 1
        return self._send_register(event, now)

    def _arm_start(self, _event: Event, now: float) -> tuple[Action, ...]:
        self._attempt, self._sequence = 0, 1
        self.version = self._versions[0]
        self._deadline = now + self._settings().initial_delay
        return ()

    def _arm_update(self, event: Event, now: float) -> tuple[Action, ...]:
        assert isinstance(event, Accepted)
        self.location = event.location or self.location
        lifetime = self._settings().lifetime
        self._refresh_at = now + update_after(lifetime) if lifetime > 0 else None
        self._deadline = self._refresh_at
        if self._unsaid != Changed():
            self._deadline = now
        return ()

    def _arm_retry(self, event: Event, now: float) -> tuple[Action, ...]:
        settings = self._settings()
        if isinstance(event, Failed) and self._attempt < settings.retry_count:
            delay = settings.retry_timer * 2 ** min(self._attempt - 1, _MOST_DOUBLINGS)
        else:
            self._attempt = 0
            self._sequence += 1
            delay = settings.sequence_delay
        self._deadline = now + max(LEAST_DELAY, delay)
        return ()

    def _remember(self, event: Event, _now: float) -> tuple[Action, ...]:
        assert isinstance(event, Changed)
        self._unsaid = Changed(
            self._unsaid.objects or event.objects,
            self._unsaid.lifetime or event.lifetime,
            self._unsaid.binding or event.binding,
        )
        return ()

    def _arm_change(self, event: Event, now: float) -> tuple[Action, ...]:
        assert isinstance(event, Changed)
        self._remember(event, now)
        wanted = now if event.lifetime or event.binding else now + self._gather
        self._deadline = wanted if self._deadline is None else min(wanted, self._deadline)
        return ()

    def _send_update(self, _event: Event, _now: float) -> tuple[Action, ...]:
        self._deadline = None
        unsaid, self._unsaid = self._unsaid, Changed()
        return (SendUpdate(self.location, unsaid.objects, unsaid.lifetime, unsaid.binding),)

    def _send_deregister(self, _event: Event, _now: float) -> tuple[Action, ...]:
        self._deadline = None
        return (SendDeregister(self.location),)

    def _arm_enable(self, _event: Event, now: float) -> tuple[Action, ...]:
        self._attempt, self._sequence = 0, 1
        self._deadline = now + self._settings().disable_timeout
        return ()

    def _rest(self, _event: Event, _now: float) -> tuple[Action, ...]:
        self._deadline = None
        return ()


_Step: TypeAlias = Callable[[Registration, Event, float], tuple[Action, ...]]
_R = Registration

TRANSITIONS: dict[tuple[State, type[Event]], tuple[State, _Step]] = {
    (State.IDLE, Start): (State.WAITING, _R._arm_start),
    (State.FAILED, Start): (State.WAITING, _R._arm_start),
    (State.WAITING, Due): (State.REGISTERING, _R._send_register),
    (State.REGISTERING, Accepted): (State.REGISTERED, _R._arm_update),
    (State.REGISTERING, Failed): (State.WAITING, _R._arm_retry),
    (State.REGISTERING, Refused): (State.WAITING, _R._arm_retry),
    (State.REGISTERING, GaveUp): (State.FAILED, _R._rest),
    (State.REGISTERING, WrongVersion): (State.REGISTERING, _R._send_lower),
    (State.REGISTERING, Changed): (State.REGISTERING, _R._remember),
    (State.REGISTERED, Changed): (State.REGISTERED, _R._arm_change),
    (State.REGISTERED, Due): (State.UPDATING, _R._send_update),
    (State.REGISTERED, Triggered): (State.UPDATING, _R._send_update),
    (State.UPDATING, Changed): (State.UPDATING, _R._remember),
    (State.UPDATING, Accepted): (State.REGISTERED, _R._arm_update),
    (State.UPDATING, Failed): (State.REGISTERING, _R._start_over),
    (State.UPDATING, Refused): (State.REGISTERING, _R._start_over),
    (State.UPDATING, GaveUp): (State.FAILED, _R._rest),
    (State.REGISTERED, Disable): (State.DISABLING, _R._send_deregister),
    (State.UPDATING, Disable): (State.DISABLING, _R._send_deregister),
    (State.DISABLING, Accepted): (State.DISABLED, _R._arm_enable),
    (State.DISABLING, Failed): (State.DISABLED, _R._arm_enable),
    (State.DISABLING, Refused): (State.DISABLED, _R._arm_enable),
    (State.DISABLED, Due): (State.REGISTERING, _R._send_register),
    (State.REGISTERED, Restart): (State.REGISTERING, _R._start_over),
    (State.UPDATING, Restart): (State.REGISTERING, _R._start_over),
    (State.FAILED, Restart): (State.REGISTERING, _R._start_over),
    (State.WAITING, Restart): (State.REGISTERING, _R._start_over),
    (State.REGISTERED, Stop): (State.DEREGISTERING, _R._send_deregister),
    (State.UPDATING, Stop): (State.DEREGISTERING, _R._send_deregister),
    (State.DISABLING, Stop): (State.DEREGISTERING, _R._send_deregister),
    (State.IDLE, Stop): (State.STOPPED, _R._rest),
    (State.WAITING, Stop): (State.STOPPED, _R._rest),
    (State.FAILED, Stop): (State.STOPPED, _R._rest),
    (State.REGISTERING, Stop): (State.STOPPED, _R._rest),
    (State.DISABLED, Stop): (State.STOPPED, _R._rest),
    (State.DEREGISTERING, Accepted): (State.STOPPED, _R._rest),
    (State.DEREGISTERING, Failed): (State.STOPPED, _R._rest),
    (State.DEREGISTERING, Refused): (State.STOPPED, _R._rest),
    **{(state, Halt): (State.STOPPED, _R._rest) for state in State},
}
"""(state, event) -> (next state, step). The diagram in the documentation is drawn from this."""


def update_after(lifetime: int) -> float:
    """Seconds from a Register or Update to the next Update. lwm2m.md §5.4."""
    return lifetime / 2 if lifetime < 186 else lifetime - 93


def outcome(action: Action, response: Response) -> Outcome:
    """What an answer of the server means. lwm2m.md §5.1, §5.7."""
    if isinstance(action, SendRegister) and response.code is Code.CREATED:
        if response.location:
            return Accepted(response.location)
        return Failed("the server gave no location")
    if not isinstance(action, SendRegister) and response.code.is_success:
        return Accepted()
    reason = f"{response.code.dotted} {response.diagnostic}".rstrip() + _OSCORE_FIXES.get(response.diagnostic, "")
    if response.code is Code.PRECONDITION_FAILED:
        return WrongVersion(reason)
    return Refused(reason) if response.code in _FINAL else Failed(reason)


_FINAL = frozenset({Code.BAD_REQUEST, Code.FORBIDDEN})
_OSCORE_FIXES = {
    "Security context not found": ": add our sender id at the server, or correct it here",
    "Decryption failed": ": compare the master secret, the ids and the algorithms of OSCORE with the server's",
    "Replay detected": ": the sequence numbers here are older than they were; give both sides a new master secret",
}
"""To what servers say in the clear. RFC 8613 §8.2"""
