"""The life of a firmware update, as a table. No IO, no clock. lwm2m.md §12.2.

The table has more stages than LwM2M has states: Updating is installing, rebooting, a trial and perhaps the way back,
because a device may lose its power in each of them and has to know afterwards where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import NamedTuple

from lwm2m.errors import BadRequest, LwM2MError, MethodNotAllowed

MANDATORY = 1
"""The severity of an update of which nothing is said."""


class State(IntEnum):
    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3


class Result(IntEnum):
    INITIAL = 0
    SUCCESS = 1
    NO_STORAGE = 2
    NO_MEMORY = 3
    CONNECTION_LOST = 4
    INTEGRITY = 5
    UNSUPPORTED_PACKAGE = 6
    INVALID_URI = 7
    FAILED = 8
    UNSUPPORTED_PROTOCOL = 9
    CANCELLED = 10
    DEFERRED = 11


class Stage(Enum):
    IDLE = "idle"
    RECEIVING = "receiving"
    FETCHING = "fetching"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    ON_TRIAL = "on trial"
    ROLLING_BACK = "rolling back"

    @property
    def state(self) -> State:
        return _STATES[self]


_STATES = {
    Stage.IDLE: State.IDLE,
    Stage.RECEIVING: State.DOWNLOADING,
    Stage.FETCHING: State.DOWNLOADING,
    Stage.DOWNLOADED: State.DOWNLOADED,
    Stage.INSTALLING: State.UPDATING,
    Stage.REBOOTING: State.UPDATING,
    Stage.ON_TRIAL: State.UPDATING,
    Stage.ROLLING_BACK: State.UPDATING,
}


class Happening(Enum):
    PACKAGE_WRITTEN = "package written"
    URI_WRITTEN = "URI written"
    RESET = "reset"
    UPDATE = "update"
    CANCEL = "cancel"
    DEFER = "defer"
    DEFERRAL_OVER = "deferral over"
    PACKAGE_FIT = "package fit"
    DOWNLOAD_FAILED = "download failed"
    INSTALLED = "installed"
    INSTALL_FAILED = "install failed"
    PACKAGE_SPOILT = "package spoilt"
    BOOTED_BEFORE = "the firmware from before runs"
    BOOTED_ON_TRIAL = "the new firmware runs, unconfirmed"
    BOOTED_NEW = "the new firmware runs, confirmed"
    REGISTERED = "registered"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NO_WAY_BACK = "no way back"


class Action(Enum):
    CHECK = "check the package that was written"
    FETCH = "fetch the package and check it"
    ABANDON = "end what runs"
    DISCARD = "throw the package away"
    INSTALL = "install the package"
    REBOOT = "boot what was installed"
    AWAIT_REGISTRATION = "give the new firmware its time to register"
    AWAIT_DEFERRAL = "install by ourselves once the deferral is over"
    CONFIRM = "keep the new firmware for good"
    ROLL_BACK = "boot the firmware from before"


class PackageInfo(NamedTuple):
    """`image` tells one firmware image from another, as its digest does."""

    name: str
    version: str
    image: str


@dataclass(frozen=True, slots=True)
class Progress:
    """All that has to outlive a power cut. Times are Unix seconds."""

    stage: Stage = Stage.IDLE
    result: Result = Result.INITIAL
    changed_at: int = 0
    uri: str = ""
    package: PackageInfo | None = None
    severity: int = MANDATORY
    maximum_defer_period: int | None = None
    deferred_at: int | None = None

    def deferral_left(self, now: float) -> float | None:
        """Seconds; None where nothing is deferred or no end was set. A clock that went back makes it no longer than
        the whole period."""
        if self.deferred_at is None or self.maximum_defer_period is None:
            return None
        return max(0.0, min(self.maximum_defer_period, self.deferred_at + self.maximum_defer_period - now))


class Row(NamedTuple):
    """`result` None keeps the one there is; a failure brings its own."""

    stage: Stage
    result: Result | None = None
    actions: tuple[Action, ...] = ()


_NOTHING_LEFT = Row(Stage.IDLE, Result.INITIAL, (Action.ABANDON, Action.DISCARD))
_CANCELLED = Row(Stage.IDLE, Result.CANCELLED, (Action.ABANDON, Action.DISCARD))
_LOST = Row(Stage.IDLE, Result.CONNECTION_LOST, (Action.DISCARD,))
_DOWNLOAD_FAILED = Row(Stage.IDLE, None, (Action.DISCARD,))
_INSTALL = Row(Stage.INSTALLING, Result.INITIAL, (Action.INSTALL,))
_UPDATED = Row(Stage.IDLE, Result.SUCCESS, (Action.DISCARD,))
_FAILED = Row(Stage.DOWNLOADED, Result.FAILED)
_TRIAL = Row(Stage.ON_TRIAL, None, (Action.AWAIT_REGISTRATION,))
_BACK = Row(Stage.ROLLING_BACK, None, (Action.ROLL_BACK,))

_BOOTED_WHILE_FETCHING = Row(Stage.FETCHING, None, (Action.FETCH,))
_BOOTED_WHEN_DOWNLOADED = Row(Stage.DOWNLOADED, None, (Action.AWAIT_DEFERRAL,))

H = Happening

TABLE: Mapping[Stage, Mapping[Happening, Row]] = {
    Stage.IDLE: {
        H.PACKAGE_WRITTEN: Row(Stage.RECEIVING, Result.INITIAL, (Action.CHECK,)),
        H.URI_WRITTEN: Row(Stage.FETCHING, Result.INITIAL, (Action.FETCH,)),
        H.RESET: _NOTHING_LEFT,
    },
    Stage.RECEIVING: {
        H.PACKAGE_FIT: Row(Stage.DOWNLOADED, Result.INITIAL),
        H.DOWNLOAD_FAILED: _DOWNLOAD_FAILED,
        H.RESET: _NOTHING_LEFT,
        H.CANCEL: _CANCELLED,
        H.BOOTED_BEFORE: _LOST,
        H.BOOTED_ON_TRIAL: _LOST,
        H.BOOTED_NEW: _LOST,
    },
    Stage.FETCHING: {
        H.PACKAGE_FIT: Row(Stage.DOWNLOADED, Result.INITIAL),
        H.DOWNLOAD_FAILED: _DOWNLOAD_FAILED,
        H.RESET: _NOTHING_LEFT,
        H.CANCEL: _CANCELLED,
        H.BOOTED_BEFORE: _BOOTED_WHILE_FETCHING,
        H.BOOTED_ON_TRIAL: _BOOTED_WHILE_FETCHING,
        H.BOOTED_NEW: _BOOTED_WHILE_FETCHING,
    },
    Stage.DOWNLOADED: {
        H.UPDATE: _INSTALL,
        H.DEFER: Row(Stage.DOWNLOADED, Result.DEFERRED, (Action.AWAIT_DEFERRAL,)),
        H.DEFERRAL_OVER: _INSTALL,
        H.RESET: _NOTHING_LEFT,
        H.CANCEL: _CANCELLED,
        H.PACKAGE_SPOILT: Row(Stage.IDLE, Result.INTEGRITY, (Action.DISCARD,)),
        H.BOOTED_BEFORE: _BOOTED_WHEN_DOWNLOADED,
        H.BOOTED_ON_TRIAL: _BOOTED_WHEN_DOWNLOADED,
        H.BOOTED_NEW: _BOOTED_WHEN_DOWNLOADED,
    },
    Stage.INSTALLING: {
        H.INSTALLED: Row(Stage.REBOOTING, None, (Action.REBOOT,)),
        H.INSTALL_FAILED: _FAILED,
        H.PACKAGE_SPOILT: Row(Stage.IDLE, Result.INTEGRITY, (Action.DISCARD,)),
        H.BOOTED_BEFORE: _FAILED,
        H.BOOTED_ON_TRIAL: _TRIAL,
        H.BOOTED_NEW: _UPDATED,
    },
    Stage.REBOOTING: {
        H.BOOTED_BEFORE: _FAILED,
        H.BOOTED_ON_TRIAL: _TRIAL,
        H.BOOTED_NEW: _UPDATED,
        H.INSTALL_FAILED: _FAILED,
    },
    Stage.ON_TRIAL: {
        H.REGISTERED: Row(Stage.ON_TRIAL, None, (Action.CONFIRM,)),
        H.CONFIRMED: _UPDATED,
        H.NOT_CONFIRMED: _BACK,
        H.BOOTED_BEFORE: _FAILED,
        H.BOOTED_ON_TRIAL: _BACK,
        H.BOOTED_NEW: _UPDATED,
    },
    Stage.ROLLING_BACK: {
        H.BOOTED_BEFORE: _FAILED,
        H.BOOTED_ON_TRIAL: _BACK,
        H.BOOTED_NEW: _UPDATED,
        H.NO_WAY_BACK: Row(Stage.IDLE, Result.FAILED, (Action.DISCARD,)),
    },
}
"""What is not here has no effect, or is refused where a server asked for it."""

_WRITES = frozenset({H.PACKAGE_WRITTEN, H.URI_WRITTEN, H.RESET})
_ORDERS = _WRITES | {H.UPDATE, H.CANCEL}


def check_allowed(progress: Progress, happening: Happening) -> None:
    """Raises BadRequest or MethodNotAllowed for an order of the server that this stage does not take."""
    if happening in _ORDERS and happening not in TABLE[progress.stage]:
        raise _refusal(progress.stage.state, happening)


def _refusal(state: State, happening: Happening) -> LwM2MError:
    if happening in _WRITES and state is not State.UPDATING:
        return BadRequest("there is a package already: reset first")
    return MethodNotAllowed(f"not while the firmware update is {state.name.lower()}")


def follow(
    progress: Progress,
    happening: Happening,
    now: float,
    *,
    result: Result | None = None,
    uri: str = "",
    package: PackageInfo | None = None,
) -> tuple[Progress, tuple[Action, ...]]:
    """What becomes of the update, and what to do once that is stored. `now` in Unix seconds; `result` comes with a
    failed download, `uri` with a written one, `package` with a fit one. Raises LwM2MError, see `check_allowed`."""
    check_allowed(progress, happening)
    row = TABLE[progress.stage].get(happening)
    if row is None:
        return progress, ()
    after = replace(progress, stage=row.stage, result=_result(progress, row, result), deferred_at=None)
    if happening in _WRITES:
        after = replace(after, uri=uri, package=None)
    elif happening is H.PACKAGE_FIT:
        after = replace(after, package=package)
    elif happening is H.DEFER:
        after = replace(after, deferred_at=int(now))
    elif row is _BOOTED_WHEN_DOWNLOADED:
        after = replace(after, deferred_at=progress.deferred_at)
    if row.stage is Stage.IDLE:
        after = replace(after, package=None)
    if after.stage.state is not progress.stage.state:
        after = replace(after, changed_at=int(now))
    return after, row.actions


def _result(progress: Progress, row: Row, given: Result | None) -> Result:
    if row.result is not None:
        return row.result
    return progress.result if given is None else given


def booted(running_image: str, confirmed: bool, progress: Progress) -> Happening:
    """What runs after a boot, seen from where the update was."""
    if not confirmed:
        return H.BOOTED_ON_TRIAL
    if progress.package is not None and running_image == progress.package.image:
        return H.BOOTED_NEW
    return H.BOOTED_BEFORE
