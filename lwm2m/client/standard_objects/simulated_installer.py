"""Software components that exist in memory only."""

from __future__ import annotations

import asyncio

from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage
from lwm2m.client.standard_objects.software_machine import Component

ROOM = 128 * 1024


class SimulatedInstaller:
    """`pace` is how many seconds an install takes."""

    def __init__(self, *, max_package: int = ROOM, pace: float = 0.0) -> None:
        self._max_package = max_package
        self._pace = pace
        self.installed: dict[int, SimulatedPackage] = {}
        self.active: set[int] = set()

    @property
    def max_package(self) -> int:
        return self._max_package

    async def check(self, package: bytes) -> Component:
        parsed = SimulatedPackage.parse(package)
        if Flag.EXHAUSTS_MEMORY in parsed.flags:
            raise PackageError(Trouble.NO_MEMORY)
        return Component(parsed.name, parsed.version)

    async def install(self, instance: int, package: bytes) -> None:
        parsed = SimulatedPackage.parse(package)
        await asyncio.sleep(self._pace)
        if Flag.FAILS_TO_INSTALL in parsed.flags:
            raise PackageError(Trouble.NOT_INSTALLED)
        self.active.discard(instance)
        self.installed[instance] = parsed

    async def remove(self, instance: int) -> None:
        if Flag.FAILS_TO_BE_REMOVED in self.installed[instance].flags:
            raise PackageError(Trouble.NOT_REMOVED)
        self.active.discard(instance)
        del self.installed[instance]

    async def activate(self, instance: int, active: bool) -> None:
        if active:
            self.active.add(instance)
        else:
            self.active.discard(instance)
