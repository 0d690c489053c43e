"""A simulated device under a foreign server: identities, containers, the log, software, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiocoap import BAD_REQUEST, CHANGED, CONTENT, CREATED, DELETE, DELETED, GET, METHOD_NOT_ALLOWED, POST, PUT, Message

from lwm2m.client import Client
from lwm2m.client.objects import SimulatedDevice, SimulatedPackage
from lwm2m.codec import decode
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Value
from tests.integration.test_client import ForeignServer, server

__all__ = ["server"]

TEXT, LINK, OPAQUE, TLV = 0, 40, 42, 11542


@pytest.fixture
async def device(server: ForeignServer) -> AsyncIterator[SimulatedDevice]:
    device = SimulatedDevice(pace=0.0)
    async with Client("dev1", server.uri, objects=device.objects) as client:
        await client.registered(5)
        yield device


def string_instances(*texts: str) -> bytes:
    """TLV of /16/n/0 with resource instances."""
    inner = b"".join(bytes((0x40 | len(text), number)) + text.encode() for number, text in enumerate(texts))
    return bytes((0x88, 0, len(inner))) + inner


@pytest.mark.usefixtures("device")
async def test_identities_come_and_go(server: ForeignServer) -> None:
    inside = string_instances("other", "Acme")
    created = await server.ask(POST, "/16", payload=bytes((0x08, 1, len(inside))) + inside, content_format=TLV)
    assert created.code == CREATED
    links = (await server.ask(GET, "/16/1", accept=LINK)).payload.decode()
    assert "</16/1/0>;dim=2" in links
    assert "</16/0/0>;dim=4" in (await server.ask(GET, "/16/0", accept=LINK)).payload.decode()
    for instance in (0, 1):
        assert (await server.ask(DELETE, f"/16/{instance}")).code == DELETED
    assert (await server.ask(GET, "/16", accept=LINK)).payload == b"</16>"


@pytest.mark.usefixtures("device")
async def test_containers_are_written_created_and_bounded(server: ForeignServer) -> None:
    one = bytes((0x83, 0)) + b"\x41\x00x"
    assert (await server.ask(POST, "/19", payload=bytes((0x08, 4, len(one))) + one, content_format=TLV)).code == CREATED
    assert (await server.ask(GET, "/19/4/0/0", accept=OPAQUE)).payload == b"x"
    assert (await server.ask(PUT, "/19/4/1", payload=b"300", content_format=TEXT)).code == BAD_REQUEST
    assert (await server.ask(PUT, "/19/4/1", payload=b"3", content_format=TEXT)).code == CHANGED


async def test_the_log_is_started_and_read(server: ForeignServer, device: SimulatedDevice) -> None:
    assert (await server.ask(PUT, "/20/0/4011", payload=b"1", content_format=TEXT)).code == METHOD_NOT_ALLOWED
    assert (await server.ask(POST, "/20/0/4011", payload=b"0='0'", content_format=TEXT)).code == CHANGED
    device.log.record("something happened")
    assert (await server.ask(GET, "/20/0/4014", accept=OPAQUE)).payload.endswith(b" something happened\n")
    assert (await server.ask(GET, "/20/0/4013", accept=TEXT)).payload == b"2"


@pytest.mark.usefixtures("device")
async def test_software_is_pushed_in_blocks_and_run(server: ForeignServer) -> None:
    package = SimulatedPackage("clock", "3.1", bytes(70_000)).to_bytes()
    assert (await server.ask(PUT, "/9/0/2", payload=package, content_format=OPAQUE)).code == CHANGED
    await shows(server, "/9/0/7", b"3")
    assert (await server.ask(POST, "/9/0/10")).code == METHOD_NOT_ALLOWED
    assert (await server.ask(POST, "/9/0/4")).code == CHANGED
    await shows(server, "/9/0/7", b"4")
    assert (await server.ask(POST, "/9/0/10")).code == CHANGED
    await shows(server, "/9/0/12", b"1")
    assert (await server.ask(GET, "/9/0/1", accept=TEXT)).payload == b"3.1"


async def shows(server: ForeignServer, path: str, value: bytes) -> None:
    shown = b""
    async with asyncio.timeout(5):
        while shown != value:
            await asyncio.sleep(0.02)
            shown = (await server.ask(GET, path, accept=TEXT)).payload


async def test_errors_are_observed_and_reset(server: ForeignServer, device: SimulatedDevice) -> None:
    observation = server.observe("/3/0/11")
    assert (await asyncio.wait_for(observation.response, 5)).code == CONTENT
    news = aiter(observation.observation)
    device.device.set_error(2, True)
    device.device.report_error(7)
    async with asyncio.timeout(5):
        while codes(await anext(news)) != [2, 7]:
            pass
    assert (await server.ask(POST, "/3/0/12")).code == CHANGED
    async with asyncio.timeout(5):
        while codes(await anext(news)) != [2]:
            pass
    observation.observation.cancel()


def codes(message: Message) -> list[Value | None]:
    records = decode(message.payload, message.opt.content_format, Path(3, 0, 11), shipped())
    return [record.value for record in records]
