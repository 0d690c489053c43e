"""Object 9, LWM2M Software Management: one instance for each software component. lwm2m.md §12.3."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from lwm2m.client.download import Login
from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects import software_machine as machine
from lwm2m.client.standard_objects.software_machine import Action, Component, Happening, Result, Software
from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations.arguments import parse_arguments

NAME, VERSION, PACKAGE, URI, INSTALL, UNINSTALL = 0, 1, 2, 3, 4, 6
STATE, UPDATE_SUPPORTED_OBJECTS, RESULT = 7, 8, 9
ACTIVATE, DEACTIVATE, ACTIVATION_STATE, USER_NAME, PASSWORD = 10, 11, 12, 14, 15

_RESULTS = {
    Trouble.NO_STORAGE: Result.NO_STORAGE,
    Trouble.NO_MEMORY: Result.NO_MEMORY,
    Trouble.CONNECTION_LOST: Result.CONNECTION_LOST,
    Trouble.INTEGRITY: Result.INTEGRITY,
    Trouble.UNSUPPORTED_PACKAGE: Result.UNSUPPORTED_PACKAGE,
    Trouble.INVALID_URI: Result.INVALID_URI,
    Trouble.UNSUPPORTED_PROTOCOL: Result.INVALID_URI,
    Trouble.NOT_INSTALLED: Result.DEVICE_ERROR,
    Trouble.NOT_REMOVED: Result.DEVICE_ERROR,
}
_ORDERS = {
    INSTALL: Happening.INSTALL,
    ACTIVATE: Happening.ACTIVATE,
    DEACTIVATE: Happening.DEACTIVATE,
}
_log = logging.getLogger(__name__)


class SoftwareInstaller(Protocol):
    """What a device author implements. `instance` is the number of the component. Raise PackageError to refuse."""

    @property
    def max_package(self) -> int: ...

    async def check(self, package: bytes) -> Component:
        """Is it whole, and for this device? Nothing is applied."""
        ...

    async def install(self, instance: int, package: bytes) -> None:
        """Inactive at first; takes the place of an older version."""
        ...

    async def remove(self, instance: int) -> None: ...

    async def activate(self, instance: int, active: bool) -> None:
        """Let the software run, or rest."""
        ...


class _Slot:
    """One component with what it needs to get on."""

    def __init__(self) -> None:
        self.software = Software()
        self.package = b""
        self.user = ""
        self.password = ""
        self.update_supported_objects = False
        self.installed = False

    @property
    def login(self) -> Login | None:
        return Login(self.user, self.password) if self.user else None


class SoftwareManagement(Stored):
    """`instances` is how many components the device has room for. `fetch` brings a package from a URI, at most so many
    bytes of it, with the login that the server wrote; see `Downloader`."""

    def __init__(
        self,
        installer: SoftwareInstaller,
        fetch: Callable[[str, int, Login | None], Coroutine[Any, Any, bytes]],
        instances: int = 1,
    ) -> None:
        super().__init__(9)
        self._installer = installer
        self._fetch = fetch
        self._slots = {number: _Slot() for number in range(instances)}
        self._jobs: set[asyncio.Task[None]] = set()

    def software(self, instance: int) -> Software:
        return self._slots[instance].software

    def records(self) -> list[Record]:
        return [record for number in self._slots for record in self._shown(number, everything=True)]

    def _shown(self, instance: int, everything: bool = False) -> list[Record]:
        slot = self._slots[instance]
        software = slot.software
        values: dict[int, Value | None] = {
            NAME: software.component.name,
            VERSION: software.component.version,
            STATE: int(software.stage.state),
            UPDATE_SUPPORTED_OBJECTS: slot.update_supported_objects,
            RESULT: int(software.result),
            ACTIVATION_STATE: software.active,
        }
        if everything:
            values |= dict.fromkeys((PACKAGE, URI, INSTALL, UNINSTALL, ACTIVATE, DEACTIVATE, USER_NAME, PASSWORD))
        return [Record(Path(9, instance, number), value) for number, value in values.items()]

    async def stop(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def idle(self) -> None:
        """Until nothing is being fetched, checked, installed or removed."""
        while self._jobs:
            await asyncio.wait(self._jobs)

    # The server

    async def write(self, records: Sequence[Record]) -> None:
        instance = records[0].path[1]
        slot = self._slots[instance]
        values: dict[int, Any] = {record.path[2]: record.value for record in records}
        unknown = values.keys() - {PACKAGE, URI, UPDATE_SUPPORTED_OBJECTS, USER_NAME, PASSWORD}
        if unknown:
            raise NotFound(f"there is no {Path(9, instance, min(unknown))}")
        if PACKAGE in values and URI in values:
            raise BadRequest("either a package or a URI")
        happening = Happening.PACKAGE_WRITTEN if PACKAGE in values else Happening.URI_WRITTEN
        delivers = PACKAGE in values or URI in values
        if delivers:
            machine.follow(slot.software, happening)
        slot.user = values.get(USER_NAME, slot.user)
        slot.password = values.get(PASSWORD, slot.password)
        slot.update_supported_objects = values.get(UPDATE_SUPPORTED_OBJECTS, slot.update_supported_objects)
        if delivers:
            slot.package = values.get(PACKAGE, b"")
            self._happen(instance, happening, uri=values.get(URI, ""))
        self.host.update(self._shown(instance))

    async def remove(self, paths: Sequence[Path]) -> None:
        """A login that a Replace leaves out is gone; the rest has values of its own."""
        for path in paths:
            slot = self._slots[path[1]]
            if path[2] == USER_NAME:
                slot.user = ""
            elif path[2] == PASSWORD:
                slot.password = ""
            elif path[2] == UPDATE_SUPPORTED_OBJECTS:
                slot.update_supported_objects = False
                self.host.update(self._shown(path[1]))

    async def execute(self, path: Path, arguments: str) -> None:
        instance, number = path[1], path[2]
        if number == UNINSTALL:
            self._happen(instance, _uninstall(arguments))
            return
        if number not in _ORDERS:
            await super().execute(path, arguments)
        if arguments:
            raise BadRequest("this takes no arguments")
        self._happen(instance, _ORDERS[number])

    # The machine

    def _happen(
        self,
        instance: int,
        happening: Happening,
        *,
        result: Result | None = None,
        uri: str = "",
        component: Component | None = None,
    ) -> None:
        slot = self._slots[instance]
        slot.software, actions = machine.follow(slot.software, happening, result=result, uri=uri, component=component)
        _log.info("software %d: %s, now %s", instance, happening.value, slot.software.stage.value)
        self.host.update(self._shown(instance))
        for action in actions:
            self._perform(instance, slot, action)

    def _perform(self, instance: int, slot: _Slot, action: Action) -> None:
        match action:
            case Action.TAKE:
                self._begin(instance, partial(self._take, instance, slot), _DOWNLOAD)
            case Action.FETCH:
                self._begin(instance, partial(self._pull, instance, slot), _DOWNLOAD)
            case Action.CHECK:
                self._begin(instance, partial(self._check, instance, slot), _DOWNLOAD)
            case Action.DISCARD:
                slot.package = b""
            case Action.INSTALL:
                self._begin(instance, partial(self._install, instance, slot), Happening.INSTALL_FAILED)
            case Action.REMOVE:
                self._begin(instance, partial(self._remove, instance, slot), Happening.REMOVE_FAILED)
            case Action.CLEAR if slot.installed:
                self._begin(instance, partial(self._remove, instance, slot), Happening.REMOVE_FAILED)
            case Action.ACTIVATE:
                self._begin(instance, partial(self._installer.activate, instance, True), Happening.ACTIVATE_FAILED)
            case Action.DEACTIVATE:
                self._begin(instance, partial(self._installer.activate, instance, False), Happening.DEACTIVATE_FAILED)

    def _begin(self, instance: int, work: Callable[[], Coroutine[Any, Any, None]], failed: Happening) -> None:
        job = asyncio.get_running_loop().create_task(self._tried(instance, work, failed))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _tried(self, instance: int, work: Callable[[], Coroutine[Any, Any, None]], failed: Happening) -> None:
        """Whatever goes wrong with `work` is `failed`, with the result of the trouble or of an error of the device."""
        try:
            await work()
        except PackageError as error:
            _log.warning("software %d: %s", instance, error)
            result = _RESULTS[error.trouble]
        except Exception:  # an installer is somebody else's code
            _log.exception("the installer of software %d failed", instance)
            result = Result.DEVICE_ERROR
        else:
            return
        self._happen(instance, failed, result=result)

    async def _take(self, instance: int, slot: _Slot) -> None:
        self._arrived(instance, slot, slot.package)

    async def _pull(self, instance: int, slot: _Slot) -> None:
        package = await self._fetch(slot.software.uri, self._installer.max_package, slot.login)
        self._arrived(instance, slot, package)

    def _arrived(self, instance: int, slot: _Slot, package: bytes) -> None:
        if len(package) > self._installer.max_package:
            raise PackageError(Trouble.NO_STORAGE, f"it has {len(package)} bytes")
        slot.package = package
        self._happen(instance, Happening.ARRIVED)

    async def _check(self, instance: int, slot: _Slot) -> None:
        component = await self._installer.check(slot.package)
        self._happen(instance, Happening.PACKAGE_FIT, component=component)

    async def _install(self, instance: int, slot: _Slot) -> None:
        await self._installer.install(instance, slot.package)
        slot.installed = True
        self._happen(instance, Happening.INSTALL_DONE)

    async def _remove(self, instance: int, slot: _Slot) -> None:
        await self._installer.remove(instance)
        slot.installed = False
        self._happen(instance, Happening.REMOVED)


_DOWNLOAD = Happening.DOWNLOAD_FAILED


def _uninstall(arguments: str) -> Happening:
    """ "", "0": remove. "1": make room for an upgrade. Raises BadRequest."""
    given = parse_arguments(arguments)
    if given in ({}, {0: None}):
        return Happening.UNINSTALL
    if given == {1: None}:
        return Happening.PREPARE_UPGRADE
    raise BadRequest("the argument is 0 or 1")
