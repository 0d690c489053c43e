"""Our client is bootstrapped by Eclipse Leshan, and registers at a server of Leshan."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from lwm2m import Client, ContentFormat, Path
from lwm2m.client import BootstrapFailed
from tests.interop.leshan_device import by_path, thermometer
from tests.interop.leshan_peer import DEFINITIONS, LeshanPeer, serving

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

NAMES = (f"bootstrapped-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def server() -> Iterator[LeshanPeer]:
    with serving("peers", "ServerPeer", *DEFINITIONS) as peer:
        yield peer


@pytest.fixture(scope="module")
def bootstrap_server() -> Iterator[LeshanPeer]:
    with serving("bootstrap", "BootstrapPeer") as peer:
        yield peer


@pytest.mark.parametrize("content_format", [ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
async def test_it_gets_its_account_and_registers(
    server: LeshanPeer, bootstrap_server: LeshanPeer, content_format: int
) -> None:
    name = next(NAMES)
    await bootstrap_server.ask("configure", endpoint=name, server=server.uri, lifetime=99, format=content_format)
    async with Client(name, records=thermometer(), bootstrap=bootstrap_server.uri) as client:
        await client.registered(10)
        await bootstrap_server.event("bootstrapped", endpoint=name)
        registered = await server.event("registered", endpoint=name)
        assert registered["lifetime"] == 99
        assert client.data_model.value(Path(1, 0, 0)) == 123
        assert by_path(client.data_model.read(Path(3303, 0))) == by_path(thermometer())
        assert (await server.ask("execute", endpoint=name, path="/1/0/8"))["code"] == "2.04"
        await server.event("updated", endpoint=name)


async def test_a_server_sends_it_to_the_bootstrap_server(server: LeshanPeer, bootstrap_server: LeshanPeer) -> None:
    name = next(NAMES)
    await bootstrap_server.ask("configure", endpoint=name, server=server.uri, lifetime=99, delete=["/0", "/1"])
    async with Client(name, server.uri, thermometer(), bootstrap=bootstrap_server.uri, lifetime=60) as client:
        await client.registered(10)
        assert (await server.event("registered", endpoint=name))["lifetime"] == 60
        assert (await server.ask("execute", endpoint=name, path="/1/0/9"))["code"] == "2.04"
        await bootstrap_server.event("bootstrapped", endpoint=name)
        assert (await server.event("registered", endpoint=name))["lifetime"] == 99


async def test_it_is_told_that_leshan_does_not_know_it(bootstrap_server: LeshanPeer) -> None:
    name = next(NAMES)
    client = Client(name, records=thermometer(), bootstrap=bootstrap_server.uri)
    events = client.events()
    async with client, asyncio.timeout(10):
        while not isinstance(event := await anext(events), BootstrapFailed):
            pass
    assert "4.00" in event.reason
