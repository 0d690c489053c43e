"""Send: 306, 307, 311 and ours."""

from __future__ import annotations

import pytest

from lwm2m.client import SendRefused
from lwm2m.coap.message import Code, Request
from lwm2m.codec import decode
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import EventStream, Sent
from lwm2m.testing import Network, ScriptedClient, in_virtual_time
from tests.conformance.bench import ENDPOINT, Bench, Exchange, conforms
from tests.wire import SERVER_URI, server_on

SENML_JSON, SENML_CBOR = 110, 112
LIFETIME, ERROR, BINDING = Path(1, 0, 1), Path(3, 0, 11, 0), Path(3, 0, 16)


async def sent(events: EventStream) -> Sent:
    async for event in events:
        if isinstance(event, Sent):
            return event
    raise AssertionError("the server stopped")


def carried(bench: Bench, send: Exchange) -> list[Record]:
    content_format = send.request.content_format
    assert content_format in (SENML_JSON, SENML_CBOR)
    return list(decode(send.request.payload, content_format, Path(), bench.server.definitions, now=0.0))


@conforms("C.1")
async def test_1_1_int_306(bench: Bench) -> None:
    events = bench.server.events()
    bench.begin()
    assert await bench.client.send([BINDING, Path(3, 0, 0)]) == {1: Code.CHANGED}
    send = await bench.coming(Code.POST, "/dp")
    assert (send.request.path, send.code) == ("/dp", Code.CHANGED)
    values = {str(record.path): record.value for record in carried(bench, send)}
    assert values == {"/3/0/16": "U", "/3/0/0": "Open Mobile Alliance"}
    told = await sent(events)
    assert told.endpoint == ENDPOINT
    assert {str(record.path): record.value for record in told.records} == values


@conforms("C.1")
async def test_1_1_int_307(bench: Bench) -> None:
    bench.begin()
    await bench.client.send([BINDING])
    assert (await bench.coming(Code.POST, "/dp")).code is Code.CHANGED
    assert (await bench.write("/1/0/23", True, 0)).code is Code.CHANGED
    bench.begin()
    with pytest.raises(SendRefused):
        await bench.client.send([BINDING])
    await bench.silence(10, method=Code.POST, path="/dp")
    assert (await bench.write("/1/0/23", False, 0)).code is Code.CHANGED
    bench.begin()
    await bench.client.send([BINDING])
    assert (await bench.coming(Code.POST, "/dp")).code is Code.CHANGED


@conforms("C.1")
async def test_1_1_int_311(bench: Bench) -> None:
    events = bench.server.events()
    bench.begin()
    await bench.client.send([LIFETIME, ERROR])
    send = await bench.coming(Code.POST, "/dp")
    assert [(record.path, record.value) for record in carried(bench, send)] == [(LIFETIME, 86400), (ERROR, 0)]
    assert send.code is Code.CHANGED
    told = await sent(events)
    assert [(record.path, record.value) for record in told.records] == [(LIFETIME, 86400), (ERROR, 0)]


@conforms("C.1", registered=False)
async def test_x_323_before_registration(bench: Bench) -> None:
    with pytest.raises(SendRefused):
        await bench.client.send([BINDING])
    assert bench.wire.crossings == []


@conforms("C.1")
async def test_x_323_with_timestamps(bench: Bench) -> None:
    events = bench.server.events()
    history = [Record(LIFETIME, value, 1_767_225_600.0 + at) for value, at in ((3, 30), (1, 10), (2, 20))]
    bench.begin()
    await bench.client.send(history)
    send = await bench.coming(Code.POST, "/dp")
    assert [(one.value, one.time) for one in carried(bench, send)] == [(one.value, one.time) for one in history]
    assert [(one.value, one.time) for one in (await sent(events)).records] == [(one.value, one.time) for one in history]
    for path in (Path(0, 0, 0), Path(21, 0, 0), Path(3303, 0, 5700)):
        with pytest.raises(SendRefused):
            await bench.client.send([path])


@in_virtual_time
async def test_x_323_of_what_is_not_registered() -> None:
    network = Network()
    payload = b'[{"n":"/3303/0/5700","v":21.5}]'
    send = Request(Code.POST, ("dp",), payload=payload, content_format=SENML_JSON)
    async with server_on(network), ScriptedClient(network.endpoint("10.0.9.9")) as client:
        assert (await client.ask(SERVER_URI, send)).code is Code.NOT_FOUND
        await client.register(SERVER_URI, "stranger")
        assert (await client.ask(SERVER_URI, send)).code is Code.NOT_FOUND
        broken = Request(Code.POST, ("dp",), payload=payload[:-1], content_format=SENML_JSON)
        assert (await client.ask(SERVER_URI, broken)).code is Code.BAD_REQUEST
