"""Our client and our server over connections: what the end of one means to either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path as FilePath

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lwm2m.client import Client, State
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.message import Code
from lwm2m.coap.stacks import CONNECTED, open_endpoint
from lwm2m.coap.streams.aiocoap_connection import Association
from lwm2m.coap.streams.connected import ConnectedEndpoint, TcpEndpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Read
from lwm2m.server import Deregistered, Notified, Registered, Server, ServerEvent, Updated
from lwm2m.server.store.sqlite import SqliteStore
from tests.authority import Issued
from tests.tls_credentials import authority, serving

TEMPERATURE = Path(3303, 0, 5700)


@cache
def held(name: str) -> Issued:
    return authority().holder(name)


def an_endpoint(scheme: str, port: int = 0) -> ConnectedEndpoint:
    if scheme == TlsEndpoint.scheme:
        return TlsEndpoint("127.0.0.1", port, tls=serving(held("server")))
    return CONNECTED[scheme]("127.0.0.1", port)


def shown(name: str, uri: str) -> AccountSecurity:
    """By this client, which knows the server's certificate; nothing where the URI is without security."""
    if not uri.startswith(TlsEndpoint.scheme):
        return AccountSecurity()
    key = held(name).private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pin = held("server").der
    return AccountSecurity(Mode.CERTIFICATE, held(name).der, pin, key, server_name="server")


@pytest.fixture(params=[*sorted(CONNECTED), TlsEndpoint.scheme])
def endpoint(request: pytest.FixtureRequest) -> ConnectedEndpoint:
    return an_endpoint(request.param)


@pytest.fixture
async def server(endpoint: ConnectedEndpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        yield server


@asynccontextmanager
async def registered(uri: str, **settings: object) -> AsyncIterator[Client]:
    security = shown("dev", uri)
    client = Client("dev", uri, [Record(TEMPERATURE, 21.5)], security=security, **settings)  # type: ignore[arg-type]  # passed through
    async with client:
        await client.registered(10)
        yield client


async def until(events: AsyncIterator[ServerEvent], *kinds: type[ServerEvent]) -> ServerEvent:
    async with asyncio.timeout(10):
        async for event in events:
            if isinstance(event, kinds):
                return event
    raise AssertionError("the events ended")


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.005)


def is_connected(server: Server) -> bool:
    association = server.registration("dev").peer.association
    return isinstance(association, Association) and association.connection is not None


async def test_a_client_that_is_gone_is_unreachable_at_once_and_stays_registered(
    server: Server, endpoint: ConnectedEndpoint
) -> None:
    async with registered(endpoint.uri) as client:
        await client.stop(deregister=False)
        await eventually(lambda: not is_connected(server))
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable):
            await server.read("dev", TEMPERATURE)
        assert asyncio.get_running_loop().time() - began < 1
        assert server.registration("dev").endpoint == "dev"


async def test_a_lost_connection_is_opened_again_and_observations_go_on(
    server: Server, endpoint: ConnectedEndpoint
) -> None:
    async with registered(endpoint.uri) as client:
        await server.observe("dev", TEMPERATURE)
        events = server.events()
        id_before = server.registration("dev").id
        endpoint.listen(False)
        client.update([Record(TEMPERATURE, 30.0)])
        await until(events, Updated)
        assert server.registration("dev").id == id_before
        await until(events, Notified)
        client.update([Record(TEMPERATURE, 31.0)])
        seen = await until(events, Notified)
        assert isinstance(seen, Notified)
        assert seen.records[-1].value == 31.0


async def test_a_connection_that_is_lost_again_and_again_is_no_busy_loop(
    server: Server, endpoint: ConnectedEndpoint
) -> None:
    async with registered(endpoint.uri):
        events = server.events()
        endpoint.listen(False)
        await until(events, Updated)
        endpoint.listen(False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await until(events, Updated)


async def test_a_server_that_forgot_the_client_gets_a_register(endpoint: ConnectedEndpoint) -> None:
    first = Server([endpoint])
    await first.start()
    port = endpoint.address[1]
    async with registered(endpoint.uri) as client:
        await first.stop()
        second = Server([an_endpoint(endpoint.scheme, port)])
        events = second.events()
        async with second:
            assert isinstance(await until(events, Registered, Updated), Registered)
            await eventually(lambda: client.state is State.REGISTERED)
            assert await second.read("dev", TEMPERATURE) == [Record(TEMPERATURE, 21.5)]


async def test_after_a_restart_nobody_is_asked_over_another_transport(
    endpoint: ConnectedEndpoint, tmp_path: FilePath
) -> None:
    """Both transports have the same port by default."""
    first = Server([endpoint], store=SqliteStore(tmp_path))
    await first.start()
    port = endpoint.address[1]
    async with registered(endpoint.uri) as client:
        await client.stop(deregister=False)
        await first.stop()
        udp = open_endpoint("127.0.0.1", port)
        async with Server([udp, an_endpoint(endpoint.scheme, port)], store=SqliteStore(tmp_path)) as second:
            with pytest.raises(Unreachable, match="has ended"):
                await second.read("dev", TEMPERATURE)


async def test_a_sleeping_client_closes_its_connection_and_gets_what_waits(
    server: Server, endpoint: ConnectedEndpoint
) -> None:
    async with registered(endpoint.uri, queue_mode=True) as client:
        client.sleep()
        await eventually(lambda: server.is_sleeping("dev"))
        assert not is_connected(server)
        waiting = asyncio.create_task(server.ask("dev", Read(TEMPERATURE), 10))
        await asyncio.sleep(0)
        assert not client.is_awake
        client.wake()
        answer = await waiting
        assert answer.code is Code.CONTENT
        assert is_connected(server)


async def test_a_sleeping_client_sends_after_an_update(server: Server, endpoint: ConnectedEndpoint) -> None:
    async with registered(endpoint.uri, queue_mode=True) as client:
        client.sleep()
        await eventually(lambda: not is_connected(server))
        assert await client.send([TEMPERATURE]) == {1: Code.CHANGED}


async def test_one_client_has_servers_on_different_transports() -> None:
    tcp, udp = TcpEndpoint(), open_endpoint()
    async with Server([tcp]) as over_tcp, Server([udp]) as over_udp:
        async with Client("dev", [tcp.uri, udp.uri]) as client:
            await client.registered(10, 1)
            await client.registered(10, 2)
            assert [over_tcp.registration("dev").binding, over_udp.registration("dev").binding] == ["T", "U"]
            events = over_udp.events()
        assert isinstance(await until(events, Deregistered), Deregistered)


async def test_many_clients_of_one_process_come_and_go(server: Server, endpoint: ConnectedEndpoint) -> None:
    tasks = len(asyncio.all_tasks())
    clients = [Client(f"dev{n}", endpoint.uri, security=shown(f"dev{n}", endpoint.uri)) for n in range(30)]
    for client in clients:
        await client.start()
    for client in clients:
        await client.registered(10)
    assert len(server.registrations()) == 30
    for client in clients:
        await client.stop()
    assert server.registrations() == []
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks + 1)
