"""OSAP as the gateway sees it: LBS, DAS and storage behind one ProtocolTranslator, with a device at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lwm2m.errors import BadRequest, InternalServerError
from osap_bridge.osap.bodies import Child
from osap_bridge.osap.das import DasLimits
from osap_bridge.osap.device.events import AuthenticationFailed
from osap_bridge.osap.device.osap_device import OsapDevice
from osap_bridge.osap.device.thing import DeviceInfo, PointKey, Refusal
from osap_bridge.osap.profile import Profile
from osap_bridge.osap.protocol import OsapProtocol
from osap_bridge.protocol import (
    Appeared,
    DeviceFacts,
    Disappeared,
    Entity,
    EventReport,
    FunctionPoint,
    Happening,
    ProtocolTranslator,
    Report,
)
from osap_bridge.store import Store
from tests.interop.foreign_osap import ForeignDevice, RefusedByLbs

SERIAL, CODE = "K12345678", "ABCDEF"
LAMP_JSON = (Path(__file__).parents[2] / "osap_bridge" / "translators" / "dimmable_lamp.json").read_bytes()
LAMP = Profile.from_json(LAMP_JSON)
DEVICE = Entity(SERIAL)
SWITCH = FunctionPoint("LightControl", "Switch")
BRIGHTNESS = FunctionPoint("LightControl", "Brightness")
PRESSED = "LightControl/ButtonPressed"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path)
    store.add_device(SERIAL, CODE)
    yield store
    store.close()


@asynccontextmanager
async def running(store: Store, **options: Any) -> AsyncIterator[OsapProtocol]:
    profiles = {"AcmeLamp": LAMP_JSON, "Broken": b"{", "CS-C2C": LAMP_JSON}
    protocol = OsapProtocol(store, store, profiles.get, lbs=("127.0.0.1", 0), das=("127.0.0.1", 0), **options)
    await protocol.start()
    try:
        yield protocol
    finally:
        await protocol.stop()


@asynccontextmanager
async def lamp(protocol: OsapProtocol, **options: Any) -> AsyncIterator[OsapDevice]:
    info = options.pop("info", DeviceInfo(device_type="AcmeLamp", firmware="V1.2.0"))
    device = OsapDevice(SERIAL, options.pop("code", CODE), LAMP, lbs=protocol.lbs_address, info=info, **options)
    await device.start()
    try:
        yield device
    finally:
        await device.stop()


class Told:
    def __init__(self, protocol: ProtocolTranslator) -> None:
        self._happenings = protocol.happenings()

    async def next(self, *kinds: type[Happening]) -> Any:
        """The next happening, or the next of these kinds."""
        async with asyncio.timeout(5):
            while True:
                happening = await anext(self._happenings)
                if not kinds or isinstance(happening, kinds):
                    return happening


async def test_a_device_appears_reports_and_disappears(store: Store) -> None:
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol) as device:
            appeared = await told.next()
            assert isinstance(appeared, Appeared)
            assert appeared.serial == SERIAL
            assert (appeared.facts.product, appeared.facts.firmware) == ("AcmeLamp", "V1.2.0")
            assert appeared.entities == (DEVICE,)
            await device.set("LightControl/Brightness", 42)
            report = await told.next(Report)
            while report.point != BRIGHTNESS or report.value != 42:
                report = await told.next(Report)
            assert report.entity == DEVICE
            (status,) = protocol.statuses()
            assert (status.serial, status.product, status.state, status.last_error) == (
                SERIAL,
                "AcmeLamp",
                "online",
                "",
            )
        assert await told.next(Disappeared) == Disappeared(SERIAL, orderly=True)


async def test_writes_and_executes_meet_the_devices_truth(store: Store) -> None:
    def on_set(_: PointKey, value: Any) -> None:
        if value == 13:
            raise Refusal("not thirteen")

    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol, on_set=on_set, on_operate=lambda *_: {"done": True}) as device:
            await told.next(Appeared)
            await protocol.set(DEVICE, SWITCH, True)
            assert device.value("LightControl/Switch") is True
            assert await protocol.get(DEVICE, SWITCH) is True
            await protocol.operate(DEVICE, FunctionPoint("PowerMeter", "Reset"), {})
            with pytest.raises(BadRequest, match="not thirteen"):
                await protocol.set(DEVICE, BRIGHTNESS, 13)
            with pytest.raises(BadRequest):
                await protocol.set(DEVICE, BRIGHTNESS, "bright")
            with pytest.raises(BadRequest, match="cannot be asked"):
                await protocol.set(DEVICE, FunctionPoint("LightControl", "a/b"), 1)
            with pytest.raises(BadRequest):
                await protocol.get(DEVICE, FunctionPoint("LightControl", "Colour"))


async def test_who_is_not_there_is_said_so(store: Store) -> None:
    async with running(store, limits=DasLimits(request_deadline=0.2)) as protocol:
        told = Told(protocol)
        with pytest.raises(InternalServerError, match="offline"):
            await protocol.set(DEVICE, SWITCH, True)
        async with lamp(protocol, on_set=lambda *_: asyncio.sleep(1)):
            await told.next(Appeared)
            with pytest.raises(InternalServerError, match="did not answer in time"):
                await protocol.set(DEVICE, SWITCH, True)


async def test_events_come_again_behind_their_device_until_settled(store: Store) -> None:
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol) as device:
            await told.next(Appeared)
            await device.emit(PRESSED, {"presses": 1})
            await device.emit(PRESSED, {"presses": 2})
            first, second = await told.next(EventReport), await told.next(EventReport)
            assert (first.content["presses"], second.content["presses"]) == (1, 2)
            assert first.key != second.key
            await protocol.settle(first)
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol):
            assert isinstance(await told.next(), Appeared)
            again = await told.next()
            assert again == second
            await protocol.settle(again)
    assert store.unsettled() == []


async def test_children_become_entities(store: Store) -> None:
    children = (Child("CWM_001", True, "CS-C2C"), Child("CWM_002", True), Child("CWM_003", False, "CS-C2C"))
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol, children=children):
            appeared = await told.next(Appeared)
            while len(appeared.entities) == 1:
                appeared = await told.next(Appeared)
            assert appeared.entities == (DEVICE, Entity(SERIAL, "CWM_001"), Entity(SERIAL, "CWM_002"))


async def test_a_profile_that_cannot_be_read_leaves_the_device_itself(store: Store) -> None:
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol, info=DeviceInfo(device_type="Broken")):
            appeared = await told.next(Appeared)
            assert appeared == Appeared(SERIAL, DeviceFacts("Broken", model="Broken"), (DEVICE,))


async def test_a_wrong_code_shows_in_the_status_until_it_is_right(store: Store) -> None:
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol, code="WRONG1") as device:
            failing = device.events()
            async with asyncio.timeout(5):
                await anext(event async for event in failing if isinstance(event, AuthenticationFailed))
            (status,) = protocol.statuses()
            assert (status.serial, status.state) == (SERIAL, "offline")
            assert status.last_error == "the LBS refused it: its verification code is wrong"
        async with lamp(protocol):
            await told.next(Appeared)
            assert protocol.statuses()[0].last_error == ""


def first_message(serial: str) -> bytes:
    """0x1A of osap.md §3.4 with a key that nobody can open."""
    text = serial.encode()
    body = bytes.fromhex("010101 010200 00") + bytes([len(text)]) + text + bytes(16 + 97)
    return b"\x1a" + bytes([len(body) & 0x7F | 0x80, len(body) >> 7]) + body


async def test_strangers_cannot_fill_the_status(store: Store) -> None:
    async with running(store) as protocol:
        for number in range(260):
            reader, writer = await asyncio.open_connection(*protocol.lbs_address)
            writer.write(first_message(f"stranger{number}"))
            assert (await reader.read())[-1] == 5
            writer.close()
        assert len(protocol.statuses()) == 256


async def test_the_older_sdk_is_kept_out_where_that_is_wanted(store: Store) -> None:
    device = ForeignDevice(SERIAL, CODE, "AcmeLamp")
    async with running(store, accept_v2_auth=False) as protocol:
        with pytest.raises(RefusedByLbs) as refused:
            await device.authenticate(protocol.lbs_address, flow="old")
        assert refused.value.code == 2
        await device.authenticate(protocol.lbs_address)


async def test_a_removed_device_loses_its_connection(store: Store) -> None:
    async with running(store) as protocol:
        told = Told(protocol)
        async with lamp(protocol):
            await told.next(Appeared)
            store.remove_device(SERIAL)
            protocol.remove(SERIAL)
            assert await told.next(Disappeared) == Disappeared(SERIAL, orderly=False)
            with pytest.raises(InternalServerError, match="offline"):
                await protocol.set(DEVICE, SWITCH, True)


async def test_a_taken_address_leaves_nothing_behind(store: Store) -> None:
    async with running(store) as protocol:
        other = OsapProtocol(store, store, lambda _: None, lbs=protocol.lbs_address, das=("127.0.0.1", 0))
        with pytest.raises(OSError, match="is taken"):
            await other.start()
        with pytest.raises(RuntimeError):
            _ = other.das_address


async def test_happenings_end_with_the_protocol(store: Store) -> None:
    async with running(store) as protocol:
        listening = asyncio.create_task(_all(protocol))
        await asyncio.sleep(0)
    assert await asyncio.wait_for(listening, 2) == []


async def _all(protocol: OsapProtocol) -> list[Happening]:
    return [happening async for happening in protocol.happenings()]
