"""The server over real sockets, judged by a client that is aiocoap and nothing of ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TypeVar

os.environ.setdefault("AIOCOAP_REUSE_PORT", "0")

import pytest
from aiocoap.numbers.codes import Code as Foreign

from lwm2m.coap.endpoint import Endpoint, TimedOut
from lwm2m.coap.message import Code
from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import MethodNotAllowed, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Read
from lwm2m.server import (
    Deregistered,
    DeregistrationReason,
    EndReason,
    EventStream,
    InvalidNotification,
    Notified,
    NotObserved,
    NotRegistered,
    ObservationEnded,
    Registered,
    Sent,
    Server,
    ServerEvent,
    Updated,
)
from lwm2m.server.store.memory import MemoryStore
from tests.integration.foreign_client import LINK, LINKS, TEXT, ForeignClient

PATIENCE = 10.0
TEMPERATURE = Path(3303, 0, 5700)

Event = TypeVar("Event", bound=ServerEvent)


async def next_of(kind: type[Event], events: EventStream) -> Event:
    """The next event of a kind; what came before it is passed over."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} came")


@pytest.fixture
def endpoint() -> Endpoint:
    return open_endpoint()


@pytest.fixture
async def server(endpoint: Endpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        yield server


@pytest.fixture
async def client(server: Server, endpoint: Endpoint) -> AsyncIterator[ForeignClient]:  # noqa: ARG001  # must run
    async with ForeignClient(endpoint.uri) as client:
        yield client


# Registration


async def test_a_client_registers_and_is_known(server: Server, client: ForeignClient) -> None:
    events = server.events()
    location = await client.register(
        "urn:dev:1",
        300,
        '</>;rt="oma.lwm2m";ct="60 110 112",</1/0>,</3/0>,</5>;ver=1.0,</3303/0>,</3303/1>',
        "b=UT",
        "Q",
    )
    registration = server.registration("urn:dev:1")
    assert location == ("rd", registration.id)
    assert (registration.lifetime, registration.version) == (300, "1.1")
    assert (registration.binding, registration.queue_mode) == ("UT", True)
    assert registration.objects == {1: (0,), 3: (0,), 5: (), 3303: (0, 1)}
    assert registration.versions == {1: (1, 1), 3: (1, 1), 5: (1, 0), 3303: (1, 0)}
    assert registration.formats == (60, 110, 112)
    assert await next_of(Registered, events) == Registered(registration, None)
    assert server.registrations() == [registration]


async def test_an_update_changes_what_it_names_and_no_more(server: Server, client: ForeignClient) -> None:
    location = await client.register(lifetime=60)
    before = server.registration("foreign")
    events = server.events()
    assert await client.update(location, "lt=120") == Foreign.CHANGED
    after = server.registration("foreign")
    assert (after.id, after.lifetime, after.links) == (before.id, 120, before.links)
    updated = await next_of(Updated, events)
    assert (updated.registration, updated.update.lifetime) == (after, 120)


async def test_an_update_from_another_address_moves_the_requests_there(server: Server, client: ForeignClient) -> None:
    location = await client.register()
    async with ForeignClient(client.server) as elsewhere:
        elsewhere.manufacturer.text = "Acme, elsewhere"
        assert await elsewhere.update(location) == Foreign.CHANGED
        assert await server.read("foreign", "/3/0/0") == [Record(Path(3, 0, 0), "Acme, elsewhere")]


async def test_a_client_deregisters(server: Server, client: ForeignClient) -> None:
    location = await client.register()
    events = server.events()
    assert await client.deregister(location) == Foreign.DELETED
    gone = await next_of(Deregistered, events)
    assert (gone.registration.endpoint, gone.reason) == ("foreign", DeregistrationReason.DEREGISTERED)
    assert await client.update(location) == Foreign.NOT_FOUND
    assert await client.deregister(location) == Foreign.NOT_FOUND
    with pytest.raises(NotRegistered):
        await server.read("foreign", "/3/0/0")


async def test_a_registration_without_updates_expires(server: Server, client: ForeignClient) -> None:
    events = server.events()
    kept = await client.register("kept", 600)
    location = await client.register("brief", 1)
    gone = await next_of(Deregistered, events)
    assert (gone.registration.endpoint, gone.reason) == ("brief", DeregistrationReason.EXPIRED)
    assert await client.update(location) == Foreign.NOT_FOUND
    assert await client.update(kept) == Foreign.CHANGED


async def test_a_second_register_replaces_the_first(server: Server, client: ForeignClient) -> None:
    events = server.events()
    old = await client.register()
    new = await client.register()
    first = (await next_of(Registered, events)).registration
    replaced = await next_of(Deregistered, events)
    assert (replaced.registration, replaced.reason) == (first, DeregistrationReason.REPLACED)
    assert (await next_of(Registered, events)).replaced == first
    assert old != new
    assert await client.update(old) == Foreign.NOT_FOUND
    assert await client.update(new) == Foreign.CHANGED


GOOD = ("ep=x", "lt=60", "lwm2m=1.1")


@pytest.mark.parametrize(
    ("query", "payload", "content_format", "expected"),
    [
        (("ep=x", "lt=60"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lwm2m=1.1"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("lt=60", "lwm2m=1.1"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lt=soon", "lwm2m=1.1"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lt=-1", "lwm2m=1.1"), LINKS, LINK, Foreign.BAD_REQUEST),
        ((*GOOD, "lt=61"), LINKS, LINK, Foreign.BAD_REQUEST),
        ((*GOOD, "b=X"), LINKS, LINK, Foreign.BAD_REQUEST),
        ((*GOOD, "b=UQ"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lt=60", "lwm2m=1.0", "Q"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lt=60", "lwm2m=1.0", "b=UT"), LINKS, LINK, Foreign.BAD_REQUEST),
        (("ep=x", "lt=60", "lwm2m=9.9"), LINKS, LINK, Foreign.PRECONDITION_FAILED),
        (GOOD, "", LINK, Foreign.BAD_REQUEST),
        (GOOD, "</1/0", LINK, Foreign.BAD_REQUEST),
        (GOOD, LINKS, TEXT, Foreign.UNSUPPORTED_CONTENT_FORMAT),
        (GOOD, LINKS, None, Foreign.UNSUPPORTED_CONTENT_FORMAT),
        (GOOD, '</9>;rt="oma.lwm2m",</9/3/0>', LINK, Foreign.BAD_REQUEST),
    ],
)
async def test_a_malformed_register_gets_its_code_and_leaves_nothing(
    server: Server,
    client: ForeignClient,
    query: tuple[str, ...],
    payload: str,
    content_format: int | None,
    expected: Foreign,
) -> None:
    answer = await client.request(Foreign.POST, ("rd",), query, payload.encode(), content_format)
    assert answer.code == expected
    assert server.registrations() == []


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (Foreign.GET, ("rd",), Foreign.METHOD_NOT_ALLOWED),
        (Foreign.POST, ("rd", "nobody"), Foreign.NOT_FOUND),
        (Foreign.DELETE, ("rd", "nobody"), Foreign.NOT_FOUND),
        (Foreign.PUT, ("rd", "nobody"), Foreign.METHOD_NOT_ALLOWED),
        (Foreign.POST, ("nowhere",), Foreign.NOT_FOUND),
        (Foreign.GET, ("3", "0", "0"), Foreign.NOT_FOUND),
        (Foreign.GET, ("dp",), Foreign.METHOD_NOT_ALLOWED),
    ],
)
async def test_other_requests_get_their_code(
    client: ForeignClient, method: Foreign, path: tuple[str, ...], expected: Foreign
) -> None:
    assert (await client.request(method, path)).code == expected


# Operations


async def test_a_resource_is_read(server: Server, client: ForeignClient) -> None:
    await client.register()
    assert await server.read("foreign", "/3/0/0") == [Record(Path(3, 0, 0), "Acme")]
    assert await server.read("foreign", TEMPERATURE) == [Record(TEMPERATURE, 20.5)]
    assert await server.read("foreign", "/3/0") == [Record(Path(3, 0, 0), "Acme")]


async def test_a_client_with_an_alternate_path_is_asked_there(server: Server, endpoint: Endpoint) -> None:
    async with ForeignClient(endpoint.uri, root=("lwm2m",)) as client:
        await client.register("rooted", 60, '</lwm2m>;rt="oma.lwm2m",</lwm2m/1/0>,</lwm2m/3/0>')
        assert server.registration("rooted").root == ("lwm2m",)
        assert await server.read("rooted", "/3/0/0") == [Record(Path(3, 0, 0), "Acme")]


async def test_a_refusal_is_an_error_to_read_and_data_to_ask(server: Server, client: ForeignClient) -> None:
    await client.register()
    with pytest.raises(NotFound):
        await server.read("foreign", "/3/0/99")
    answer = await server.ask("foreign", Read(Path(3, 0, 99)))
    assert (answer.ok, answer.code, answer.records) == (False, Code.NOT_FOUND, ())


async def test_a_resource_is_written(server: Server, client: ForeignClient) -> None:
    await client.register()
    await server.write("foreign", "/3/0/14", "+02:00")
    assert client.utc_offset.text == "+02:00"
    with pytest.raises(MethodNotAllowed):
        await server.write("foreign", "/3/0/4", "no")


async def test_an_instance_is_written_in_the_format_the_client_takes(server: Server, client: ForeignClient) -> None:
    records = [Record(Path(3, 0, 14), "+02:00"), Record(Path(3, 0, 15), "Europe/Berlin")]
    await client.register()
    await server.write("foreign", "/3/0", records)
    client.device.taken = {11542}
    await server.write("foreign", "/3/0", records)
    await client.register("listed", 60, '</>;rt="oma.lwm2m";ct=110,</1/0>,</3/0>')
    client.device.taken = {110}
    await server.write("listed", "/3/0", records)
    await client.register("old", 60, LINKS, version="1.0")
    client.device.taken = {11542}
    await server.write("old", "/3/0", records)
    assert [content_format for content_format, _ in client.device.written] == [112, 11542, 110, 11542]


async def test_a_resource_is_executed(server: Server, client: ForeignClient) -> None:
    await client.register()
    await server.execute("foreign", "/3/0/4")
    await server.execute("foreign", "/3/0/4", "0='now'")
    assert client.reboot.executed == ["", "0='now'"]


async def test_an_instance_is_discovered(server: Server, client: ForeignClient) -> None:
    await client.register()
    links = await server.discover("foreign", "/3/0")
    assert [link.target for link in links] == ["/3/0", "/3/0/0", "/3/0/4"]


async def test_a_client_that_does_not_answer_times_out(server: Server, client: ForeignClient) -> None:
    await client.register()
    await client.close()
    silent = asyncio.get_running_loop().create_datagram_endpoint
    transport, _ = await silent(asyncio.DatagramProtocol, local_addr=server.registration("foreign").peer.address)
    try:
        with pytest.raises(TimedOut):
            await server.read("foreign", "/3/0/0", timeout=0.1)
    finally:
        transport.close()


# Observations


async def test_notifications_come_as_events(server: Server, client: ForeignClient) -> None:
    await client.register()
    events = server.events()
    answer = await server.observe("foreign", TEMPERATURE)
    assert answer.observing
    assert answer.records == (Record(TEMPERATURE, 20.5),)
    assert server.observations("foreign") == (TEMPERATURE,)
    client.temperature.show("21.5")
    notified = await next_of(Notified, events)
    assert (notified.endpoint, notified.path, notified.code) == ("foreign", TEMPERATURE, Code.CONTENT)
    assert notified.records == (Record(TEMPERATURE, 21.5),)


async def test_an_observation_is_cancelled_actively(server: Server, client: ForeignClient) -> None:
    await client.register()
    events = server.events()
    await server.observe("foreign", TEMPERATURE)
    assert client.temperature.observers == 1
    answer = await server.cancel_observation("foreign", TEMPERATURE)
    assert answer is not None
    assert answer.records == (Record(TEMPERATURE, 20.5),)
    assert client.temperature.observers == 0
    assert (await next_of(ObservationEnded, events)).reason is EndReason.CANCELLED
    assert server.observations("foreign") == ()
    with pytest.raises(NotObserved):
        await server.cancel_observation("foreign", TEMPERATURE)


async def test_a_last_notification_ends_the_observation(server: Server, client: ForeignClient) -> None:
    await client.register()
    events = server.events()
    await server.observe("foreign", TEMPERATURE)
    client.temperature.end(Foreign.NOT_FOUND)
    notified = await next_of(Notified, events)
    assert (notified.code, notified.records) == (Code.NOT_FOUND, ())
    assert (await next_of(ObservationEnded, events)).reason is EndReason.REFUSED
    assert server.observations("foreign") == ()


async def test_a_notification_that_does_not_decode_is_told_and_survived(server: Server, client: ForeignClient) -> None:
    await client.register()
    events = server.events()
    await server.observe("foreign", TEMPERATURE)
    client.temperature.show("warm")
    assert (await next_of(InvalidNotification, events)).path == TEMPERATURE
    client.temperature.show("22.5")
    assert (await next_of(Notified, events)).records == (Record(TEMPERATURE, 22.5),)


async def test_a_client_that_registers_anew_is_observed_anew(server: Server, client: ForeignClient) -> None:
    await client.register()
    await server.observe("foreign", TEMPERATURE)
    await client.close()
    events = server.events()
    async with ForeignClient(client.server) as reborn:
        reborn.temperature.text = "5.0"
        await reborn.register()
        assert (await next_of(Notified, events)).records == (Record(TEMPERATURE, 5.0),)
        reborn.temperature.show("6.0")
        assert (await next_of(Notified, events)).records == (Record(TEMPERATURE, 6.0),)
        assert server.observations("foreign") == (TEMPERATURE,)


async def test_an_observation_ends_with_the_registration(server: Server, client: ForeignClient) -> None:
    location = await client.register()
    await server.observe("foreign", TEMPERATURE)
    events = server.events()
    await client.deregister(location)
    assert (await next_of(ObservationEnded, events)).reason is EndReason.DEREGISTERED
    assert server.observations("foreign") == ()


# Send


async def test_values_that_a_client_sends_come_as_an_event(server: Server, client: ForeignClient) -> None:
    await client.register()
    events = server.events()
    payload = b'[{"bn":"/3303/0/","bt":1700000000,"n":"5700","v":1.5},{"n":"5700","v":2.5,"t":10}]'
    assert await client.send(payload) == Foreign.CHANGED
    sent = await next_of(Sent, events)
    assert sent.endpoint == "foreign"
    assert sent.records == (Record(TEMPERATURE, 1.5, 1_700_000_000), Record(TEMPERATURE, 2.5, 1_700_000_010))


async def test_a_send_that_cannot_be_taken_gets_its_code(client: ForeignClient) -> None:
    good = b'[{"n":"/3303/0/5700","v":1.5}]'
    assert await client.send(good) == Foreign.NOT_FOUND
    await client.register()
    assert await client.send(good, TEXT) == Foreign.UNSUPPORTED_CONTENT_FORMAT
    assert await client.send(b"[{") == Foreign.BAD_REQUEST
    assert await client.send(b"") == Foreign.BAD_REQUEST
    assert await client.send(b'[{"n":"/3303/0/5700"}]') == Foreign.BAD_REQUEST
    assert await client.send(b'[{"n":"/3304/0/5700","v":1.5}]') == Foreign.NOT_FOUND
    assert await client.send(good) == Foreign.CHANGED


# The server itself


async def test_what_the_store_kept_is_there_after_a_restart() -> None:
    store, endpoint = MemoryStore(), open_endpoint()
    async with Server([endpoint], store=store) as server, ForeignClient(endpoint.uri) as client:
        location = await client.register()
        await server.observe("foreign", TEMPERATURE)
        before, port = server.registration("foreign"), endpoint.address[1]
        await server.stop()
        async with Server([open_endpoint(port=port)], store=store) as again:
            events = again.events()
            assert again.registration("foreign").id == before.id
            assert (await next_of(Notified, events)).records == (Record(TEMPERATURE, 20.5),)
            assert await client.update(location) == Foreign.CHANGED


async def test_a_taken_port_is_an_error_and_nothing_stays_open() -> None:
    async with Server([first := open_endpoint()]):
        second = open_endpoint()
        with pytest.raises(OSError, match=r".+"):
            await Server([second, open_endpoint(port=first.address[1])]).start()


async def test_a_stopped_server_leaves_no_task(client: ForeignClient, server: Server) -> None:
    await client.register()
    await server.observe("foreign", TEMPERATURE)
    events = server.events()
    await server.stop()
    assert [event async for event in events] == []
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert [name for name in names if name.startswith("lwm2m")] == []
