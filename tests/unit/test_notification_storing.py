"""What a server missed while it was away reaches it when it observes again. lwm2m.md §7.8."""

from __future__ import annotations

import asyncio
import json

import pytest

from lwm2m.attributes import Reason
from lwm2m.client import Client, Disabled, Notified, Registered
from lwm2m.client.observation import Observed
from lwm2m.client.storing import StoredReports
from lwm2m.coap.message import Code, Request
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.testing import clock, in_virtual_time
from tests.unit.fake_endpoint import FakeEndpoint
from tests.unit.test_client_shell import TEMPERATURE, make

SENML_JSON = 110
NOW = 1_700_000_000


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def observe(accept: int | None, token: bytes) -> Request:
    return Request(Code.GET, TEMPERATURE.segments, accept=accept, observe=0, token=token)


async def missed(coap: FakeEndpoint, client: Client, wall: Wall, accept: int | None, token: bytes = b"\x01") -> None:
    """The server observes, disables the client for a second and misses two values."""
    events = client.events()
    await coap.ask(observe(accept, token))
    await coap.ask(Request(Code.PUT, ("1", "0", "5"), payload=b"1", token=b"\x05"))
    await coap.ask(Request(Code.POST, ("1", "0", "4"), token=b"\x06"))
    async with asyncio.timeout(5):
        while not isinstance(await anext(events), Disabled):
            pass
        for value in (1.5, 2.5):
            wall.now += 10
            client.update([Record(TEMPERATURE, value)])
        while not isinstance(await anext(events), Registered):
            pass
    assert coap.notifications.empty()


@in_virtual_time
async def test_senml_has_all_values_with_their_times() -> None:
    coap, wall = FakeEndpoint(), Wall()
    async with make(coap, wall_clock=wall, clock=clock().time) as client:
        await client.registered(5)
        await missed(coap, client, wall, SENML_JSON)
        events = client.events()
        assert json.loads((await coap.ask(observe(SENML_JSON, b"\x02"))).payload)[0]["v"] == 2.5
        subscription, response, confirmable = await coap.next_notification()
        assert (subscription.token, confirmable) == (b"\x02", True)
        base, times, values = 0, [], []
        for entry in json.loads(response.payload):
            base = entry.get("bt", base)
            times.append(base + entry.get("t", 0))
            values.append(entry["v"])
        assert (values, times) == ([1.5, 2.5], [NOW + 10, NOW + 20])
        found = [await asyncio.wait_for(anext(events), 5) for _ in range(3)]
        assert [event.reason for event in found if isinstance(event, Notified)] == [Reason.INITIAL, Reason.STORED]


@in_virtual_time
async def test_other_formats_have_them_one_after_the_other() -> None:
    coap, wall = FakeEndpoint(), Wall()
    async with make(coap, wall_clock=wall, clock=clock().time) as client:
        await client.registered(5)
        await missed(coap, client, wall, None)
        await coap.ask(observe(None, b"\x02"))
        assert [(await coap.next_notification())[1].payload for _ in range(2)] == [b"1.5", b"2.5"]


@in_virtual_time
async def test_without_storing_the_last_value_is_all_there_is() -> None:
    coap, wall = FakeEndpoint(), Wall()
    async with make(coap, [Record(Path(1, 0, 6), False)], wall_clock=wall, clock=clock().time) as client:
        await client.registered(5)
        await missed(coap, client, wall, SENML_JSON)
        assert json.loads((await coap.ask(observe(SENML_JSON, b"\x02"))).payload)[0]["v"] == 2.5
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(coap.notifications.get(), 0.3)


def test_the_oldest_are_lost_first_and_each_target_has_its_own() -> None:
    here, there = Observed((TEMPERATURE,)), Observed((Path(3, 0, 9),))
    stored = StoredReports(3)
    for number in range(3):
        stored.keep(here, [Record(TEMPERATURE, number, NOW)])
    stored.keep(there, [Record(Path(3, 0, 9), 50, NOW)])
    assert [records[0].value for records in stored.take(here)] == [1, 2]
    assert list(stored.take(here)) == []
    assert len(stored) == 1
