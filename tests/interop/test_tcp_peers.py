"""CoAP over TCP and WebSockets with aiocoap's own contexts, and over TCP with libcoap's programs, in both roles."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiocoap
import aiocoap.resource
import pytest

from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import CONNECTED
from lwm2m.coap.streams.connected import ConnectedEndpoint
from lwm2m.server import Server
from tests.free_port import free_port
from tests.interop.peers import find_peer

pytestmark = pytest.mark.interop

BODY = bytes(n % 251 for n in range(5000))
LIBCOAP_CLIENTS = ("coap-client-openssl", "coap-client-gnutls", "coap-client")
LIBCOAP_SERVERS = ("coap-server-openssl", "coap-server-gnutls", "coap-server")


class Device:
    def __init__(self) -> None:
        self.value = b"1"
        self.seen: list[tuple[Request, Peer]] = []

    def __call__(self, request: Request, peer: Peer) -> Response:
        self.seen.append((request, peer))
        if request.method is Code.PUT:
            self.value = request.payload
            return Response(Code.CHANGED)
        return Response(Code.CONTENT, self.value, 42, observing=request.observe == 0)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture(params=sorted(CONNECTED))
async def endpoint(request: pytest.FixtureRequest, device: Device) -> AsyncIterator[ConnectedEndpoint]:
    endpoint = CONNECTED[request.param]()
    await endpoint.start(device)
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def tcp(device: Device) -> AsyncIterator[ConnectedEndpoint]:
    endpoint = CONNECTED["coap+tcp"]()
    await endpoint.start(device)
    yield endpoint
    await endpoint.stop()


class Greeting(aiocoap.resource.Resource):
    async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=BODY)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(code=aiocoap.CHANGED, payload=request.payload[:3])


@pytest.fixture
async def context() -> AsyncIterator[aiocoap.Context]:
    """It answers requests on the connections that it opens."""
    site = aiocoap.resource.Site()
    site.add_resource(["3"], Greeting())
    context = await aiocoap.Context.create_client_context(transports=["tcpclient", "ws"])
    context.serversite = site
    yield context
    await context.shutdown()


async def test_aiocoap_reads_writes_and_observes(
    endpoint: ConnectedEndpoint, device: Device, context: aiocoap.Context
) -> None:
    async with asyncio.timeout(10):
        uri = f"{endpoint.uri}/3303/0"
        put = aiocoap.Message(code=aiocoap.PUT, uri=uri, payload=BODY)
        assert (await context.request(put).response).code == aiocoap.CHANGED
        assert device.value == BODY
        observing = context.request(aiocoap.Message(code=aiocoap.GET, uri=uri, observe=0))
        assert (await observing.response).payload == BODY
        request, peer = device.seen[-1]
        notifications = aiter(observing.observation)
        await endpoint.notify(Subscription(peer, request.token), Response(Code.CONTENT, b"2", 42), confirmable=True)
        assert (await anext(notifications)).payload == b"2"
        observing.observation.cancel()


async def test_aiocoap_answers_on_the_connection_that_it_opened(
    endpoint: ConnectedEndpoint, device: Device, context: aiocoap.Context
) -> None:
    async with asyncio.timeout(10):
        await context.request(aiocoap.Message(code=aiocoap.GET, uri=f"{endpoint.uri}/x")).response
        _, peer = device.seen[-1]
        response = await endpoint.request(peer, Request(Code.GET, ("3",)), 5)
        assert (response.code, response.payload) == (Code.CONTENT, BODY)
        response = await endpoint.request(peer, Request(Code.PUT, ("3",), payload=BODY), 5)
        assert (response.code, response.payload) == (Code.CHANGED, BODY[:3])


async def test_aiocoap_as_a_server_over_tcp(tcp: ConnectedEndpoint) -> None:
    site = aiocoap.resource.Site()
    site.add_resource(["3"], Greeting())
    port = free_port()
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["tcpserver"])
    try:
        peer = await tcp.peer(f"coap+tcp://127.0.0.1:{port}")
        response = await tcp.request(peer, Request(Code.GET, ("3",)), 5)
        assert (response.code, response.payload) == (Code.CONTENT, BODY)
        response = await tcp.request(peer, Request(Code.PUT, ("3",), payload=bytes(300_000)), 10)
        assert response.code is Code.CHANGED
    finally:
        await context.shutdown()


# libcoap


async def libcoap_client(*arguments: str) -> str:
    program = find_peer(*LIBCOAP_CLIENTS, package="libcoap3-bin")
    process = await asyncio.create_subprocess_exec(program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(15):
        output, _ = await process.communicate()
    return output.decode()


async def test_libcoap_reads_and_writes(tcp: ConnectedEndpoint, device: Device) -> None:
    assert (await libcoap_client("-m", "get", "-B", "5", f"{tcp.uri}/3303/0")).strip() == "1"
    await libcoap_client("-m", "put", "-e", "x" * 3000, "-B", "5", f"{tcp.uri}/3303/0")
    assert device.value == b"x" * 3000


async def test_libcoap_registers_over_tcp() -> None:
    endpoint = CONNECTED["coap+tcp"]()
    async with Server([endpoint]) as server:
        query = "ep=libcoap&lt=60&lwm2m=1.1&b=T"
        payload = ("-t", "40", "-e", "</1/0>,</3/0>")
        await libcoap_client("-m", "post", *payload, "-B", "5", f"{endpoint.uri}/rd?{query}")
        registration = server.registration("libcoap")
        assert (registration.binding, registration.lifetime) == ("T", 60)


@asynccontextmanager
async def libcoap_server() -> AsyncIterator[int]:
    program, port = find_peer(*LIBCOAP_SERVERS, package="libcoap3-bin"), free_port()
    process = await asyncio.create_subprocess_exec(
        program, "-A", "127.0.0.1", "-p", str(port), stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()


async def test_libcoap_answers(tcp: ConnectedEndpoint) -> None:
    async with libcoap_server() as port, asyncio.timeout(15):
        peer = await connected(tcp, f"coap+tcp://127.0.0.1:{port}")
        response = await tcp.request(peer, Request(Code.GET, ("time",)), 5)
        assert response.code is Code.CONTENT
        assert re.match(rb"\w{3} \d\d", response.payload)
        observation = await tcp.observe(peer, Request(Code.GET, ("time",)), 5)
        assert observation.first.observing
        assert (await anext(aiter(observation))).code is Code.CONTENT
        await observation.cancel()


async def connected(tcp: ConnectedEndpoint, uri: str) -> Peer:
    """Once the program listens."""
    for attempt in range(100):
        try:
            return await tcp.peer(uri)
        except Unreachable:
            await asyncio.sleep(0.05 * (attempt > 0))
    raise AssertionError("nothing listens there")
