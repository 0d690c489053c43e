"""Our client against a server that knows nothing of this project: a bare aiocoap context over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator

os.environ.setdefault("AIOCOAP_REUSE_PORT", "0")

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import CHANGED, CONTENT, CREATED, DELETE, DELETED, GET, POST, PUT, Message

from lwm2m.attributes import Reason
from lwm2m.client import Client, Notified, Served
from lwm2m.errors import Forbidden
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.free_port import free_port

TEMPERATURE = Path(3303, 0, 5700)
RECORDS = (
    Record(TEMPERATURE, 21.5),
    Record(Path(3303, 0, 5701), "Cel"),
    Record(Path(3303, 0, 5605), None),
    Record(Path(3311, 0, 5850), False),
    Record(Path(3, 0, 13), 1_367_491_215),
)


class ForeignServer(aiocoap.resource.Resource):
    """Registers whoever comes, keeps every registration message, and asks the client what a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.remote = None
        self.context: aiocoap.Context | None = None

    async def shutdown(self) -> None:
        context, self.context = self.context, None
        if context is not None:
            await context.shutdown()

    async def needs_blockwise_assembly(self, _request: Message) -> bool:
        return False

    async def render(self, request: Message) -> Message:
        self.messages.put_nowait(request)
        self.remote = request.remote
        if request.code == DELETE:
            return Message(code=DELETED)
        if request.opt.uri_path == ("rd",):
            return Message(code=CREATED, location_path=("rd", "5a3f"))
        return Message(code=CHANGED)

    async def next(self) -> Message:
        return await asyncio.wait_for(self.messages.get(), 5)

    async def ask(self, code: aiocoap.Code, path: str, **options: object) -> Message:
        assert self.context is not None
        request = Message(code=code, uri_path=tuple(path.strip("/").split("/")), **options)
        request.remote = self.remote
        return await asyncio.wait_for(self.context.request(request).response, 5)

    def observe(self, path: str) -> aiocoap.protocol.Request:
        assert self.context is not None
        request = Message(code=GET, uri_path=tuple(path.strip("/").split("/")), observe=0)
        request.remote = self.remote
        return self.context.request(request)

    @property
    def uri(self) -> str:
        return f"coap://127.0.0.1:{self.port}"

    port = 0


@pytest.fixture
async def server() -> AsyncIterator[ForeignServer]:
    site = ForeignServer()
    site.port = free_port()
    site.context = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", site.port), transports=["simplesocketserver"]
    )
    yield site
    await site.shutdown()


@pytest.fixture
async def client(server: ForeignServer) -> AsyncIterator[Client]:
    async with Client("dev1", server.uri, RECORDS, lifetime=60) as client:
        await client.registered(5)
        yield client


async def test_it_registers_with_its_objects_and_says_goodbye(server: ForeignServer) -> None:
    async with Client("dev1", server.uri, RECORDS, lifetime=60) as client:
        await client.registered(5)
        register = await server.next()
        assert register.code == POST
        assert register.opt.uri_path == ("rd",)
        assert register.opt.uri_query == ("ep=dev1", "lt=60", "lwm2m=1.1", "b=U")
        assert register.opt.content_format == 40
        links = register.payload.decode().split(",")
        assert links[0] == '</>;rt="oma.lwm2m";ct="60 110 112 11542"'
        assert links[1:] == ["</1/0>", "</3/0>", "</3303>;ver=1.1", "</3303/0>", "</3311/0>"]
    goodbye = await server.next()
    assert (goodbye.code, goodbye.opt.uri_path) == (DELETE, ("rd", "5a3f"))


@pytest.mark.usefixtures("client")
async def test_the_server_reads_at_every_level(server: ForeignServer) -> None:
    value = await server.ask(GET, "/3303/0/5700")
    assert (value.code, value.payload, value.opt.content_format) == (CONTENT, b"21.5", 0)
    instance = await server.ask(GET, "/3303/0", accept=11542)
    assert instance.payload.hex() == "e4164441ac0000" + "e3164543656c"
    device = await server.ask(GET, "/3", accept=110)
    assert device.opt.content_format == 110
    assert [record for record in json.loads(device.payload) if "11/0" in record.get("n", "")]


async def test_the_server_writes_and_the_value_is_kept(server: ForeignServer, client: Client) -> None:
    answer = await server.ask(PUT, "/3311/0/5850", payload=b"1", content_format=0)
    assert answer.code == CHANGED
    assert client.data_model.value(Path(3311, 0, 5850)) is True
    partly = await server.ask(POST, "/3311/0", payload=bytes.fromhex("e116da00"), content_format=11542)
    assert partly.code == CHANGED
    assert client.data_model.value(Path(3311, 0, 5850)) is False


async def test_the_server_executes_and_the_client_tells(server: ForeignServer, client: Client) -> None:
    events = client.events()
    answer = await server.ask(POST, "/3303/0/5605")
    assert answer.code == CHANGED
    served = await anext(events)
    assert isinstance(served, Served)
    assert served.code.dotted == "2.04"


@pytest.mark.usefixtures("client")
async def test_the_server_discovers_with_the_attributes_it_set(server: ForeignServer) -> None:
    answer = await server.ask(PUT, "/3303/0/5700", uri_query=("pmin=1", "gt=30"))
    assert answer.code == CHANGED
    links = await server.ask(GET, "/3303/0", accept=40)
    assert links.payload.decode().split(",") == [
        "</3303/0>",
        "</3303/0/5605>",
        "</3303/0/5700>;pmin=1;gt=30",
        "</3303/0/5701>",
    ]


async def test_an_observer_hears_of_a_change_at_once(server: ForeignServer, client: Client) -> None:
    observation = server.observe("/3303/0/5700")
    first = await asyncio.wait_for(observation.response, 5)
    assert first.payload == b"21.5"
    assert first.opt.observe is not None
    notifications = aiter(observation.observation)
    client.update([Record(TEMPERATURE, 22.0)])
    notification = await asyncio.wait_for(anext(notifications), 5)
    assert float(notification.payload) == 22.0
    events = client.events()
    client.update([Record(TEMPERATURE, 22.0), Record(TEMPERATURE, 23.0)])
    assert await anext(events) == Notified(TEMPERATURE, Reason.CHANGE, confirmable=False)


async def test_new_instances_are_told_in_one_update(server: ForeignServer, client: Client) -> None:
    await server.next()
    client.update([Record(Path(3303, 1, 5700), 1.0)])
    client.update([Record(Path(3303, 2, 5700), 2.0)])
    update = await server.next()
    assert update.opt.uri_path == ("rd", "5a3f")
    assert update.opt.uri_query == ()
    assert update.payload.decode().endswith("</3303/0>,</3303/1>,</3303/2>,</3311/0>")


async def test_a_written_lifetime_is_told_at_once(server: ForeignServer, client: Client) -> None:
    await server.next()
    assert (await server.ask(PUT, "/1/0/1", payload=b"120", content_format=0)).code == CHANGED
    update = await server.next()
    assert update.opt.uri_query == ("lt=120",)
    assert update.payload == b""
    assert client.data_model.value(Path(1, 0, 1)) == 120


async def test_the_update_trigger_and_a_reboot_are_answered_first(server: ForeignServer, client: Client) -> None:
    await server.next()
    assert (await server.ask(POST, "/1/0/8")).code == CHANGED
    update = await server.next()
    assert (update.opt.uri_path, update.opt.uri_query, update.payload) == (("rd", "5a3f"), (), b"")
    assert (await server.ask(POST, "/3/0/4")).code == CHANGED
    assert (await server.next()).opt.uri_path == ("rd",)
    await client.registered(5)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("code", "path", "options", "expected"),
    [
        (GET, "/0/0/0", {}, "4.01"),
        (GET, "/99", {}, "4.04"),
        (GET, "/3303/9", {}, "4.04"),
        (GET, "/3303/0/5605", {}, "4.05"),
        (GET, "/3303/0/5700/0", {}, "4.05"),
        (GET, "/3303/0/5700", {"accept": 9999}, "4.06"),
        (GET, "/3303/0", {"accept": 0}, "4.06"),
        (PUT, "/3303/0/5700", {"payload": b"1", "content_format": 0}, "4.05"),
        (PUT, "/3311/0/5850", {"payload": b"7", "content_format": 0}, "4.00"),
        (PUT, "/3311/0/5850", {"payload": b"1", "content_format": 9999}, "4.15"),
        (PUT, "/3311/0/5851", {"payload": b"101", "content_format": 0}, "4.00"),
        (POST, "/3303/0/5605", {"payload": b"a"}, "4.00"),
        (POST, "/3303/0/5700", {}, "4.05"),
        (PUT, "/3303/0/5700", {"uri_query": ("pmin=x",)}, "4.00"),
        (DELETE, "/3/0", {}, "4.05"),
    ],
)
async def test_what_cannot_be_is_refused(
    server: ForeignServer, code: aiocoap.Code, path: str, options: dict[str, object], expected: str
) -> None:
    assert (await server.ask(code, path, **options)).code.dotted == expected


async def test_an_actuator_that_refuses_decides_the_answer(server: ForeignServer) -> None:
    class Stubborn:
        async def write(self, _records: object) -> None:
            raise Forbidden("not today")

        async def execute(self, _path: Path, _arguments: str) -> None:
            raise RuntimeError("broken")

    async with Client("dev1", server.uri, RECORDS, Stubborn()) as client:
        await client.registered(5)
        answer = await server.ask(PUT, "/3311/0/5850", payload=b"1", content_format=0)
        assert (answer.code.dotted, answer.payload) == ("4.03", b"not today")
        assert client.data_model.value(Path(3311, 0, 5850)) is False
        assert (await server.ask(POST, "/3303/0/5605")).code.dotted == "5.00"


async def test_a_stranger_learns_nothing(server: ForeignServer, client: Client) -> None:
    await server.next()
    async with asyncio.timeout(5):
        stranger = await aiocoap.Context.create_client_context(transports=["simple6"])
        request = Message(code=GET, uri=server.remote.uri + "/3303/0/5700")
        answer = await stranger.request(request).response
        await stranger.shutdown()
    assert (answer.code.dotted, answer.payload) == ("4.04", b"")
    assert client.data_model.has(TEMPERATURE)


async def test_stopping_is_quick_when_the_server_is_gone(server: ForeignServer) -> None:
    client = Client("dev1", server.uri, RECORDS)
    await client.start()
    await client.registered(5)
    await server.shutdown()
    began = time.monotonic()
    await client.stop()
    assert time.monotonic() - began < 2
