"""Composite operations, Send and queue mode over real sockets, judged by a client that is aiocoap and nothing of
ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiocoap.numbers.codes import Code as Foreign

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import NotFound
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Read
from lwm2m.server import (
    Awake,
    EndReason,
    Notified,
    ObservationEnded,
    RequestAnswered,
    Sent,
    Server,
    ServerLimits,
    Sleeping,
)
from tests.integration.foreign_client import LINKS, ForeignClient
from tests.integration.test_server import next_of

TEMPERATURE, LOWEST, MISSING = Path(3303, 0, 5700), Path(3303, 0, 5602), Path(3303, 0, 5701)
SENML_JSON = ContentFormat.SENML_JSON


@pytest.fixture
def endpoint() -> Endpoint:
    return open_endpoint()


@pytest.fixture
async def server(endpoint: Endpoint) -> AsyncIterator[Server]:
    async with Server([endpoint], limits=ServerLimits(awake_for=0.3)) as server:
        yield server


@pytest.fixture
async def client(server: Server, endpoint: Endpoint) -> AsyncIterator[ForeignClient]:  # noqa: ARG001  # must run
    async with ForeignClient(endpoint.uri) as client:
        yield client


async def test_what_there_is_of_several_paths_is_read(server: Server, client: ForeignClient) -> None:
    await client.register("a")
    records = await server.read_composite("a", [TEMPERATURE, MISSING, "/3303/0/5602"])
    assert [(record.path, record.value) for record in records] == [(TEMPERATURE, 20.5), (LOWEST, 30.0)]


async def test_all_is_written_or_nothing(server: Server, client: ForeignClient) -> None:
    await client.register("a")
    await server.write_composite("a", [Record(TEMPERATURE, 1.5), Record(LOWEST, 2.5)])
    assert client.composite.values == {"/3303/0/5700": 1.5, "/3303/0/5602": 2.5}
    with pytest.raises(NotFound):
        await server.write_composite("a", [Record(TEMPERATURE, 9.0), Record(Path(3303, 0, 5601), 9.0)])
    assert client.composite.values["/3303/0/5700"] == 1.5


async def test_several_paths_are_observed_together_until_that_is_cancelled(
    server: Server, client: ForeignClient
) -> None:
    await client.register("a")
    events = server.events()
    paths = (TEMPERATURE, LOWEST)
    answer = await server.observe_composite("a", paths, list_format=SENML_JSON)
    assert (answer.observing, len(answer.records)) == (True, 2)
    client.composite.show("/3303/0/5700", 21.5)
    told = await next_of(Notified, events)
    assert (told.path, told.paths, told.reason and told.reason.value) == (Path(), paths, "change")
    assert {record.path: record.value for record in told.records} == {TEMPERATURE: 21.5, LOWEST: 30.0}
    last = await server.cancel_composite_observation("a", paths)
    assert last is not None
    assert last.ok
    ended = await next_of(ObservationEnded, events)
    assert (ended.paths, ended.reason) == (paths, EndReason.CANCELLED)
    assert (client.composite.observers, server.composite_observations("a")) == (0, ())


async def test_a_composite_observation_is_asked_again_after_a_new_registration(
    server: Server, client: ForeignClient
) -> None:
    await client.register("a")
    await server.observe_composite("a", [TEMPERATURE, LOWEST], list_format=SENML_JSON)
    events = server.events()
    await client.register("a")
    told = await next_of(Notified, events)
    assert (told.paths, told.reason and told.reason.value) == ((TEMPERATURE, LOWEST), "initial")
    client.composite.show("/3303/0/5602", 31.0)
    assert Record(LOWEST, 31.0) in (await next_of(Notified, events)).records


async def test_the_times_of_a_send_are_kept_in_their_order(server: Server, client: ForeignClient) -> None:
    await client.register("a")
    events = server.events()
    pack = b'[{"bn":"/3303/0/5700","bt":1700000000,"v":20,"t":20},{"v":21,"t":10},{"v":22,"t":30}]'
    assert await client.send(pack) == Foreign.CHANGED
    sent = await next_of(Sent, events)
    assert [(record.value, record.time) for record in sent.records] == [
        (20, 1700000020),
        (21, 1700000010),
        (22, 1700000030),
    ]


async def test_a_sleeping_client_gets_what_waits_after_its_update_or_its_send(
    server: Server, client: ForeignClient
) -> None:
    events = server.events()
    location = await client.register("a", 60, LINKS, "Q")
    await next_of(Awake, events)
    await next_of(Sleeping, events)
    reading = asyncio.create_task(server.read("a", "/3/0/0"))
    request = await server.submit("a", Read(TEMPERATURE))
    assert await client.update(location) == Foreign.CHANGED
    answered = await next_of(RequestAnswered, events)
    assert (await reading)[0].value == "Acme"
    assert (answered.request.id, answered.answer and answered.answer.records[0].value) == (request.id, 20.5)
    await next_of(Sleeping, events)
    reading = asyncio.create_task(server.read("a", "/3/0/0"))
    await asyncio.sleep(0)
    assert await client.send(b'[{"n":"/3303/0/5700","v":20}]') == Foreign.CHANGED
    assert (await reading)[0].value == "Acme"
