"""Queue mode on the client: 93 s after the last exchange it sleeps, until it has something to say. lwm2m.md §5.12."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from lwm2m.client import Asleep, Awake, Client
from lwm2m.client.queue_mode import Wakefulness
from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.message import Code, Request
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.testing import Network, ScriptedServer, clock, in_virtual_time

pytestmark = pytest.mark.usefixtures("each_stack")

TEMPERATURE = Path(3303, 0, 5700)
CLIENT = "coap://10.0.0.2:40000"
READ = Request(Code.GET, TEMPERATURE.segments)


def test_each_exchange_keeps_it_awake_for_the_window() -> None:
    wakefulness = Wakefulness()
    assert (wakefulness.is_awake, wakefulness.deadline()) == (True, None)
    assert not wakefulness.exchanged(10)
    assert not wakefulness.exchanged(50)
    assert wakefulness.deadline() == 143
    assert not wakefulness.due(142)
    assert wakefulness.due(143)
    assert (wakefulness.is_awake, wakefulness.deadline()) == (False, None)
    assert wakefulness.exchanged(500)
    assert wakefulness.sleep()
    assert not wakefulness.sleep()


@asynccontextmanager
async def pair(lifetime: int = 3600, **options: object) -> AsyncIterator[tuple[Client, ScriptedServer]]:
    network, loop = Network(), clock()
    endpoint = network.endpoint("10.0.0.1", 5683)
    client = Client(
        "dev1",
        "coap://10.0.0.1",
        [Record(TEMPERATURE, 1.0)],
        coap=network.endpoint("10.0.0.2", 40_000),
        lifetime=lifetime,
        clock=loop.time,
        **({"queue_mode": True} | options),  # type: ignore[arg-type]  # options of Client
    )
    async with ScriptedServer(endpoint) as server, client:
        register = await server.registered()
        assert register.request.query[3:] == ("b=U", "Q")
        del server.answers[Code.POST, "/rd/1"]
        await client.registered(5)
        yield client, server


async def is_heard(server: ScriptedServer) -> bool:
    try:
        await server.ask(CLIENT, READ)
    except TimedOut:
        return False
    return True


@in_virtual_time
async def test_it_hears_requests_within_the_window_only() -> None:
    async with pair() as (client, server):
        await asyncio.sleep(92)
        assert await is_heard(server)
        await asyncio.sleep(92)
        assert client.is_awake
        await asyncio.sleep(2)
        assert not client.is_awake
        assert not await is_heard(server)


@in_virtual_time
async def test_it_wakes_for_its_update_and_hears_what_follows() -> None:
    async with pair(lifetime=600) as (client, server):
        registered_at = clock().time()
        await asyncio.sleep(200)
        assert not client.is_awake
        update = await server.expect(Code.POST, "/rd/1", 600)
        assert clock().time() - registered_at == pytest.approx(507, abs=1)
        update.answer(Code.CHANGED)
        assert await is_heard(server)


async def wake_by_hand(client: Client) -> None:
    client.wake()


async def wake_by_report(client: Client) -> None:
    client.update([Record(TEMPERATURE, 2.0)])


@pytest.mark.parametrize("wake", [wake_by_hand, wake_by_report])
def test_what_it_has_to_say_wakes_it(wake: Callable[[Client], object]) -> None:
    @in_virtual_time
    async def run() -> None:
        async with pair() as (client, server):
            observe = Request(Code.GET, TEMPERATURE.segments, observe=0)
            observation = await server.coap.observe(await server.coap.peer(CLIENT), observe)
            assert observation.first.observing
            await asyncio.sleep(100)
            assert not client.is_awake
            server.answers[Code.POST, "/rd/1"] = server.answers[Code.DELETE, "/rd/1"]
            await wake(client)  # type: ignore[misc]  # both are coroutines
            await asyncio.sleep(1)
            assert client.is_awake
            assert await is_heard(server)

    run()


@in_virtual_time
async def test_it_can_be_put_to_sleep_and_tells_of_it() -> None:
    async with pair() as (client, server):
        events = client.events()
        client.sleep()
        assert not await is_heard(server)
        client.wake()
        (await server.expect(Code.POST, "/rd/1")).answer(Code.CHANGED)
        assert [await anext(events), await anext(events)] == [Asleep(), Awake()]
        assert await is_heard(server)


async def test_a_client_without_queue_mode_does_not_sleep() -> None:
    client = Client("dev1", "coap://127.0.0.1")
    with pytest.raises(ValueError, match="queue mode"):
        client.sleep()
    assert client.is_awake


@in_virtual_time
async def test_a_client_of_1_0_says_queue_mode_in_its_binding() -> None:
    network = Network()
    client = Client(
        "dev1", "coap://10.0.0.1", coap=network.endpoint("10.0.0.2"), clock=clock().time, version="1.0", queue_mode=True
    )
    async with ScriptedServer(network.endpoint("10.0.0.1", 5683)) as server, client:
        register = await server.registered()
        assert register.request.query[3:] == ("b=UQ",)
