"""What a client reports of its own accord, and when it must not. lwm2m.md §7.5, §7.6."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.attributes import Reason
from lwm2m.client import Client, Notified, SendRefused
from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.message import Code, Request, Response
from lwm2m.codec import decode
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.fake_endpoint import FakeEndpoint
from tests.unit.test_client_accounts import Servers, open_to_all, two_servers
from tests.unit.test_client_shell import TEMPERATURE, make

LIFETIME, MUTE_SEND = Path(1, 0, 1), Path(1, 0, 23)
NOW = 1_700_000_000


@pytest.fixture
def coap() -> FakeEndpoint:
    return FakeEndpoint()


@pytest.fixture
async def client(coap: FakeEndpoint) -> AsyncIterator[Client]:
    async with make(coap) as client:
        await client.registered(5)
        await coap.next_request()
        yield client


def said(client: Client, request: Request) -> list[Record]:
    assert (request.method, request.path, request.content_format) == (Code.POST, ("dp",), 112)
    return decode(request.payload, 112, Path(), client.definitions)


async def test_what_is_at_the_paths_goes_to_the_server(coap: FakeEndpoint, client: Client) -> None:
    events = client.events()
    assert await client.send([LIFETIME, Path(3, 0, 11)]) == {1: Code.CHANGED}
    assert said(client, await coap.next_request()) == [Record(LIFETIME, 300), Record(Path(3, 0, 11, 0), 0)]
    assert await anext(events) == Notified(Path(), Reason.SEND, True, 1, (LIFETIME, Path(3, 0, 11)))


async def test_records_keep_their_times_and_their_order(coap: FakeEndpoint, client: Client) -> None:
    history = [Record(TEMPERATURE, 1.5, NOW + 20), Record(TEMPERATURE, 2.5, NOW), Record(TEMPERATURE, 3.5, NOW + 10)]
    await client.send(history)
    assert said(client, await coap.next_request()) == history


@pytest.mark.parametrize("muted", [True, None])
async def test_a_server_that_does_not_say_it_listens_gets_nothing(
    coap: FakeEndpoint, client: Client, muted: bool | None
) -> None:
    if muted is None:
        client.remove([MUTE_SEND])
    else:
        client.update([Record(MUTE_SEND, muted)])
    with pytest.raises(SendRefused, match="Mute Send"):
        await client.send([TEMPERATURE])
    client.update([Record(MUTE_SEND, False)])
    assert await client.send([TEMPERATURE]) == {1: Code.CHANGED}
    assert (await coap.next_request()).path == ("dp",)
    assert coap.requests.empty()


@pytest.mark.parametrize(
    "what",
    [
        [],
        [Path()],
        [Path(0, 0, 0)],
        [Path(21)],
        [Path(3339)],
        [Path(3303, 0, 9999)],
        [Path(3, 0, 4)],
        [TEMPERATURE, Path(0)],
        [Record(Path(3303, 7, 5700), 1.0)],
        [Record(Path(3303, 0), None)],
        [Record(TEMPERATURE, 1.0), Record(Path(0, 0, 0), "coap://h")],
    ],
    ids=str,
)
async def test_what_is_not_to_be_sent_stays(coap: FakeEndpoint, client: Client, what: list[Path | Record]) -> None:
    with pytest.raises(SendRefused):
        await client.send(what)
    assert coap.requests.empty()


async def test_a_value_of_a_wrong_type_is_an_error_of_the_caller(client: Client) -> None:
    with pytest.raises(ValueError, match="/3303/0/5700"):
        await client.send([Record(TEMPERATURE, "warm")])


async def test_before_a_registration_nothing_is_sent(coap: FakeEndpoint) -> None:
    coap.answers[Code.POST] = None
    async with make(coap) as client:
        with pytest.raises(SendRefused, match="not registered"):
            await client.send([TEMPERATURE])
        with pytest.raises(SendRefused, match="no such server"):
            await client.send([TEMPERATURE], 9)


async def test_a_server_that_does_not_know_us_is_registered_with_anew(coap: FakeEndpoint, client: Client) -> None:
    coap.answers[Code.PUT] = Response(Code.NOT_FOUND)
    assert await client.send([TEMPERATURE]) == {1: Code.NOT_FOUND}
    assert (await coap.next_request()).path == ("dp",)
    assert (await coap.next_request()).path == ("rd",)


async def test_silence_is_told(coap: FakeEndpoint, client: Client) -> None:
    coap.answers[Code.PUT] = TimedOut("no answer")
    with pytest.raises(TimedOut):
        await client.send([TEMPERATURE])


async def test_each_server_gets_what_it_may_read() -> None:
    coap = Servers()
    client = await two_servers(coap, [*open_to_all(Path(3303, 0), 2), Record(Path(2, 2, 2, 2), 0)])
    coap.asked.clear()
    assert await client.send([TEMPERATURE]) == {1: Code.CHANGED}
    with pytest.raises(SendRefused, match="no right"):
        await client.send([TEMPERATURE], 2)
    assert [(port, request.path) for port, request in coap.asked] == [(1001, ("dp",))]
    await client.stop()
