"""Create, Delete, Write-Attributes and the composite operations as methods of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.message import Code, Request, Response
from lwm2m.codec import decode
from lwm2m.errors import BadRequest, MethodNotAllowed, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Body, paths_of
from lwm2m.server import EndReason, InvalidAnswer, NotObserved, ObservationEnded, Server
from tests.unit.server_endpoint import MemoryEndpoint, peer

TEMPERATURE = Path(3303, 1, 5700)
VALUES = {5700: 20.5, 5701: "Cel"}
RECORDS = [Record(TEMPERATURE, 20.5), Record(Path(3303, 1, 5701), "Cel")]


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    return MemoryEndpoint()


@pytest.fixture
async def server(endpoint: MemoryEndpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        yield server


async def register(endpoint: MemoryEndpoint, links: str = "</1/0>,</3303/0>") -> None:
    query = ("ep=a", "lt=60", "lwm2m=1.1")
    answer = await endpoint.receive(Request(Code.POST, ("rd",), query, links.encode(), ContentFormat.LINK), peer())
    assert answer.code is Code.CREATED


def sent(endpoint: MemoryEndpoint) -> Request:
    (asked,) = [request for _, request in endpoint.asked]
    return asked


async def test_a_named_instance_is_created_with_its_id_in_the_payload(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3303"] = Response(Code.CREATED)
    assert await server.create("a", "/3303/1", VALUES) == Path(3303, 1)
    request = sent(endpoint)
    assert (request.method, request.content_format) == (Code.POST, ContentFormat.SENML_CBOR)
    assert list(decode(request.payload, 112, Path(3303), shipped())) == RECORDS


@pytest.mark.parametrize(
    ("location", "found"), [(("3303", "7"), Path(3303, 7)), ((), None), (("rd", "x"), None)], ids=str
)
async def test_the_client_chooses_an_id_when_none_is_named(
    server: Server, endpoint: MemoryEndpoint, location: tuple[str, ...], found: Path | None
) -> None:
    await register(endpoint)
    endpoint.answers["/3303"] = Response(Code.CREATED, location=location)
    assert await server.create("a", "/3303", VALUES) == found
    request = sent(endpoint)
    assert request.content_format == ContentFormat.TLV
    assert list(decode(request.payload, 11542, Path(3303, 1), shipped())) == RECORDS


async def test_a_location_may_begin_with_the_alternate_path(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint, '</dev>;rt="oma.lwm2m",</dev/1/0>,</dev/3303/0>')
    endpoint.answers["/dev/3303"] = Response(Code.CREATED, location=("dev", "3303", "7"))
    assert await server.create("a", "/3303", VALUES) == Path(3303, 7)


async def test_a_multiple_resource_and_an_empty_instance_can_be_created(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    await register(endpoint)
    endpoint.answers["/3"] = endpoint.answers["/3303"] = Response(Code.CREATED)
    await server.create("a", "/3/1", {7: {0: 3800, 1: 5000}})
    await server.create("a", "/3303/1", {}, content_format=ContentFormat.TLV)
    first, second = (request for _, request in endpoint.asked)
    assert list(decode(first.payload, 112, Path(3), shipped())) == [
        Record(Path(3, 1, 7, 0), 3800),
        Record(Path(3, 1, 7, 1), 5000),
    ]
    assert list(decode(second.payload, 11542, Path(3303), shipped())) == [Record(Path(3303, 1), None)]


async def test_an_instance_is_deleted(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3303/1"] = Response(Code.DELETED)
    await server.delete("a", "/3303/1")
    assert sent(endpoint) == Request(Code.DELETE, ("3303", "1"))
    endpoint.answers["/3303/1"] = Response(Code.METHOD_NOT_ALLOWED, b"mandatory")
    with pytest.raises(MethodNotAllowed, match="mandatory"):
        await server.delete("a", "/3303/1")


async def test_attributes_are_written_and_removed(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3303/1/5700"] = Response(Code.CHANGED)
    await server.write_attributes("a", TEMPERATURE, {"pmin": 10, "gt": 25.5, "st": None})
    assert sent(endpoint).query == ("pmin=10", "gt=25.5", "st")
    endpoint.answers["/3303/1/5700"] = Response(Code.BAD_REQUEST)
    with pytest.raises(BadRequest):
        await server.write_attributes("a", TEMPERATURE, {"lt": 5, "gt": 1})


# Composite


async def test_the_alternate_path_stands_in_the_names(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint, '</dev>;rt="oma.lwm2m";ct="110",</dev/1/0>,</dev/3303/0>')
    endpoint.answers["/"] = Response(Code.CONTENT, b'[{"n":"/dev/3303/1/5700","v":20.5}]', 110)
    assert await server.read_composite("a", [TEMPERATURE, "/1"]) == [Record(TEMPERATURE, 20.5)]
    request = sent(endpoint)
    assert (request.method, request.path, request.content_format) == (Code.FETCH, (), 110)
    assert paths_of(Body(request.payload, 110), ("dev",)) == (TEMPERATURE, Path(1))


async def test_a_client_that_takes_no_format_refuses(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/"] = Response(Code.UNSUPPORTED_CONTENT_FORMAT)
    with pytest.raises(UnsupportedContentFormat):
        await server.write_composite("a", RECORDS)
    assert [request.content_format for _, request in endpoint.asked] == [112, 110]
    with pytest.raises(UnsupportedContentFormat):
        await server.write_composite("a", RECORDS, content_format=110)


async def test_a_list_of_paths_is_senml(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    with pytest.raises(NotAcceptable):
        await server.read_composite("a", [TEMPERATURE], list_format=ContentFormat.TLV)
    assert endpoint.asked == []


async def test_a_composite_answer_without_a_format_cannot_be_read(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/"] = Response(Code.CONTENT, b"x")
    with pytest.raises(InvalidAnswer):
        await server.read_composite("a", [TEMPERATURE])


async def test_composite_and_single_observations_are_kept_apart(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    pack = Response(Code.CONTENT, b'[{"n":"/3303/1/5700","v":20.5}]', 110, observing=True)
    endpoint.answers["/"] = endpoint.answers["/3303/1/5700"] = pack
    endpoint.on_cancel = pack._replace(observing=False)
    await server.observe("a", TEMPERATURE)
    await server.observe_composite("a", [TEMPERATURE])
    assert (server.observations("a"), server.composite_observations("a")) == ((TEMPERATURE,), ((TEMPERATURE,),))
    events = server.events()
    answer = await server.cancel_composite_observation("a", [TEMPERATURE])
    assert answer is not None
    assert answer.records == (Record(TEMPERATURE, 20.5),)
    assert await anext(events) == ObservationEnded("a", Path(), EndReason.CANCELLED, (TEMPERATURE,))
    assert (server.observations("a"), server.composite_observations("a")) == ((TEMPERATURE,), ())
    with pytest.raises(NotObserved, match="/3303/1/5700"):
        await server.cancel_composite_observation("a", [TEMPERATURE])
