"""Our client at a server of Eclipse Leshan."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from lwm2m import Client, ContentFormat, Execute, Path, Record
from lwm2m.client import ObservationEnded, SendRefused, Served
from tests.interop.leshan_device import (
    BY_ITSELF,
    EVERY_TYPE,
    OTHERS,
    TEMPERATURE,
    TOGETHER,
    VALUES,
    by_path,
    every_type,
    thermometer,
)
from tests.interop.leshan_peer import DEFINITIONS, LeshanPeer, Line, Refused, lines, records, serving, values

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

PATIENCE = 5.0
SENML = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)
NAMES = (f"ours-{number}" for number in itertools.count(1))
COUNTER = Path(3303, 0, 5605)


class Device:
    """Our client as Leshan sees it."""

    def __init__(self, client: Client, leshan: LeshanPeer) -> None:
        self.client = client
        self._leshan = leshan

    async def ask(self, verb: str, **command: object) -> Line:
        return await self._leshan.ask(verb, endpoint=self.client.endpoint, **command)

    async def event(self, kind: str, **expected: object) -> Line:
        return await self._leshan.event(kind, endpoint=self.client.endpoint, **expected)


@pytest.fixture(scope="module")
def leshan() -> Iterator[LeshanPeer]:
    with serving("peers", "ServerPeer", *DEFINITIONS) as peer:
        yield peer


@pytest.fixture
async def device(leshan: LeshanPeer) -> AsyncIterator[Device]:
    held = [*thermometer(), Record(COUNTER, None), *every_type()]
    async with Client(next(NAMES), leshan.uri, held, lifetime=60) as client:
        await client.registered(5)
        yield Device(client, leshan)


async def seen(client: Client, kind: type) -> object:
    async with asyncio.timeout(PATIENCE):
        async for event in client.events():
            if isinstance(event, kind):
                return event
    raise AssertionError("the client stopped")


async def test_it_registers_updates_and_leaves(leshan: LeshanPeer) -> None:
    client = Client("comes-and-goes", leshan.uri, thermometer(), lifetime=60)
    async with client:
        await client.registered(5)
        registered = await leshan.event("registered", endpoint="comes-and-goes")
        assert (registered["lifetime"], registered["version"], registered["queue"]) == (60, "1.1", False)
        assert {60, 110, 112, 11542} <= set(registered["formats"])
        client.update([Record(Path(3303, 1, 5700), 5.0)])
        updated = await leshan.event("updated", endpoint="comes-and-goes")
        assert "</3303/1>" in updated["links"]
    assert not (await leshan.event("deregistered", endpoint="comes-and-goes"))["expired"]


async def test_it_takes_a_new_lifetime(device: Device) -> None:
    assert (await device.ask("write", path="/1/0/1", records=[("/1/0/1", 90)]))["code"] == "2.04"
    assert (await device.event("updated"))["lifetime"] == 90


async def test_it_updates_when_told(device: Device) -> None:
    assert (await device.ask("execute", path="/1/0/8"))["code"] == "2.04"
    await device.event("updated")


@pytest.mark.parametrize("content_format", [None, *TOGETHER])
async def test_an_instance_of_every_type_is_read(device: Device, content_format: int | None) -> None:
    answer = await device.ask("read", path=str(EVERY_TYPE), format=content_format)
    assert values(answer) == by_path(every_type())


@pytest.mark.parametrize("content_format", [None, *TOGETHER])
async def test_objects_are_read(device: Device, content_format: int | None) -> None:
    answer = await device.ask("read", path="/3303", format=content_format)
    assert values(answer) == by_path(thermometer())


@pytest.mark.parametrize("content_format", [None, *BY_ITSELF])
async def test_resources_of_every_type_are_read(device: Device, content_format: int | None) -> None:
    for number in VALUES.keys() - {150}:
        path = str(EVERY_TYPE.child(number))
        answer = await device.ask("read", path=path, format=content_format)
        assert values(answer) == {path: VALUES[number]}


async def test_bytes_are_read(device: Device) -> None:
    path = str(EVERY_TYPE.child(150))
    for content_format in (ContentFormat.OPAQUE, *BY_ITSELF[1:]):
        assert values(await device.ask("read", path=path, format=content_format)) == {path: VALUES[150]}


async def test_a_resource_instance_is_read(device: Device) -> None:
    path = str(EVERY_TYPE.child(1110).child(3))
    for content_format in (None, *BY_ITSELF):
        assert values(await device.ask("read", path=path, format=content_format)) == {path: "three"}


@pytest.mark.parametrize("content_format", BY_ITSELF)
async def test_resources_of_every_type_are_written(device: Device, content_format: int) -> None:
    for number in OTHERS.keys() - {150}:
        record = Record(EVERY_TYPE.child(number), OTHERS[number])
        answer = await device.ask("write", path=str(record.path), records=lines([record]), format=content_format)
        assert answer["code"] == "2.04"
        assert device.client.data_model.value(record.path) == record.value


@pytest.mark.parametrize("content_format", TOGETHER)
@pytest.mark.parametrize("replace", [True, False])
async def test_an_instance_is_written(device: Device, content_format: int, replace: bool) -> None:
    written = [Record(EVERY_TYPE.child(number), value) for number, value in OTHERS.items()]
    answer = await device.ask(
        "write", path=str(EVERY_TYPE), records=lines(written), format=content_format, replace=replace
    )
    assert answer["code"] == "2.04"
    assert by_path(device.client.data_model.read(EVERY_TYPE)) == by_path(
        written if replace else [*every_type(), *written]
    )


@pytest.mark.parametrize("content_format", TOGETHER)
async def test_resource_instances_are_written(device: Device, content_format: int) -> None:
    path = EVERY_TYPE.child(1120)
    for replace, index, expected in ((False, 5, {0: 1, 5: 55, 65534: -2}), (True, 6, {6: 66})):
        record = Record(path.child(index), 11 * index)
        answer = await device.ask(
            "write", path=str(path), records=lines([record]), format=content_format, replace=replace
        )
        assert answer["code"] == "2.04"
        held = device.client.data_model.read(path)
        assert {record.path[3]: record.value for record in held} == expected


async def test_what_we_refuse_is_told(device: Device) -> None:
    for path, code in (("/9999", "4.04"), ("/0", "4.01"), ("/3/0/4", "4.05")):
        assert (await device.ask("read", path=path))["code"] == code
    refused = await device.ask("write", path="/3/0/0", records=[("/3/0/0", "mine")])
    assert refused["code"] == "4.05"
    assert (await device.ask("execute", path="/3/0/0"))["code"] == "4.05"


async def test_it_is_discovered(device: Device) -> None:
    found = (await device.ask("discover", path="/3303"))["links"]
    assert found == ["</3303>;ver=1.1", "</3303/0>", "</3303/0/5605>", "</3303/0/5700>", "</3303/0/5701>"]
    assert f"<{EVERY_TYPE}/1120>;dim=2" in (await device.ask("discover", path=str(EVERY_TYPE)))["links"]


async def test_attributes_are_written_and_discovered(device: Device) -> None:
    answer = await device.ask("attributes", path=str(TEMPERATURE), query="pmin=1&pmax=60&gt=25&lt=15&st=0.5")
    assert answer["code"] == "2.04"
    found = (await device.ask("discover", path=str(TEMPERATURE)))["links"]
    assert set(found[0].split(";")) == {f"<{TEMPERATURE}>", "pmin=1", "pmax=60", "gt=25", "lt=15", "st=0.5"}


async def test_it_executes(device: Device) -> None:
    events = device.client.events()
    assert (await device.ask("execute", path=str(COUNTER)))["code"] == "2.04"
    async with asyncio.timeout(PATIENCE):
        while not isinstance(event := await anext(events), Served):
            pass
    assert (event.operation, event.code.dotted) == (Execute(COUNTER), "2.04")


@pytest.mark.parametrize("content_format", [None, *BY_ITSELF])
async def test_a_resource_is_observed(device: Device, content_format: int | None) -> None:
    path = str(TEMPERATURE)
    first = await device.ask("observe", path=path, format=content_format)
    assert (values(first), first["observing"]) == ({path: 21.5}, True)
    for value in (22.0, -5.25):
        device.client.update([Record(TEMPERATURE, value)])
        assert values(await device.event("notified", path=path)) == {path: value}
    last = await device.ask("cancel", path=path)
    assert (last["code"], last["observing"]) == ("2.05", False)


@pytest.mark.parametrize("content_format", TOGETHER)
async def test_an_instance_is_observed(device: Device, content_format: int) -> None:
    assert (await device.ask("observe", path="/3303/0", format=content_format))["observing"]
    device.client.update([Record(TEMPERATURE, 30.0)])
    assert values(await device.event("notified", path="/3303/0")) == by_path(thermometer(30.0))


async def test_an_observation_that_leshan_forgot_ends(device: Device) -> None:
    await device.ask("observe", path=str(TEMPERATURE))
    assert (await device.ask("forget"))["ended"] == 1
    ended = asyncio.create_task(seen(device.client, ObservationEnded))
    for number in range(100):
        device.client.update([Record(TEMPERATURE, float(number))])
        if (await asyncio.wait([ended], timeout=0.02))[0]:
            break
    event = await ended
    assert isinstance(event, ObservationEnded)
    assert (event.path, event.reset) == (TEMPERATURE, True)


async def test_a_large_value_goes_both_ways_in_blocks(device: Device) -> None:
    path, text = EVERY_TYPE.child(110), "0123456789" * 400
    record = lines([Record(path, text)])
    assert (await device.ask("write", path=str(path), records=record, format=0))["code"] == "2.04"
    assert device.client.data_model.value(path) == text
    assert values(await device.ask("read", path=str(path))) == {str(path): text}


async def test_attributes_decide_when_leshan_is_told(device: Device) -> None:
    path = str(TEMPERATURE)
    await device.ask("attributes", path=path, query="gt=25")
    await device.ask("observe", path=path)
    for value in (24.0, 26.0, 27.0, 24.5):
        device.client.update([Record(TEMPERATURE, value)])
        await asyncio.sleep(0)
    assert values(await device.event("notified", path=path)) == {path: 26.0}
    assert values(await device.event("notified", path=path)) == {path: 24.5}


async def test_it_registers_anew_when_leshan_forgot_it(device: Device) -> None:
    await device.event("registered")
    await device.ask("drop")
    device.client.update_registration()
    await device.event("registered")
    assert values(await device.ask("read", path=str(TEMPERATURE))) == {str(TEMPERATURE): 21.5}


async def test_it_is_observed_again_after_it_registered_anew(device: Device) -> None:
    path = str(TEMPERATURE)
    await device.event("registered")
    await device.ask("observe", path=path)
    device.client.restart()
    await device.event("registered")
    assert (await device.ask("observe", path=path))["observing"]
    device.client.update([Record(TEMPERATURE, 25.0)])
    assert values(await device.event("notified", path=path)) == {path: 25.0}


async def test_it_sleeps_and_wakes(leshan: LeshanPeer) -> None:
    async with Client("sleeper", leshan.uri, thermometer(), queue_mode=True) as client:
        device = Device(client, leshan)
        await client.registered(PATIENCE)
        assert (await device.event("registered"))["queue"]
        client.sleep()
        with pytest.raises(Refused):
            await device.ask("read", path="/3303/0/5700", within=300)
        client.update_registration()
        await device.event("updated")
        assert values(await device.ask("read", path="/3303/0/5700")) == {"/3303/0/5700": 21.5}


@pytest.mark.parametrize("content_format", TOGETHER)
async def test_a_named_instance_is_created_and_deleted(device: Device, content_format: int) -> None:
    create = partial(device.ask, "create", path="/3442", instance=7, records=created(7), format=content_format)
    assert (await create())["code"] == "2.01"
    assert "</3442/7>" in (await device.event("updated"))["links"]
    assert values(await device.ask("read", path="/3442/7")) == dict(created(7))
    assert (await create())["code"] == "4.00"
    assert (await device.ask("delete", path="/3442/7"))["code"] == "2.02"
    assert "</3442/7>" not in (await device.event("updated"))["links"]
    assert (await device.ask("read", path="/3442/7"))["code"] == "4.04"


async def test_we_choose_the_instance(device: Device) -> None:
    answer = await device.ask("create", path="/3442", records=created(0))
    assert (answer["code"], answer["location"].strip("/")) == ("2.01", "3442/1")
    assert values(await device.ask("read", path="/3442/1")) == dict(created(1))


def created(instance: int) -> list[tuple[str, object]]:
    return [(f"/3442/{instance}/110", "new"), (f"/3442/{instance}/130", 4.5), (f"/3442/{instance}/1120/3", -3)]


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_read_at_once(device: Device, content_format: int) -> None:
    paths = ["/3303", f"{EVERY_TYPE}/170", f"{EVERY_TYPE}/1110/3", "/1/0/1", "/3339", "/3442/0/9999"]
    answer = await device.ask("read-composite", paths=paths, format=content_format, accept=content_format)
    expected = {f"{EVERY_TYPE}/170": VALUES[170], f"{EVERY_TYPE}/1110/3": "three", "/1/0/1": 60}
    assert answer["code"] == "2.05"
    assert values(answer) == {**by_path(thermometer()), **expected}


async def test_everything_is_read_at_once(device: Device) -> None:
    answer = await device.ask("read-composite", paths=["/"], format=110, accept=112)
    objects = {path.split("/")[1] for path in values(answer)}
    assert objects == {"1", "3", "3303", "3442"}


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_written_at_once(device: Device, content_format: int) -> None:
    written = [Record(EVERY_TYPE.child(number), value) for number, value in OTHERS.items()]
    written.append(Record(EVERY_TYPE.child(1120, 0), 17))
    answer = await device.ask("write-composite", records=lines(written), format=content_format)
    assert answer["code"] == "2.04"
    held = device.client.data_model.read(EVERY_TYPE)
    assert by_path(held) == by_path([*every_type(), *written])


async def test_of_several_writes_all_happen_or_none(device: Device) -> None:
    written = [Record(EVERY_TYPE.child(110), "new"), Record(Path(3, 0, 0), "mine")]
    answer = await device.ask("write-composite", records=lines(written), format=ContentFormat.SENML_CBOR)
    assert answer["code"] == "4.05"
    assert device.client.data_model.value(EVERY_TYPE.child(110)) == VALUES[110]


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_observed_at_once(device: Device, content_format: int) -> None:
    paths = [str(TEMPERATURE), f"{EVERY_TYPE}/130"]
    first = await device.ask("observe-composite", paths=paths, format=content_format, accept=content_format)
    assert (first["observing"], values(first)) == (True, dict.fromkeys(paths, 21.5))
    device.client.update([Record(TEMPERATURE, 24.0)])
    assert values(await device.event("notified", paths=paths)) == {paths[0]: 24.0, paths[1]: 21.5}
    last = await device.ask("cancel", paths=paths)
    assert (last["code"], last["observing"]) == ("2.05", False)


async def test_it_sends_what_it_holds(device: Device) -> None:
    sent = await device.client.send([TEMPERATURE, EVERY_TYPE.child(170)])
    assert [code.dotted for code in sent.values()] == ["2.04"]
    received = await device.event("sent")
    assert values(received) == {str(TEMPERATURE): 21.5, f"{EVERY_TYPE}/170": VALUES[170]}


async def test_it_sends_what_it_measured_over_time(device: Device) -> None:
    measured = [Record(TEMPERATURE, 20.0 + number, 1_800_000_000.0 + 60 * number) for number in range(3)]
    sent = await device.client.send(measured)
    assert [code.dotted for code in sent.values()] == ["2.04"]
    received = records(await device.event("sent"))
    assert sorted(received, key=lambda record: record.time or 0) == measured


async def test_leshan_mutes_what_it_would_send(device: Device) -> None:
    answer = await device.ask("write", path="/1/0/23", records=[("/1/0/23", True)])
    assert answer["code"] == "2.04"
    with pytest.raises(SendRefused):
        await device.client.send([TEMPERATURE])
