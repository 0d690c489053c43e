"""The gateway between real OSAP devices and a real LwM2M server, all over sockets; once for each topology."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest

from lwm2m.address import Address
from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import BadRequest, InternalServerError, LwM2MError, NotFound
from lwm2m.model.path import Path
from lwm2m.server import Deregistered, Notified, NotRegistered, Registered, Server
from osap_bridge import Entity
from osap_bridge.bridge import Bridge, StateInUse
from osap_bridge.config import Config, Device
from osap_bridge.installed import find
from osap_bridge.osap.device.events import AuthenticationFailed, DeviceEvent, Online, Reconnect
from osap_bridge.osap.device.thing import Refusal
from osap_bridge.osap.profile import ResourceKey
from osap_bridge.placement import Slot
from osap_bridge.simulation import DoorController, Lamp, SimulatedDevice
from osap_bridge.store import Store

ANY_PORT = Address("127.0.0.1", 0)
CODE = "QWERTY"
LAMP, SENSOR, DOOR = Entity("L1"), Entity("H1"), Entity("D1", "global", "Door", "1")
PRODUCTS = {"L1": "EZ-Lamp-Dim", "L2": "EZ-Lamp-Dim", "H1": "EZ-Humiture", "D1": "EZ-Door"}
FRONT = ResourceKey("Door", "1")
INSTALLED = find()


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """For what no event tells of."""
    async with asyncio.timeout(5):
        for _ in range(1000):
            outcome = holds()
            if outcome if isinstance(outcome, bool) else await outcome:
                return
            await asyncio.sleep(0.02)


class Site:
    """A server, a gateway that can be restarted, and devices. Paths are those of a product's translator."""

    def __init__(self, topology: str, folder: FilePath, server: Server, uri: str) -> None:
        self.server = server
        self.topology = topology
        self.devices: dict[str, SimulatedDevice] = {}
        self.config = Config(
            lbs=ANY_PORT,
            das=ANY_PORT,
            server=uri,
            topology=topology,
            state=folder,
            devices=tuple(Device(serial, CODE) for serial in PRODUCTS),
            source="test",
        )

    async def open(self, **changes: Any) -> None:
        """Start the gateway; after the first time, where it was before."""
        self.config = replace(self.config, **changes)
        self.bridge = await Bridge(self.config, INSTALLED).__aenter__()
        protocol = self.bridge.protocol
        self.config = replace(self.config, lbs=Address(*protocol.lbs_address), das=Address(*protocol.das_address))

    async def close(self) -> None:
        await self.bridge.__aexit__(None, None, None)

    def device(self, serial: str, code: str = CODE) -> SimulatedDevice:
        product = INSTALLED.products[PRODUCTS[serial]]
        device = SimulatedDevice(product, serial, code, self.bridge.protocol.lbs_address)
        self.devices[serial] = device
        return device

    async def online(self, serial: str) -> SimulatedDevice:
        """A device that is online and seen at the server."""
        device = self.device(serial)
        events = device.events()
        await device.start()
        await heard(events, Online)
        await eventually(lambda: self.is_seen(serial))
        return device

    def endpoint(self, serial: str) -> str:
        return self.bridge.endpoint_of(serial)

    def is_seen(self, serial: str) -> bool:
        """Registered, or listed in the registration of the single client."""
        try:
            objects = self.server.registration(self.endpoint(serial)).objects
            return self.topology == "per-device" or self.path(Entity(serial), "/10241/0")[1] in objects.get(10241, ())
        except (NotRegistered, LookupError):
            return False

    def path(self, entity: Entity, text: str) -> Path:
        own = Path.parse(text)
        for slot, owner in self.bridge.store.instances(self.endpoint(entity.serial)).items():
            if owner.entity == entity and owner.slot == Slot.of(own):
                return Path(*slot, *own[2:])
        raise LookupError(f"{entity} has no {text}")

    async def read(self, entity: Entity, text: str) -> Any:
        return (await self.server.read(self.endpoint(entity.serial), self.path(entity, text), timeout=5))[0].value

    async def reads(self, entity: Entity, text: str, value: Any) -> None:
        async def holds() -> bool:
            try:
                return bool(await self.read(entity, text) == value)
            except (LwM2MError, NotRegistered, LookupError):
                return False

        await eventually(holds)

    async def write(self, entity: Entity, text: str, value: Any) -> None:
        await self.server.write(self.endpoint(entity.serial), self.path(entity, text), value, timeout=15)

    async def execute(self, entity: Entity, text: str, arguments: str = "") -> None:
        await self.server.execute(self.endpoint(entity.serial), self.path(entity, text), arguments, timeout=15)


async def heard(events: AsyncIterator[DeviceEvent], kind: type[DeviceEvent]) -> DeviceEvent:
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} was heard")


@pytest.fixture(params=["per-device", "single"])
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def site_of(topology: str, folder: FilePath) -> AsyncIterator[Site]:
    async with AsyncExitStack() as exits:
        coap = open_endpoint("127.0.0.1", 0)
        server = await exits.enter_async_context(Server([coap]))
        site = Site(topology, folder, server, coap.uri)
        await site.open()
        try:
            yield site
        finally:
            await asyncio.gather(*(device.stop() for device in site.devices.values()))
            await site.close()


@pytest.fixture
async def site(topology: str, tmp_path: FilePath) -> AsyncIterator[Site]:
    async with site_of(topology, tmp_path / "state") as site:
        yield site


async def test_the_gateway_itself_is_registered(site):
    await eventually(lambda: bool(site.server.registrations()))
    assert site.server.registration("osap-bridge").objects.keys() >= {1, 3}


async def test_a_device_is_seen_with_its_values_and_facts(site):
    await site.online("H1")
    await site.reads(SENSOR, "/3303/0/5700", 21.5)
    await site.reads(SENSOR, "/3304/0/5700", 48.5)
    assert await site.read(SENSOR, "/3303/0/5701") == "Cel"
    if site.topology == "per-device":
        assert (await site.server.read("osap:H1", "/3/0/2"))[0].value == "H1"
        assert site.server.registration("osap-bridge")
    else:
        path = site.path(SENSOR, "/10241/0/5907")
        assert (await site.server.read("osap-bridge", path))[0].value == "H1"


async def test_a_change_becomes_a_notification(site):
    sensor = await site.online("H1")
    await site.reads(SENSOR, "/3303/0/5700", 21.5)
    events = site.server.events()
    path = site.path(SENSOR, "/3303/0/5700")
    await site.server.observe(site.endpoint("H1"), path)
    await sensor.device.set("Humiture/Temperature", 236)
    async with asyncio.timeout(5):
        async for event in events:
            if isinstance(event, Notified):
                assert [(record.path, record.value) for record in event.records] == [(path, 23.6)]
                return


async def test_a_write_reaches_the_device_and_only_that_device(site):
    first, second = await site.online("L1"), await site.online("L2")
    await site.write(Entity("L2"), "/3311/0/5851", 25)
    assert second.device.value("LightControl/Brightness") == 25
    assert first.device.value("LightControl/Brightness") == 60
    assert await site.read(Entity("L2"), "/3311/0/5851") == 25


async def test_what_the_device_refuses_is_a_bad_request_and_changes_nothing(site, monkeypatch):
    lamp = await site.online("L1")
    await site.reads(LAMP, "/3311/0/5850", True)

    async def refuse(*_: object) -> None:
        raise Refusal("it is broken")

    monkeypatch.setattr(lamp.device._thing, "behaviour", replace(lamp.device._thing.behaviour, on_set=refuse))
    with pytest.raises(BadRequest):
        await site.write(LAMP, "/3311/0/5850", False)
    assert await site.read(LAMP, "/3311/0/5850") is True
    with pytest.raises(BadRequest):
        await site.write(LAMP, "/3311/0/5851", 0)


async def test_an_execute_is_carried_out_with_its_argument(site):
    lamp, door = await site.online("L1"), await site.online("D1")
    await site.execute(LAMP, "/3305/0/5822")
    assert lamp.device.value("PowerMeter/Energy") == 0
    await site.reads(LAMP, "/3305/0/5805", 0.0)
    await site.execute(DOOR, "/10359/0/100", "0")
    assert door.device.value("DoorLock/State", FRONT) == 0
    await site.reads(DOOR, "/10359/0/50", False)
    with pytest.raises(BadRequest):
        await site.execute(DOOR, "/10359/0/100", "7")


async def test_events_are_counted_and_kept_with_their_content(site):
    door = (await site.online("D1")).behaviour
    assert isinstance(door, DoorController)
    assert await site.read(DOOR, "/3200/1/5501") == 0
    await door.access(FRONT, "Ada", granted=True)
    await door.access(FRONT, "Grace", granted=False)
    await site.reads(DOOR, "/3200/1/5501", 2)
    assert json.loads(await site.read(DOOR, "/19/0/0"))["content"]["Person"] == "Grace"


async def test_events_of_an_outage_are_made_up_for(site):
    device = await site.online("L1")
    assert isinstance(device.behaviour, Lamp)
    await site.close()
    for _ in range(3):
        await device.behaviour.press()
    await site.open()
    await site.reads(LAMP, "/3347/0/5501", 3)


async def test_a_restarted_gateway_knows_everything_again(site):
    lamp = await site.online("L1")
    await site.online("L2")
    assert isinstance(lamp.behaviour, Lamp)
    await lamp.behaviour.press()
    await site.reads(LAMP, "/3347/0/5501", 1)
    before = {serial: site.path(Entity(serial), "/3311/0/5850") for serial in ("L1", "L2")}
    events = lamp.events()
    await site.close()
    await site.open()
    await heard(events, Online)
    await site.reads(LAMP, "/3347/0/5501", 1)
    await site.reads(Entity("L2"), "/3311/0/5851", 60)
    assert {serial: site.path(Entity(serial), "/3311/0/5850") for serial in ("L1", "L2")} == before


async def test_a_goodbye_is_seen_at_once(site):
    await site.online("L2")
    lamp = await site.online("L1")
    events = site.server.events()
    await lamp.stop()
    if site.topology == "per-device":
        async with asyncio.timeout(5):
            async for event in events:
                if isinstance(event, Deregistered):
                    assert event.registration.endpoint == "osap:L1"
                    break
    else:
        path = site.path(LAMP, "/3311/0")
        await eventually(lambda: path[1] not in site.server.registration("osap-bridge").objects[3311])
        with pytest.raises(NotFound):
            await site.read(LAMP, "/3311/0/5850")
    assert site.is_seen("L2")


async def test_a_broken_connection_refuses_reads_until_the_device_is_back(site):
    lamp = await site.online("L1")
    await site.online("L2")
    await site.reads(LAMP, "/3311/0/5850", True)
    events = lamp.events()
    lamp.device._channel.link._writer.transport.abort()
    seen = []
    async with asyncio.timeout(5):
        while not seen:
            try:
                await site.read(LAMP, "/3311/0/5850")
            except InternalServerError as error:
                seen.append(str(error))
    assert "L1 is offline" in seen[0]
    assert site.is_seen("L1")
    assert await site.read(Entity("L2"), "/3311/0/5850") is True
    await heard(events, Reconnect)
    await site.reads(LAMP, "/3311/0/5850", True)


async def test_a_device_that_stays_away_is_gone_after_the_grace(site):
    await site.close()
    await site.open(grace=0.2)
    lamp = await site.online("L1")
    lamp.device._running.cancel()
    await eventually(lambda: not site.is_seen("L1"))


async def test_a_wrong_code_is_refused_said_once_and_harms_nobody(site, caplog):
    await site.online("L1")
    caplog.set_level(logging.INFO)
    wrong = site.device("L2", code="WRONGCODE")
    events = wrong.events()
    await wrong.start()
    failed = await heard(events, AuthenticationFailed)
    assert isinstance(failed, AuthenticationFailed)
    assert failed.result == 1
    assert "WRONGCODE" not in caplog.text
    assert CODE not in caplog.text
    assert not site.is_seen("L2")
    assert await site.read(LAMP, "/3311/0/5850") is True
    statuses = {}

    def told() -> bool:
        statuses.update({status.serial: status for status in site.bridge.store.statuses()})
        return "verification code" in statuses["L2"].last_error

    await eventually(told)
    assert statuses["L1"].state == "online"


async def test_devices_are_added_and_removed_while_it_runs(site):
    store = Store(site.config.folder)
    store.remove_device("L1")
    lamp = site.device("L1")
    events = lamp.events()
    await lamp.start()
    failed = await heard(events, AuthenticationFailed)
    assert isinstance(failed, AuthenticationFailed)
    assert failed.result == 5
    await lamp.stop()
    store.add_device("L1", CODE)
    await site.online("L1")
    store.remove_device("L1")
    store.close()
    if site.topology == "per-device":
        await eventually(lambda: not site.is_seen("L1"))
    else:
        await eventually(lambda: not site.server.registration("osap-bridge").objects.get(10241))
    await eventually(lambda: not any(status.online for status in site.bridge.protocol._das.states()))


async def test_two_gateways_on_one_state_do_not_start(site):
    with pytest.raises(StateInUse, match="another osap-bridge"):
        await Bridge(site.config, INSTALLED).__aenter__()


async def test_a_taken_address_leaves_nothing_behind(site, tmp_path):
    elsewhere = replace(site.config, state=tmp_path / "other", das=ANY_PORT)
    tasks = {task.get_name() for task in asyncio.all_tasks()}
    with pytest.raises(OSError, match="is taken"):
        await Bridge(elsewhere, INSTALLED).__aenter__()
    assert {task.get_name() for task in asyncio.all_tasks()} <= tasks


async def test_a_registration_comes_with_all_objects_of_the_device(site):
    events = site.server.events()
    await site.online("D1")
    if site.topology == "per-device":
        async with asyncio.timeout(5):
            async for event in events:
                if isinstance(event, Registered) and event.registration.endpoint == "osap:D1":
                    assert event.registration.objects[10359] == (0, 1)
                    assert event.registration.objects[19] == (0, 1)
                    return
    else:
        assert site.server.registration("osap-bridge").objects[10359] == (0, 1)
