"""Over TCP: 1.1-int-106 and ours, X-117 and X-411. A connection is no wire of datagrams, so what the two ends say and
what a raw peer hears is asserted here; `tests/integration/test_tcp.py` looks at the bytes one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from lwm2m.client import Client
from lwm2m.coap.endpoint import Endpoint, Traced
from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.stacks import open_endpoint
from lwm2m.coap.streams.connected import TcpEndpoint
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Execute
from lwm2m.server import Notified, ObservationEnded, Server, ServerEvent, Updated
from tests.raw_connection import PING, PONG, RawPeer, csm

ENDPOINT = "urn:conformance:tcp"


class Both:
    """A server on UDP and TCP, and what crossed at each, as (request, answer code)."""

    def __init__(self) -> None:
        self.crossed: dict[str, list[tuple[Request, Code]]] = {"coap": [], "coap+tcp": []}
        self._asked: dict[tuple[str, bytes], Request] = {}
        self.udp: Endpoint = open_endpoint(tracer=self._tracer("coap"))
        self.tcp: Endpoint = TcpEndpoint(tracer=self._tracer("coap+tcp"))
        self.server = Server([self.udp, self.tcp])

    def _tracer(self, scheme: str) -> Callable[[Traced], None]:
        def trace(traced: Traced) -> None:
            key = scheme, traced.token
            if isinstance(traced.message, Request):
                self._asked[key] = traced.message
            elif key in self._asked:
                self.crossed[scheme].append((self._asked[key], traced.message.code))

        return trace

    def last(self, scheme: str) -> tuple[Request, Code]:
        return self.crossed[scheme][-1]


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    both = Both()
    async with both.server:
        yield both


@asynccontextmanager
async def registered(uri: str, records: Sequence[Record] = ()) -> AsyncIterator[Client]:
    async with Client(ENDPOINT, uri, records) as client:
        await client.registered(10)
        yield client


async def until(events: AsyncIterator[ServerEvent], kind: type[ServerEvent]) -> ServerEvent:
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the events ended")


async def test_1_1_int_106(both: Both) -> None:
    async with registered(both.tcp.uri):
        request, code = both.last("coap+tcp")
        assert (request.path, code) == (("rd",), Code.CREATED)
        assert "b=T" in request.query
        assert both.server.registration(ENDPOINT).binding == "T"
        assert await both.server.read(ENDPOINT, "/3/0/0") == [Record(Path(3, 0, 0), "lwm2m-toolkit")]
    assert both.crossed["coap"] == []
    async with RawPeer.connected(both.tcp.address) as peer:
        assert await peer.receive() == csm(64 * 1024 + 1152)


async def test_x_117(both: Both) -> None:
    by_tcp = [
        Record(Path(0, 5, 0), both.tcp.uri),
        Record(Path(0, 5, 1), False),
        Record(Path(0, 5, 2), 3),
        Record(Path(0, 5, 10), 1),
    ]
    by_udp = [record._replace(path=Path(0, 4, record.path[2])) for record in by_tcp]
    by_udp[0] = Record(Path(0, 4, 0), both.udp.uri)
    async with registered(both.udp.uri, [*by_udp, *by_tcp, Record(Path(1, 0, 0), 1)]):
        events = both.server.events()
        before = both.server.registration(ENDPOINT)
        assert before.peer.association is None
        answer = await both.server.ask(ENDPOINT, Execute(Path(1, 0, 8), "0='T'"))
        assert answer.code is Code.CHANGED
        await until(events, Updated)
        request, code = both.last("coap+tcp")
        assert (request.path, code) == (("rd", before.id), Code.CHANGED)
        assert both.server.registration(ENDPOINT).peer.association is not None
        assert await both.server.read(ENDPOINT, "/3/0/0") == [Record(Path(3, 0, 0), "lwm2m-toolkit")]
        assert both.last("coap+tcp")[0].path == ("3", "0", "0")


async def test_x_117_by_a_transport_that_is_not_there(both: Both) -> None:
    async with registered(both.udp.uri):
        answer = await both.server.ask(ENDPOINT, Execute(Path(1, 0, 8), "0='T'"))
        assert answer.code is Code.BAD_REQUEST


async def test_x_411_reconnecting(both: Both) -> None:
    async with registered(both.tcp.uri):
        await both.server.observe(ENDPOINT, "/3/0/13")
        events = both.server.events()
        before = both.server.registration(ENDPOINT)
        await both.tcp.request(before.peer, Request(Code.GET, ("3", "0")), 5)
        both.tcp.listen(False)  # closes what there is
        ended = await until(events, ObservationEnded)
        assert isinstance(ended, ObservationEnded)
        await until(events, Updated)
        request, code = both.last("coap+tcp")
        assert (request.path, code) == (("rd", before.id), Code.CHANGED)
        assert both.server.registration(ENDPOINT).peer != before.peer
        await until(events, Notified)
        assert both.last("coap+tcp")[0].observe == 0


async def test_x_411_ping_and_abort(both: Both) -> None:
    async with RawPeer.connected(both.tcp.address) as peer:
        await peer.receive()
        peer.send(csm())
        peer.send(bytes((0x01, PING, 0x7A)))
        assert await peer.receive() == bytes((0x01, PONG, 0x7A))
        peer.send(b"\xf0\xff\xff\xff\xff\x01")
        assert await peer.is_aborted()


async def test_x_411_bert() -> None:
    """A body that is larger than a message takes goes in blocks of several kilobytes."""
    blocks: list[Traced] = []
    answerer, asker = TcpEndpoint(), TcpEndpoint(tracer=blocks.append)
    bodies: list[bytes] = []

    def take(request: Request, _peer: object) -> Response:
        bodies.append(request.payload)
        return Response(Code.CHANGED)

    await answerer.start(take)
    await asker.start(take)
    try:
        peer = await asker.peer(answerer.uri)
        package = bytes(n % 251 for n in range(300_000))
        response = await asker.request(peer, Request(Code.PUT, ("5", "0", "0"), payload=package), 10)
        assert response.code is Code.CHANGED
        assert bodies == [package]
    finally:
        await asker.stop()
        await answerer.stop()
