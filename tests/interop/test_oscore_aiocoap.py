"""OSCORE with aiocoap as its authors mean it, in both roles: its contexts, transport and site wrapper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import oscore
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import open_endpoint
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers

SECRET, SALT = bytes(range(16)), b"salt"
OURS = OscoreSecurity(SECRET, b"ours", b"theirs", SALT, b"\x37\xcb")
BODY = bytes(n % 251 for n in range(5000))
PATIENCE = 10


class Theirs(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """A context made in code, as aiocoap's own tests make them. `is_new` is False where its window is lost."""

    def __init__(self, *, is_new: bool = True) -> None:
        self.alg_aead = oscore.algorithms[oscore.DEFAULT_ALGORITHM]
        self.hashfun = oscore.hashfunctions[oscore.DEFAULT_HASHFUNCTION]
        self.sender_id, self.recipient_id, self.id_context = b"theirs", b"ours", b"\x37\xcb"
        self.derive_keys(SALT, SECRET)
        self.sender_sequence_number = 0
        self.echo_recovery = b"is it new"
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        if is_new:
            self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        """It ends with the test."""


class Value(aiocoap.resource.ObservableResource):  # type: ignore[misc]
    body = b"1"

    async def render_get(self, _request: Any) -> Any:
        return aiocoap.Message(payload=self.body)

    async def render_put(self, request: Any) -> Any:
        self.body = request.payload
        self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)


class Device:
    def __init__(self) -> None:
        self.value = b"1"
        self.subscriptions: list[Subscription] = []
        self.identities: set[str | None] = set()

    def __call__(self, request: Request, peer: Peer) -> Response:
        self.identities.add(peer.identity)
        if request.method in (Code.PUT, Code.POST):
            self.value = request.payload
            return Response(Code.CHANGED)
        if request.observe == 0:
            self.subscriptions.append(Subscription(peer, request.token))
        return Response(Code.CONTENT, self.value, 42, observing=request.observe == 0)


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
async def endpoint(device: Device) -> AsyncIterator[Endpoint]:
    def known(recipient_id: bytes, id_context: bytes | None) -> OscoreSecurity | None:
        return OURS if (recipient_id, id_context) == (b"theirs", b"\x37\xcb") else None

    endpoint = open_endpoint(oscore=Oscore(MemoryNumbers(), known))
    await endpoint.start(device)
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def client(endpoint: Endpoint) -> AsyncIterator[aiocoap.Context]:
    context = await aiocoap.Context.create_client_context()
    context.client_credentials[f"{endpoint.uri}/*"] = Theirs()
    yield context
    await context.shutdown()


async def ask(client: aiocoap.Context, **fields: object) -> aiocoap.Message:
    async with asyncio.timeout(PATIENCE):
        return await client.request(aiocoap.Message(**fields)).response


async def test_it_reads_and_writes_bodies_of_any_size(
    endpoint: Endpoint, device: Device, client: aiocoap.Context
) -> None:
    uri = f"{endpoint.uri}/value"
    assert (await ask(client, code=aiocoap.PUT, uri=uri, payload=BODY)).code is aiocoap.CHANGED
    assert device.value == BODY
    assert (await ask(client, code=aiocoap.GET, uri=uri)).payload == BODY
    assert device.identities == {"oscore:" + b"theirs".hex() + "/37cb"}


async def test_it_shows_that_a_registration_is_new(endpoint: Endpoint, device: Device, client: aiocoap.Context) -> None:
    assert (await ask(client, code=aiocoap.POST, uri=f"{endpoint.uri}/rd", payload=b"</3/0>")).code is aiocoap.CHANGED
    assert device.value == b"</3/0>"


async def test_it_observes(endpoint: Endpoint, device: Device, client: aiocoap.Context) -> None:
    async with asyncio.timeout(PATIENCE):
        request = client.request(aiocoap.Message(code=aiocoap.GET, uri=f"{endpoint.uri}/value", observe=0))
        assert (await request.response).payload == b"1"
        notifications = aiter(request.observation)
        for value in (b"2", b"3"):
            await endpoint.notify(device.subscriptions[0], Response(Code.CONTENT, value, 42), confirmable=True)
            assert (await anext(notifications)).payload == value
        request.observation.cancel()


@pytest.fixture(params=[True, False], ids=["new", "window lost"])
def theirs(request: pytest.FixtureRequest) -> Theirs:
    return Theirs(is_new=request.param)


@pytest.fixture
async def server(theirs: Theirs) -> AsyncIterator[str]:
    site = aiocoap.resource.Site()
    site.add_resource(["value"], Value())
    credentials = CredentialsMap()
    credentials[":ours"] = theirs
    context = await aiocoap.Context.create_server_context(
        OscoreSiteWrapper(site, credentials), bind=("127.0.0.1", 0), server_credentials=credentials
    )
    layers = (getattr(one, "token_interface", None) for one in context.request_interfaces)
    udp = next(one.message_interface for one in layers if hasattr(one, "message_interface"))
    port = udp.transport.get_extra_info("socket").getsockname()[1]
    yield f"coap://127.0.0.1:{port}"
    await context.shutdown()


async def test_it_is_asked_written_and_observed(server: str) -> None:
    endpoint = open_endpoint(oscore=Oscore.of_server(OURS, MemoryNumbers()))
    await endpoint.start(Device())
    try:
        peer = await endpoint.peer(server)
        get, put = Request(Code.GET, ("value",)), Request(Code.PUT, ("value",), payload=BODY)
        assert (await endpoint.request(peer, get, PATIENCE)).payload == b"1"
        observation = await endpoint.observe(peer, get, PATIENCE)
        assert observation.first.observing
        assert (await endpoint.request(peer, put, PATIENCE)).code is Code.CHANGED
        async with asyncio.timeout(PATIENCE):
            assert (await anext(aiter(observation))).payload == BODY
        assert (await endpoint.request(peer, get, PATIENCE)).payload == BODY
        await observation.cancel(active=False)
    finally:
        await endpoint.stop()
