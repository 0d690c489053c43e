"""A client that registered with an alternate path: it begins Uri-Paths and the names of packs. lwm2m.md §6.9, §8.2."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.message import Code, Request, Response
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import InvalidAnswer, Sent, Server
from tests.unit.server_endpoint import MemoryEndpoint, peer

LINKS = b'</lwm2m>;rt="oma.lwm2m";ct=110,</lwm2m/1/0>,</lwm2m/3/0>'


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    return MemoryEndpoint()


@pytest.fixture
async def server(endpoint: MemoryEndpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        register = Request(Code.POST, ("rd",), ("ep=a", "lt=60", "lwm2m=1.1"), LINKS, ContentFormat.LINK)
        assert (await endpoint.receive(register, peer())).code is Code.CREATED
        yield server


@pytest.mark.parametrize(
    ("payload", "content_format"),
    [
        (b'[{"bn":"/lwm2m/3/0/","n":"9","v":80}]', ContentFormat.SENML_JSON),
        (b'[{"n":"/lwm2m/3/0/9","v":80}]', ContentFormat.SENML_JSON),
        (b'[{"n":"/3/0/9","v":80}]', ContentFormat.SENML_JSON),
        (bytes.fromhex("81a2006c2f6c776d326d2f332f302f39021850"), ContentFormat.SENML_CBOR),
        (b'{"bn":"/lwm2m/3/0/","e":[{"n":"9","v":80}]}', ContentFormat.OMA_JSON),
        (b'{"e":[{"n":"9","v":80}]}', ContentFormat.OMA_JSON),
    ],
)
async def test_what_a_client_answers_is_read_with_the_alternate_path_or_without(
    server: Server, endpoint: MemoryEndpoint, payload: bytes, content_format: int
) -> None:
    endpoint.answers["/lwm2m/3/0"] = Response(Code.CONTENT, payload, content_format)
    assert await server.read("a", "/3/0") == [Record(Path(3, 0, 9), 80)]


async def test_another_path_before_the_names_is_not_the_clients(server: Server, endpoint: MemoryEndpoint) -> None:
    endpoint.answers["/lwm2m/3/0"] = Response(Code.CONTENT, b'[{"n":"/other/3/0/9","v":80}]', 110)
    with pytest.raises(InvalidAnswer):
        await server.read("a", "/3/0")


async def test_what_is_written_has_the_alternate_path_in_its_names(server: Server, endpoint: MemoryEndpoint) -> None:
    records = [Record(Path(3, 0, 14), "+02:00"), Record(Path(3, 0, 15), "Europe/Berlin")]
    endpoint.answers["/lwm2m/3/0"] = Response(Code.CHANGED)
    await server.write("a", "/3/0", records, replace=False)
    [(_, request)] = endpoint.asked
    assert request.path == ("lwm2m", "3", "0")
    assert request.payload == b'[{"bn":"/lwm2m/3/0/","n":"14","vs":"+02:00"},{"n":"15","vs":"Europe/Berlin"}]'


async def test_what_is_sent_may_begin_with_the_alternate_path(server: Server, endpoint: MemoryEndpoint) -> None:
    events = server.events()
    for name in (b"/lwm2m/3/0/9", b"/3/0/9"):
        payload = b'[{"n":"%s","v":80}]' % name
        send = Request(Code.POST, ("dp",), payload=payload, content_format=ContentFormat.SENML_JSON)
        assert (await endpoint.receive(send, peer())).code is Code.CHANGED
        assert await anext(events) == Sent("a", (Record(Path(3, 0, 9), 80),))
