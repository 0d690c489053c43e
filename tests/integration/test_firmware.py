"""Firmware updates of our client by a foreign server, over real sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable

import aiocoap
import pytest
from aiocoap import CHANGED, CONTENT, GET, POST, PUT

from lwm2m.client import Client
from lwm2m.client.objects import (
    Device,
    Downloader,
    FirmwareUpdate,
    Flag,
    PackageError,
    SimulatedDevice,
    SimulatedPackage,
    SimulatedUpdater,
    Trouble,
)
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.path import Path
from tests.free_port import free_port
from tests.integration.test_client import (
    ForeignServer,
    server,
)

__all__ = ["server"]

TEXT, OPAQUE, TLV = 0, 42, 11542


def package(flags: Flag = Flag.NONE, model: str = "simulated device", size: int = 3000) -> bytes:
    return SimulatedPackage(model, "2.0", bytes(size), flags).to_bytes()


@pytest.fixture
async def device(server: ForeignServer) -> AsyncIterator[SimulatedDevice]:
    device = SimulatedDevice(pace=0.0, download=Downloader(pause=0.0))
    client = Client(
        "dev1",
        server.uri,
        objects=device.objects,
        open_endpoint=lambda host: open_endpoint(host, count=device.passed),
    )
    async with client:
        await client.registered(5)
        yield device


async def read(server: ForeignServer, path: str) -> str:
    answer = await server.ask(GET, path, accept=TEXT)
    assert answer.code == CONTENT
    return str(answer.payload.decode())


async def reached(server: ForeignServer, state: int, result: int) -> None:
    """Polled, as test suites do."""
    shown = ""
    async with asyncio.timeout(10):
        while shown != f"{state} {result}":
            await asyncio.sleep(0.02)
            shown = f"{await read(server, '/5/0/3')} {await read(server, '/5/0/5')}"


async def serve_coap(found: bytes) -> tuple[aiocoap.Context, str]:
    class Package(aiocoap.resource.Resource):  # type: ignore[misc]
        async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
            return aiocoap.Message(payload=found)

    site = aiocoap.resource.Site()
    site.add_resource(["fw"], Package())
    port = free_port()
    context = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["simplesocketserver"]
    )
    return context, f"coap://127.0.0.1:{port}/fw"


async def serve_http(package: bytes) -> tuple[asyncio.Server, str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(package)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + package)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    return listening, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/fw"


async def update_and_confirm(server: ForeignServer) -> None:
    """From Downloaded to the new firmware, which registers anew."""
    assert (await server.next()).code == POST
    assert (await server.ask(POST, "/5/0/2")).code == CHANGED
    again = await server.next()
    assert again.opt.uri_path == ("rd",)
    await reached(server, 0, 1)
    assert await read(server, "/3/0/3") == "2.0"


def tlv(value: bytes) -> bytes:
    """Resource 0 with a length of 16 bits."""
    return b"\xd0\x00" + len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    ("content_format", "written"),
    [(OPAQUE, lambda value: value), (TEXT, base64.b64encode), (TLV, tlv)],
)
@pytest.mark.usefixtures("device")
async def test_a_push_in_blocks(server: ForeignServer, content_format: int, written: Callable[[bytes], bytes]) -> None:
    assert (await server.ask(PUT, "/5/0/0", payload=b"\0", content_format=OPAQUE)).code == CHANGED
    answer = await server.ask(PUT, "/5/0/0", payload=written(package()), content_format=content_format)
    assert answer.code == CHANGED
    assert (await read(server, "/5/0/3"), await read(server, "/5/0/5")) == ("2", "0")
    assert (await read(server, "/5/0/6"), await read(server, "/5/0/7")) == ("simulated device", "2.0")
    await update_and_confirm(server)


@pytest.mark.usefixtures("device")
async def test_a_package_may_be_larger_than_other_bodies(server: ForeignServer) -> None:
    large = package(size=200 * 1024)
    assert (await server.ask(PUT, "/5/0/0", payload=large, content_format=OPAQUE)).code == CHANGED
    assert await read(server, "/5/0/3") == "2"


@pytest.mark.usefixtures("device")
async def test_a_package_that_the_flash_does_not_hold(server: ForeignServer) -> None:
    large = package(size=300 * 1024)
    assert (await server.ask(PUT, "/5/0/0", payload=large, content_format=OPAQUE)).code == CHANGED
    await reached(server, 0, 2)


Site = Callable[[bytes], Awaitable[tuple[str, Callable[[], Awaitable[None]]]]]


async def by_coap(found: bytes) -> tuple[str, Callable[[], Awaitable[None]]]:
    context, uri = await serve_coap(found)
    return uri, context.shutdown


async def by_http(found: bytes) -> tuple[str, Callable[[], Awaitable[None]]]:
    listening, uri = await serve_http(found)

    async def close() -> None:
        listening.close()
        await listening.wait_closed()

    return uri, close


@pytest.mark.parametrize("site", [by_coap, by_http])
@pytest.mark.usefixtures("device")
async def test_a_pull(server: ForeignServer, site: Site) -> None:
    uri, close = await site(package())
    try:
        assert (await server.ask(PUT, "/5/0/1", payload=uri.encode(), content_format=TEXT)).code == CHANGED
        await reached(server, 2, 0)
        assert await read(server, "/5/0/1") == uri
        await update_and_confirm(server)
    finally:
        await close()


@pytest.mark.parametrize("site", [by_coap, by_http])
@pytest.mark.parametrize(
    ("found", "result"),
    [
        (package(size=300 * 1024), 2),
        (package(Flag.EXHAUSTS_MEMORY), 3),
        (package()[:-1], 5),
        (package(model="toaster"), 6),
    ],
)
@pytest.mark.usefixtures("device")
async def test_a_pull_of_what_is_not_fit(server: ForeignServer, site: Site, found: bytes, result: int) -> None:
    uri, close = await site(found)
    try:
        assert (await server.ask(PUT, "/5/0/1", payload=uri.encode(), content_format=TEXT)).code == CHANGED
        await reached(server, 0, result)
    finally:
        await close()


@pytest.mark.parametrize(("uri", "result"), [("nonsense", 7), ("ftp://127.0.0.1/fw", 9)])
@pytest.mark.usefixtures("device")
async def test_a_uri_that_leads_nowhere(server: ForeignServer, uri: str, result: int) -> None:
    assert (await server.ask(PUT, "/5/0/1", payload=uri.encode(), content_format=TEXT)).code == CHANGED
    await reached(server, 0, result)


@pytest.mark.usefixtures("device")
async def test_an_observer_sees_the_states(server: ForeignServer) -> None:
    observation = server.observe("/5/0/3")
    assert (await asyncio.wait_for(observation.response, 5)).payload == b"0"
    states = aiter(observation.observation)
    await server.ask(PUT, "/5/0/0", payload=package(), content_format=OPAQUE)
    async with asyncio.timeout(5):
        while (await anext(states)).payload != b"2":
            pass
    observation.observation.cancel()


async def test_an_upgrade_keeps_the_configuration(server: ForeignServer, device: SimulatedDevice) -> None:
    await server.ask(PUT, "/1/0/1", payload=b"1234", content_format=TEXT)
    await server.ask(PUT, "/3/0/14", payload=b"+02:00", content_format=TEXT)
    await server.ask(PUT, "/5/0/0", payload=package(), content_format=OPAQUE)
    await server.ask(POST, "/5/0/2")
    await reached(server, 0, 1)
    assert (await read(server, "/1/0/1"), await read(server, "/3/0/14")) == ("1234", "+02:00")
    assert device.updater.running().confirmed


async def test_a_firmware_that_does_not_come_up_is_rolled_back(server: ForeignServer, device: SimulatedDevice) -> None:
    await server.ask(PUT, "/5/0/0", payload=package(Flag.DOES_NOT_COME_UP), content_format=OPAQUE)
    await server.ask(POST, "/5/0/2")
    await reached(server, 2, 8)
    assert await read(server, "/3/0/3") == "1.0"
    assert device.updater.running().confirmed


async def test_statistics_count_the_bytes_of_the_socket(server: ForeignServer, device: SimulatedDevice) -> None:
    assert (await server.ask(POST, "/7/0/6")).code == CHANGED
    await server.ask(PUT, "/5/0/0", payload=package(size=10_000), content_format=OPAQUE)
    assert (await server.ask(POST, "/7/0/7")).code == CHANGED
    assert await read(server, "/7/0/3") == "10"
    assert int(await read(server, "/7/0/4")) > 1024
    assert not device.statistics.collecting


async def test_a_factory_reset_brings_the_first_values_back(server: ForeignServer, device: SimulatedDevice) -> None:
    await server.ask(PUT, "/3/0/14", payload=b"+02:00", content_format=TEXT)
    await server.ask(PUT, "/1/0/1", payload=b"1234", content_format=TEXT)
    while not server.messages.empty():
        server.messages.get_nowait()
    assert (await server.ask(POST, "/3/0/5")).code == CHANGED
    registered = await server.next()
    while registered.opt.uri_path != ("rd",):
        registered = await server.next()
    assert "lt=300" in registered.opt.uri_query
    assert not device.device.host.data_model.has(Path(3, 0, 14))


async def test_a_firmware_that_no_server_takes_is_rolled_back(server: ForeignServer) -> None:
    async def refuse(_request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(code=aiocoap.FORBIDDEN)

    async def no_pull(_uri: str, _max_size: int) -> bytes:
        raise PackageError(Trouble.UNSUPPORTED_PROTOCOL)

    updater = SimulatedUpdater()
    firmware = FirmwareUpdate(updater, no_pull, confirm_within=0.5)
    async with Client("dev1", server.uri, objects=[Device(), firmware]) as client:
        await client.registered(5)
        await server.ask(PUT, "/5/0/0", payload=package(), content_format=OPAQUE)
        taken, server.render = server.render, refuse  # type: ignore[method-assign]
        await server.ask(POST, "/5/0/2")
        async with asyncio.timeout(5):
            while client.data_model.value(Path(5, 0, 5)) != 8:
                await asyncio.sleep(0.02)
                assert updater.running().version in ("1.0", "2.0")
        assert client.data_model.value(Path(5, 0, 3)) == 2
        assert client.data_model.value(Path(3, 0, 3)) == "1.0"
        server.render = taken  # type: ignore[method-assign]
