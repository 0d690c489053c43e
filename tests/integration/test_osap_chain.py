"""Devices, LBS and DAS of this project, together over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from osap_bridge.osap.das import Das
from osap_bridge.osap.das_happenings import DasHappening, Offline, Online
from osap_bridge.osap.device import events as told
from osap_bridge.osap.device.osap_device import OsapDevice
from osap_bridge.osap.device.thing import DeviceInfo, PointKey
from osap_bridge.osap.directory import KeptEvent
from osap_bridge.osap.errors import DeviceRefused
from osap_bridge.osap.lbs import DasAddress, Lbs
from osap_bridge.osap.profile import Profile
from osap_bridge.protocol import Entity, FunctionPoint, Report
from tests.osap_directory import MemoryDirectory

PATIENCE = 10.0
LAMP = (Path(__file__).parents[2] / "osap_bridge/translators/dimmable_lamp.json").read_bytes()
SWITCH = FunctionPoint("LightControl", "Switch")


class MemoryEvents:
    def __init__(self) -> None:
        self.kept: dict[str, KeptEvent] = {}

    def keep(self, event: KeptEvent, now: float) -> bool:
        assert now >= 0
        return self.kept.setdefault(event.key, event) is event

    def settle(self, key: str) -> None:
        del self.kept[key]

    def unsettled(self) -> list[KeptEvent]:
        return list(self.kept.values())


class Wire:
    """Lies between the devices and the DAS, and can be cut."""

    def __init__(self, das: Das) -> None:
        self._das = das
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)

    def address(self) -> DasAddress:
        return DasAddress("127.0.0.1", self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        self.cut()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._das.address)
        await asyncio.gather(self._carry(reader, inner_writer), self._carry(inner_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
        writer.close()
        self._writers.discard(writer)


class Platform:
    def __init__(self, codes: dict[str, str]) -> None:
        self.events = MemoryEvents()
        self.das = Das(self.events, lambda _product: LAMP)
        self.wire = Wire(self.das)
        self.lbs = Lbs(MemoryDirectory(codes), self.das.grant, self.wire.address)
        self.happened: list[DasHappening] = []
        self._news = asyncio.Condition()
        self._devices: list[OsapDevice] = []

    async def start(self) -> None:
        await self.das.start()
        await self.wire.start()
        await self.lbs.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        await asyncio.gather(*(device.stop() for device in self._devices))
        await self.lbs.stop()
        await self.das.stop()
        await self.wire.stop()
        await self._watching

    async def _watch(self) -> None:
        async for happening in self.das.happenings():
            async with self._news:
                self.happened.append(happening)
                self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(condition)

    def values(self, serial: str) -> dict[FunctionPoint, Any]:
        """As reported last."""
        reports = [each for each in self.happened if isinstance(each, Report) and each.entity.serial == serial]
        return {report.point: report.value for report in reports}

    def device(self, serial: str, code: str, **options: Any) -> OsapDevice:
        info = DeviceInfo("DimmableLamp", "V1.0.0")
        device = OsapDevice(serial, code, Profile.from_json(LAMP), lbs=self.lbs.address, info=info, **options)
        self._devices.append(device)
        return device


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    platform = Platform({"K1": "ABCDEF"} | {f"L{number}": f"CODE{number}" for number in range(30)})
    await platform.start()
    yield platform
    await platform.stop()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith(("OSAP", "LBS", "DAS"))] == []


async def told_of(stream: told.EventStream, kind: type[told.DeviceEvent]) -> Any:
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the device stopped before {kind}")


async def test_a_device_is_seen_asked_and_changed(platform: Platform) -> None:
    async def reset(_key: PointKey, _arguments: Any) -> None:
        await device.set("PowerMeter/Energy", 0)

    device = platform.device("K1", "ABCDEF", on_operate=reset)
    await device.start()
    await platform.until(lambda: len(platform.values("K1")) == 4)
    lamp = Entity("K1")

    await platform.das.set(lamp, SWITCH, True)
    assert device.value(SWITCH) is True
    assert await platform.das.get(lamp, SWITCH) is True
    await platform.until(lambda: platform.values("K1")[SWITCH] is True)

    await device.set("PowerMeter/Energy", 17)
    await platform.until(lambda: platform.values("K1")[FunctionPoint("PowerMeter", "Energy")] == 17)
    assert await platform.das.operate(lamp, FunctionPoint("PowerMeter", "Reset"), {}) == {}
    assert device.value("PowerMeter/Energy") == 0

    with pytest.raises(DeviceRefused):
        await platform.das.set(lamp, FunctionPoint("LightControl", "Brightness"), 101)

    await device.emit("LightControl/ButtonPressed", {"presses": 2})
    await platform.until(lambda: any(isinstance(each, KeptEvent) for each in platform.happened))

    await device.stop()
    await platform.until(lambda: Offline("K1", True) in platform.happened)


async def test_a_device_resumes_when_its_connection_is_cut(platform: Platform) -> None:
    device = platform.device("K1", "ABCDEF")
    stream = device.events()
    await device.start()
    await told_of(stream, told.Online)
    await platform.until(lambda: len(platform.values("K1")) == 4)
    platform.wire.cut()
    await told_of(stream, told.LinkLost)
    await platform.until(lambda: Offline("K1", False) in platform.happened)
    await device.set(SWITCH, True)
    await device.emit("LightControl/ButtonPressed", {"presses": 1})
    await told_of(stream, told.Reconnect)
    await platform.until(lambda: platform.values("K1")[SWITCH] is True)
    await platform.until(lambda: isinstance(platform.happened[-1], KeptEvent))
    await platform.das.set(Entity("K1"), SWITCH, False)
    assert device.value(SWITCH) is False


async def test_a_revoked_session_is_renewed(platform: Platform) -> None:
    device = platform.device("K1", "ABCDEF")
    stream = device.events()
    await device.start()
    await told_of(stream, told.Online)
    platform.das.remove("K1")
    await told_of(stream, told.Offline)
    await told_of(stream, told.SessionKeyAgreed)
    await told_of(stream, told.Online)


async def test_many_devices_at_once(platform: Platform) -> None:
    devices = [platform.device(f"L{number}", f"CODE{number}") for number in range(30)]
    await asyncio.gather(*(device.start() for device in devices))
    await platform.until(lambda: sum(isinstance(each, Online) for each in platform.happened) == 30)
    await asyncio.gather(*(device.set(SWITCH, True) for device in devices))
    await platform.until(lambda: all(platform.values(device.serial).get(SWITCH) is True for device in devices))
