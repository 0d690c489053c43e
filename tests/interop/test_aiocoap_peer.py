"""Our endpoint against aiocoap as its authors mean it: its own context, site, block-wise layer and observations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiocoap
import aiocoap.resource
import pytest

from lwm2m.coap.endpoint import Delivery, Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import STACKS, open_endpoint

BODY = bytes(n % 251 for n in range(5000))
PATIENCE = 10


@dataclass
class Device:
    value: bytes = b"1"
    subscriptions: list[Subscription] = field(default_factory=list)

    def __call__(self, request: Request, peer: Peer) -> Response:
        if request.method is Code.PUT:
            self.value = request.payload
            return Response(Code.CHANGED)
        if request.observe == 0:
            self.subscriptions.append(Subscription(peer, request.token))
        return Response(Code.CONTENT, self.value, 42, observing=request.observe == 0)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture(params=sorted(STACKS))
async def endpoint(request: pytest.FixtureRequest, device: Device) -> AsyncIterator[Endpoint]:
    endpoint = open_endpoint(stack=request.param)
    await endpoint.start(device)
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiocoap.Context]:
    context = await aiocoap.Context.create_client_context()
    yield context
    await context.shutdown()


async def ask(client: aiocoap.Context, **fields: object) -> aiocoap.Message:
    async with asyncio.timeout(PATIENCE):
        return await client.request(aiocoap.Message(**fields)).response


async def test_it_reads_and_writes_bodies_of_any_size(
    endpoint: Endpoint, device: Device, client: aiocoap.Context
) -> None:
    uri = f"{endpoint.uri}/3303/0"
    assert (await ask(client, code=aiocoap.PUT, uri=uri, payload=BODY)).code == aiocoap.CHANGED
    assert device.value == BODY
    response = await ask(client, code=aiocoap.GET, uri=uri)
    assert (response.payload, response.opt.content_format) == (BODY, 42)


async def test_it_observes(endpoint: Endpoint, device: Device, client: aiocoap.Context) -> None:
    observing = client.request(aiocoap.Message(code=aiocoap.GET, uri=f"{endpoint.uri}/3303/0", observe=0))
    async with asyncio.timeout(PATIENCE):
        assert (await observing.response).payload == b"1"
        notifications = aiter(observing.observation)
        for value, confirmable in ((b"2", True), (b"3", False), (BODY, True)):
            device.value = value
            sent = Response(Code.CONTENT, value, 42)
            assert await endpoint.notify(device.subscriptions[0], sent, confirmable=confirmable) is Delivery.DELIVERED
            assert (await anext(notifications)).payload == value
        observing.observation.cancel()
        # aiocoap ends its block-wise layer with the first notification that nobody takes, and resets the next.
        last = Response(Code.CONTENT, b"4")
        verdicts = [await endpoint.notify(device.subscriptions[0], last, confirmable=True) for _ in range(3)]
        assert verdicts[-1] is Delivery.RESET


class Counter(aiocoap.resource.ObservableResource):  # type: ignore[misc]  # aiocoap is not typed
    """What aiocoap serves: a body that can be replaced and observed."""

    body = b"first"

    async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=self.body)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        self.body = request.payload
        self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)


@pytest.fixture
async def served(endpoint: Endpoint) -> AsyncIterator[Peer]:
    site = aiocoap.resource.Site()
    site.add_resource(["counter"], Counter())
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["udp6"])
    port = context.request_interfaces[0].token_interface.message_interface._local_port()
    yield await endpoint.peer(f"coap://127.0.0.1:{port}")
    await context.shutdown()


async def test_we_read_write_and_observe_what_it_serves(endpoint: Endpoint, served: Peer) -> None:
    async with asyncio.timeout(PATIENCE):
        observation = await endpoint.observe(served, Request(Code.GET, ("counter",)))
        assert (observation.first.payload, observation.first.observing) == (b"first", True)
        notifications = aiter(observation)
        for body in (b"second", BODY):
            written = await endpoint.request(served, Request(Code.PUT, ("counter",), payload=body))
            assert written.code is Code.CHANGED
            assert (await anext(notifications)).payload == body
        answer = await observation.cancel()
        assert answer is not None
        assert (answer.payload, answer.observing) == (BODY, False)
        assert (await endpoint.request(served, Request(Code.GET, ("nothing",)))).code is Code.NOT_FOUND
