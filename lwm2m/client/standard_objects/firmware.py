"""Object 5, Firmware Update: the shell around its machine. lwm2m.md §12.2."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects import firmware_machine as machine
from lwm2m.client.standard_objects.firmware_machine import Action, Happening, PackageInfo, Progress, Result, Stage
from lwm2m.client.standard_objects.firmware_storage import FirmwareStorage, MemoryFirmwareStorage
from lwm2m.client.standard_objects.firmware_updater import FirmwareUpdater
from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.errors import BadRequest, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

INSTANCE = Path(5, 0)
PACKAGE, URI, UPDATE, STATE, RESULT, NAME, VERSION = 0, 1, 2, 3, 5, 6, 7
PROTOCOLS, DELIVERY, CANCEL, SEVERITY, CHANGED_AT, MAXIMUM_DEFER_PERIOD = 8, 9, 10, 11, 12, 13

PUSH_AND_PULL = 2
CONFIRM_WITHIN = 300.0
"""Seconds that a new firmware has for its first registration."""

FIRMWARE_VERSION = Path(3, 0, 3)
_ALWAYS_THERE = frozenset({0, 1, 2, 3, 5, 21})
_NOTHING = (b"", b"\0")

_RESULTS = {
    Trouble.NO_STORAGE: Result.NO_STORAGE,
    Trouble.NO_MEMORY: Result.NO_MEMORY,
    Trouble.CONNECTION_LOST: Result.CONNECTION_LOST,
    Trouble.INTEGRITY: Result.INTEGRITY,
    Trouble.UNSUPPORTED_PACKAGE: Result.UNSUPPORTED_PACKAGE,
    Trouble.INVALID_URI: Result.INVALID_URI,
    Trouble.UNSUPPORTED_PROTOCOL: Result.UNSUPPORTED_PROTOCOL,
    Trouble.NOT_INSTALLED: Result.UNSUPPORTED_PACKAGE,
    Trouble.NOT_REMOVED: Result.UNSUPPORTED_PACKAGE,
}
"""Of a download; an install that fails has a result of its own."""

_log = logging.getLogger(__name__)


class FirmwareUpdate:
    """`fetch` brings the package from a URI, at most so many bytes of it, or raises PackageError; `protocols` are the
    values of resource 8 that it understands."""

    object_id = 5

    def __init__(
        self,
        updater: FirmwareUpdater,
        fetch: Callable[[str, int], Awaitable[bytes]],
        storage: FirmwareStorage | None = None,
        *,
        protocols: Sequence[int] = (0, 2, 3),
        confirm_within: float = CONFIRM_WITHIN,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._updater = updater
        self._fetch = fetch
        self._storage = storage or MemoryFirmwareStorage()
        self._protocols = tuple(protocols)
        self._confirm_within = confirm_within
        self._wall_clock = wall_clock
        self._progress = self._storage.load()
        self._received = b""
        self._host: Host | None = None
        self._job: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def progress(self) -> Progress:
        return self._progress

    def records(self) -> list[Record]:
        values: dict[int, Value | None] = {PACKAGE: None, UPDATE: None, CANCEL: None, DELIVERY: PUSH_AND_PULL}
        records = [Record(INSTANCE.child(number), value) for number, value in (values | self._values()).items()]
        records += [Record(INSTANCE.child(PROTOCOLS, n), value) for n, value in enumerate(self._protocols)]
        return records

    def _values(self) -> dict[int, Value | None]:
        progress = self._progress
        package = progress.package or PackageInfo("", "", "")
        values: dict[int, Value | None] = {
            URI: progress.uri,
            STATE: int(progress.stage.state),
            RESULT: int(progress.result),
            NAME: package.name,
            VERSION: package.version,
            SEVERITY: progress.severity,
            CHANGED_AT: progress.changed_at,
        }
        if progress.maximum_defer_period is not None:
            values[MAXIMUM_DEFER_PERIOD] = progress.maximum_defer_period
        return values

    # The client

    def start(self, host: Host) -> None:
        self._host = host
        self._booted()

    async def stop(self) -> None:
        self._set_timer(None)
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def registered(self) -> None:
        """A server took our Register: a firmware on trial has shown that it works."""
        if self._job is None:
            self._happen(Happening.REGISTERED)

    def power_returned(self) -> None:
        """The device came up again without our doing."""
        for job in self._jobs:
            job.cancel()
        self._job = None
        self._set_timer(None)
        self._booted()

    async def idle(self) -> None:
        """Until nothing is being checked, fetched, installed or booted."""
        while self._jobs:
            await asyncio.wait(self._jobs)

    # The server

    async def write(self, records: Sequence[Record]) -> None:
        values: dict[int, Any] = {record.path[2]: record.value for record in records}
        happening = _delivery(values)
        if happening is not None:
            machine.check_allowed(self._progress, happening)
        self._set(values)
        if happening is not None:
            self._received = values.get(PACKAGE, b"") if happening is Happening.PACKAGE_WRITTEN else b""
            self._happen(happening, uri=values.get(URI, ""))
        if happening is Happening.PACKAGE_WRITTEN:
            await self._job_done()

    def _set(self, values: dict[int, Any]) -> None:
        self._become(
            replace(
                self._progress,
                severity=values.get(SEVERITY, self._progress.severity),
                maximum_defer_period=values.get(MAXIMUM_DEFER_PERIOD, self._progress.maximum_defer_period),
            )
        )
        if self._progress.deferred_at is not None:
            self._perform(Action.AWAIT_DEFERRAL)

    async def remove(self, paths: Sequence[Path]) -> None:
        numbers = {path[2] for path in paths}
        if SEVERITY in numbers:
            self._become(replace(self._progress, severity=machine.MANDATORY))
        if MAXIMUM_DEFER_PERIOD in numbers:
            self._become(replace(self._progress, maximum_defer_period=None))
            self._running_host.remove([INSTANCE.child(MAXIMUM_DEFER_PERIOD)])

    async def execute(self, path: Path, arguments: str) -> None:
        if arguments:
            raise BadRequest("this takes no arguments")
        if path[2] == UPDATE:
            self._update()
        elif path[2] == CANCEL:
            self._happen(Happening.CANCEL)
        else:
            raise NotFound(f"there is no {path}")

    def _update(self) -> None:
        """Ordered by the server; a period of 0 allows no deferral."""
        machine.check_allowed(self._progress, Happening.UPDATE)
        allowed = self._updater.may_install(self._progress.severity) or self._progress.maximum_defer_period == 0
        self._happen(Happening.UPDATE if allowed else Happening.DEFER)

    # The machine

    def _happen(
        self, happening: Happening, *, result: Result | None = None, uri: str = "", package: PackageInfo | None = None
    ) -> None:
        """Stored first, done afterwards. Raises LwM2MError, OSError."""
        now = self._wall_clock()
        after, actions = machine.follow(self._progress, happening, now, result=result, uri=uri, package=package)
        if after == self._progress and not actions:
            return
        _log.info("firmware update: %s, now %s, result %d", happening.value, after.stage.value, after.result)
        self._set_timer(None)
        self._become(after)
        for action in actions:
            self._perform(action)

    def _become(self, progress: Progress) -> None:
        if progress == self._progress:
            return
        self._storage.save(progress)
        self._progress = progress
        self._running_host.update([Record(INSTANCE.child(number), value) for number, value in self._values().items()])

    def _perform(self, action: Action) -> None:
        match action:
            case Action.CHECK:
                self._begin(self._check())
            case Action.FETCH:
                self._begin(self._pull())
            case Action.ABANDON:
                self._abandon()
            case Action.DISCARD:
                self._storage.discard()
            case Action.INSTALL:
                self._begin(self._install())
            case Action.REBOOT:
                self._begin(self._reboot())
            case Action.AWAIT_REGISTRATION:
                self._set_timer(self._confirm_within, Happening.NOT_CONFIRMED)
            case Action.AWAIT_DEFERRAL:
                self._set_timer(self._progress.deferral_left(self._wall_clock()), Happening.DEFERRAL_OVER)
            case Action.CONFIRM:
                self._begin(self._confirm())
            case Action.ROLL_BACK:
                self._begin(self._roll_back())

    def _set_timer(self, seconds: float | None, happening: Happening = Happening.DEFERRAL_OVER) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._happen, happening)

    def _abandon(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = None
        self._received = b""

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._job = job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self._jobs.discard(job)
        if self._job is job:
            self._job = None
        if not job.cancelled() and (error := job.exception()) is not None:
            _log.error("the firmware update failed", exc_info=error)
            self._give_up()

    def _give_up(self) -> None:
        try:
            self._happen(_FAULTS.get(self._progress.stage, Happening.NO_WAY_BACK), result=Result.INTEGRITY)
        except OSError as error:
            _log.error("and the storage of the firmware update does not work: %s", error)

    async def _job_done(self) -> None:
        if self._job is not None:
            await asyncio.wait([self._job])

    # What takes time

    async def _check(self) -> None:
        package, self._received = self._received, b""
        try:
            await self._accept(package)
        except PackageError as error:
            self._download_failed(error)

    async def _pull(self) -> None:
        try:
            await self._accept(await self._fetch(self._progress.uri, self._updater.max_package))
        except PackageError as error:
            self._download_failed(error)

    async def _accept(self, package: bytes) -> None:
        if len(package) > self._updater.max_package:
            raise PackageError(Trouble.NO_STORAGE, f"it has {len(package)} bytes")
        info = await self._updater.check(package)
        try:
            self._storage.keep(package)
        except OSError as error:
            raise PackageError(Trouble.NO_STORAGE, str(error)) from error
        self._happen(Happening.PACKAGE_FIT, package=info)

    def _download_failed(self, error: PackageError) -> None:
        _log.warning("no firmware: %s", error)
        self._happen(Happening.DOWNLOAD_FAILED, result=_RESULTS[error.trouble])

    async def _install(self) -> None:
        package = self._storage.package()
        try:
            if package is None or await self._updater.check(package) != self._progress.package:
                raise PackageError(Trouble.INTEGRITY, "it is not what was downloaded")
            await self._updater.install(package)
        except PackageError as error:
            _log.warning("the firmware is not installed: %s", error)
            spoilt = error.trouble is Trouble.INTEGRITY
            self._happen(Happening.PACKAGE_SPOILT if spoilt else Happening.INSTALL_FAILED)
        else:
            self._happen(Happening.INSTALLED)

    async def _reboot(self) -> None:
        await self._updater.reboot()
        self._booted()
        self._running_host.restart()

    async def _confirm(self) -> None:
        try:
            await self._updater.confirm()
        except PackageError as error:
            _log.warning("the new firmware cannot be confirmed: %s", error)
            self._happen(Happening.NOT_CONFIRMED)
        else:
            self._happen(Happening.CONFIRMED)

    async def _roll_back(self) -> None:
        try:
            await self._updater.roll_back()
        except PackageError as error:
            _log.error("the firmware from before cannot be had back: %s", error)
            self._happen(Happening.NO_WAY_BACK)
        else:
            await self._reboot()

    def _booted(self) -> None:
        running = self._updater.running()
        self._show(running.version, running.objects)
        self._happen(machine.booted(running.image, running.confirmed, self._progress))
        if self._progress.stage is Stage.DOWNLOADED and self._storage.package() is None:
            self._happen(Happening.PACKAGE_SPOILT)

    def _show(self, version: str, objects: frozenset[int] | None) -> None:
        """The version that runs; and no object that it does not have."""
        host = self._running_host
        host.update([Record(FIRMWARE_VERSION, version)])
        if objects is not None:
            gone = set(host.data_model.objects()) - objects - _ALWAYS_THERE
            host.remove([Path(number) for number in sorted(gone)])

    @property
    def _running_host(self) -> Host:
        assert self._host is not None, "the client starts its objects"
        return self._host


def _delivery(values: dict[int, Any]) -> Happening | None:
    """What is meant by a Package or a URI; None where neither is written. Raises BadRequest."""
    if PACKAGE in values and URI in values:
        raise BadRequest("either a package or a URI")
    if PACKAGE in values:
        return Happening.RESET if values[PACKAGE] in _NOTHING else Happening.PACKAGE_WRITTEN
    if URI in values:
        return Happening.URI_WRITTEN if values[URI] else Happening.RESET
    return None


_FAULTS = {
    Stage.RECEIVING: Happening.DOWNLOAD_FAILED,
    Stage.FETCHING: Happening.DOWNLOAD_FAILED,
    Stage.INSTALLING: Happening.INSTALL_FAILED,
    Stage.REBOOTING: Happening.INSTALL_FAILED,
    Stage.ON_TRIAL: Happening.NOT_CONFIRMED,
}
"""What an updater that raises something unforeseen has done to the update."""
