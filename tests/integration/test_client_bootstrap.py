"""Our client against a bootstrap server and two management servers that know nothing of this project: bare aiocoap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiocoap
import pytest
from aiocoap import CHANGED, DELETE, DELETED, GET, NOT_ACCEPTABLE, POST, PUT

from lwm2m.client import BootstrapFailed, Bootstrapped, Client, State
from lwm2m.client.objects import SimulatedDevice
from lwm2m.client.pairing import bootstrap_account
from lwm2m.codec import encode
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from tests.free_port import free_port
from tests.integration.test_client import (
    ForeignServer,
)

TLV, SENML_CBOR = 11542, 112


@asynccontextmanager
async def listening() -> AsyncIterator[ForeignServer]:
    site = ForeignServer()
    site.port = free_port()
    site.context = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", site.port), transports=["simplesocketserver"]
    )
    try:
        yield site
    finally:
        await site.shutdown()


@pytest.fixture
async def servers() -> AsyncIterator[tuple[ForeignServer, ForeignServer, ForeignServer]]:
    async with AsyncExitStack() as exits:
        yield tuple([await exits.enter_async_context(listening()) for _ in range(3)])  # type: ignore[misc]  # three


async def write(bootstrap: ForeignServer, path: str, values: dict[int, Value], content_format: int = TLV) -> None:
    instance = Path.parse(path)
    payload = encode(
        [Record(instance.child(number), value) for number, value in values.items()], content_format, instance, shipped()
    )
    answer = await bootstrap.ask(PUT, path, payload=payload, content_format=content_format)
    assert answer.code == CHANGED


async def write_account(bootstrap: ForeignServer, number: int, short_server_id: int, uri: str) -> None:
    security: dict[int, Value] = {0: uri, 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: short_server_id}
    server: dict[int, Value] = {0: short_server_id, 1: 60 + number, 6: True, 7: "U"}
    await write(bootstrap, f"/0/{number}", security)
    await write(bootstrap, f"/1/{number}", server, SENML_CBOR)


async def finish(bootstrap: ForeignServer) -> aiocoap.Message:
    return await bootstrap.ask(POST, "/bs")


async def test_it_is_configured_and_registers_with_both_servers(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, second = servers
    async with Client("dev1", bootstrap=bootstrap.uri, wall_clock=lambda: 1_700_000_000.0) as client:
        request = await bootstrap.next()
        assert (request.code, request.opt.uri_path) == (POST, ("bs",))
        assert request.opt.uri_query == ("ep=dev1", "pct=112")
        discovered = await bootstrap.ask(GET, "/", accept=40)
        assert discovered.payload == b"</>;lwm2m=1.1,</0/0>,</3/0>"
        assert (await bootstrap.ask(DELETE, "/1")).code == DELETED
        await write_account(bootstrap, 1, 101, first.uri)
        await write_account(bootstrap, 2, 102, second.uri)
        assert client.states == {}
        assert (await bootstrap.ask(GET, "/1/1", accept=TLV)).payload
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5, 101)
        await client.registered(5, 102)
        for server, lifetime in ((first, 61), (second, 62)):
            register = await server.next()
            assert f"lt={lifetime}" in register.opt.uri_query
            assert register.payload.decode().endswith("</1/1>,</1/2>,</3/0>")
        assert (await bootstrap.ask(GET, "/1/1")).code.dotted == "4.04"
        assert client.data_model.value(Path(1, 1, 12)) == 1_700_000_000


async def test_a_refused_finish_leaves_things_as_they_are_and_may_be_repaired(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, _ = servers
    async with Client("dev1", bootstrap=bootstrap.uri) as client:
        await bootstrap.next()
        assert (await bootstrap.ask(PUT, "/1/0/5", payload=b"60", content_format=0)).code == CHANGED
        assert (await finish(bootstrap)).code == NOT_ACCEPTABLE
        assert client.data_model.instances(1) == ()
        await bootstrap.ask(DELETE, "/1")
        await write_account(bootstrap, 1, 101, first.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5)


async def test_a_server_may_send_it_to_its_bootstrap_server_which_moves_it_on(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, second = servers
    async with Client("dev1", first.uri, bootstrap=bootstrap.uri) as client:
        await client.registered(5)
        assert (await first.next()).code == POST
        assert (await first.ask(POST, "/1/0/9", payload=b"0", content_format=0)).code.dotted == "4.00"
        events = client.events()
        assert (await first.ask(POST, "/1/0/9")).code == CHANGED
        assert (await bootstrap.next()).opt.uri_path == ("bs",)
        assert (await first.ask(GET, "/1/0/1")).payload == b"300"
        await bootstrap.ask(DELETE, "/0")
        await bootstrap.ask(DELETE, "/1")
        await write_account(bootstrap, 5, 102, second.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5, 102)
        assert client.states == {102: State.REGISTERED}
        assert (await second.next()).opt.uri_path == ("rd",)
        assert first.messages.empty()
        async with asyncio.timeout(5):
            await anext(event async for event in events if isinstance(event, Bootstrapped))


async def test_a_failed_registration_falls_back_to_bootstrap(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, _ = servers
    dead = f"coap://127.0.0.1:{free_port()}"
    once = [Record(Path(1, 0, number), value) for number, value in ((0, 1), (17, 1), (20, 1))]
    async with Client("dev1", dead, once, bootstrap=bootstrap.uri) as client:
        assert (await bootstrap.next()).opt.uri_path == ("bs",)
        assert client.states == {1: State.FAILED}
        await write_account(bootstrap, 1, 1, first.uri)
        assert (await finish(bootstrap)).code == NOT_ACCEPTABLE
        await bootstrap.ask(DELETE, "/0")
        await bootstrap.ask(DELETE, "/1")
        await write_account(bootstrap, 2, 1, first.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5)
        assert client.server == first.uri


async def test_no_bootstrap_follows_where_a_server_says_so(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, _, _ = servers
    dead = f"coap://127.0.0.1:{free_port()}"
    values: dict[int, Value] = {0: 1, 16: False, 17: 1, 20: 1}
    never = [Record(Path(1, 0, number), value) for number, value in values.items()]
    async with Client("dev1", dead, never, bootstrap=bootstrap.uri) as client:
        with pytest.raises(TimeoutError):
            await client.registered(0.5)
        assert client.state is State.FAILED
        assert bootstrap.messages.empty()


async def test_the_account_of_the_bootstrap_server_is_purged_after_its_time(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, _ = servers
    async with Client("dev1", bootstrap=bootstrap.uri) as client:
        await bootstrap.next()
        await bootstrap.ask(PUT, "/0/0/12", payload=b"1", content_format=0)
        await write_account(bootstrap, 1, 101, first.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5)
        assert bootstrap_account(client.data_model) is not None
        async with asyncio.timeout(5):
            while bootstrap_account(client.data_model) is not None:  # noqa: ASYNC110  # nothing tells of it  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.02)
        assert client.state is State.REGISTERED
        assert (await first.ask(POST, "/1/1/9")).code.dotted == "4.05"


async def test_a_bootstrap_server_that_cannot_be_reached_is_told_of() -> None:
    async with Client("dev1", bootstrap=f"coap://127.0.0.1:{free_port()}") as client:
        async with asyncio.timeout(5):
            failed = await anext(event async for event in client.events() if isinstance(event, BootstrapFailed))
        assert failed.retry_in == pytest.approx(60, abs=1)
        with pytest.raises(TimeoutError, match=failed.reason):
            await client.registered(0.01)


async def test_the_request_comes_after_the_hold_off_time(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, _ = servers
    began = asyncio.get_running_loop().time()
    async with Client("dev1", bootstrap=bootstrap.uri, hold_off=1):
        await bootstrap.next()
        assert 0.9 < asyncio.get_running_loop().time() - began < 2
        assert first.messages.empty()


async def test_a_factory_reset_begins_with_the_bootstrap_again(
    servers: tuple[ForeignServer, ForeignServer, ForeignServer],
) -> None:
    bootstrap, first, _ = servers
    device = SimulatedDevice()
    async with Client("dev1", bootstrap=bootstrap.uri, objects=device.objects) as client:
        assert (await bootstrap.next()).opt.uri_path == ("bs",)
        await write_account(bootstrap, 1, 101, first.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5, 101)
        await first.next()
        assert (await first.ask(PUT, "/3/0/15", payload=b"Asia/Tokyo", content_format=0)).code == CHANGED
        while not bootstrap.messages.empty():
            bootstrap.messages.get_nowait()
        assert (await first.ask(POST, "/3/0/5")).code == CHANGED
        assert (await bootstrap.next()).opt.uri_path == ("bs",)
        assert client.states == {}
        assert not client.data_model.has(Path(3, 0, 15))
        await write_account(bootstrap, 1, 101, first.uri)
        assert (await finish(bootstrap)).code == CHANGED
        await client.registered(5, 101)
