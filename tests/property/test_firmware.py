"""Whatever happens to a firmware update, in whatever order: it is never stuck, and never lies about what runs."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.firmware import FirmwareUpdate
from lwm2m.client.standard_objects.firmware_machine import Happening, PackageInfo, Progress, Result, Stage, follow
from lwm2m.client.standard_objects.firmware_storage import MemoryFirmwareStorage
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage
from lwm2m.client.standard_objects.simulated_updater import SimulatedUpdater
from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.object_host import ObjectHost

MODEL = "simulated device"
GOOD = SimulatedPackage(MODEL, "2.0", b"code").to_bytes()
PACKAGES = [GOOD, GOOD[:-1], b"?", *(SimulatedPackage(MODEL, "3.0", b"", flag).to_bytes() for flag in Flag)]
STEPS = ["write", "pull", "reset", "update", "cancel", "register", "power cut", "reboot", "settle", "breathe"]


class Device:
    def __init__(self) -> None:
        self.updater = SimulatedUpdater()
        self.storage = MemoryFirmwareStorage()
        self.package = GOOD
        self.switch_on()

    def switch_on(self) -> None:
        self.firmware = FirmwareUpdate(self.updater, self.fetch, self.storage, confirm_within=1000.0)
        self.host = ObjectHost([Record(Path(3, 0, 3), "?")])
        self.host.host(self.firmware)

    async def fetch(self, uri: str, max_size: int) -> bytes:  # noqa: ARG002
        await asyncio.sleep(0)
        if self.package == b"?":
            raise PackageError(Trouble.CONNECTION_LOST)
        return self.package

    async def do(self, step: str) -> None:
        match step:
            case "write":
                await self.firmware.write([Record(Path(5, 0, 0), self.package)])
            case "pull":
                await self.firmware.write([Record(Path(5, 0, 1), "coap://h/fw")])
            case "reset":
                await self.firmware.write([Record(Path(5, 0, 0), b"\0")])
            case "update":
                await self.firmware.execute(Path(5, 0, 2), "")
            case "cancel":
                await self.firmware.execute(Path(5, 0, 10), "")
            case "register":
                self.firmware.registered()
            case "power cut":
                await self.firmware.stop()
                self.updater.boot()
                self.switch_on()
            case "reboot":
                self.updater.boot()
                self.firmware.power_returned()
            case "settle":
                await self.firmware.idle()
            case "breathe":
                await asyncio.sleep(0)


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(PACKAGES)), max_size=25))
@settings(max_examples=150, deadline=None)
def test_a_device_can_always_be_brought_to_a_new_firmware(steps: list[tuple[str, bytes]]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[tuple[str, bytes]]) -> None:
    device = Device()
    refused: set[str] = set()
    for step, device.package in steps:
        try:
            await device.do(step)
        except LwM2MError:
            refused.add(step)
        _check(device)
    assert refused <= {"write", "pull", "reset", "update", "cancel"}
    device.package = SimulatedPackage(MODEL, "9.9", b"last").to_bytes()
    await device.do("settle")
    for step in ("register", "settle"):
        await device.do(step)
    for step in ("reset", "write", "update", "settle", "register", "settle"):
        await device.do(step)
    _check(device)
    assert (device.host.value("/5/0/3"), device.host.value("/5/0/5"), device.host.value("/3/0/3")) == (0, 1, "9.9")
    await device.firmware.stop()


def _check(device: Device) -> None:
    progress = device.firmware.progress
    assert device.storage.load() == progress
    assert device.host.value("/5/0/3") == progress.stage.state
    if progress.stage is Stage.DOWNLOADED:
        assert progress.package is not None
        assert device.storage.package() is not None
    if progress.stage is Stage.IDLE and progress.result is Result.SUCCESS:
        assert device.updater.running().confirmed


INFO = PackageInfo("a", "2", "abc")


@given(st.lists(st.tuples(st.sampled_from(Happening), st.sampled_from(Result), st.integers(0, 1000))))
@settings(max_examples=150, deadline=None)
def test_the_machine_takes_anything_in_any_order(happenings: list[tuple[Happening, Result, int]]) -> None:
    progress = Progress()
    for happening, result, now in happenings:
        try:
            progress, _ = follow(progress, happening, now, result=result, uri="coap://h", package=INFO)
        except LwM2MError:
            continue
        assert (progress.package is None) == (progress.stage in (Stage.IDLE, Stage.RECEIVING, Stage.FETCHING))


class PowerCut(Exception):
    pass


class Power:
    """Goes at the n-th moment: each call of the storage and of the boot loader has one before and one after it."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    def moment(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut


class FragileStorage(MemoryFirmwareStorage):
    power = Power(10**9)

    def save(self, progress: Progress) -> None:
        self.power.moment()
        super().save(progress)
        self.power.moment()

    def keep(self, package: bytes) -> None:
        self.power.moment()
        super().keep(package)
        self.power.moment()

    def discard(self) -> None:
        self.power.moment()
        super().discard()
        self.power.moment()


class FragileUpdater(SimulatedUpdater):
    power = Power(10**9)

    async def install(self, package: bytes) -> None:
        self.power.moment()
        await super().install(package)
        self.power.moment()

    async def reboot(self) -> None:
        self.power.moment()
        await super().reboot()
        self.power.moment()

    async def confirm(self) -> None:
        self.power.moment()
        await super().confirm()
        self.power.moment()


@given(st.integers(0, 24), st.booleans())
@settings(max_examples=130, deadline=None)
def test_the_power_may_go_at_any_moment_of_an_update(moments: int, pulled: bool) -> None:
    asyncio.run(_lose_power(moments, pulled))


async def _lose_power(moments: int, pulled: bool) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # of a process without power
    device = Device()
    storage, updater = FragileStorage(), FragileUpdater()
    device.storage, device.updater = storage, updater
    device.switch_on()
    storage.power = updater.power = Power(moments)
    try:
        for step in ("pull" if pulled else "write", "settle", "update", "settle", "register", "settle"):
            await device.do(step)
    except (PowerCut, LwM2MError):
        assert storage.power.left < 0
    storage.power = updater.power = Power(10**9)
    await device.do("power cut")
    await device.do("settle")
    device.firmware.registered()
    await device.do("settle")
    _check(device)
    progress, running = device.firmware.progress, updater.running()
    assert running.confirmed
    assert progress.stage in (Stage.IDLE, Stage.DOWNLOADED)
    assert (progress.result is Result.SUCCESS) <= (running.version == "2.0")
    assert (running.version == "2.0") <= (progress.result is Result.SUCCESS)
    device.package = SimulatedPackage(MODEL, "9.9", b"last").to_bytes()
    for step in ("reset", "write", "update", "settle", "register", "settle"):
        await device.do(step)
    assert (progress_of(device), device.host.value("/3/0/3")) == ((Stage.IDLE, Result.SUCCESS), "9.9")
    await device.firmware.stop()


def progress_of(device: Device) -> tuple[Stage, Result]:
    return device.firmware.progress.stage, device.firmware.progress.result
