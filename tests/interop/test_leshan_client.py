"""A client of Eclipse Leshan at our server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from lwm2m import Code, ContentFormat, LwM2MError, NotRegistered, ObjectLink, Path, Record, Server, open_endpoint
from lwm2m.operations import BootstrapDelete, BootstrapDiscover, BootstrapRead, WriteAttributes
from lwm2m.server import (
    BootstrapServer,
    Deregistered,
    DeregistrationReason,
    EventStream,
    Notified,
    Registered,
    Sent,
    ServerAccount,
    ServerLimits,
    SessionEvent,
    SessionOutcome,
    Sleeping,
    Updated,
    WriteRecords,
    account_config,
)
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
from tests.interop.leshan_peer import DEFINITIONS, LeshanPeer, lines, running

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

DEVICE = [Record(Path(3, 0, 0), "somebody else"), Record(Path(3, 0, 16), "U")]
PATIENCE = 5.0
SENML = (ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR)
CREATED = {5700: 4.5, 5701: "Cel"}
NAMES = (f"leshan-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def leshan() -> Iterator[LeshanPeer]:
    with running("peers", "ClientPeer", *DEFINITIONS) as peer:
        yield peer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server([open_endpoint("127.0.0.1", 0)]) as server:
        yield server


@pytest.fixture
def events(server: Server) -> EventStream:
    return server.events()


@pytest.fixture
async def name(leshan: LeshanPeer, server: Server, events: EventStream) -> AsyncIterator[str]:
    """Of a client of Leshan that is registered at our server."""
    name = next(NAMES)
    await start(leshan, server, name)
    await seen(events, Registered)
    yield name
    await leshan.ask("stop", endpoint=name)


async def start(leshan: LeshanPeer, server: Server, name: str, **settings: object) -> None:
    objects = lines([*DEVICE, *thermometer(), *every_type()])
    await leshan.ask("start", endpoint=name, server=server.endpoints[0].uri, records=objects, **settings)
    await leshan.event("registered", endpoint=name)


async def seen(events: EventStream, kind: type) -> object:
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the server stopped")


async def test_it_registers_updates_and_leaves(leshan: LeshanPeer, server: Server, events: EventStream) -> None:
    await start(leshan, server, "comes-and-goes", lifetime=60)
    registration = server.registration("comes-and-goes")
    assert (registration.lifetime, registration.version, registration.binding) == (60, "1.1", "U")
    assert registration.objects == {1: (0,), 3: (0,), 3303: (0,), 3442: (0,)}
    await leshan.ask("update", endpoint="comes-and-goes")
    await leshan.event("updated", endpoint="comes-and-goes")
    assert isinstance(await seen(events, Updated), Updated)
    await leshan.ask("stop", endpoint="comes-and-goes")
    assert isinstance(await seen(events, Deregistered), Deregistered)
    with pytest.raises(NotRegistered):
        server.registration("comes-and-goes")


async def test_it_says_that_it_sleeps(leshan: LeshanPeer, server: Server) -> None:
    await start(leshan, server, "sleeper", queue=True)
    assert server.registration("sleeper").queue_mode
    await leshan.ask("stop", endpoint="sleeper")


async def test_what_is_asked_while_it_sleeps_waits_for_its_update(leshan: LeshanPeer) -> None:
    limits = ServerLimits(awake_for=0.2)
    async with Server([open_endpoint("127.0.0.1", 0)], limits=limits) as server:
        events = server.events()
        await start(leshan, server, "late", queue=True)
        await seen(events, Sleeping)
        reading = asyncio.create_task(server.read("late", TEMPERATURE))
        await asyncio.sleep(0.1)
        assert not reading.done()
        await leshan.ask("update", endpoint="late")
        assert await reading == [Record(TEMPERATURE, 21.5)]
        await leshan.ask("stop", endpoint="late")


async def test_it_takes_a_new_lifetime(leshan: LeshanPeer, server: Server, name: str) -> None:
    await server.write(name, "/1/0/1", 120)
    await leshan.event("updated", endpoint=name)
    assert server.registration(name).lifetime == 120


@pytest.mark.parametrize("content_format", [None, *TOGETHER])
async def test_an_instance_of_every_type_is_read(server: Server, name: str, content_format: int | None) -> None:
    assert by_path(await server.read(name, EVERY_TYPE, content_format)) == by_path(every_type())


@pytest.mark.parametrize("content_format", [None, *TOGETHER])
async def test_objects_are_read(server: Server, name: str, content_format: int | None) -> None:
    assert by_path(await server.read(name, "/3303", content_format)) == by_path(thermometer())


@pytest.mark.parametrize("content_format", BY_ITSELF)
async def test_resources_of_every_type_are_read(server: Server, name: str, content_format: int) -> None:
    for number in VALUES.keys() - {150}:
        path = EVERY_TYPE.child(number)
        assert await server.read(name, path, content_format) == [Record(path, VALUES[number])]
    assert await server.read(name, EVERY_TYPE.child(150)) == [Record(EVERY_TYPE.child(150), VALUES[150])]


@pytest.mark.parametrize("content_format", BY_ITSELF)
async def test_resources_of_every_type_are_written(server: Server, name: str, content_format: int) -> None:
    for number in OTHERS.keys() - {150}:
        path = EVERY_TYPE.child(number)
        await server.write(name, path, OTHERS[number], content_format=content_format)
        assert (await server.read(name, path))[0].value == OTHERS[number]


@pytest.mark.parametrize("content_format", TOGETHER)
@pytest.mark.parametrize("replace", [True, False])
async def test_an_instance_is_written(server: Server, name: str, content_format: int, replace: bool) -> None:
    written = [Record(EVERY_TYPE.child(number), value) for number, value in OTHERS.items()]
    await server.write(name, EVERY_TYPE, written, replace=replace, content_format=content_format)
    held = by_path(await server.read(name, EVERY_TYPE))
    assert held == by_path(written if replace else [*every_type(), *written])


@pytest.mark.parametrize("content_format", TOGETHER)
async def test_resource_instances_are_written(server: Server, name: str, content_format: int) -> None:
    path = EVERY_TYPE.child(1120)
    await server.write(name, path, [Record(path.child(5), 55)], replace=False, content_format=content_format)
    assert by_path(await server.read(name, path)) == {f"{path}/0": 1, f"{path}/5": 55, f"{path}/65534": -2}
    await server.write(name, path, [Record(path.child(6), 66)], content_format=content_format)
    assert by_path(await server.read(name, path)) == {f"{path}/6": 66}


async def test_a_resource_instance_is_read(server: Server, name: str) -> None:
    path = EVERY_TYPE.child(1110).child(3)
    assert await server.read(name, path) == [Record(path, "three")]


async def test_a_large_value_goes_both_ways_in_blocks(server: Server, name: str) -> None:
    path, text = EVERY_TYPE.child(110), "0123456789" * 400
    await server.write(name, path, text)
    assert await server.read(name, path) == [Record(path, text)]


async def test_one_that_vanished_expires(leshan: LeshanPeer, server: Server, events: EventStream) -> None:
    await start(leshan, server, "vanished", lifetime=1)
    await leshan.ask("stop", endpoint="vanished", deregister=False)
    gone = await seen(events, Deregistered)
    assert isinstance(gone, Deregistered)
    assert gone.reason is DeregistrationReason.EXPIRED


async def test_what_it_refuses_is_told(server: Server, name: str) -> None:
    for path, code in (("/9999", Code.NOT_FOUND), ("/0", Code.NOT_FOUND), ("/3/0/4", Code.METHOD_NOT_ALLOWED)):
        with pytest.raises(LwM2MError) as refused:
            await server.read(name, path)
        assert refused.value.code is code, path


async def test_it_is_discovered(server: Server, name: str) -> None:
    found = [link.target for link in await server.discover(name, "/3303")]
    assert found == ["/3303", "/3303/0", "/3303/0/5605", "/3303/0/5700", "/3303/0/5701"]
    lists = {link.target: link.text("dim") for link in await server.discover(name, EVERY_TYPE)}
    assert lists[f"{EVERY_TYPE}/1120"] == "2"


async def test_it_executes(leshan: LeshanPeer, server: Server, name: str) -> None:
    await server.execute(name, EVERY_TYPE.child(3), "0='on',5")
    executed = await leshan.event("executed", endpoint=name)
    assert (executed["path"], executed["arguments"]) == (f"{EVERY_TYPE}/3", "0='on',5")


@pytest.mark.parametrize("content_format", [None, *BY_ITSELF])
async def test_a_resource_is_observed(
    leshan: LeshanPeer, server: Server, events: EventStream, name: str, content_format: int | None
) -> None:
    first = await server.observe(name, TEMPERATURE, content_format)
    assert (first.observing, [record.value for record in first.records]) == (True, [21.5])
    for value in (22.0, 22.5):
        await leshan.ask("set", endpoint=name, records=lines(thermometer(value)))
        notified = await seen(events, Notified)
        assert isinstance(notified, Notified)
        assert [(record.path, record.value) for record in notified.records] == [(TEMPERATURE, value)]
    answer = await server.cancel_observation(name, TEMPERATURE)
    assert answer is not None
    assert answer.ok


async def test_an_instance_is_observed(leshan: LeshanPeer, server: Server, events: EventStream, name: str) -> None:
    await server.observe(name, "/3303/0")
    await leshan.ask("set", endpoint=name, records=lines(thermometer(30.0)))
    notified = await seen(events, Notified)
    assert isinstance(notified, Notified)
    assert by_path(list(notified.records)) == by_path(thermometer(30.0))


async def test_observing_goes_on_after_it_came_back(
    leshan: LeshanPeer, server: Server, events: EventStream, name: str
) -> None:
    await server.observe(name, TEMPERATURE)
    await leshan.ask("stop", endpoint=name, deregister=False)
    await start(leshan, server, name)
    again = await seen(events, Notified)
    assert isinstance(again, Notified)
    assert again.records[0].value == 21.5
    await leshan.ask("set", endpoint=name, records=lines(thermometer(23.0)))
    after = await seen(events, Notified)
    assert isinstance(after, Notified)
    assert after.records[0].value == 23.0


async def test_attributes_are_written_and_discovered(server: Server, name: str) -> None:
    answer = await server.ask(name, WriteAttributes(TEMPERATURE, {"pmin": "1", "pmax": "60", "gt": "25"}))
    assert answer.code is Code.CHANGED
    (link,) = await server.discover(name, TEMPERATURE)
    assert {word: link.text(word) for word in ("pmin", "pmax", "gt")} == {"pmin": "1", "pmax": "60", "gt": "25"}


@pytest.mark.parametrize("content_format", SENML)
async def test_it_sends(leshan: LeshanPeer, events: EventStream, name: str, content_format: int) -> None:
    paths = [str(TEMPERATURE), f"{EVERY_TYPE}/170"]
    answer = await leshan.ask("send", endpoint=name, paths=paths, format=content_format)
    assert answer["code"] == "2.04"
    sent = await seen(events, Sent)
    assert isinstance(sent, Sent)
    assert by_path(list(sent.records)) == {paths[0]: 21.5, paths[1]: ObjectLink(3303, 0)}


@pytest.mark.parametrize("content_format", TOGETHER)
async def test_a_named_instance_is_created_and_deleted(server: Server, name: str, content_format: int) -> None:
    assert await server.create(name, "/3303/7", CREATED, content_format=content_format) == Path(3303, 7)
    assert by_path(await server.read(name, "/3303/7")) == {"/3303/7/5700": 4.5, "/3303/7/5701": "Cel"}
    with pytest.raises(LwM2MError) as refused:
        await server.create(name, "/3303/7", CREATED, content_format=content_format)
    assert refused.value.code is Code.BAD_REQUEST
    await server.delete(name, "/3303/7")
    with pytest.raises(LwM2MError) as gone:
        await server.read(name, "/3303/7")
    assert gone.value.code is Code.NOT_FOUND


async def test_it_chooses_the_instance_and_updates_its_links(server: Server, events: EventStream, name: str) -> None:
    assert await server.create(name, "/3303", CREATED) == Path(3303, 1)
    await seen(events, Updated)
    assert server.registration(name).objects[3303] == (0, 1)


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_read_at_once(server: Server, name: str, content_format: int) -> None:
    paths = ["/3303", "/3442/0/170", "/3442/0/1110/3", "/1/0/1"]
    records = await server.read_composite(name, paths, content_format, list_format=content_format)
    expected = {"/3442/0/170": ObjectLink(3303, 0), "/3442/0/1110/3": "three", "/1/0/1": 300}
    assert by_path(records) == {**by_path(thermometer()), **expected}


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_written_at_once(server: Server, name: str, content_format: int) -> None:
    written = [Record(EVERY_TYPE.child(number), value) for number, value in OTHERS.items()]
    written.append(Record(EVERY_TYPE.child(1120, 0), 17))
    await server.write_composite(name, written, content_format=content_format)
    assert by_path(await server.read(name, EVERY_TYPE)) == by_path([*every_type(), *written])


@pytest.mark.parametrize("content_format", SENML)
async def test_several_paths_are_observed_at_once(
    leshan: LeshanPeer, server: Server, events: EventStream, name: str, content_format: int
) -> None:
    paths = [str(TEMPERATURE), f"{EVERY_TYPE}/130"]
    first = await server.observe_composite(name, paths, content_format, list_format=content_format)
    assert (first.observing, by_path(list(first.records))) == (True, dict.fromkeys(paths, 21.5))
    await leshan.ask("set", endpoint=name, records=lines(thermometer(24.0)))
    notified = await seen(events, Notified)
    assert isinstance(notified, Notified)
    assert by_path(list(notified.records)) == {paths[0]: 24.0, paths[1]: 21.5}
    answer = await server.cancel_composite_observation(name, paths)
    assert answer is not None
    assert (answer.ok, answer.observing) == (True, False)


@pytest.fixture
async def bootstrap_server() -> AsyncIterator[BootstrapServer]:
    async with BootstrapServer([open_endpoint("127.0.0.1", 0)]) as server:
        yield server


@pytest.mark.parametrize("content_format", [None, ContentFormat.TLV, *SENML])
async def test_it_bootstraps_and_registers(
    leshan: LeshanPeer, server: Server, bootstrap_server: BootstrapServer, content_format: ContentFormat | None
) -> None:
    name = next(NAMES)
    account = ServerAccount(server.endpoints[0].uri, 7, lifetime=77)
    await bootstrap_server.configure(name, account_config([account], content_format=content_format))
    objects = lines([*DEVICE, *thermometer()])
    await leshan.ask("start", endpoint=name, bootstrap=bootstrap_server.endpoints[0].uri, records=objects)
    await leshan.event("registered", endpoint=name)
    registration = server.registration(name)
    assert (registration.lifetime, registration.objects[1]) == (77, (0,))
    (session,) = bootstrap_server.log(name)
    assert session.outcome is SessionOutcome.FINISHED
    await leshan.ask("stop", endpoint=name)


async def test_everything_a_bootstrap_server_may_do_is_done(
    leshan: LeshanPeer, server: Server, bootstrap_server: BootstrapServer
) -> None:
    name = next(NAMES)
    account = ServerAccount(server.endpoints[0].uri, 7)
    more = [
        BootstrapDiscover(Path()),
        BootstrapDiscover(Path(1)),
        BootstrapRead(Path(1)),
        BootstrapRead(Path(1, 0)),
        WriteRecords(Path(3442, 0), tuple(every_type())),
        BootstrapDelete(Path(3303, 0)),
    ]
    await bootstrap_server.configure(name, account_config([account], more=more))
    objects = lines([*DEVICE, *thermometer(), Record(EVERY_TYPE.child(110), "factory")])
    await leshan.ask("start", endpoint=name, bootstrap=bootstrap_server.endpoints[0].uri, records=objects)
    await leshan.event("registered", endpoint=name)
    assert by_path(await server.read(name, EVERY_TYPE)) == by_path(every_type())
    assert server.registration(name).objects[3303] == ()
    (session,) = bootstrap_server.log(name)
    assert session.outcome is SessionOutcome.FINISHED
    happened = [entry.event for entry in session.entries]
    assert SessionEvent.RECEIVE_ERROR not in happened
    assert happened.count(SessionEvent.SEND_READ) == 2
    await leshan.ask("stop", endpoint=name)


async def test_a_stranger_is_told_no(leshan: LeshanPeer, bootstrap_server: BootstrapServer) -> None:
    name = next(NAMES)
    await leshan.ask("start", endpoint=name, bootstrap=bootstrap_server.endpoints[0].uri, records=lines(DEVICE))
    refused = await leshan.event("bootstrap refused", endpoint=name)
    assert refused["code"] == "4.00"
    await leshan.ask("stop", endpoint=name)
