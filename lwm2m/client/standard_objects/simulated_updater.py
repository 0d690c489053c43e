"""A device with two firmware slots that exists in memory only."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.firmware_machine import PackageInfo
from lwm2m.client.standard_objects.firmware_updater import Running
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage, image_of

FLASH = 256 * 1024


class _Slot(NamedTuple):
    version: str
    image: str
    comes_up: bool = True


class SimulatedUpdater:
    """`model` is the name that a package has to bear; `pace` is how many seconds an install takes. `severe_only` makes
    the device defer what is not critical."""

    def __init__(
        self,
        version: str = "1.0",
        model: str = "simulated device",
        *,
        max_package: int = FLASH,
        pace: float = 0.0,
        severe_only: bool = False,
    ) -> None:
        self._model = model
        self._max_package = max_package
        self._pace = pace
        self.severe_only = severe_only
        self._active = _Slot(version, "factory")
        self._other: _Slot | None = None
        self._next_boot_tries_other = False
        self._on_trial = False

    @property
    def max_package(self) -> int:
        return self._max_package

    def running(self) -> Running:
        return Running(self._active.version, self._active.image, not self._on_trial)

    async def check(self, package: bytes) -> PackageInfo:
        parsed = SimulatedPackage.parse(package)
        if parsed.name != self._model:
            raise PackageError(Trouble.UNSUPPORTED_PACKAGE, f"it is for {parsed.name!r}")
        if Flag.EXHAUSTS_MEMORY in parsed.flags:
            raise PackageError(Trouble.NO_MEMORY)
        return PackageInfo(parsed.name, parsed.version, image_of(package))

    def may_install(self, severity: int) -> bool:
        return severity == 0 or not self.severe_only

    async def install(self, package: bytes) -> None:
        parsed = SimulatedPackage.parse(package)
        await asyncio.sleep(self._pace)
        if Flag.FAILS_TO_INSTALL in parsed.flags:
            raise PackageError(Trouble.NOT_INSTALLED)
        self._other = _Slot(parsed.version, image_of(package), Flag.DOES_NOT_COME_UP not in parsed.flags)
        self._next_boot_tries_other = True

    async def reboot(self) -> None:
        self.boot()

    def boot(self) -> None:
        """What the boot loader does, after a power cut too: an image that was not confirmed has had its chance."""
        if self._on_trial:
            self._on_trial = False
            self._swap()
        elif self._next_boot_tries_other and self._other is not None:
            self._swap()
            self._on_trial = self._active.comes_up
            if not self._active.comes_up:
                self._swap()
        self._next_boot_tries_other = False

    async def confirm(self) -> None:
        self._on_trial = False

    async def roll_back(self) -> None:
        if self._other is None:
            raise PackageError(Trouble.NOT_INSTALLED, "there is no firmware from before")
        if not self._on_trial:
            self._next_boot_tries_other = True

    def _swap(self) -> None:
        assert self._other is not None
        self._active, self._other = self._other, self._active
