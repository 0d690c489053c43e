"""Object 5 with a simulated device of two slots behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path as FilePath

import pytest

from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.firmware import FirmwareUpdate
from lwm2m.client.standard_objects.firmware_machine import PackageInfo, Progress, Result, Stage
from lwm2m.client.standard_objects.firmware_storage import FileFirmwareStorage, MemoryFirmwareStorage
from lwm2m.client.standard_objects.firmware_updater import Running
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage
from lwm2m.client.standard_objects.simulated_updater import SimulatedUpdater
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from tests.unit.object_host import ObjectHost

MODEL = "simulated device"
NEW = SimulatedPackage(MODEL, "2.0", b"code" * 50).to_bytes()
URI = "coap://127.0.0.1/firmware"


def package(flags: Flag = Flag.NONE, model: str = MODEL) -> bytes:
    return SimulatedPackage(model, "2.0", b"code", flags).to_bytes()


class Site:
    """What `fetch` finds: a package, a trouble, or nothing as long as `open` is clear."""

    def __init__(self) -> None:
        self.found: bytes | Trouble = NEW
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, uri: str, max_size: int) -> bytes:
        self.asked.append((uri, max_size))
        await self.open.wait()
        if isinstance(self.found, Trouble):
            raise PackageError(self.found)
        return self.found


class Device:
    def __init__(self, **updater: object) -> None:
        self.updater = SimulatedUpdater(**updater)  # type: ignore[arg-type]
        self.storage = MemoryFirmwareStorage()
        self.site = Site()
        self.now = 1000.0
        self.confirm_within = 60.0
        self.switch_on()

    def switch_on(self) -> None:
        self.firmware = FirmwareUpdate(
            self.updater,
            self.site.fetch,
            self.storage,
            confirm_within=self.confirm_within,
            wall_clock=lambda: self.now,
        )
        self.host = ObjectHost([Record(Path(3, 0, 3), "?")])
        self.host.host(self.firmware)

    async def cut_power(self) -> None:
        """And bring it back."""
        await self.firmware.stop()
        self.updater.boot()
        self.switch_on()

    async def write(self, number: int, value: Value) -> None:
        await self.firmware.write([Record(Path(5, 0, number), value)])

    async def execute(self, number: int) -> None:
        await self.firmware.execute(Path(5, 0, number), "")

    async def update(self) -> None:
        await self.execute(2)
        await self.firmware.idle()

    @property
    def shown(self) -> tuple[int, int, str]:
        """State, result, firmware version."""
        return self.host.value("/5/0/3"), self.host.value("/5/0/5"), self.host.value("/3/0/3")


@pytest.fixture
async def device() -> AsyncIterator[Device]:
    device = Device()
    yield device
    await device.firmware.stop()


async def test_a_pushed_package_is_installed_and_confirmed_by_a_registration(device: Device) -> None:
    await device.write(0, NEW)
    assert device.shown == (2, 0, "1.0")
    assert (device.host.value("/5/0/6"), device.host.value("/5/0/7")) == (MODEL, "2.0")
    await device.update()
    assert device.shown == (3, 0, "2.0")
    assert device.host.restarts == 1
    device.firmware.registered()
    await device.firmware.idle()
    assert device.shown == (0, 1, "2.0")
    assert device.host.values_of("/5/0/3") == [1, 2, 3, 0]
    assert device.storage.package() is None
    assert device.updater.running().confirmed


async def test_a_pulled_package_is_fetched_with_the_limit_of_the_flash(device: Device) -> None:
    await device.write(1, URI)
    assert device.shown == (1, 0, "1.0")
    assert device.host.value("/5/0/1") == URI
    await device.firmware.idle()
    assert device.shown == (2, 0, "1.0")
    assert device.site.asked == [(URI, 256 * 1024)]


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (Trouble.NO_STORAGE, 2),
        (Trouble.NO_MEMORY, 3),
        (Trouble.CONNECTION_LOST, 4),
        (Trouble.INTEGRITY, 5),
        (Trouble.UNSUPPORTED_PACKAGE, 6),
        (Trouble.INVALID_URI, 7),
        (Trouble.UNSUPPORTED_PROTOCOL, 9),
        (b"something else", 6),
        (NEW[:-1], 5),
    ],
)
async def test_a_download_that_fails(device: Device, found: bytes | Trouble, result: int) -> None:
    device.site.found = found
    await device.write(1, URI)
    await device.firmware.idle()
    assert device.shown == (0, result, "1.0")


@pytest.mark.parametrize(
    ("pushed", "result"),
    [
        (package() + b"x" * 256 * 1024, 2),
        (package(Flag.EXHAUSTS_MEMORY), 3),
        (package()[:-4] + b"beef", 5),
        (package(model="toaster"), 6),
        (b"\x7fELF", 6),
        (b"LWPK", 5),
    ],
)
async def test_a_package_that_is_refused_before_it_is_applied(device: Device, pushed: bytes, result: int) -> None:
    await device.write(0, pushed)
    assert device.shown == (0, result, "1.0")
    assert device.storage.package() is None


async def test_a_package_that_fails_to_install_stays(device: Device) -> None:
    await device.write(0, package(Flag.FAILS_TO_INSTALL))
    await device.update()
    assert device.shown == (2, 8, "1.0")
    assert device.storage.package() is not None


async def test_a_firmware_that_does_not_come_up_is_rolled_back(device: Device) -> None:
    await device.write(0, package(Flag.DOES_NOT_COME_UP))
    await device.update()
    assert device.shown == (2, 8, "1.0")


async def test_a_firmware_that_does_not_register_in_time_is_rolled_back(device: Device) -> None:
    device.firmware._confirm_within = 0.0
    await device.write(0, NEW)
    await device.update()
    assert device.shown == (3, 0, "2.0")
    async with asyncio.timeout(5):
        while device.shown != (2, 8, "1.0"):
            await asyncio.sleep(0)
            await device.firmware.idle()
    assert device.host.restarts == 2
    assert device.updater.running() == Running("1.0", "factory")


async def test_a_package_that_rots_on_the_flash_is_not_installed(device: Device) -> None:
    await device.write(0, NEW)
    device.storage.keep(NEW[:-1] + b"?")
    await device.update()
    assert device.shown == (0, 5, "1.0")


@pytest.mark.parametrize("nothing", [(0, b"\0"), (0, b""), (1, "")])
async def test_a_reset(device: Device, nothing: tuple[int, Value]) -> None:
    await device.write(0, NEW)
    await device.write(*nothing)
    assert device.shown == (0, 0, "1.0")
    assert device.storage.package() is None
    await device.write(0, NEW)
    assert device.shown == (2, 0, "1.0")


async def test_a_reset_ends_a_download_that_runs(device: Device) -> None:
    device.site.open.clear()
    await device.write(1, URI)
    await device.write(1, "")
    await device.firmware.idle()
    assert device.shown == (0, 0, "1.0")


async def test_a_cancel(device: Device) -> None:
    with pytest.raises(MethodNotAllowed):
        await device.execute(10)
    device.site.open.clear()
    await device.write(1, URI)
    await device.execute(10)
    await device.firmware.idle()
    assert device.shown == (0, 10, "1.0")
    await device.write(0, NEW)
    await device.execute(10)
    assert device.shown == (0, 10, "1.0")


async def test_a_new_package_needs_a_reset_first(device: Device) -> None:
    await device.write(0, NEW)
    with pytest.raises(BadRequest, match="reset first"):
        await device.write(0, NEW)
    with pytest.raises(BadRequest, match="reset first"):
        await device.write(1, URI)
    assert device.shown == (2, 0, "1.0")


async def test_an_update_without_a_package_is_refused(device: Device) -> None:
    with pytest.raises(MethodNotAllowed):
        await device.execute(2)
    assert device.shown == (0, 0, "1.0")


async def test_a_package_and_a_uri_at_once_change_nothing(device: Device) -> None:
    with pytest.raises(BadRequest):
        await device.firmware.write([Record(Path(5, 0, 0), NEW), Record(Path(5, 0, 1), URI)])
    assert device.shown == (0, 0, "1.0")


async def test_an_update_is_deferred_and_installed_when_the_period_is_over() -> None:
    device = Device(severe_only=True)
    await device.write(13, 600)
    await device.write(0, NEW)
    await device.update()
    assert device.shown == (2, 11, "1.0")
    device.now += 700
    await device.cut_power()
    async with asyncio.timeout(5):
        while device.shown[0] == 2:
            await asyncio.sleep(0)
            await device.firmware.idle()
    assert device.shown == (3, 0, "2.0")
    await device.firmware.stop()


@pytest.mark.parametrize(("number", "value"), [(11, 0), (13, 0)])
async def test_a_critical_update_and_a_period_of_nothing_allow_no_deferral(number: int, value: int) -> None:
    device = Device(severe_only=True)
    await device.write(number, value)
    await device.write(0, NEW)
    await device.update()
    assert device.shown == (3, 0, "2.0")
    await device.firmware.stop()


async def test_severity_and_period_are_shown_and_left_out_again(device: Device) -> None:
    assert device.host.value("/5/0/11") == 1
    assert not device.host.data_model.has(Path(5, 0, 13))
    await device.firmware.write([Record(Path(5, 0, 11), 2), Record(Path(5, 0, 13), 30)])
    assert (device.host.value("/5/0/11"), device.host.value("/5/0/13")) == (2, 30)
    await device.firmware.remove([Path(5, 0, 11), Path(5, 0, 13)])
    assert device.host.value("/5/0/11") == 1
    assert not device.host.data_model.has(Path(5, 0, 13))


async def test_the_time_of_the_last_state_change(device: Device) -> None:
    device.now = 1234.5
    await device.write(0, NEW)
    assert device.host.value("/5/0/12") == 1234


async def test_a_power_cut_during_a_pull_fetches_again(device: Device) -> None:
    device.site.open.clear()
    await device.write(1, URI)
    await device.cut_power()
    assert device.shown == (1, 0, "1.0")
    device.site.open.set()
    await device.firmware.idle()
    assert device.shown == (2, 0, "1.0")
    assert len(device.site.asked) >= 1


async def test_a_power_cut_with_a_package_keeps_it(device: Device) -> None:
    await device.write(0, NEW)
    await device.cut_power()
    assert device.shown == (2, 0, "1.0")
    device.storage.discard()
    await device.cut_power()
    assert device.shown == (0, 5, "1.0")


async def test_a_power_cut_while_installing_leaves_the_old_firmware() -> None:
    device = Device(pace=60)
    await device.write(0, NEW)
    await device.execute(2)
    assert device.shown == (3, 0, "1.0")
    await device.cut_power()
    assert device.shown == (2, 8, "1.0")
    await device.firmware.stop()


async def test_a_power_cut_on_trial_brings_the_old_firmware_back(device: Device) -> None:
    await device.write(0, NEW)
    await device.update()
    assert device.shown == (3, 0, "2.0")
    await device.cut_power()
    assert device.shown == (2, 8, "1.0")


async def test_a_power_cut_after_the_confirmation_is_a_success(device: Device) -> None:
    await device.write(0, NEW)
    await device.update()
    await device.updater.confirm()
    await device.cut_power()
    assert device.shown == (0, 1, "2.0")


async def test_objects_that_the_new_firmware_lacks_go(device: Device) -> None:
    class Smaller(SimulatedUpdater):
        def running(self) -> Running:
            running = super().running()
            return running._replace(objects=frozenset({3303}) if running.version == "2.0" else None)

    device.updater = Smaller()
    device.switch_on()
    device.host.update([Record(Path(3303, 0, 5700), 21.5), Record(Path(3311, 0, 5850), True)])
    await device.write(0, NEW)
    await device.update()
    assert device.host.data_model.objects() == (3, 5, 3303)


async def test_an_updater_that_breaks_does_not_hold_the_update_up(device: Device) -> None:
    class Broken(SimulatedUpdater):
        async def install(self, package: bytes) -> None:  # noqa: ARG002
            raise RuntimeError("flash driver")

    device.updater = Broken()
    device.switch_on()
    await device.write(0, NEW)
    await device.update()
    assert device.shown == (2, 8, "1.0")


def test_files_outlive_the_process(tmp_path: FilePath) -> None:
    progress = Progress(Stage.DOWNLOADED, Result.DEFERRED, 5, URI, PackageInfo("a", "b", "c"), 2, 60, 4)
    FileFirmwareStorage(tmp_path / "fw").save(progress)
    FileFirmwareStorage(tmp_path / "fw").keep(NEW)
    again = FileFirmwareStorage(tmp_path / "fw")
    assert again.load() == progress
    assert again.package() == NEW
    again.discard()
    again.discard()
    assert again.package() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"stage": "flying"}', b"\xff"])
def test_a_damaged_file_starts_over(tmp_path: FilePath, content: bytes) -> None:
    (tmp_path / "progress.json").write_bytes(content)
    assert FileFirmwareStorage(tmp_path).load() == Progress()
