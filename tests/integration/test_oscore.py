"""OSCORE between two endpoints of ours: over UDP and over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import open_endpoint
from lwm2m.coap.streams.connected import TcpEndpoint
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers

OF_CLIENT = OscoreSecurity(bytes(range(16)), b"client", b"server", b"salt")
OF_SERVER = replace(OF_CLIENT, sender_id=b"server", recipient_id=b"client")
IDENTITY = "oscore:" + b"client".hex()
LARGE = bytes(range(256)) * 20

OVER = pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])


def endpoint(scheme: str, oscore: Oscore | None) -> Endpoint:
    if scheme == "coap":
        return open_endpoint(oscore=oscore)
    return TcpEndpoint("127.0.0.1", 0, oscore=oscore)


def of_server(numbers: MemoryNumbers | None = None) -> Oscore:
    def known(recipient_id: bytes, id_context: bytes | None) -> OscoreSecurity | None:
        return OF_SERVER if (recipient_id, id_context) == (b"client", None) else None

    return Oscore(numbers or MemoryNumbers(), known)


def of_client(numbers: MemoryNumbers | None = None, own: OscoreSecurity = OF_CLIENT) -> Oscore:
    return Oscore.of_server(own, numbers or MemoryNumbers())


@dataclass
class Resource:
    """What one side serves: whatever was put there last."""

    body: bytes = b"21.5"
    heard: list[tuple[Request, Peer]] = field(default_factory=list)

    def handle(self, request: Request, peer: Peer) -> Response:
        self.heard.append((request, peer))
        if request.method in (Code.PUT, Code.POST):
            self.body = request.payload
            return Response(Code.CHANGED)
        return Response(Code.CONTENT, self.body, 0, observing=request.observe == 0)


@dataclass
class Pair:
    server: Endpoint
    client: Endpoint
    at_server: Resource
    at_client: Resource
    to_server: Peer

    async def ask(self, request: Request) -> Response:
        return await self.client.request(self.to_server, request, 10)


@asynccontextmanager
async def pair(scheme: str = "coap", client: Oscore | None = None, server: Oscore | None = None) -> AsyncIterator[Pair]:
    there, here = endpoint(scheme, server or of_server()), endpoint(scheme, client)
    at_server, at_client = Resource(), Resource()
    await there.start(at_server.handle)
    await here.start(at_client.handle)
    try:
        yield Pair(there, here, at_server, at_client, await here.peer(there.uri))
    finally:
        await here.stop()
        await there.stop()


GET = Request(Code.GET, ("3303", "0", "5700"))
PUT = Request(Code.PUT, ("3303", "0", "5700"), payload=LARGE, content_format=42)


@OVER
async def test_a_request_is_answered_and_the_server_knows_who_asked(scheme: str) -> None:
    async with pair(scheme, of_client()) as both:
        response = await both.ask(GET)
        assert (response.code, response.payload) == (Code.CONTENT, b"21.5")
        ((request, peer),) = both.at_server.heard
        assert request.path == GET.path
        assert peer.identity == IDENTITY


@OVER
async def test_bodies_of_any_size_go_both_ways(scheme: str) -> None:
    async with pair(scheme, of_client()) as both:
        assert (await both.ask(PUT)).code is Code.CHANGED
        assert both.at_server.body == LARGE
        assert (await both.ask(GET)).payload == LARGE
        peer = both.at_server.heard[0][1]
        assert (await both.server.request(peer, PUT, 10)).code is Code.CHANGED
        assert both.at_client.body == LARGE
        assert (await both.server.request(peer, GET, 10)).payload == LARGE


@OVER
async def test_an_observation_runs_in_order_and_ends_when_it_is_cancelled(scheme: str) -> None:
    async with pair(scheme, of_client()) as both:
        observation = await both.client.observe(both.to_server, GET, 10)
        assert observation.first.observing
        observed, peer = both.at_server.heard[-1]
        subscription = Subscription(peer, observed.token)
        for value in (b"22", LARGE, b"23"):
            both.at_server.body = value
            await both.server.notify(subscription, Response(Code.CONTENT, value, 0), confirmable=True)
            async with asyncio.timeout(10):
                assert (await anext(observation)).payload == value  # type: ignore[call-overload]
        answer = await observation.cancel()
        assert answer is not None
        assert answer.payload == b"23"
        assert both.at_server.heard[-1][0].observe == 1


@OVER
async def test_who_speaks_in_the_clear_is_somebody_else(scheme: str) -> None:
    async with pair(scheme, None) as both:
        assert (await both.ask(GET)).code is Code.CONTENT
        assert both.at_server.heard[0][1].identity is None


async def test_a_client_with_a_context_hears_nobody_in_the_clear() -> None:
    async with pair("coap", of_client()) as both:
        there = await both.server.peer(both.client.uri)
        assert (await both.server.request(there, GET, 10)).code is Code.UNAUTHORIZED
        assert both.at_client.heard == []


async def test_register_has_to_be_fresh_and_other_requests_have_not() -> None:
    async with pair("coap", of_client()) as both:
        for path in ("rd",), ("bs",), ("rd", "x"):
            assert (await both.ask(Request(Code.POST, path, payload=b"x"))).code is Code.CHANGED
        assert len(both.at_server.heard) == 3


async def test_a_server_that_lost_its_window_asks_whether_a_request_is_new() -> None:
    numbers = MemoryNumbers()
    async with pair("coap", of_client(), of_server(numbers)) as both:
        await both.ask(GET)
    async with pair("coap", of_client(), of_server(numbers)) as both:
        assert (await both.ask(GET)).code is Code.CONTENT
        assert len(both.at_server.heard) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        replace(OF_CLIENT, master_secret=b"another secret"),
        replace(OF_CLIENT, sender_id=b"nobody"),
        replace(OF_CLIENT, id_context=b"ctx"),
        replace(OF_CLIENT, aead=30),
        replace(OF_CLIENT, hkdf=-11),
    ],
)
async def test_a_wrong_context_is_refused_in_the_clear_and_believed_after_a_while(
    wrong: OscoreSecurity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lwm2m.coap.object_security.verifying.GRACE", 0.05)
    async with pair("coap", of_client(own=wrong)) as both:
        assert (await both.ask(GET)).code in (Code.UNAUTHORIZED, Code.BAD_REQUEST)
        assert both.at_server.heard == []


def test_the_stack_of_aiocoap_has_no_oscore() -> None:
    with pytest.raises(ValueError, match="has no OSCORE; the stack 'datagram' has"):
        open_endpoint(stack="aiocoap", oscore=of_server())
