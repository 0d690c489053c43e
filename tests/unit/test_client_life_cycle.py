"""A client between its servers and its bootstrap server, over days of virtual time. lwm2m.md §4.7, §4.8, §5.7."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lwm2m.client import BootstrapFailed, Client, ClientEvent, State
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.testing import Network, ScriptedServer, clock, in_virtual_time

pytestmark = pytest.mark.usefixtures("each_stack")

SERVER, BOOTSTRAP, DEVICE = "10.0.0.1", "10.0.0.2", "10.0.1.1"
ONCE = [Record(Path(1, 0, 0), 1), Record(Path(1, 0, 17), 1), Record(Path(1, 0, 20), 1)]


class BootstrapServer(ScriptedServer):
    """Says yes to every request, and notes when it came."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.endpoint(BOOTSTRAP, 5683))
        self.asked_at: list[float] = []
        self.accepts = True

    async def _handle(self, _request: Request, _peer: Peer) -> Response:
        self.asked_at.append(clock().time())
        return Response(Code.CHANGED if self.accepts else Code.BAD_REQUEST)


@asynccontextmanager
async def running(network: Network, *servers: str, **options: object) -> AsyncIterator[Client]:
    client = Client(
        "dev1",
        [f"coap://{server}" for server in servers],
        ONCE if servers else [],
        coap=network.endpoint(DEVICE, 40_000),
        bootstrap=f"coap://{BOOTSTRAP}",
        clock=clock().time,
        wall_clock=clock().wall_time,
        **options,  # type: ignore[arg-type]  # options of Client
    )
    async with client:
        yield client


async def next_of(client: Client, kind: type[ClientEvent]) -> ClientEvent:
    return await anext(event async for event in client.events() if isinstance(event, kind))


def put(path: str, payload: bytes) -> Request:
    return Request(Code.PUT, tuple(path.strip("/").split("/")), payload=payload, content_format=0)


@in_virtual_time
async def test_silence_within_a_bootstrap_brings_the_old_configuration_back() -> None:
    network = Network()
    async with BootstrapServer(network) as bootstrap, running(network) as client:
        await asyncio.sleep(1)
        assert (await bootstrap.ask(f"coap://{DEVICE}:40000", put("/1/0/1", b"77"))).code is Code.CHANGED
        wrote_at = clock().time()
        failed = await next_of(client, BootstrapFailed)
        assert 246.9 < clock().time() - wrote_at < 248
        assert isinstance(failed, BootstrapFailed)
        assert (failed.reason, round(failed.retry_in or 0)) == ("the bootstrap server fell silent", 60)
        assert client.data_model.instances(1) == ()
        await asyncio.sleep(61)
        assert len(bootstrap.asked_at) == 2


@in_virtual_time
async def test_five_refused_requests_then_one_a_day() -> None:
    network = Network()
    async with BootstrapServer(network) as bootstrap, running(network):
        bootstrap.accepts = False
        await asyncio.sleep(100_000)
        waits = [
            round(later - earlier) for earlier, later in zip(bootstrap.asked_at, bootstrap.asked_at[1:], strict=False)
        ]
        assert waits[:6] == [60, 120, 240, 480, 86_400, 60]


@in_virtual_time
async def test_a_dead_server_leads_to_the_bootstrap_server_and_back_again() -> None:
    network = Network()
    server = ScriptedServer(network.endpoint(SERVER, 5683))
    async with BootstrapServer(network) as bootstrap, running(network, SERVER) as client:
        bootstrap.accepts = False
        await asyncio.sleep(100)
        assert client.state is State.FAILED
        assert len(bootstrap.asked_at) == 1
        async with server:
            registered = await server.registered(5_000)
            assert registered.request.path == ("rd",)
            assert len(bootstrap.asked_at) == 5
            await client.registered(5)
            await asyncio.sleep(100_000)
            assert len(bootstrap.asked_at) == 5


@in_virtual_time
async def test_a_server_that_dies_for_good_is_replaced_by_bootstrap() -> None:
    network = Network()
    async with BootstrapServer(network) as bootstrap, running(network, SERVER, lifetime=120) as client:
        async with ScriptedServer(network.endpoint(SERVER, 5683)) as server:
            await server.registered()
            await client.registered(5)
        await asyncio.sleep(400)
        assert client.state is State.FAILED
        assert bootstrap.asked_at
        async with ScriptedServer(network.endpoint("10.0.0.3", 5683)) as replacement:
            device = f"coap://{DEVICE}:40000"
            assert (await bootstrap.ask(device, put("/0/1/0", b"coap://10.0.0.3"))).code is Code.CHANGED
            assert (await bootstrap.ask(device, Request(Code.POST, ("bs",)))).code is Code.CHANGED
            await replacement.registered(5)
            await client.registered(5)
            assert client.server == "coap://10.0.0.3"


@in_virtual_time
async def test_the_trigger_leaves_a_registration_alone_while_the_bootstrap_server_is_silent() -> None:
    network = Network()
    async with ScriptedServer(network.endpoint(SERVER, 5683)) as server, running(network, SERVER) as client:
        registered = await server.registered()
        device = f"coap://{DEVICE}:40000"
        assert (await server.ask(device, Request(Code.POST, ("1", "0", "9")))).code is Code.CHANGED
        await asyncio.sleep(3_000)
        assert client.state is State.REGISTERED
        assert (await server.ask(registered.peer, Request(Code.GET, ("1", "0", "1")))).payload == b"300"
