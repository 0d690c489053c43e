"""Two hundred OSAP devices online at once in one gateway, each registered and reporting every two seconds.

Everything is real and in this process: the LwM2M server, the gateway with LBS and DAS, and the devices, over loopback
sockets. At the end every last value has to be right at the server, nothing may have been logged as wrong, and there
are as many asyncio tasks as there were after a third of the time.

    python benchmarks/two_hundred_devices.py [--devices 200] [--seconds 60] [--topology per-device|single]

Without a topology: 60 s with a client for each device, then 15 s with the single client.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from lwm2m import Address, open_endpoint
from lwm2m.model.path import Path
from lwm2m.server import Notified, Server, ServerLimits
from osap_bridge.bridge import Bridge
from osap_bridge.config import Config, Device
from osap_bridge.installed import find
from osap_bridge.osap.device.osap_device import OsapDevice
from osap_bridge.osap.device.thing import DeviceInfo
from osap_bridge.placement import Slot
from osap_bridge.protocol import Entity

ANY_PORT = Address("127.0.0.1", 0)
PRODUCT = "EZ-Humiture"
POINT = "Humiture/Temperature"
TEMPERATURE = Path(3303, 0, 5700)
ALL_UP_WITHIN = 60.0
SETTLE = 5.0


@dataclass
class Report:
    """What was measured. `wrong` names the devices whose last value the server does not have."""

    devices: int
    topology: str
    up_after: float = 0.0
    reports: int = 0
    notifications: int = 0
    wrong: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    tasks_early: Counter[str] = field(default_factory=Counter)
    tasks_late: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.wrong and not self.complaints and self.tasks_early.total() == self.tasks_late.total()

    def __str__(self) -> str:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines = [
            f"{self.topology}: {self.devices} devices, all registered after {self.up_after:.1f} s",
            f"  {self.reports} reports, {self.notifications} notifications in {self.seconds:.0f} s, "
            f"{self.cpu / self.seconds:.0%} of one core, {memory:.0f} MB at most",
            f"  last values wrong: {len(self.wrong)}; complaints: {len(self.complaints)}; "
            f"tasks {self.tasks_early.total()} -> {self.tasks_late.total()}",
        ]
        return "\n".join([*lines, *(f"  ! {text}" for text in [*self.wrong, *self.complaints][:20])])


class _Complaints(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(f"{record.name}: {record.getMessage()}")


class Fleet:
    def __init__(self, count: int, topology: str, interval: float) -> None:
        self.report = Report(count, topology)
        self._serials = [f"F{number:08d}" for number in range(count)]
        self._interval = interval
        self._seen: dict[tuple[str, Path], float] = {}
        self._paths: dict[str, Path] = {}

    async def run(self, seconds: float) -> Report:
        complaints = _Complaints(self.report.complaints)
        logging.getLogger().addHandler(complaints)
        try:
            async with AsyncExitStack() as exits:
                await self._set_up(exits)
                await self._live(seconds)
                await self._compare()
        finally:
            logging.getLogger().removeHandler(complaints)
        return self.report

    async def _set_up(self, exits: AsyncExitStack) -> None:
        folder = FilePath(exits.enter_context(tempfile.TemporaryDirectory(prefix="osap-fleet-")))
        coap = open_endpoint("127.0.0.1", 0)
        limits = ServerLimits(max_observations_per_client=len(self._serials) + 1)
        self._server = await exits.enter_async_context(Server([coap], limits=limits))
        config = Config(
            lbs=ANY_PORT,
            das=ANY_PORT,
            server=coap.uri,
            topology=self.report.topology,
            state=folder,
            devices=tuple(Device(serial, "QWERTY") for serial in self._serials),
            source="benchmark",
        )
        installed = find()
        self._bridge = await exits.enter_async_context(Bridge(config, installed))
        profile = installed.products[PRODUCT].profile
        assert profile is not None
        self._devices = {
            serial: OsapDevice(
                serial, "QWERTY", profile, lbs=self._bridge.protocol.lbs_address, info=DeviceInfo(PRODUCT, "V1")
            )
            for serial in self._serials
        }
        exits.push_async_callback(self._stop)
        await self._all_up()

    async def _stop(self) -> None:
        await asyncio.gather(*(device.stop() for device in self._devices.values()))

    async def _all_up(self) -> None:
        """Until every device is registered and its temperature observed."""
        started = time.monotonic()
        for device in self._devices.values():
            await device.start()
        async with asyncio.timeout(ALL_UP_WITHIN):
            for serial in self._serials:
                await self._observed(serial)
        self.report.up_after = time.monotonic() - started

    async def _observed(self, serial: str) -> None:
        endpoint = self._bridge.endpoint_of(serial)
        while True:
            path = self._path_of(serial)
            known = {registration.endpoint: registration for registration in self._server.registrations()}
            if path is not None and endpoint in known and path[1] in known[endpoint].objects.get(3303, ()):
                answer = await self._server.observe(endpoint, path, timeout=30)
                if answer.observing:
                    self._seen[endpoint, path] = float(str(answer.records[0].value))
                    return
            await asyncio.sleep(0.05)

    def _path_of(self, serial: str) -> Path | None:
        """It does not change once it is known."""
        if serial not in self._paths:
            for slot, owner in self._bridge.store.instances(self._bridge.endpoint_of(serial)).items():
                if owner.slot == Slot.of(TEMPERATURE) and owner.entity == Entity(owner.entity.serial):
                    self._paths[owner.entity.serial] = Path(*slot, TEMPERATURE[2])
        return self._paths.get(serial)

    async def _live(self, seconds: float) -> None:
        listening = asyncio.create_task(self._listen(), name="listening")
        living = [asyncio.create_task(self._report(device), name="living") for device in self._devices.values()]
        cpu, started = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds / 3)
        self.report.tasks_early = _tasks()
        await asyncio.sleep(seconds * 2 / 3)
        self.report.cpu, self.report.seconds = time.process_time() - cpu, time.monotonic() - started
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)
        await self._settled()
        self.report.tasks_late = _tasks() + Counter(living=len(living))
        listening.cancel()
        await asyncio.wait([listening])

    async def _report(self, device: OsapDevice) -> None:
        number = int(device.serial[1:])
        await asyncio.sleep(self._interval * number / len(self._devices))
        while True:
            number = (number + 7) % 1000
            try:
                await device.set(POINT, number)
            except Exception as error:
                self.report.complaints.append(f"{device.serial}: {error!r}")
                raise
            self.report.reports += 1
            await asyncio.sleep(self._interval)

    async def _listen(self) -> None:
        async for event in self._server.events():
            if isinstance(event, Notified):
                self.report.notifications += 1
                for record in event.records:
                    self._seen[event.endpoint, record.path] = float(str(record.value))

    async def _settled(self) -> None:
        """What is under way arrives."""
        for _ in range(int(SETTLE / 0.1)):
            await asyncio.sleep(0.1)
            if not self._wrong():
                return

    def _wrong(self) -> list[str]:
        wrong = []
        for serial, device in self._devices.items():
            path = self._path_of(serial)
            seen = self._seen.get((self._bridge.endpoint_of(serial), path)) if path else None
            if seen != device.value(POINT) / 10:
                wrong.append(f"{serial}: the server was notified of {seen}, the device has {device.value(POINT) / 10}")
        return wrong

    async def _compare(self) -> None:
        """What came as notifications, and what a read answers."""
        self.report.wrong = self._wrong()
        for serial, device in self._devices.items():
            path = self._path_of(serial)
            assert path is not None
            (record,) = await self._server.read(self._bridge.endpoint_of(serial), path, timeout=10)
            if record.value != device.value(POINT) / 10:
                self.report.wrong.append(f"{serial}: a read answers {record.value!r}")


def _tasks() -> Counter[str]:
    """Tasks by name, numbers and serials left out."""
    return Counter(task.get_name().rstrip("0123456789").rstrip("-") for task in asyncio.all_tasks())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--topology", choices=["per-device", "single"])
    arguments = parser.parse_args()
    runs = [("per-device", 60.0), ("single", 15.0)]
    well = True
    for topology, seconds in runs:
        if arguments.topology in (None, topology):
            fleet = Fleet(arguments.devices, topology, arguments.interval)
            report = asyncio.run(fleet.run(arguments.seconds or seconds))
            print(report, flush=True)
            well = well and report.ok
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
