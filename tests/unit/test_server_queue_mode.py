"""The server and clients in queue mode: what waits, in which order it goes out, what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

import pytest

from lwm2m.coap.endpoint import TimedOut, TooBusy
from lwm2m.coap.message import Code, Request, Response
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import Execute, Observe, Read, Write
from lwm2m.operations.body import Body
from lwm2m.server import (
    Awake,
    ClientGone,
    EventStream,
    NotQueued,
    Registered,
    RequestAnswered,
    Server,
    ServerEvent,
    ServerLimits,
    Sleeping,
    Updated,
)
from lwm2m.server.store.memory import MemoryStore
from tests.unit.server_endpoint import MemoryEndpoint, peer, text

Event = TypeVar("Event", bound=ServerEvent)
LIMITS = ServerLimits(max_queued_per_client=3)


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    endpoint = MemoryEndpoint()
    endpoint.answers["/3/0/0"] = text("Acme")
    endpoint.answers["/3/0/1"] = text("Lamp")
    endpoint.answers["/3/0/4"] = Response(Code.CHANGED)
    return endpoint


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def server(endpoint: MemoryEndpoint, store: MemoryStore) -> AsyncIterator[Server]:
    async with Server([endpoint], store=store, limits=LIMITS) as server:
        yield server


async def register(endpoint: MemoryEndpoint) -> Request:
    """Returns the Update that a client may send later."""
    query = ("ep=a", "lt=300", "lwm2m=1.1", "b=U", "Q")
    request = Request(Code.POST, ("rd",), query, b"</1/0>,</3/0>", ContentFormat.LINK)
    answer = await endpoint.receive(request, peer())
    assert answer.code is Code.CREATED, answer
    return Request(Code.POST, answer.location)


async def asleep(server: Server, endpoint: MemoryEndpoint) -> Request:
    """A registered client that left a request unanswered."""
    update = await register(endpoint)
    endpoint.answers["/3/0/9"] = TimedOut("no answer")
    with pytest.raises(TimedOut):
        await server.read("a", "/3/0/9")
    endpoint.asked.clear()
    assert server.is_sleeping("a")
    return update


async def next_of(kind: type[Event], events: EventStream) -> Event:
    async with asyncio.timeout(5):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


def paths(endpoint: MemoryEndpoint) -> list[str]:
    return ["/".join(request.path) for _, request in endpoint.asked]


async def test_a_client_is_awake_after_it_registered(server: Server, endpoint: MemoryEndpoint) -> None:
    events = server.events()
    await register(endpoint)
    assert [type(await anext(events)) for _ in range(2)] == [Registered, Awake]
    assert not server.is_sleeping("a")
    assert (await server.read("a", "/3/0/0"))[0].value == "Acme"


async def test_nothing_is_asked_of_a_sleeping_client(server: Server, endpoint: MemoryEndpoint) -> None:
    events = server.events()
    await asleep(server, endpoint)
    assert await next_of(Sleeping, events) == Sleeping("a")
    with pytest.raises(TimedOut, match="wake up"):
        await server.read("a", "/3/0/0", timeout=0.01)
    assert endpoint.asked == []


async def test_a_caller_waits_for_the_client_to_wake_up(server: Server, endpoint: MemoryEndpoint) -> None:
    update = await asleep(server, endpoint)
    reading = asyncio.create_task(server.read("a", "/3/0/0"))
    await asyncio.sleep(0)
    await endpoint.receive(update, peer())
    assert (await reading)[0].value == "Acme"


async def test_a_caller_that_gives_up_takes_its_request_back(server: Server, endpoint: MemoryEndpoint) -> None:
    update = await asleep(server, endpoint)
    reading = asyncio.create_task(server.read("a", "/3/0/0"))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    await endpoint.receive(update, peer())
    await server.read("a", "/3/0/1")
    assert paths(endpoint) == ["3/0/1"]


async def test_what_waited_goes_out_in_order_one_at_a_time_after_the_uplink_was_answered(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    update = await asleep(server, endpoint)
    first: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    endpoint.answers["/3/0/0"] = first
    for path in ("/3/0/0", "/3/0/1"):
        await server.submit("a", Read(Path.parse(path)))
    events = server.events()
    answering = asyncio.create_task(endpoint.receive(update, peer()))
    await asyncio.sleep(0)
    assert endpoint.asked == []
    assert (await answering).code is Code.CHANGED
    assert isinstance(await anext(events), Updated)
    await endpoint.waiting.wait()
    assert paths(endpoint) == ["3/0/0"]
    first.set_result(text("Acme"))
    done = [await next_of(RequestAnswered, events) for _ in range(2)]
    assert [event.answer and event.answer.records[0].value for event in done] == ["Acme", "Lamp"]
    assert paths(endpoint) == ["3/0/0", "3/0/1"]


async def test_a_submitted_request_survives_a_new_registration(server: Server, endpoint: MemoryEndpoint) -> None:
    await asleep(server, endpoint)
    request = await server.submit("a", Read(Path(3, 0, 0)))
    events = server.events()
    await register(endpoint)
    answered = await next_of(RequestAnswered, events)
    assert (answered.request, answered.failure) == (request, "")
    assert server.submitted("a") == ()


async def test_a_submitted_request_survives_the_server(endpoint: MemoryEndpoint, store: MemoryStore) -> None:
    async with Server([endpoint], store=store) as server:
        update = await asleep(server, endpoint)
        kept = [
            await server.submit("a", Write(Path(3, 0, 14), Body(b"+01:00", 0))),
            await server.submit("a", Execute(Path(3, 0, 4))),
        ]
    async with Server([endpoint], store=store) as server:
        assert server.submitted("a") == tuple(kept)
        assert server.is_sleeping("a")
        events = server.events()
        await endpoint.receive(update, peer())
        done = [await next_of(RequestAnswered, events) for _ in range(2)]
    assert [event.request.id for event in done] == [request.id for request in kept]
    assert [event.answer and event.answer.code for event in done] == [Code.NOT_FOUND, Code.CHANGED]
    assert (await store.load()).queue == ()


async def test_a_client_that_is_gone_is_told_to_who_waits(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    update = await asleep(server, endpoint)
    await server.submit("a", Read(Path(3, 0, 0)))
    events = server.events()
    reading = asyncio.create_task(server.read("a", "/3/0/0"))
    await asyncio.sleep(0)
    await endpoint.receive(update._replace(method=Code.DELETE), peer())
    answered = await next_of(RequestAnswered, events)
    assert (answered.answer, answered.failure) == (None, "client gone")
    with pytest.raises(ClientGone):
        await reading
    assert ((await store.load()).queue, server.submitted("a")) == ((), ())


async def test_a_submitted_request_can_be_taken_back(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    update = await asleep(server, endpoint)
    request = await server.submit("a", Read(Path(3, 0, 0)))
    events = server.events()
    server.take_back("a", request.id)
    answered = await next_of(RequestAnswered, events)
    assert (answered.request, answered.answer, answered.failure) == (request, None, "cancelled")
    with pytest.raises(NotQueued):
        server.take_back("a", request.id)
    await endpoint.receive(update, peer())
    await server.read("a", "/3/0/1")
    assert paths(endpoint) == ["3/0/1"]
    assert (await store.load()).queue == ()


async def test_nobody_takes_back_what_waits_for_another_client(server: Server, endpoint: MemoryEndpoint) -> None:
    await asleep(server, endpoint)
    request = await server.submit("a", Read(Path(3, 0, 0)))
    with pytest.raises(NotQueued):
        server.take_back("b", request.id)
    assert server.submitted("a") == (request,)


async def test_a_submitted_request_has_a_deadline(server: Server, endpoint: MemoryEndpoint) -> None:
    await asleep(server, endpoint)
    events = server.events()
    await server.submit("a", Read(Path(3, 0, 0)), patience=0.01)
    answered = await next_of(RequestAnswered, events)
    assert answered.failure == "the client did not wake up in time"
    assert endpoint.asked == []


async def test_more_requests_than_may_wait_are_refused(server: Server, endpoint: MemoryEndpoint) -> None:
    await asleep(server, endpoint)
    for _ in range(LIMITS.max_queued_per_client):
        await server.submit("a", Read(Path(3, 0, 0)))
    with pytest.raises(TooBusy):
        await server.submit("a", Read(Path(3, 0, 0)))
    with pytest.raises(TooBusy):
        await server.read("a", "/3/0/0")


async def test_an_observation_can_be_submitted(server: Server, endpoint: MemoryEndpoint) -> None:
    update = await asleep(server, endpoint)
    endpoint.answers["/3/0/0"] = text("Acme")._replace(observing=True)
    await server.submit("a", Observe(Path(3, 0, 0)))
    events = server.events()
    await endpoint.receive(update, peer())
    answered = await next_of(RequestAnswered, events)
    assert answered.answer is not None
    assert answered.answer.observing
    assert server.observations("a") == (Path(3, 0, 0),)


async def test_a_notification_opens_the_window(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers["/3/0/0"] = text("Acme")._replace(observing=True)
    await server.observe("a", "/3/0/0")
    endpoint.answers["/3/0/9"] = TimedOut("no answer")
    with pytest.raises(TimedOut):
        await server.read("a", "/3/0/9")
    assert server.is_sleeping("a")
    reading = asyncio.create_task(server.read("a", "/3/0/1"))
    await asyncio.sleep(0)
    endpoint.observations[0].bring(text("Acme2"))
    async with asyncio.timeout(5):
        assert (await reading)[0].value == "Lamp"
    assert not server.is_sleeping("a")


async def test_the_window_closes_by_the_clock(endpoint: MemoryEndpoint) -> None:
    limits = replace(LIMITS, awake_for=0.02)
    async with Server([endpoint], limits=limits) as server:
        events = server.events()
        await register(endpoint)
        assert await next_of(Sleeping, events) == Sleeping("a")
        assert server.is_sleeping("a")


async def test_a_client_without_queue_mode_is_asked_at_once_and_never_sleeps(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    query = ("ep=a", "lt=300", "lwm2m=1.1", "b=U")
    await endpoint.receive(Request(Code.POST, ("rd",), query, b"</3/0>", ContentFormat.LINK), peer())
    endpoint.answers["/3/0/9"] = TimedOut("no answer")
    with pytest.raises(TimedOut):
        await server.read("a", "/3/0/9")
    assert not server.is_sleeping("a")
    assert (await server.read("a", "/3/0/0"))[0].value == "Acme"
