"""The life of a software component, as a table. No IO, no clock. lwm2m.md §12.3.

Installing and removing take time, so they are stages of their own; servers see the state that a stage belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import NamedTuple

from lwm2m.errors import MethodNotAllowed


class State(IntEnum):
    INITIAL = 0
    DOWNLOAD_STARTED = 1
    DOWNLOADED = 2
    DELIVERED = 3
    INSTALLED = 4


class Result(IntEnum):
    INITIAL = 0
    DOWNLOADING = 1
    INSTALLED = 2
    DOWNLOADED = 3
    NO_STORAGE = 50
    NO_MEMORY = 51
    CONNECTION_LOST = 52
    INTEGRITY = 53
    UNSUPPORTED_PACKAGE = 54
    INVALID_URI = 56
    DEVICE_ERROR = 57
    INSTALL_FAILED = 58
    UNINSTALL_FAILED = 59


class Stage(Enum):
    INITIAL = "initial"
    DOWNLOADING = "downloading"
    CHECKING = "checking"
    DELIVERED = "delivered"
    INSTALLING = "installing"
    INSTALLED = "installed"
    REMOVING = "removing"

    @property
    def state(self) -> State:
        return _STATES[self]


_STATES = {
    Stage.INITIAL: State.INITIAL,
    Stage.DOWNLOADING: State.DOWNLOAD_STARTED,
    Stage.CHECKING: State.DOWNLOADED,
    Stage.DELIVERED: State.DELIVERED,
    Stage.INSTALLING: State.DELIVERED,
    Stage.INSTALLED: State.INSTALLED,
    Stage.REMOVING: State.INSTALLED,
}


class Happening(Enum):
    PACKAGE_WRITTEN = "package written"
    URI_WRITTEN = "URI written"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    PREPARE_UPGRADE = "prepare an upgrade"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    ARRIVED = "arrived"
    DOWNLOAD_FAILED = "download failed"
    PACKAGE_FIT = "package fit"
    INSTALL_DONE = "installed"
    INSTALL_FAILED = "install failed"
    REMOVED = "removed"
    REMOVE_FAILED = "remove failed"
    ACTIVATE_FAILED = "activate failed"
    DEACTIVATE_FAILED = "deactivate failed"


class Action(Enum):
    TAKE = "take the package that was written"
    FETCH = "fetch the package"
    CHECK = "check the package"
    DISCARD = "throw the package away"
    INSTALL = "install the package"
    REMOVE = "remove the software"
    CLEAR = "remove what an upgrade would have replaced"
    ACTIVATE = "let the software run"
    DEACTIVATE = "let the software rest"


class Component(NamedTuple):
    name: str
    version: str


NO_COMPONENT = Component("", "")


@dataclass(frozen=True, slots=True)
class Software:
    """`component` is known from the moment its package was found fit."""

    stage: Stage = Stage.INITIAL
    result: Result = Result.INITIAL
    active: bool = False
    component: Component = NO_COMPONENT
    uri: str = ""


class Row(NamedTuple):
    """`result` None keeps the one there is; a failed download brings its own. `active` None keeps what is."""

    stage: Stage
    result: Result | None = None
    actions: tuple[Action, ...] = ()
    active: bool | None = None


H = Happening
_DOWNLOAD_FAILED = Row(Stage.INITIAL, None, (Action.DISCARD,))
_FORGOTTEN = Row(Stage.INITIAL, Result.INITIAL, (Action.DISCARD, Action.CLEAR), False)

TABLE: Mapping[Stage, Mapping[Happening, Row]] = {
    Stage.INITIAL: {
        H.PACKAGE_WRITTEN: Row(Stage.DOWNLOADING, Result.DOWNLOADING, (Action.TAKE,)),
        H.URI_WRITTEN: Row(Stage.DOWNLOADING, Result.DOWNLOADING, (Action.FETCH,)),
    },
    Stage.DOWNLOADING: {
        H.ARRIVED: Row(Stage.CHECKING, None, (Action.CHECK,)),
        H.DOWNLOAD_FAILED: _DOWNLOAD_FAILED,
    },
    Stage.CHECKING: {
        H.PACKAGE_FIT: Row(Stage.DELIVERED, Result.DOWNLOADED),
        H.DOWNLOAD_FAILED: _DOWNLOAD_FAILED,
    },
    Stage.DELIVERED: {
        H.INSTALL: Row(Stage.INSTALLING, None, (Action.INSTALL,)),
        H.UNINSTALL: _FORGOTTEN,
        H.PREPARE_UPGRADE: _FORGOTTEN,
    },
    Stage.INSTALLING: {
        H.INSTALL_DONE: Row(Stage.INSTALLED, Result.INSTALLED, (), False),
        H.INSTALL_FAILED: Row(Stage.DELIVERED, Result.INSTALL_FAILED),
    },
    Stage.INSTALLED: {
        H.ACTIVATE: Row(Stage.INSTALLED, None, (Action.ACTIVATE,), True),
        H.DEACTIVATE: Row(Stage.INSTALLED, None, (Action.DEACTIVATE,), False),
        H.ACTIVATE_FAILED: Row(Stage.INSTALLED, Result.DEVICE_ERROR, (), False),
        H.DEACTIVATE_FAILED: Row(Stage.INSTALLED, Result.DEVICE_ERROR, (), True),
        H.UNINSTALL: Row(Stage.REMOVING, None, (Action.REMOVE,)),
        H.PREPARE_UPGRADE: Row(Stage.INITIAL, Result.INITIAL, (Action.DISCARD,)),
    },
    Stage.REMOVING: {
        H.REMOVED: _FORGOTTEN,
        H.REMOVE_FAILED: Row(Stage.INSTALLED, Result.UNINSTALL_FAILED),
    },
}
"""What is not here has no effect, or is refused where a server asked for it. An upgrade that is prepared leaves what is
installed as it is until the new package takes its place."""

_WRITES = frozenset({H.PACKAGE_WRITTEN, H.URI_WRITTEN})
_ORDERS = _WRITES | {H.INSTALL, H.UNINSTALL, H.PREPARE_UPGRADE, H.ACTIVATE, H.DEACTIVATE}


def follow(
    software: Software,
    happening: Happening,
    *,
    result: Result | None = None,
    uri: str = "",
    component: Component | None = None,
) -> tuple[Software, tuple[Action, ...]]:
    """What becomes of the software, and what to do. Raises MethodNotAllowed for an order of the server that this stage
    does not take."""
    row = TABLE[software.stage].get(happening)
    if row is None:
        if happening in _ORDERS:
            raise MethodNotAllowed(f"not while the software is {software.stage.value}")
        return software, ()
    after = replace(
        software,
        stage=row.stage,
        result=row.result if row.result is not None else result if result is not None else software.result,
        active=software.active if row.active is None else row.active,
        component=component if component is not None else software.component,
        uri=uri if happening in _WRITES else software.uri,
    )
    if row is _FORGOTTEN:
        after = replace(after, component=NO_COMPONENT)
    return after, row.actions
