"""What the server asks of clients, and what it makes of their answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.message import Code, Request, Response
from lwm2m.errors import BadRequest, InternalServerError, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations import Body, CancelObservation, Create, Discover, Observe, Read, WriteAttributes
from lwm2m.server import InvalidAnswer, NotRegistered, Server
from tests.unit.server_endpoint import MemoryEndpoint, peer, text

NAME = Path(3, 0, 0)
CLOCK_FACTS = [Record(Path(3, 0, 14), "+02:00"), Record(Path(3, 0, 15), "Europe/Berlin")]


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    return MemoryEndpoint()


@pytest.fixture
async def server(endpoint: MemoryEndpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        yield server


async def register(endpoint: MemoryEndpoint, links: str = "</1/0>,</3/0>", version: str = "1.1") -> None:
    query = ("ep=a", "lt=60", f"lwm2m={version}")
    answer = await endpoint.receive(Request(Code.POST, ("rd",), query, links.encode(), ContentFormat.LINK), peer())
    assert answer.code is Code.CREATED


async def test_nobody_is_asked_who_is_not_registered(server: Server) -> None:
    for asking in (
        server.read("nobody", NAME),
        server.write("nobody", NAME, "x"),
        server.execute("nobody", "/3/0/4"),
        server.discover("nobody", "/3"),
        server.observe("nobody", NAME),
        server.cancel_observation("nobody", NAME),
    ):
        with pytest.raises(NotRegistered) as refused:
            await asking
        assert refused.value.endpoint == "nobody"
    with pytest.raises(NotRegistered):
        server.body("nobody", NAME, [])


async def test_an_observation_is_not_asked_for_like_that(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    for operation in (Observe(NAME), CancelObservation(NAME)):
        with pytest.raises(TypeError):
            await server.ask("a", operation)
    assert endpoint.asked == []


# Answers


@pytest.mark.parametrize(
    ("path", "answer", "records"),
    [
        (NAME, Response(Code.CONTENT, b"Acme", 0), [Record(NAME, "Acme")]),
        (NAME, Response(Code.CONTENT, b"Acme"), [Record(NAME, "Acme")]),
        (NAME, Response(Code.CONTENT, b"Acme", 1541), [Record(NAME, "Acme")]),
        (Path(3, 0), Response(Code.CONTENT, bytes.fromhex("c40041636d65"), 11542), [Record(NAME, "Acme")]),
        (Path(3, 0), Response(Code.CONTENT, b'[{"bn":"/3/0/0","vs":"Acme"}]', 110), [Record(NAME, "Acme")]),
        (Path(3303), Response(Code.CONTENT), []),
        (Path(3303), Response(Code.CONTENT, b"[]", 110), []),
    ],
)
async def test_an_answer_is_read_in_the_format_it_has(
    server: Server, endpoint: MemoryEndpoint, path: Path, answer: Response, records: list[Record]
) -> None:
    await register(endpoint)
    endpoint.answers[str(path)] = answer
    assert await server.read("a", path) == records


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/3/0", Response(Code.CONTENT, b"Acme")),
        ("/3/0", Response(Code.CONTENT, b"Acme", 0)),
        ("/3/0", Response(Code.CONTENT, b"\xc8", 11542)),
        ("/3/0", Response(Code.CONTENT, b"[{", 110)),
        ("/3/0", Response(Code.CONTENT, b'[{"n":"/4/0/0","v":1}]', 110)),
        ("/3/0/0", Response(Code.CONTENT, b"Acme", 65000)),
        ("/3/0/0", Response(Code.CONTENT, b"\xff", 0)),
        ("/3/0/9", Response(Code.CONTENT, b"full", 0)),
    ],
)
async def test_an_answer_that_cannot_be_read_is_an_error_of_its_own(
    server: Server, endpoint: MemoryEndpoint, path: str, answer: Response
) -> None:
    await register(endpoint)
    endpoint.answers[path] = answer
    with pytest.raises(InvalidAnswer) as invalid:
        await server.read("a", path)
    assert invalid.value.endpoint == "a"


async def test_an_unexpected_code_is_data(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3/0/0"] = Response(Code.CHANGED, b"\xff\xff", 11542)
    answer = await server.ask("a", Read(NAME))
    assert (answer.ok, answer.code, answer.records, answer.payload) == (True, Code.CHANGED, (), b"\xff\xff")
    endpoint.answers["/3/0/0"] = Response(Code.INTERNAL_SERVER_ERROR, b"broken sensor")
    answer = await server.ask("a", Read(NAME))
    assert (answer.ok, answer.code, answer.diagnostic) == (False, Code.INTERNAL_SERVER_ERROR, "broken sensor")
    with pytest.raises(InternalServerError, match="broken sensor"):
        await server.read("a", NAME)


async def test_no_answer_is_an_error(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3/0/0"] = TimedOut("nothing came")
    with pytest.raises(TimedOut):
        await server.read("a", NAME)


async def test_the_place_of_a_created_instance_is_told(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3303"] = Response(Code.CREATED, location=("3303", "1"))
    answer = await server.ask("a", Create(Path(3303), Body(b"", ContentFormat.TLV)))
    assert (answer.code, answer.location) == (Code.CREATED, ("3303", "1"))


async def test_links_that_cannot_be_read_are_an_invalid_answer(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3"] = Response(Code.CONTENT, b"</3>;pmin=10,</3/0>", 40)
    links = await server.discover("a", "/3")
    assert [(link.target, dict(link.attributes)) for link in links] == [("/3", {"pmin": "10"}), ("/3/0", {})]
    for bad in (Response(Code.CONTENT, b"<", 40), Response(Code.CONTENT, b"\xff", 40), text("</3>")):
        endpoint.answers["/3"] = bad
        with pytest.raises(InvalidAnswer):
            await server.ask("a", Discover(Path(3)))


# Requests


async def test_operations_go_where_the_client_says(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint, '</lwm2m>;rt="oma.lwm2m",</lwm2m/3/0>')
    endpoint.answers["/lwm2m/3/0/0"] = text("Acme")
    assert await server.read("a", NAME, accept=ContentFormat.TEXT) == [Record(NAME, "Acme")]
    await server.ask("a", WriteAttributes(NAME, {"pmin": "10", "pmax": None}))
    assert [(request.method, request.path, request.query, request.accept) for _, request in endpoint.asked] == [
        (Code.GET, ("lwm2m", "3", "0", "0"), (), 0),
        (Code.PUT, ("lwm2m", "3", "0", "0"), ("pmin=10", "pmax"), None),
    ]


async def test_partial_updates_are_posted(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3/0"] = Response(Code.CHANGED)
    await server.write("a", "/3/0", CLOCK_FACTS, replace=False)
    await server.write("a", "/3/0", CLOCK_FACTS)
    assert [request.method for _, request in endpoint.asked] == [Code.POST, Code.PUT]


@pytest.mark.parametrize(
    ("path", "value", "payload", "content_format"),
    [
        ("/3/0/14", "+02:00", b"+02:00", ContentFormat.TEXT),
        ("/3/0/13", 1_700_000_000, b"1700000000", ContentFormat.TEXT),
        ("/3306/0/5850", True, b"1", ContentFormat.TEXT),
        ("/5/0/0", b"\x00\x01", b"\x00\x01", ContentFormat.OPAQUE),
        ("/1/0/10", ObjectLink(11, 0), b"11:0", ContentFormat.TEXT),
    ],
)
async def test_one_value_travels_plainly(
    server: Server,
    endpoint: MemoryEndpoint,
    path: str,
    value: Value,
    payload: bytes,
    content_format: int,
) -> None:
    await register(endpoint)
    target = Path.parse(path)
    assert server.body("a", target, [Record(target, value)]) == Body(payload, content_format)


@pytest.mark.parametrize(
    ("links", "version", "content_format"),
    [
        ("</3/0>", "1.0", ContentFormat.TLV),
        ('</>;rt="oma.lwm2m";ct=11543,</3/0>', "1.0", ContentFormat.TLV),
        ("</3/0>", "1.1", ContentFormat.SENML_CBOR),
        ('</>;rt="oma.lwm2m";ct="60 110",</3/0>', "1.1", ContentFormat.SENML_JSON),
        ('</>;rt="oma.lwm2m";ct="11542 112",</3/0>', "1.1", ContentFormat.SENML_CBOR),
        ('</>;rt="oma.lwm2m";ct=60,</3/0>', "1.1", ContentFormat.TLV),
    ],
)
async def test_several_values_travel_in_a_format_the_client_knows(
    server: Server, endpoint: MemoryEndpoint, links: str, version: str, content_format: int
) -> None:
    await register(endpoint, links, version)
    assert server.body("a", "/3/0", CLOCK_FACTS).content_format == content_format
    assert server.body("a", "/3/0", CLOCK_FACTS, ContentFormat.TLV).content_format == ContentFormat.TLV


async def test_a_silent_client_is_tried_with_each_format_in_turn(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3/0"] = Response(Code.UNSUPPORTED_CONTENT_FORMAT)
    with pytest.raises(UnsupportedContentFormat):
        await server.write("a", "/3/0", CLOCK_FACTS)
    assert [request.content_format for _, request in endpoint.asked] == [112, 110, 11542]
    endpoint.asked.clear()
    with pytest.raises(UnsupportedContentFormat):
        await server.write("a", "/3/0", CLOCK_FACTS, content_format=110)
    assert [request.content_format for _, request in endpoint.asked] == [110]


async def test_a_value_of_the_wrong_type_is_not_sent(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    with pytest.raises(BadRequest):
        await server.write("a", "/3/0/13", "noon")
    assert endpoint.asked == []


async def test_values_are_typed_by_the_version_that_the_client_has(endpoint: MemoryEndpoint) -> None:
    def version(major: int, of_type: Type) -> ObjectDefinition:
        resource = ResourceDefinition(0, "Level", of_type, Operations.RW)
        return ObjectDefinition(33000, "Tank", (major, 0), resources={0: resource})

    endpoint.answers["/33000/0/0"] = text("12")
    level = Path(33000, 0, 0)
    definitions = Definitions([version(1, Type.INTEGER), version(2, Type.STRING)])
    async with Server([endpoint], definitions) as server:
        for links, value in (
            ("</33000/0>", 12),
            ("</33000>;ver=2.0,</33000/0>", "12"),
            ("</33000>;ver=9.9,</33000/0>", "12"),
        ):
            await register(endpoint, links)
            assert await server.read("a", level) == [Record(level, value)]
