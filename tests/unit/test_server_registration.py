"""The server's side of the registration interface: order, durability, identities, events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.message import Code, Peer, Request
from lwm2m.model.content_format import ContentFormat
from lwm2m.server import (
    Deregistered,
    DeregistrationReason,
    Overflow,
    Registered,
    Sent,
    Server,
    ServerLimits,
    StoreError,
    Updated,
)
from lwm2m.server.store import Change, Kept
from lwm2m.server.store.memory import MemoryStore
from tests.unit.server_endpoint import MemoryEndpoint, peer, text


class SlowStore(MemoryStore):
    """Keeps nothing before `open`, refuses while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.calls: asyncio.Queue[Sequence[Change]] = asyncio.Queue()

    async def commit(self, changes: Sequence[Change]) -> None:
        self.calls.put_nowait(changes)
        await self.open.wait()
        if self.broken:
            raise StoreError("the disk is full")
        super().commit(changes)


@pytest.fixture
def endpoint() -> MemoryEndpoint:
    return MemoryEndpoint()


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def server(endpoint: MemoryEndpoint, store: SlowStore) -> AsyncIterator[Server]:
    async with Server([endpoint], store=store, limits=ServerLimits(max_events=8)) as server:
        yield server


def register(endpoint: str = "a", lifetime: int = 60) -> Request:
    query = (f"ep={endpoint}", f"lt={lifetime}", "lwm2m=1.1")
    return Request(Code.POST, ("rd",), query, b"</1/0>,</3/0>", ContentFormat.LINK)


async def registered(endpoint: MemoryEndpoint, name: str = "a", who: Peer | None = None) -> tuple[str, ...]:
    answer = await endpoint.receive(register(name), who or peer())
    assert answer.code is Code.CREATED, answer
    return answer.location


async def test_a_register_is_answered_when_the_store_has_it(
    server: Server, endpoint: MemoryEndpoint, store: SlowStore
) -> None:
    store.open.clear()
    answering = asyncio.create_task(endpoint.receive(register(), peer()))
    async with asyncio.timeout(5):
        await store.calls.get()
    assert not answering.done()
    store.open.set()
    answer = await answering
    assert (answer.code, answer.location) == (Code.CREATED, server.registration("a").location)
    assert [kept.endpoint for kept in (await store.load()).registrations] == ["a"]


async def test_what_comes_while_the_store_is_busy_goes_with_the_next_call(
    server: Server, endpoint: MemoryEndpoint, store: SlowStore
) -> None:
    store.open.clear()
    answering = [asyncio.create_task(endpoint.receive(register(name), peer())) for name in "abcd"]
    async with asyncio.timeout(5):
        await store.calls.get()
    late = [asyncio.create_task(endpoint.receive(register(name), peer())) for name in "efgh"]
    store.open.set()
    assert [answer.code for answer in await asyncio.gather(*answering, *late)] == [Code.CREATED] * 8
    assert store.calls.qsize() == 1
    assert len(server.registrations()) == 8


async def test_what_the_store_does_not_take_did_not_happen(
    server: Server, endpoint: MemoryEndpoint, store: SlowStore, caplog: pytest.LogCaptureFixture
) -> None:
    location = await registered(endpoint)
    before, events = server.registration("a"), server.events()
    store.broken = True
    assert (await endpoint.receive(register("b"), peer())).code is Code.INTERNAL_SERVER_ERROR
    assert (await endpoint.receive(register("a"), peer())).code is Code.INTERNAL_SERVER_ERROR
    update = Request(Code.POST, location, ("lt=9",))
    assert (await endpoint.receive(update, peer())).code is Code.INTERNAL_SERVER_ERROR
    assert (await endpoint.receive(Request(Code.DELETE, location), peer())).code is Code.INTERNAL_SERVER_ERROR
    assert server.registrations() == [before]
    assert "the disk is full" in caplog.text
    store.broken = False
    assert (await endpoint.receive(update, peer())).code is Code.CHANGED
    assert isinstance(await anext(events), Updated)


async def test_an_expiry_that_the_store_does_not_take_is_tried_again(
    endpoint: MemoryEndpoint, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lwm2m.server.server.STORE_RETRY", 0.0)
    async with Server([endpoint], store=store):
        await registered(endpoint)
        await store.calls.get()
    store.broken = True
    server = Server([endpoint], store=store, wall=lambda: time.time() + 61)
    events = server.events()
    async with server, asyncio.timeout(5):
        await store.calls.get()
        await store.calls.get()
        store.broken = False
        gone = await anext(events)
    assert isinstance(gone, Deregistered)
    assert (gone.registration.endpoint, gone.reason) == ("a", DeregistrationReason.EXPIRED)
    assert await store.load() == Kept()


async def test_events_tell_the_story_in_order(server: Server, endpoint: MemoryEndpoint) -> None:
    events = server.events()
    await registered(endpoint)
    first = server.registration("a")
    location = await registered(endpoint)
    second = server.registration("a")
    await endpoint.receive(Request(Code.POST, location), peer())
    third = server.registration("a")
    await endpoint.receive(Request(Code.DELETE, location), peer())
    assert await anext(events) == Registered(first, None)
    assert await anext(events) == Deregistered(first, DeregistrationReason.REPLACED)
    assert await anext(events) == Registered(second, first)
    updated = await anext(events)
    assert isinstance(updated, Updated)
    assert updated.registration == third
    assert await anext(events) == Deregistered(third, DeregistrationReason.DEREGISTERED)


async def test_an_event_comes_after_the_answer_has_left(server: Server, endpoint: MemoryEndpoint) -> None:
    order: list[str] = []

    async def listen() -> None:
        await anext(events)
        order.append("event")

    events = server.events()
    listening = asyncio.create_task(listen())
    await registered(endpoint)
    order.append("answer")
    async with asyncio.timeout(5):
        await listening
    assert order == ["answer", "event"]


async def test_a_slow_subscriber_is_told_and_holds_up_nobody(server: Server, endpoint: MemoryEndpoint) -> None:
    slow, quick = server.events(), server.events()
    for number in range(12):
        await registered(endpoint, f"client{number}")
        assert isinstance(await anext(quick), Registered)
    seen = [event async for event in slow]
    assert [type(event) for event in seen] == [Registered] * 8 + [Overflow]


async def test_a_closed_stream_ends(server: Server, endpoint: MemoryEndpoint) -> None:
    events = server.events()
    await registered(endpoint)
    await events.aclose()
    assert [event async for event in events] == []


async def test_a_store_that_hangs_does_not_keep_the_server_from_stopping(
    endpoint: MemoryEndpoint, store: SlowStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lwm2m.server.server.STORE_PATIENCE", 0.01)
    server = Server([endpoint], store=store)
    await server.start()
    store.open.clear()
    waiting = asyncio.create_task(endpoint.receive(register(), peer()))
    await store.calls.get()
    await server.stop()
    assert "did not take the last changes" in caplog.text
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_full_server_says_when_to_ask_again(endpoint: MemoryEndpoint) -> None:
    async with Server([endpoint], limits=ServerLimits(max_registrations=1)):
        await registered(endpoint, "a")
        answer = await endpoint.receive(register("b"), peer())
        assert (answer.code, answer.max_age) == (Code.SERVICE_UNAVAILABLE, 60)


# Identities


async def test_a_proven_identity_registers_its_own_name_only(server: Server, endpoint: MemoryEndpoint) -> None:
    assert (await endpoint.receive(register("bob"), peer(identity="x509:alice"))).code is Code.BAD_REQUEST
    assert server.registrations() == []
    await registered(endpoint, "alice", peer(identity="x509:alice"))
    assert server.registration("alice").identity == "x509:alice"


async def test_only_its_owner_updates_or_ends_a_registration(server: Server, endpoint: MemoryEndpoint) -> None:
    location = await registered(endpoint, "alice", peer(identity="x509:alice"))
    for stranger in (peer(), peer(identity="x509:mallory")):
        for request in (Request(Code.POST, location), Request(Code.DELETE, location), register("alice")):
            assert (await endpoint.receive(request, stranger)).code is Code.BAD_REQUEST
    assert server.registration("alice").location == location


async def test_a_client_whose_address_another_identity_has_is_not_asked(
    server: Server, endpoint: MemoryEndpoint
) -> None:
    endpoint.answers["/3/0/0"] = text("Acme")
    await registered(endpoint, "alice", peer(identity="x509:alice"))
    await registered(endpoint, "bob", peer(identity="x509:bob"))
    with pytest.raises(Unreachable):
        await server.read("alice", "/3/0/0")
    assert endpoint.asked == []
    await server.read("bob", "/3/0/0")


# Send


def send(payload: bytes) -> Request:
    return Request(Code.POST, ("dp",), payload=payload, content_format=ContentFormat.SENML_JSON)


async def test_a_send_is_that_of_the_client_which_has_the_object(server: Server, endpoint: MemoryEndpoint) -> None:
    await registered(endpoint, "a")
    thermometer = Request(Code.POST, ("rd",), ("ep=b", "lt=60", "lwm2m=1.1"), b"</3303/0>", ContentFormat.LINK)
    await endpoint.receive(thermometer, peer())
    events = server.events()
    answer = await endpoint.receive(send(b'[{"n":"/3303/0/5700","v":1}]'), peer())
    assert answer.code is Code.CHANGED
    sent = await anext(events)
    assert isinstance(sent, Sent)
    assert sent.endpoint == "b"


async def test_a_send_of_another_identity_is_not_taken(server: Server, endpoint: MemoryEndpoint) -> None:  # noqa: ARG001  # must run
    await registered(endpoint, "alice", peer(identity="x509:alice"))
    answer = await endpoint.receive(send(b'[{"n":"/3/0/9","v":1}]'), peer(identity="x509:mallory"))
    assert answer.code is Code.NOT_FOUND


# The endpoints


async def test_a_client_is_asked_from_where_it_registered() -> None:
    first, second = MemoryEndpoint(5683), MemoryEndpoint(5693)
    second.answers["/3/0/0"] = text("Acme")
    async with Server([first, second]) as server:
        await registered(second)
        await server.read("a", "/3/0/0")
        assert (len(first.asked), len(second.asked)) == (0, 1)


async def test_a_client_from_before_a_restart_is_asked_from_the_port_it_knows(endpoint: MemoryEndpoint) -> None:
    store = MemoryStore()
    async with Server([endpoint], store=store):
        await registered(endpoint)
    other, same = MemoryEndpoint(5693), MemoryEndpoint(5683)
    same.answers["/3/0/0"] = text("Acme")
    async with Server([other, same], store=store) as server:
        await server.read("a", "/3/0/0")
    async with Server([other], store=store) as server:
        with pytest.raises(Unreachable):
            await server.read("a", "/3/0/0")


async def test_an_endpoint_that_does_not_start_takes_the_others_along(endpoint: MemoryEndpoint) -> None:
    class Taken(MemoryEndpoint):
        async def start(self, handler: object) -> None:  # noqa: ARG002
            raise OSError("address in use")

    class ClosableStore(MemoryStore):
        closed = False

        async def close(self) -> None:
            self.closed = True

    store = ClosableStore()
    with pytest.raises(OSError, match="address in use"):
        await Server([endpoint, Taken()], store=store).start()
    assert not endpoint.is_running
    assert store.closed


async def test_a_store_that_does_not_load_starts_no_server(endpoint: MemoryEndpoint) -> None:
    class Broken(MemoryStore):
        async def load(self) -> Kept:
            raise StoreError("no such table")

    with pytest.raises(StoreError):
        await Server([endpoint], store=Broken()).start()
    assert not endpoint.is_running
