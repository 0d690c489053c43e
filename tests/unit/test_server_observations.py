"""Observations over the life of a client: refused, lost, renewed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import pytest

from lwm2m.attributes import Reason
from lwm2m.coap.endpoint import TimedOut, TooBusy, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import (
    EndReason,
    EventStream,
    InvalidAnswer,
    InvalidNotification,
    Notified,
    NotObserved,
    ObservationEnded,
    Registered,
    Server,
    ServerEvent,
    ServerLimits,
    StoreError,
)
from lwm2m.server.store import Change
from lwm2m.server.store.memory import MemoryStore
from tests.unit.server_endpoint import MemoryEndpoint, peer

LEVEL = Path(3, 0, 9)
MEMORY = Path(3, 0, 10)
WALL = 1_700_000_000.0

Event = TypeVar("Event", bound=ServerEvent)


def percent(value: int, *, observing: bool = True) -> Response:
    return Response(Code.CONTENT, str(value).encode(), ContentFormat.TEXT, observing=observing)


class FullStore(MemoryStore):
    full = False

    async def commit(self, changes: Sequence[Change]) -> None:
        if self.full:
            raise StoreError("the disk is full")
        super().commit(changes)


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    endpoint = MemoryEndpoint()
    endpoint.answers = {str(LEVEL): percent(80), str(MEMORY): percent(10)}
    return endpoint


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def server(endpoint: MemoryEndpoint, store: MemoryStore) -> AsyncIterator[Server]:
    limits = ServerLimits(max_observations_per_client=2)
    async with Server([endpoint], store=store, wall=lambda: WALL, limits=limits) as server:
        yield server


async def register(endpoint: MemoryEndpoint, who: Peer | None = None) -> tuple[str, ...]:
    query = ("ep=a", "lt=60", "lwm2m=1.1")
    request = Request(Code.POST, ("rd",), query, b"</1/0>,</3/0>", ContentFormat.LINK)
    return (await endpoint.receive(request, who or peer())).location


async def next_of(kind: type[Event], events: EventStream) -> Event:
    async with asyncio.timeout(5):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


async def test_a_client_may_answer_without_accepting(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers[str(LEVEL)] = percent(80, observing=False)
    answer = await server.observe("a", LEVEL)
    assert (answer.ok, answer.observing, answer.records) == (True, False, (Record(LEVEL, 80),))
    assert server.observations("a") == ()
    with pytest.raises(NotObserved):
        await server.cancel_observation("a", LEVEL)


async def test_a_refusal_is_data_and_no_observation(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    answer = await server.observe("a", "/3/0/99")
    assert (answer.code, server.observations("a")) == (Code.NOT_FOUND, ())


async def test_a_first_answer_that_cannot_be_read_is_no_observation(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.answers[str(LEVEL)] = Response(Code.CONTENT, b"full", ContentFormat.TEXT, observing=True)
    with pytest.raises(InvalidAnswer):
        await server.observe("a", LEVEL)
    assert server.observations("a") == ()
    assert endpoint.observations[0].cancelled == [False]


async def test_a_notification_has_a_path_a_code_a_time_and_a_reason(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    endpoint.observations[0].bring(percent(79))
    expected = Notified("a", LEVEL, (Record(LEVEL, 79),), Code.CONTENT, WALL, reason=Reason.CHANGE, inferred=True)
    assert await next_of(Notified, events) == expected


async def test_a_notification_in_another_format_is_read_in_that_one(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    endpoint.observations[0].bring(Response(Code.CONTENT, b'[{"n":"/3/0/9","v":79,"t":-5}]', 110))
    notified = await next_of(Notified, events)
    assert notified.records == (Record(LEVEL, 79, WALL - 5),)


async def test_a_notification_that_does_not_decode_is_told_and_survived(
    server: Server, endpoint: MemoryEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    for bad in (Response(Code.CONTENT, b"full", 0), Response(Code.CONTENT, b"[{", 110), Response(Code.CONTENT, b"", 9)):
        endpoint.observations[0].bring(bad)
        invalid = await next_of(InvalidNotification, events)
        assert (invalid.endpoint, invalid.path) == ("a", LEVEL)
    endpoint.observations[0].bring(percent(79))
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 79),)
    assert "/3/0/9 at a" in caplog.text


async def test_observing_again_replaces_the_observation(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    await server.observe("a", LEVEL, accept=ContentFormat.SENML_JSON)
    older, newer = endpoint.observations
    assert (older.cancelled, newer.cancelled) == ([False], [])
    events = server.events()
    older.bring(percent(1))
    newer.bring(percent(2))
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 2),)
    assert server.observations("a") == (LEVEL,)


async def test_a_client_has_so_many_observations_and_no_more(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    await server.observe("a", MEMORY)
    with pytest.raises(TooBusy):
        await server.observe("a", "/3/0/0")
    await server.observe("a", LEVEL)


# Cancelling


async def test_an_active_cancellation_brings_the_value(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    endpoint.on_cancel = percent(70, observing=False)
    await server.observe("a", LEVEL)
    answer = await server.cancel_observation("a", LEVEL)
    assert answer is not None
    assert answer.records == (Record(LEVEL, 70),)
    assert endpoint.observations[0].cancelled == [True]


async def test_a_passive_cancellation_asks_nothing(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    assert await server.cancel_observation("a", LEVEL, active=False) is None
    assert endpoint.observations[0].cancelled == [False]
    assert await next_of(ObservationEnded, events) == ObservationEnded("a", LEVEL, EndReason.CANCELLED)


async def test_an_observation_is_over_even_if_its_cancellation_gets_no_answer(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    await register(endpoint)
    endpoint.on_cancel = TimedOut("nothing came")
    await server.observe("a", LEVEL)
    with pytest.raises(TimedOut):
        await server.cancel_observation("a", LEVEL)
    assert server.observations("a") == ()
    assert (await store.load()).observations == ()


async def test_an_observation_is_over_even_if_the_store_does_not_take_it(endpoint: MemoryEndpoint) -> None:
    store = FullStore()
    async with Server([endpoint], store=store) as server:
        await register(endpoint)
        await server.observe("a", LEVEL)
        store.full = True
        with pytest.raises(StoreError):
            await server.cancel_observation("a", LEVEL)
        assert (server.observations("a"), endpoint.observations[0].cancelled) == ((), [True])


async def test_what_is_cancelled_while_it_is_renewed_is_not_renewed(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    await server.observe("a", MEMORY)
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    endpoint.answers[str(LEVEL)] = answer
    await register(endpoint)
    async with asyncio.timeout(5):
        await endpoint.waiting.wait()
    (renewing,) = (task for task in asyncio.all_tasks() if task.get_name() == "lwm2m-resume a")
    assert await server.cancel_observation("a", LEVEL) is None
    assert await server.cancel_observation("a", MEMORY) is None
    answer.set_result(percent(80))
    await asyncio.wait([renewing], timeout=5)
    assert [observation.cancelled for observation in endpoint.observations] == [[False], [False], [False]]
    assert server.observations("a") == ()


# Ends and renewals


async def test_a_refusing_notification_ends_the_wish(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    endpoint.observations[0].bring(Response(Code.NOT_FOUND))
    assert (await next_of(Notified, events)).code is Code.NOT_FOUND
    assert await next_of(ObservationEnded, events) == ObservationEnded("a", LEVEL, EndReason.REFUSED)
    assert server.observations("a") == ()
    await register(endpoint)
    assert len(endpoint.observations) == 1
    assert (await store.load()).observations == ()


@pytest.mark.parametrize("end", [None, Unreachable("gone")])
async def test_a_lost_observation_is_asked_again_with_the_next_update(
    server: Server, endpoint: MemoryEndpoint, end: Unreachable | None
) -> None:
    location = await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    endpoint.observations[0].bring(end)
    assert await next_of(ObservationEnded, events) == ObservationEnded("a", LEVEL, EndReason.LOST)
    assert server.observations("a") == (LEVEL,)
    endpoint.answers[str(LEVEL)] = percent(60)
    await endpoint.receive(Request(Code.POST, location), peer())
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 60),)
    endpoint.observations[1].bring(percent(59))
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 59),)


async def test_an_update_alone_asks_for_nothing(server: Server, endpoint: MemoryEndpoint) -> None:
    location = await register(endpoint)
    await server.observe("a", LEVEL)
    await endpoint.receive(Request(Code.POST, location), peer())
    await asyncio.sleep(0)
    assert len(endpoint.observations) == 1


async def test_a_client_that_moved_is_observed_where_it_is(server: Server, endpoint: MemoryEndpoint) -> None:
    location = await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    await endpoint.receive(Request(Code.POST, location), peer(40001))
    await next_of(Notified, events)
    assert [asked for asked, _ in endpoint.asked] == [peer(), peer(40001)]
    assert [observation.cancelled for observation in endpoint.observations] == [[False], []]


async def test_a_new_register_renews_every_observation(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL, accept=ContentFormat.TEXT)
    await server.observe("a", MEMORY)
    events = server.events()
    await register(endpoint)
    assert {(await next_of(Notified, events)).path, (await next_of(Notified, events)).path} == {LEVEL, MEMORY}
    assert [request.accept for _, request in endpoint.asked] == [0, None, 0, None]
    assert server.observations("a") == (LEVEL, MEMORY)


async def test_a_renewal_that_the_client_refuses_ends_the_wish(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    del endpoint.answers[str(LEVEL)]
    await register(endpoint)
    assert (await next_of(Notified, events)).code is Code.NOT_FOUND
    assert (await next_of(ObservationEnded, events)).reason is EndReason.REFUSED
    assert server.observations("a") == ()


async def test_a_renewal_without_an_answer_is_tried_with_the_next_update(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    endpoint.answers[str(LEVEL)] = TimedOut("nothing came")
    location = await register(endpoint)
    assert (await next_of(ObservationEnded, events)).reason is EndReason.LOST
    endpoint.answers[str(LEVEL)] = percent(60)
    await endpoint.receive(Request(Code.POST, location), peer())
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 60),)


async def test_a_client_that_does_not_answer_is_not_asked_for_the_rest(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    await server.observe("a", MEMORY)
    events = server.events()
    endpoint.answers[str(LEVEL)] = TimedOut("nothing came")
    await register(endpoint)
    ended = [await next_of(ObservationEnded, events), await next_of(ObservationEnded, events)]
    assert [(end.path, end.reason) for end in ended] == [(LEVEL, EndReason.LOST), (MEMORY, EndReason.LOST)]
    assert [request.path for _, request in endpoint.asked] == [LEVEL.segments, MEMORY.segments, LEVEL.segments]
    assert server.observations("a") == (LEVEL, MEMORY)


async def test_a_renewal_that_cannot_be_read_holds_up_no_other(server: Server, endpoint: MemoryEndpoint) -> None:
    await register(endpoint)
    await server.observe("a", LEVEL)
    await server.observe("a", MEMORY)
    events = server.events()
    endpoint.answers[str(LEVEL)] = Response(Code.CONTENT, b"full", ContentFormat.TEXT, observing=True)
    await register(endpoint)
    assert await next_of(ObservationEnded, events) == ObservationEnded("a", LEVEL, EndReason.LOST)
    assert (await next_of(Notified, events)).path == MEMORY


async def test_a_client_that_registers_anew_while_it_is_asked_is_asked_again(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    await register(endpoint)
    events = server.events()
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    endpoint.answers[str(LEVEL)] = answer
    observing = asyncio.create_task(server.observe("a", LEVEL))
    await asyncio.sleep(0)
    await register(endpoint, peer(40001))
    answer.set_result(percent(80))
    await observing
    assert (await next_of(Notified, events)).records == (Record(LEVEL, 80),)
    assert [asked for asked, _ in endpoint.asked] == [peer(), peer(40001)]


async def test_a_client_that_leaves_while_it_is_asked_is_observed_no_more(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    location = await register(endpoint)
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    endpoint.answers[str(LEVEL)] = answer
    observing = asyncio.create_task(server.observe("a", LEVEL))
    await asyncio.sleep(0)
    await endpoint.receive(Request(Code.DELETE, location), peer())
    answer.set_result(percent(80))
    await observing
    assert server.observations("a") == ()
    assert (await store.load()).observations == ()


async def test_observations_end_with_the_registration(server: Server, endpoint: MemoryEndpoint) -> None:
    location = await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    await endpoint.receive(Request(Code.DELETE, location), peer())
    assert await next_of(ObservationEnded, events) == ObservationEnded("a", LEVEL, EndReason.DEREGISTERED)
    await register(endpoint)
    await asyncio.sleep(0)
    assert len(endpoint.observations) == 1


async def test_a_client_that_leaves_and_comes_back_at_once_is_observed_no_more(
    server: Server, endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    location = await register(endpoint)
    await server.observe("a", LEVEL)
    events = server.events()
    leaving = asyncio.create_task(endpoint.receive(Request(Code.DELETE, location), peer()))
    await asyncio.gather(leaving, register(endpoint))
    assert (await next_of(ObservationEnded, events)).reason is EndReason.DEREGISTERED
    await next_of(Registered, events)
    assert (server.observations("a"), (await store.load()).observations) == ((), ())


async def test_a_wish_that_the_store_does_not_take_is_none(endpoint: MemoryEndpoint) -> None:
    store = FullStore()
    async with Server([endpoint], store=store) as server:
        await register(endpoint)
        store.full = True
        with pytest.raises(StoreError):
            await server.observe("a", LEVEL)
        assert server.observations("a") == ()
        assert endpoint.observations[0].cancelled == [False]


async def test_after_a_restart_the_wishes_of_the_store_are_asked_again(
    endpoint: MemoryEndpoint, store: MemoryStore
) -> None:
    async with Server([endpoint], store=store) as server:
        await register(endpoint)
        await server.observe("a", LEVEL)
    again = Server([endpoint], store=store)
    events = again.events()
    async with again:
        assert (await next_of(Notified, events)).records == (Record(LEVEL, 80),)
        assert again.observations("a") == (LEVEL,)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("lwm2m")] == []
