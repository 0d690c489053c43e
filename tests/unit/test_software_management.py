"""Object 9: every state and every result of a software component."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lwm2m.client.download import Login
from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.client.standard_objects.simulated_installer import SimulatedInstaller
from lwm2m.client.standard_objects.simulated_package import Flag, SimulatedPackage
from lwm2m.client.standard_objects.software import SoftwareManagement
from lwm2m.client.standard_objects.software_machine import (
    TABLE,
    Component,
    Happening,
    Result,
    Software,
    Stage,
    State,
    follow,
)
from lwm2m.errors import BadRequest, MethodNotAllowed, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from tests.unit.object_host import ObjectHost

H = Happening
INFO = Component("clock", "2.0")

ROWS = [
    # from, event, its result, to, result shown, active
    (Stage.INITIAL, H.PACKAGE_WRITTEN, None, State.DOWNLOAD_STARTED, Result.DOWNLOADING, True),
    (Stage.INITIAL, H.URI_WRITTEN, None, State.DOWNLOAD_STARTED, Result.DOWNLOADING, True),
    (Stage.DOWNLOADING, H.ARRIVED, None, State.DOWNLOADED, Result.DOWNLOADING, True),
    (Stage.CHECKING, H.PACKAGE_FIT, None, State.DELIVERED, Result.DOWNLOADED, True),
    *[
        (stage, H.DOWNLOAD_FAILED, result, State.INITIAL, result, True)
        for stage in (Stage.DOWNLOADING, Stage.CHECKING)
        for result in (
            Result.NO_STORAGE,
            Result.NO_MEMORY,
            Result.CONNECTION_LOST,
            Result.INTEGRITY,
            Result.UNSUPPORTED_PACKAGE,
            Result.INVALID_URI,
            Result.DEVICE_ERROR,
        )
    ],
    (Stage.DELIVERED, H.INSTALL, None, State.DELIVERED, Result.DOWNLOADING, True),
    (Stage.DELIVERED, H.UNINSTALL, None, State.INITIAL, Result.INITIAL, False),
    (Stage.INSTALLING, H.INSTALL_DONE, None, State.INSTALLED, Result.INSTALLED, False),
    (Stage.INSTALLING, H.INSTALL_FAILED, Result.DEVICE_ERROR, State.DELIVERED, Result.INSTALL_FAILED, True),
    (Stage.INSTALLED, H.ACTIVATE, None, State.INSTALLED, Result.DOWNLOADING, True),
    (Stage.INSTALLED, H.DEACTIVATE, None, State.INSTALLED, Result.DOWNLOADING, False),
    (Stage.INSTALLED, H.UNINSTALL, None, State.INSTALLED, Result.DOWNLOADING, True),
    (Stage.INSTALLED, H.PREPARE_UPGRADE, None, State.INITIAL, Result.INITIAL, True),
    (Stage.REMOVING, H.REMOVED, None, State.INITIAL, Result.INITIAL, False),
    (Stage.REMOVING, H.REMOVE_FAILED, None, State.INSTALLED, Result.UNINSTALL_FAILED, True),
]


@pytest.mark.parametrize(("stage", "happening", "given", "state", "shown", "active"), ROWS)
def test_a_row_of_the_specification(
    stage: Stage, happening: Happening, given: Result | None, state: State, shown: Result, active: bool
) -> None:
    before = Software(stage, Result.DOWNLOADING, True)
    after, _ = follow(before, happening, result=given, component=INFO)
    assert (after.stage.state, after.result, after.active) == (state, shown, active)


ORDERS = (H.PACKAGE_WRITTEN, H.URI_WRITTEN, H.INSTALL, H.UNINSTALL, H.PREPARE_UPGRADE, H.ACTIVATE, H.DEACTIVATE)
ALLOWED = {
    Stage.INITIAL: {H.PACKAGE_WRITTEN, H.URI_WRITTEN},
    Stage.DELIVERED: {H.INSTALL, H.UNINSTALL, H.PREPARE_UPGRADE},
    Stage.INSTALLED: {H.UNINSTALL, H.PREPARE_UPGRADE, H.ACTIVATE, H.DEACTIVATE},
}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_followed_where_it_may_be_and_refused_elsewhere(stage: Stage, order: Happening) -> None:
    assert (order in TABLE[stage]) == (order in ALLOWED.get(stage, set()))
    if order not in TABLE[stage]:
        with pytest.raises(MethodNotAllowed):
            follow(Software(stage), order)


def package(flags: Flag = Flag.NONE, version: str = "2.0") -> bytes:
    return SimulatedPackage("clock", version, b"code", flags).to_bytes()


class Device:
    def __init__(self) -> None:
        self.installer = SimulatedInstaller()
        self.found: bytes | Trouble = package()
        self.asked: list[tuple[str, int, Login | None]] = []
        self.management = SoftwareManagement(self.installer, self.fetch, instances=2)
        self.host = ObjectHost()
        self.host.host(self.management)

    async def fetch(self, uri: str, max_size: int, login: Login | None) -> bytes:
        self.asked.append((uri, max_size, login))
        if isinstance(self.found, Trouble):
            raise PackageError(self.found)
        return self.found

    async def write(self, number: int, value: Value) -> None:
        await self.management.write([Record(Path(9, 0, number), value)])
        await self.management.idle()

    async def execute(self, number: int, arguments: str = "") -> None:
        await self.management.execute(Path(9, 0, number), arguments)
        await self.management.idle()

    @property
    def shown(self) -> tuple[int, int, bool]:
        """State, result, activation."""
        return self.host.value("/9/0/7"), self.host.value("/9/0/9"), self.host.value("/9/0/12")


@pytest.fixture
async def device() -> AsyncIterator[Device]:
    device = Device()
    yield device
    await device.management.stop()


async def test_a_component_lives_from_its_package_to_its_removal(device: Device) -> None:
    assert device.shown == (0, 0, False)
    await device.write(2, package())
    assert device.shown == (3, 3, False)
    assert (device.host.value("/9/0/0"), device.host.value("/9/0/1")) == ("clock", "2.0")
    await device.execute(4)
    assert device.shown == (4, 2, False)
    await device.execute(10)
    assert device.shown == (4, 2, True)
    assert device.installer.active == {0}
    await device.execute(11)
    assert device.shown == (4, 2, False)
    await device.execute(6)
    assert device.shown == (0, 0, False)
    assert device.installer.installed == {}
    assert device.host.value("/9/0/0") == ""
    assert device.host.values_of("/9/0/7") == [1, 2, 3, 4, 0]
    assert device.host.values_of("/9/0/9") == [1, 3, 2, 0]


async def test_a_pull_uses_the_login_that_was_written(device: Device) -> None:
    await device.write(14, "device")
    await device.write(15, "secret")
    await device.write(3, "http://h/clock")
    assert device.asked == [("http://h/clock", 128 * 1024, Login("device", "secret"))]
    assert device.shown == (3, 3, False)
    assert "secret" not in str(device.host.history)
    await device.management.remove([Path(9, 0, 14), Path(9, 0, 15)])
    await device.execute(6)
    await device.write(3, "http://h/clock")
    assert device.asked[-1][2] is None


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (Trouble.NO_STORAGE, 50),
        (package(Flag.EXHAUSTS_MEMORY), 51),
        (Trouble.CONNECTION_LOST, 52),
        (package()[:-1], 53),
        (b"?", 54),
        (Trouble.INVALID_URI, 56),
        (Trouble.UNSUPPORTED_PROTOCOL, 56),
    ],
)
async def test_a_download_that_fails(device: Device, found: bytes | Trouble, result: int) -> None:
    device.found = found
    await device.write(3, "http://h/clock")
    assert device.shown == (0, result, False)


async def test_a_package_larger_than_the_room_for_it(device: Device) -> None:
    await device.write(2, bytes(128 * 1024 + 1))
    assert device.shown == (0, 50, False)


async def test_an_install_that_fails_can_be_tried_again(device: Device) -> None:
    await device.write(2, package(Flag.FAILS_TO_INSTALL))
    await device.execute(4)
    assert device.shown == (3, 58, False)
    await device.execute(4)
    assert device.shown == (3, 58, False)
    await device.execute(6)
    assert device.shown == (0, 0, False)


async def test_a_removal_that_fails_leaves_the_software(device: Device) -> None:
    await device.write(2, package(Flag.FAILS_TO_BE_REMOVED))
    await device.execute(4)
    await device.execute(6, "0")
    assert device.shown == (4, 59, False)


async def test_an_upgrade_keeps_the_software_until_the_new_one_is_there(device: Device) -> None:
    await device.write(2, package())
    await device.execute(4)
    await device.execute(10)
    await device.execute(6, "1")
    assert device.shown == (0, 0, True)
    assert device.installer.installed[0].version == "2.0"
    await device.write(2, package(version="3.0"))
    await device.execute(4)
    assert device.shown == (4, 2, False)
    assert device.installer.installed[0].version == "3.0"


async def test_an_upgrade_that_is_given_up_takes_the_software_with_it(device: Device) -> None:
    await device.write(2, package())
    await device.execute(4)
    await device.execute(6, "1")
    await device.write(2, package(version="3.0"))
    await device.execute(6)
    assert device.shown == (0, 0, False)
    assert device.installer.installed == {}


async def test_an_installer_that_breaks_is_an_error_of_the_device(device: Device) -> None:
    async def broken(_instance: int, _active: bool) -> None:
        raise RuntimeError("init system")

    await device.write(2, package())
    await device.execute(4)
    device.installer.activate = broken  # type: ignore[method-assign]
    await device.execute(10)
    assert device.shown == (4, 57, False)


async def test_bad_arguments_and_what_is_not_there(device: Device) -> None:
    for arguments in ("2", "0,1", "0='1'"):
        with pytest.raises(BadRequest):
            await device.execute(6, arguments)
    with pytest.raises(BadRequest):
        await device.execute(4, "1")
    with pytest.raises(NotFound):
        await device.execute(7)
    with pytest.raises(NotFound):
        await device.write(13, 5)
    with pytest.raises(BadRequest):
        await device.management.write([Record(Path(9, 0, 2), b"x"), Record(Path(9, 0, 3), "http://h")])
    assert device.shown == (0, 0, False)


async def test_components_live_apart(device: Device) -> None:
    await device.write(2, package())
    assert device.host.value("/9/1/7") == 0
    await device.management.write([Record(Path(9, 1, 8), True)])
    assert (device.host.value("/9/0/8"), device.host.value("/9/1/8")) == (False, True)


async def test_stopping_ends_what_runs(device: Device) -> None:
    device.installer = SimulatedInstaller(pace=60)
    device.management = SoftwareManagement(device.installer, device.fetch)
    device.host.host(device.management)
    await device.write(2, package())
    await device.management.execute(Path(9, 0, 4), "")
    async with asyncio.timeout(5):
        await device.management.stop()
