"""The client around its machines: what it completes, whom it serves and when, how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from lwm2m.attributes import Reason
from lwm2m.client import (
    Client,
    ClientEvent,
    Deregistered,
    Disabled,
    Notified,
    ObservationEnded,
    Registered,
    Registering,
    RegistrationFailed,
    State,
    Updated,
    UpdateFailed,
)
from lwm2m.coap.endpoint import Delivery, TimedOut, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.fake_endpoint import CREATED, SERVER, FakeEndpoint

TEMPERATURE = Path(3303, 0, 5700)
READ = Request(Code.GET, ("3303", "0", "5700"), token=b"\x01")
OBSERVE = READ._replace(observe=0)


def make(coap: FakeEndpoint, records: Iterable[Record] = (), **options: object) -> Client:
    return Client("dev1", "coap://127.0.0.1", [Record(TEMPERATURE, 21.5), *records], coap=coap, **options)  # type: ignore[arg-type]


@pytest.fixture
def coap() -> FakeEndpoint:
    return FakeEndpoint()


@pytest.fixture
async def client(coap: FakeEndpoint) -> AsyncIterator[Client]:
    async with make(coap) as client:
        await client.registered(5)
        await coap.next_request()
        yield client


async def failure(client: Client) -> ClientEvent:
    async with asyncio.timeout(5):
        return await anext(event async for event in client.events() if not isinstance(event, Registering))


def test_objects_0_1_and_3_are_completed() -> None:
    model = Client("dev1", "coap://h:1", lifetime=60).data_model
    assert model.objects() == (0, 1, 3)
    assert model.value(Path(0, 0, 0)) == "coap://h:1"
    assert [model.value(Path(1, 0, number)) for number in (0, 1, 6, 7, 23)] == [1, 60, True, "U", False]
    assert model.value(Path(3, 0, 11, 0)) == 0
    assert model.value(Path(3, 0, 16)) == "U"
    assert all(isinstance(model.value(Path(3, 0, number)), str) for number in range(4))
    assert model.has(Path(3, 0, 4))
    assert model.has(Path(1, 0, 8))


def test_a_given_device_and_server_object_stay_as_they_are() -> None:
    given = [
        Record(Path(3, 0, 0), "Acme"),
        Record(Path(3, 0, 11, 0), 2),
        Record(Path(1, 7, 1), 99),
        Record(Path(1, 7, 18), 9),
    ]
    model = Client("dev1", "coap://h", given).data_model
    assert model.value(Path(3, 0, 0)) == "Acme"
    assert not model.has(Path(3, 0, 1))
    assert model.value(Path(3, 0, 11, 0)) == 2
    assert model.instances(1) == (7,)
    assert (model.value(Path(1, 7, 1)), model.value(Path(1, 7, 18))) == (99, 9)
    assert not model.has(Path(1, 7, 17))


@pytest.mark.parametrize(
    ("endpoint", "server", "records", "options"),
    [
        ("", "coap://h", [], {}),
        ("x" * 256, "coap://h", [], {}),
        ("dev", "http://h", [], {}),
        ("dev", "coap://", [], {}),
        ("dev", "coap://h:99999", [], {}),
        ("dev", "coap://h", [Record(TEMPERATURE, "warm")], {}),
        ("dev", "coap://h", [Record(Path(3, 0, 9), 101)], {}),
        ("dev", "coap://h", [Record(Path(3, 0, 11), 0)], {}),
        ("dev", "coap://h", [Record(Path(3, 0, 9, 0), 1)], {}),
        ("dev", "coap://h", [], {"version": "2.0"}),
        ("dev", "coap://h", [], {"lifetime": -1}),
        ("dev", "coap://h", [], {"binding": "X"}),
        ("dev", "coap://h", [], {"binding": "UQ"}),
        ("dev", "coap://h", [Record(Path(1, 0, 7), "UT")], {"version": "1.0"}),
    ],
)
def test_what_cannot_be_a_client_is_refused(
    endpoint: str, server: str, records: list[Record], options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        Client(endpoint, server, records, **options)  # type: ignore[arg-type]


def test_an_update_of_a_wrong_value_changes_nothing(coap: FakeEndpoint) -> None:
    client = make(coap)
    with pytest.raises(ValueError, match="/3303/0/5701"):
        client.update([Record(TEMPERATURE, 1.0), Record(Path(3303, 0, 5701), 7)])
    assert client.data_model.value(TEMPERATURE) == 21.5
    client.update([Record(TEMPERATURE, 20)])
    assert repr(client.data_model.value(TEMPERATURE)) == "20.0"


async def test_a_client_of_1_0_registers_as_one(coap: FakeEndpoint) -> None:
    async with make(coap, version="1.0") as client:
        await client.registered(5)
        register = await coap.next_request()
        assert register.query == ("ep=dev1", "lt=300", "lwm2m=1.0", "b=U")
        assert (await coap.ask(Request(Code.GET, ("3303", "0")))).content_format == 11542


async def test_a_client_of_1_0_updates_as_one(coap: FakeEndpoint) -> None:
    async with make(coap, version="1.0") as client:
        await client.registered(5)
        await coap.next_request()
        client.update([Record(Path(1, 0, 7), "UQ")])
        assert (await coap.next_request()).query == ("b=UQ",)


async def test_nobody_but_the_server_is_served(coap: FakeEndpoint, client: Client) -> None:
    stranger = Peer(SERVER.local, ("127.0.0.1", 1))
    assert await coap.ask(READ, stranger) == Response(Code.NOT_FOUND)
    assert (await coap.ask(READ)).payload == b"21.5"
    assert client.state is State.REGISTERED


async def test_nobody_is_served_before_registration(coap: FakeEndpoint) -> None:
    coap.answers[Code.POST] = TimedOut()
    async with make(coap) as client:
        assert await failure(client) == RegistrationFailed("no answer", pytest.approx(5, abs=0.5))
        assert await coap.ask(READ) == Response(Code.NOT_FOUND)


async def test_a_request_that_overtakes_the_answer_to_register_is_served(coap: FakeEndpoint) -> None:
    answer = coap.answers[Code.POST] = asyncio.get_running_loop().create_future()
    async with make(coap) as client:
        await coap.next_request()
        early = asyncio.create_task(coap.ask(OBSERVE))
        await asyncio.sleep(0)
        assert not early.done()
        answer.set_result(CREATED)
        assert (await early).observing
        client.update([Record(TEMPERATURE, 22.0)])
        assert (await coap.next_notification())[1].payload == b"22.0"


async def test_it_tries_again_when_the_server_cannot_be_reached(coap: FakeEndpoint) -> None:
    coap.unresolved = Unreachable("cannot find h")
    async with make(coap, [Record(Path(1, 0, 18), 0)]) as client:
        assert await failure(client) == RegistrationFailed("cannot find h", pytest.approx(1, abs=0.1))
        with pytest.raises(TimeoutError, match="cannot find h"):
            await client.registered(0.01)
        coap.unresolved = None
        await client.registered(5)


async def test_a_name_with_two_addresses_is_reached_where_somebody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(_host: str, _port: int) -> list[str]:
        return ["::1", "127.0.0.1"]

    monkeypatch.setattr("lwm2m.client.transport.local_hosts", both)
    endpoints = {"::1": FakeEndpoint(), "127.0.0.1": FakeEndpoint()}
    endpoints["::1"].answers[Code.POST] = Unreachable("Connection refused")
    async with Client("dev1", "coap://localhost", open_endpoint=endpoints.__getitem__) as client:
        await client.registered(5)
        assert endpoints["::1"].handler is None
        assert endpoints["::1"].requests.qsize() == 1
        client.restart()
        for _ in range(2):
            assert (await endpoints["127.0.0.1"].next_request()).path == ("rd",)
        assert endpoints["::1"].requests.qsize() == 1


async def test_a_refused_client_without_further_tries_stays_idle(coap: FakeEndpoint) -> None:
    coap.answers[Code.POST] = Response(Code.FORBIDDEN, b"who are you")
    async with make(coap, [Record(Path(1, 0, 20), 1)]) as client:
        assert await failure(client) == RegistrationFailed("4.03 who are you", None)
        assert client.state is State.FAILED


async def test_every_step_of_its_life_is_an_event(coap: FakeEndpoint) -> None:
    client = make(coap)
    events = client.events()
    await client.start()
    await client.registered(5)
    client.update([Record(Path(3303, 1, 5700), 1.0)])
    assert await anext(events) == Registering("coap://127.0.0.1")
    assert await anext(events) == Registered("/rd/1")
    assert await anext(events) == Updated()
    await client.stop()
    assert [event async for event in events] == [Deregistered(answered=True)]


async def test_an_update_that_fails_is_told_and_followed_by_a_register(coap: FakeEndpoint, client: Client) -> None:
    events = client.events()
    coap.answers[Code.PUT] = Response(Code.NOT_FOUND)
    client.update([Record(Path(1, 0, 1), 600)])
    assert (await coap.next_request()).query == ("lt=600",)
    register = await coap.next_request()
    assert register.path == ("rd",)
    assert "lt=600" in register.query
    assert await anext(events) == UpdateFailed("4.04")
    assert await anext(events) == Registering("coap://127.0.0.1")


async def test_a_reset_ends_an_observation(coap: FakeEndpoint, client: Client) -> None:
    await coap.ask(OBSERVE)
    coap.delivery = Delivery.RESET
    events = client.events()
    client.update([Record(TEMPERATURE, 1.0)])
    assert await anext(events) == Notified(TEMPERATURE, Reason.CHANGE, confirmable=False)
    assert await anext(events) == ObservationEnded(TEMPERATURE, reset=True)
    await coap.next_notification()
    client.update([Record(TEMPERATURE, 2.0)])
    await asyncio.sleep(0)
    assert coap.notifications.empty()


async def test_after_an_unanswered_notification_values_wait_for_the_server_to_observe_anew(
    coap: FakeEndpoint, client: Client
) -> None:
    await coap.ask(OBSERVE)
    coap.delivery = Delivery.TIMED_OUT
    client.update([Record(TEMPERATURE, 1.0)])
    await coap.next_notification()
    await asyncio.sleep(0)
    client.update([Record(TEMPERATURE, 2.0)])
    coap.delivery = Delivery.DELIVERED
    assert (await coap.ask(OBSERVE._replace(token=b"\x02"))).payload == b"2.0"
    assert [(await coap.next_notification())[1].payload for _ in range(2)] == [b"1.0", b"2.0"]


async def test_a_removed_instance_ends_its_observations_with_4_04(coap: FakeEndpoint, client: Client) -> None:
    await coap.ask(OBSERVE)
    client.remove([Path(3303, 0)])
    subscription, response, _confirmable = await coap.next_notification()
    assert (subscription, response) == (Subscription(SERVER, b"\x01"), Response(Code.NOT_FOUND))
    update = await coap.next_request()
    assert b"</3303>" in update.payload
    assert b"</3303/0>" not in update.payload


async def test_a_new_registration_starts_without_observations(coap: FakeEndpoint, client: Client) -> None:
    await coap.ask(OBSERVE)
    client.restart()
    await coap.next_request()
    assert coap.forgotten == [Subscription(SERVER, b"\x01")]
    client.update([Record(TEMPERATURE, 1.0)])
    await asyncio.sleep(0)
    assert coap.notifications.empty()


async def test_pmin_is_kept_by_a_timer(coap: FakeEndpoint, client: Client) -> None:
    await coap.ask(Request(Code.PUT, READ.path, query=("pmin=1",)))
    await coap.ask(OBSERVE)
    began = time.monotonic()
    client.update([Record(TEMPERATURE, 1.0)])
    client.update([Record(TEMPERATURE, 2.0)])
    assert (await coap.next_notification())[1].payload == b"2.0"
    assert 0.9 < time.monotonic() - began < 2


async def test_disable_leaves_and_tells_how_long(coap: FakeEndpoint, client: Client) -> None:
    await coap.ask(Request(Code.PUT, ("1", "0", "5"), payload=b"3600", content_format=0))
    events = client.events()
    assert (await coap.ask(Request(Code.POST, ("1", "0", "4")))).code is Code.CHANGED
    assert (await coap.next_request()).method is Code.DELETE
    await anext(events)
    assert await anext(events) == Disabled(pytest.approx(3600, abs=1))
    assert await coap.ask(READ) == Response(Code.NOT_FOUND)


@pytest.mark.parametrize(
    ("path", "payload", "expected"),
    [
        ("1/0/1", b"-1", "4.00"),
        ("1/0/7", b"UQ", "4.00"),
        ("1/0/7", b"", "4.00"),
        ("1/0/7", b"UT", "4.00"),
        ("1/0/7", b"U", "2.04"),
        ("1/0/0", b"2", "4.05"),
        ("1/0/17", b"3", "2.04"),
        ("1/0/2", b"5", "2.04"),
    ],
)
@pytest.mark.usefixtures("client")
async def test_the_server_object_takes_what_makes_sense(
    coap: FakeEndpoint, path: str, payload: bytes, expected: str
) -> None:
    request = Request(Code.PUT, tuple(path.split("/")), payload=payload, content_format=0)
    assert (await coap.ask(request)).code.dotted == expected


async def test_a_simulated_device_has_a_clock_and_forgets_errors(coap: FakeEndpoint) -> None:
    now = 1_000_000.0
    errors = [Record(Path(3, 0, 11, 0), 1), Record(Path(3, 0, 11, 1), 2), Record(Path(3, 0, 12), None)]
    async with make(coap, errors, wall_clock=lambda: now) as client:
        await client.registered(5)
        clock = Request(Code.GET, ("3", "0", "13"))
        assert (await coap.ask(clock)).payload == b"1000000"
        await coap.ask(Request(Code.PUT, ("3", "0", "13"), payload=b"500", content_format=0))
        now += 7
        assert (await coap.ask(clock)).payload == b"507"
        assert (await coap.ask(Request(Code.POST, ("3", "0", "12")))).code is Code.CHANGED
        assert client.data_model.read(Path(3, 0, 11)) == [Record(Path(3, 0, 11, 0), 0)]
        assert (await coap.ask(Request(Code.POST, ("3", "0", "5")))).code is Code.NOT_FOUND


async def test_stopping_takes_little_more_than_a_second_when_nobody_answers(coap: FakeEndpoint) -> None:
    client = make(coap)
    await client.start()
    await client.registered(5)
    coap.answers[Code.DELETE] = None
    events = client.events()
    began = time.monotonic()
    await client.stop()
    assert time.monotonic() - began < 1.9
    assert [event async for event in events] == [Deregistered(answered=False)]
    assert client.state is State.STOPPED


async def test_stopping_during_a_register_or_twice_is_quick_and_leaves_no_task(coap: FakeEndpoint) -> None:
    before = asyncio.all_tasks()
    coap.answers[Code.POST] = None
    client = make(coap)
    await client.start()
    await coap.next_request()
    await client.stop()
    await client.stop()
    assert coap.handler is None
    assert asyncio.all_tasks() == before


async def test_after_stop_without_goodbye_nothing_is_sent(coap: FakeEndpoint) -> None:
    client = make(coap)
    await client.start()
    await client.registered(5)
    await coap.next_request()
    await coap.ask(OBSERVE)
    await client.stop(deregister=False)
    client.update([Record(TEMPERATURE, 1.0), Record(Path(3303, 1, 5700), 1.0)])
    await asyncio.sleep(0)
    assert coap.requests.empty()
    assert coap.notifications.empty()
