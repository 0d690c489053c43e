"""The gateway between a scripted protocol and clients that only hold their data model; once for each topology."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lwm2m.client.data_model import DataModel
from lwm2m.errors import BadRequest, InternalServerError, MethodNotAllowed, NotFound
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from osap_bridge import (
    Appeared,
    DeviceFacts,
    Disappeared,
    Entity,
    EventReport,
    FunctionPoint,
    Happening,
    Report,
)
from osap_bridge.gateway import EndpointActuator, Gateway, Settings
from osap_bridge.installed import find
from osap_bridge.store import Store
from osap_bridge.topology import ClientPerDevice, SingleClient

LAMP_FACTS = DeviceFacts("EZ-Lamp-Dim", "Acme", "L-100", "V1.2", "H1")
DOOR_FACTS = DeviceFacts("EZ-Door", "Acme", "D-2", "V2.0")
POWER = FunctionPoint("PowerMeter", "Power")
SWITCH = FunctionPoint("LightControl", "Switch")
BRIGHTNESS = FunctionPoint("LightControl", "Brightness")
BUTTON = FunctionPoint("LightControl", "ButtonPressed")
ACCESS = FunctionPoint("AccessControl", "Access")


class ScriptedProtocol:
    """Says what the test tells it to say; answers what the test has put into `answers`."""

    def __init__(self) -> None:
        self.answers: dict[FunctionPoint, Any] = {}
        self.asked: list[tuple[str, Entity, FunctionPoint, Any]] = []
        self.settled: list[str] = []
        self._queue: asyncio.Queue[Happening] = asyncio.Queue()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def say(self, *happenings: Happening) -> None:
        for happening in happenings:
            self._queue.put_nowait(happening)
        await self._queue.join()

    async def happenings(self) -> AsyncIterator[Happening]:
        while True:
            yield await self._queue.get()
            self._queue.task_done()

    async def settle(self, event: EventReport) -> None:
        self.settled.append(event.key)

    async def get(self, entity: Entity, point: FunctionPoint) -> Any:
        return self._answer("get", entity, point, None)

    async def set(self, entity: Entity, point: FunctionPoint, value: Any) -> None:
        self._answer("set", entity, point, value)

    async def operate(self, entity: Entity, point: FunctionPoint, arguments: Any) -> Any:
        return self._answer("operate", entity, point, arguments)

    def _answer(self, verb: str, entity: Entity, point: FunctionPoint, value: Any) -> Any:
        self.asked.append((verb, entity, point, value))
        answer = self.answers.get(point)
        if isinstance(answer, Exception):
            raise answer
        return answer


class HeldClient:
    """A client without a network."""

    def __init__(self, records: Any, actuator: EndpointActuator) -> None:
        self.model = DataModel(records)
        self.actuator = actuator
        self.running = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False
        self._changed.set()

    def update(self, records: Any) -> None:
        self.model.update(records)
        self._changed.set()

    def remove(self, paths: Any) -> None:
        for path in paths:
            self.model.remove(path)
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


class World:
    """A gateway and all that a test looks at. `at(serial)` is the client in which a device is seen."""

    def __init__(self, kind: str, store: Store, settings: Settings) -> None:
        self.kind = kind
        self.protocol = ScriptedProtocol()
        self.clients: dict[str, HeldClient] = {}
        self.store = store
        self.topology = ClientPerDevice() if kind == "per-device" else SingleClient("gateway")
        self.gateway = Gateway(
            self.protocol,
            self.topology,
            find().products,
            store,
            shipped(),
            self._make,
            endpoint="gateway",
            facts=DeviceFacts("Bridge", "Acme"),
            settings=settings,
            wall=lambda: 1000.0,
        )

    def _make(self, endpoint: str, records: Any, actuator: Any) -> HeldClient:
        self.clients[endpoint] = HeldClient(records, actuator)
        return self.clients[endpoint]

    def at(self, serial: str) -> HeldClient:
        return self.clients[self.topology.endpoint_of(serial)]

    def value(self, serial: str, path: str) -> Any:
        return self.at(serial).model.value(Path.parse(path))

    def is_gone(self, client: HeldClient) -> bool:
        """The only device of this client is no longer seen there."""
        return not client.model.instances(3311) if self.kind == "single" else not client.running

    async def lamp(self, serial: str = "Z1") -> None:
        await self.protocol.say(Appeared(serial, LAMP_FACTS, (Entity(serial),)))

    async def report(self, serial: str, point: FunctionPoint, value: Any) -> None:
        await self.protocol.say(Report(Entity(serial), point, value))


@pytest.fixture(params=["per-device", "single"])
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings() -> Settings:
    return Settings(grace=130.0, ask_after=3600.0)


@pytest.fixture
async def world(topology, tmp_path, settings):
    store = Store(tmp_path)
    for serial in ("Z1", "Z2", "Z3"):
        store.add_device(serial, "QWERTY")
    world = World(topology, store, settings)
    await world.gateway.start()
    yield world
    await world.gateway.stop()
    store.close()


async def test_the_gateway_has_a_client_of_its_own_from_the_start(world):
    assert list(world.clients) == ["gateway"]
    assert world.clients["gateway"].model.value(Path(3, 0, 0)) == "Acme"


async def test_a_device_that_appears_is_introduced_by_its_facts(world):
    await world.lamp()
    model = world.at("Z1").model
    if world.kind == "per-device":
        facts = [model.value(Path(3, 0, resource)) for resource in (0, 1, 2, 3)]
    else:
        facts = [model.value(Path(10241, 0, resource, 0)) for resource in (5905, 5906, 5907, 5908)]
    assert facts == ["Acme", "L-100", "Z1", "V1.2"]


async def test_instances_are_there_at_once_and_values_with_the_first_report(world):
    await world.lamp()
    model = world.at("Z1").model
    assert model.has(Path(3305, 0))
    assert not model.has(Path(3305, 0, 5800))
    await world.report("Z1", POWER, 215)
    assert world.value("Z1", "/3305/0/5800") == 21.5


async def test_each_instance_says_whose_it_is(world):
    await world.lamp()
    name = "LightControl" if world.kind == "per-device" else "Z1 LightControl"
    assert world.value("Z1", "/3311/0/5750") == name


async def test_devices_do_not_get_into_each_others_way(world):
    await world.lamp("Z1")
    await world.lamp("Z2")
    await world.report("Z1", POWER, 10)
    await world.report("Z2", POWER, 20)
    second = "/3305/0/5800" if world.kind == "per-device" else "/3305/1/5800"
    assert world.value("Z1", "/3305/0/5800") == 1.0
    assert world.value("Z2", second) == 2.0


async def test_two_doors_of_a_controller_are_two_instances(world):
    doors = tuple(Entity("Z1", "global", "Door", number) for number in ("1", "2"))
    await world.protocol.say(Appeared("Z1", DOOR_FACTS, (Entity("Z1"), *doors)))
    for door, state in zip(doors, (1, 0), strict=True):
        await world.protocol.say(Report(door, FunctionPoint("DoorLock", "State"), state))
    assert world.value("Z1", "/10359/0/50") is True
    assert world.value("Z1", "/10359/1/50") is False
    assert world.value("Z1", "/10359/1/1") == "Door lock"
    assert world.value("Z1", "/3306/1/5750").endswith("Door 2 lock")


async def test_numbers_survive_a_restart_whatever_the_order_of_arrival(topology, tmp_path, settings):
    store = Store(tmp_path)
    seen = []
    for order in (("Z1", "Z2"), ("Z2", "Z1")):
        world = World(topology, store, settings)
        await world.gateway.start()
        for serial in order:
            await world.lamp(serial)
        seen.append({slot: owner.entity.serial for slot, owner in store.instances("gateway").items()})
        await world.report("Z2", POWER, 20)
        assert world.value("Z2", "/3305/0/5800" if topology == "per-device" else "/3305/1/5800") == 2.0
        await world.gateway.stop()
    assert seen[0] == seen[1]
    store.close()


async def test_a_write_reaches_the_device_and_its_truth_becomes_the_value(world):
    await world.lamp()
    await world.at("Z1").actuator.write([Record(Path(3311, 0, 5851), 40)])
    assert world.protocol.asked == [("set", Entity("Z1"), BRIGHTNESS, 40)]
    assert world.value("Z1", "/3311/0/5851") == 40


async def test_a_write_the_device_refuses_changes_nothing(world):
    await world.lamp()
    await world.report("Z1", SWITCH, False)
    world.protocol.answers[SWITCH] = BadRequest("the device refused")
    with pytest.raises(BadRequest):
        await world.at("Z1").actuator.write([Record(Path(3311, 0, 5850), True)])
    assert world.value("Z1", "/3311/0/5850") is False


async def test_one_wrong_record_and_nothing_is_set(world):
    await world.lamp()
    with pytest.raises(MethodNotAllowed):
        await world.at("Z1").actuator.write([Record(Path(3311, 0, 5850), True), Record(Path(3311, 0, 5750), "Hall")])
    with pytest.raises(BadRequest):
        await world.at("Z1").actuator.write([Record(Path(3311, 0, 5850), True), Record(Path(3311, 0, 5851), 0)])
    assert world.protocol.asked == []


async def test_a_write_goes_to_the_device_that_owns_the_instance(world):
    await world.lamp("Z1")
    await world.lamp("Z2")
    path = Path(3311, 0 if world.kind == "per-device" else 1, 5850)
    await world.at("Z2").actuator.write([Record(path, True)])
    assert world.protocol.asked == [("set", Entity("Z2"), SWITCH, True)]


async def test_a_silent_device_is_an_internal_server_error_and_remembered(world):
    await world.lamp()
    world.protocol.answers[SWITCH] = TimeoutError()
    with pytest.raises(InternalServerError, match="did not answer"):
        await world.at("Z1").actuator.write([Record(Path(3311, 0, 5850), True)])
    await world.gateway.stop()
    assert world.store.statuses()[0].last_error == "the device did not answer"


async def test_an_execute_is_an_operation(world):
    await world.lamp()
    await world.at("Z1").actuator.execute(Path(3305, 0, 5822), "")
    assert world.protocol.asked == [("operate", Entity("Z1"), FunctionPoint("PowerMeter", "Reset"), {})]
    with pytest.raises(BadRequest):
        await world.at("Z1").actuator.execute(Path(3305, 0, 5822), "5")
    with pytest.raises(NotFound):
        await world.at("Z1").actuator.execute(Path(3, 0, 4), "")


async def test_an_event_is_counted_and_settled(world):
    await world.lamp()
    assert world.value("Z1", "/3347/0/5501") == 0
    for key in ("a", "b"):
        await world.protocol.say(EventReport(Entity("Z1"), BUTTON, {"presses": 1}, 5.0, key))
    assert world.value("Z1", "/3347/0/5501") == 2
    assert world.protocol.settled == ["a", "b"]


async def test_an_event_of_a_device_that_is_not_here_is_not_settled_so_it_comes_again(world):
    await world.protocol.say(EventReport(Entity("Z1"), BUTTON, {"presses": 1}, 5.0, "a"))
    assert world.protocol.settled == []
    await world.lamp()
    await world.protocol.say(EventReport(Entity("Z1"), BUTTON, {"presses": 1}, 5.0, "a"))
    assert world.protocol.settled == ["a"]
    assert world.value("Z1", "/3347/0/5501") == 1


async def test_the_same_event_again_after_a_crash_is_counted_once(world):
    await world.lamp()
    for key in ("a", "a", "b"):
        await world.protocol.say(EventReport(Entity("Z1"), BUTTON, {"presses": 1}, 5.0, key))
    assert world.value("Z1", "/3347/0/5501") == 2


async def test_an_event_that_is_mapped_to_nothing_is_settled_and_leaves_no_trace(world):
    await world.lamp()
    await world.protocol.say(EventReport(Entity("Z1"), FunctionPoint("Any", "Thing"), {}, 5.0, "a"))
    assert world.protocol.settled == ["a"]
    assert world.store.occurrences(Entity("Z1"), FunctionPoint("Any", "Thing")).count == 0


async def test_a_sub_device_is_of_its_own_product(world):
    lamp = Entity("Z1", "C1")
    appeared = Appeared("Z1", DeviceFacts("Hub"), (Entity("Z1"), lamp), {"C1": "EZ-Lamp-Dim"})
    await world.protocol.say(appeared, Report(lamp, POWER, 215))
    assert world.value("Z1", "/3305/0/5800") == 21.5
    assert world.value("Z1", "/3305/0/5750").endswith("C1 PowerMeter")


async def test_a_device_cannot_use_up_all_instance_numbers(world, monkeypatch, caplog):
    monkeypatch.setattr("osap_bridge.settling.MAX_INSTANCES", 8)
    for number in range(5):
        child = Entity("Z1", f"C{number}")
        await world.protocol.say(Appeared("Z1", DeviceFacts("Hub"), (child,), {child.child: "EZ-Lamp-Dim"}))
    await world.lamp("Z2")
    assert "more than 8 object instances" in caplog.text
    await world.report("Z2", POWER, 20)
    assert world.value("Z2", "/3305/0/5800" if world.kind == "per-device" else "/3305/2/5800") == 2.0


async def test_an_access_is_kept_with_its_content(world):
    door = Entity("Z1", "global", "Door", "1")
    await world.protocol.say(Appeared("Z1", DOOR_FACTS, (door,)))
    assert world.at("Z1").model.read(Path(19, 0, 0)) == [Record(Path(19, 0, 0), None)]
    await world.protocol.say(EventReport(door, ACCESS, {"Person": "Zoë", "Granted": True}, 1795291076.5, "a"))
    assert json.loads(world.value("Z1", "/19/0/0/0")) == {
        "event": "AccessControl/Access",
        "time": 1795291076.5,
        "content": {"Person": "Zoë", "Granted": True},
    }
    assert world.value("Z1", "/19/0/2") == 1795291076
    assert world.value("Z1", "/19/0/4") == "json"


async def test_what_does_not_fit_or_is_not_mapped_is_left_out_said_once_and_counted(world, caplog):
    await world.lamp()
    for _ in range(3):
        await world.report("Z1", POWER, "much")
    await world.report("Z1", FunctionPoint("LightControl", "Colour"), 5)
    await world.report("Z9", POWER, 5)
    assert not world.at("Z1").model.has(Path(3305, 0, 5800))
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 3
    assert not any("much" in sentence for sentence in said)
    await world.gateway.stop()
    assert world.store.statuses()[0].left_out == 4


async def test_a_product_without_translator_is_present_by_its_facts_only(world, caplog):
    await world.protocol.say(Appeared("Z1", DeviceFacts("Unheard-Of"), (Entity("Z1"),)))
    await world.report("Z1", POWER, 5)
    assert "no translator is installed for product 'Unheard-Of'" in caplog.text
    serial = "/3/0/2" if world.kind == "per-device" else "/10241/0/5907/0"
    assert world.value("Z1", serial) == "Z1"


async def settled() -> None:
    """Opening and closing clients goes on by itself for a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_device_that_says_goodbye_is_gone_at_once(world):
    await world.lamp("Z1")
    await world.lamp("Z2")
    client = world.at("Z1")
    await world.protocol.say(Disappeared("Z1", orderly=True))
    await settled()
    if world.kind == "per-device":
        assert not client.running
    else:
        assert client.running
        assert client.model.instances(3311) == (1,)
        assert client.model.instances(10241) == (1,)
    assert world.at("Z2").running


async def test_a_broken_connection_is_no_goodbye(world):
    await world.lamp()
    await world.report("Z1", POWER, 215)
    client = world.at("Z1")
    await world.protocol.say(Disappeared("Z1", orderly=False))
    await settled()
    assert client.running
    assert world.value("Z1", "/3305/0/5800") == 21.5
    await world.lamp()
    await settled()
    assert world.at("Z1") is client
    assert world.value("Z1", "/3305/0/5800") == 21.5


@pytest.mark.parametrize("settings", [Settings(grace=0.01, ask_after=3600.0)])
async def test_after_the_grace_it_is_gone(world):
    await world.lamp()
    client = world.at("Z1")
    await world.protocol.say(Disappeared("Z1", orderly=False))
    await client.until(lambda: world.is_gone(client))


async def test_an_offline_device_is_neither_read_nor_written(world):
    await world.lamp("Z1")
    await world.lamp("Z2")
    actuator = world.at("Z1").actuator
    actuator.check_readable(Path(3311, 0, 5850))
    await world.protocol.say(Disappeared("Z1", orderly=False))
    for refused in (Path(3311, 0, 5850), Path(3311, 0)):
        with pytest.raises(InternalServerError, match="Z1 is offline"):
            actuator.check_readable(refused)
    with pytest.raises(InternalServerError, match="Z1 is offline"):
        await actuator.write([Record(Path(3311, 0, 5850), True)])
    with pytest.raises(InternalServerError, match="Z1 is offline"):
        await actuator.execute(Path(3305, 0, 5822), "")
    actuator.check_readable(Path(1, 0, 1))
    if world.kind == "single":
        actuator.check_readable(Path(3311))
        actuator.check_readable(Path(3311, 1))
    assert world.protocol.asked == []


@pytest.mark.parametrize("settings", [Settings(ask_after=3600.0, serve_stale=True)])
async def test_a_stale_value_is_served_with_its_time_where_that_is_wanted(world):
    await world.lamp()
    await world.report("Z1", POWER, 215)
    await world.protocol.say(Disappeared("Z1", orderly=False))
    world.at("Z1").actuator.check_readable(Path(3305, 0, 5800))
    assert world.at("Z1").model.read(Path(3305, 0, 5800)) == [Record(Path(3305, 0, 5800), 21.5, 1000.0)]


@pytest.mark.parametrize("settings", [Settings(ask_after=0.0)])
async def test_what_a_device_does_not_tell_it_is_asked_for(world):
    world.protocol.answers = {SWITCH: True, BRIGHTNESS: 70, POWER: InternalServerError("not supported")}
    await world.lamp()
    await world.report("Z1", FunctionPoint("PowerMeter", "Energy"), 5)
    model = world.at("Z1").model
    await world.at("Z1").until(lambda: model.has(Path(3311, 0, 5851)))
    assert world.value("Z1", "/3311/0/5851") == 70
    assert not world.at("Z1").model.has(Path(3305, 0, 5800))


async def test_entities_that_go_take_their_instances_along(world):
    doors = tuple(Entity("Z1", "global", "Door", number) for number in ("1", "2"))
    await world.protocol.say(Appeared("Z1", DOOR_FACTS, doors))
    await world.protocol.say(Appeared("Z1", DOOR_FACTS, doors[1:]))
    assert world.at("Z1").model.instances(10359) == (1,)
    await world.protocol.say(Appeared("Z1", DOOR_FACTS, doors))
    assert world.at("Z1").model.instances(10359) == (0, 1)


async def test_a_serial_that_comes_back_as_another_product_keeps_nothing_of_the_old(world):
    await world.lamp()
    await world.report("Z1", SWITCH, True)
    await world.protocol.say(Appeared("Z1", DeviceFacts("EZ-Humiture"), (Entity("Z1"),)))
    model = world.at("Z1").model
    assert model.instances(3311) == ()
    assert model.instances(3303) == (0,)
    assert model.has(Path(3, 0))
    await world.lamp()
    assert not model.has(Path(3311, 0, 5850))


async def test_writes_meet_the_owner_of_an_instance_after_comings_and_goings(world):
    for serial in ("Z1", "Z2", "Z3"):
        await world.lamp(serial)
    await world.protocol.say(Disappeared("Z2", orderly=True))
    await world.lamp("Z2")
    await world.at("Z2").actuator.write([Record(Path(3311, 0 if world.kind == "per-device" else 1, 5850), True)])
    assert world.protocol.asked == [("set", Entity("Z2"), SWITCH, True)]


async def test_people_see_who_is_online_and_a_stop_ends_it(world):
    await world.lamp()
    await world.gateway.stop()
    status = world.store.statuses()[0]
    assert (status.serial, status.product, status.state, status.last_seen) == ("Z1", "EZ-Lamp-Dim", "offline", 1000.0)
    assert not any(client.running for client in world.clients.values())


async def test_a_device_removed_by_a_command_leaves(world):
    await world.lamp()
    client = world.at("Z1")
    other = Store(world.store.path.parent)
    other.remove_device("Z1")
    other.close()
    await client.until(lambda: world.is_gone(client))
    assert [status.serial for status in world.store.statuses()] == ["Z2", "Z3"]


async def test_a_translator_that_raises_what_it_should_not_harms_nobody_else(world, monkeypatch, caplog):
    await world.lamp("Z1")
    await world.lamp("Z2")
    broken = world.gateway._present["Z1"].parts[Entity("Z1")].model
    monkeypatch.setattr(broken, "of_report", lambda *_: 1 / 0)
    await world.report("Z1", POWER, 1)
    await world.report("Z2", POWER, 20)
    assert "was not taken in" in caplog.text
    assert world.value("Z2", "/3305/0/5800" if world.kind == "per-device" else "/3305/1/5800") == 2.0
