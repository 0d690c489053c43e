"""Clients and servers on a bad line: everybody gets there in the end, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack

import pytest

from lwm2m.client import Client
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.errors import NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import Notified, Registered, Sent, Server
from lwm2m.testing import Conditions, Network, clock, in_virtual_time
from tests.wire import client_on, server_on

pytestmark = pytest.mark.usefixtures("each_stack")

LOSSY = Conditions(loss=0.3, delay=(0.02, 0.2))
WORST = Conditions(loss=0.2, duplication=0.5, delay=(0.01, 3.0))
DOUBLING = Conditions(duplication=0.6, delay=(0.01, 1.0))
RESET = Path(3305, 0, 5822)
VOLUME = Path(3338, 0, 5548)


@pytest.mark.parametrize("seed", range(3))
@in_virtual_time
async def test_two_hundred_of_two_hundred_clients_register_at_thirty_percent_loss_each_way(seed: int) -> None:
    network = Network(seed, LOSSY)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(server_on(network))
        clients = [client_on(network, f"client-{n}", host=f"10.0.{n // 100 + 1}.{n % 100 + 1}") for n in range(200)]
        for client in clients:
            await stack.enter_async_context(client)
        for client in clients:
            await client.registered(3600)
        assert len(server.registrations()) == 200
        lost = sum(crossing.copies == 0 for crossing in network.crossings)
        assert 0.2 < lost / len(network.crossings) < 0.4
        network.conditions = Conditions()
        await asyncio.sleep(600)
        for number, registration in enumerate(sorted(server.registrations(), key=lambda one: int(one.endpoint[7:]))):
            assert registration.peer.address[0] == f"10.0.{number // 100 + 1}.{number % 100 + 1}"


@in_virtual_time
async def test_clients_stay_registered_for_a_day_on_a_lossy_line() -> None:
    network = Network(7, LOSSY)
    async with server_on(network) as server, client_on(network, lifetime=600) as client:
        await client.registered(3600)
        present = 0
        for _ in range(24):
            await asyncio.sleep(3600)
            present += bool(server.registrations())
        assert present >= 23
        await client.registered(3600)


class Counting:
    """A device that counts what is done to it."""

    def __init__(self) -> None:
        self.executed: Counter[str] = Counter()
        self.written: list[object] = []
        self.client: Client | None = None

    async def write(self, records: Sequence[Record]) -> None:
        assert self.client is not None
        self.written.extend(record.value for record in records)
        self.client.update(records)

    async def execute(self, path: Path, arguments: str) -> None:
        if path != RESET:
            raise NotFound(f"there is no {path}")
        await asyncio.sleep(0.5)
        self.executed[arguments] += 1


DEVICE = [Record(VOLUME, 0.0), Record(RESET, None)]


async def attempted(work: Awaitable[object]) -> bool:
    try:
        await work
    except RequestFailed:
        return False
    return True


@pytest.mark.parametrize("conditions", [LOSSY, WORST, DOUBLING], ids=["lossy", "worst", "doubling"])
@pytest.mark.parametrize("seed", range(3))
@in_virtual_time
async def test_an_execute_or_write_that_was_answered_was_done_once(seed: int, conditions: Conditions) -> None:
    network, device = Network(seed), Counting()
    client = device.client = client_on(network, records=DEVICE, actuator=device, lifetime=86_400)
    async with server_on(network) as server, client:
        await client.registered(60)
        network.conditions = conditions
        answered = []
        for number in range(25):
            done = await attempted(asyncio.create_task(server.execute("client", RESET, f"0='{number}'")))
            answered += [f"0='{number}'"] if done else []
        volumes = []
        for number in range(25):
            done = await attempted(asyncio.create_task(server.write("client", VOLUME, float(number + 1))))
            volumes += [float(number + 1)] if done else []
        await asyncio.sleep(300)
        assert len(answered) > 15
        assert set(device.executed.values()) == {1}
        assert set(answered) <= set(device.executed)
        assert set(Counter(device.written).values()) == {1}
        assert set(volumes) <= set(device.written)
        assert device.written == sorted(device.written, key=float)  # type: ignore[arg-type]  # floats only


@pytest.mark.parametrize("conditions", [LOSSY, WORST, DOUBLING], ids=["lossy", "worst", "doubling"])
@in_virtual_time
async def test_a_create_that_was_answered_made_one_instance(conditions: Conditions) -> None:
    network = Network(11)
    client = client_on(network, records=[Record(Path(16), None)], lifetime=86_400)
    async with server_on(network) as server, client:
        await client.registered(60)
        network.conditions = conditions
        answered = 0
        for number in range(20):
            task = asyncio.create_task(server.create("client", "/16", {0: {0: f"identity {number}"}}))
            answered += await attempted(task)
        await asyncio.sleep(300)
        made = [client.data_model.value(Path(16, n, 0, 0)) for n in client.data_model.instances(16)]
        assert len(made) == len(set(made))
        assert answered >= 10
        assert len(made) >= answered


@pytest.mark.parametrize("conditions", [LOSSY, WORST, DOUBLING], ids=["lossy", "worst", "doubling"])
@in_virtual_time
async def test_values_that_are_sent_are_told_once(conditions: Conditions) -> None:
    network = Network(13)
    async with server_on(network) as server, client_on(network, records=DEVICE, lifetime=86_400) as client:
        await client.registered(60)
        events = server.events()
        network.conditions = conditions
        answered = []
        for number in range(20):
            answered += [number] if await attempted(client.send([Record(VOLUME, float(number))])) else []
        await asyncio.sleep(300)
        await server.stop()
        told = [record.value async for event in events if isinstance(event, Sent) for record in event.records]
        assert told == sorted(set(told), key=float)  # type: ignore[arg-type]  # floats only
        assert {float(number) for number in answered} <= set(told)
        assert len(answered) >= 10


@in_virtual_time
async def test_a_register_that_arrives_twice_makes_one_registration() -> None:
    network = Network(3, Conditions(duplication=1.0, delay=(0.01, 2.0)))
    async with server_on(network) as server:
        events = server.events()
        async with client_on(network) as client:
            await client.registered(300)
            await asyncio.sleep(60)
            (registration,) = server.registrations()
        came = [event for event in [await anext(events)] if isinstance(event, Registered)]
        assert came == [Registered(registration, None)]
        await asyncio.sleep(60)
        assert server.registrations() == []


@pytest.mark.parametrize("seed", range(3))
@in_virtual_time
async def test_notifications_that_overtake_one_another_never_show_an_old_value_after_a_newer_one(seed: int) -> None:
    network = Network(seed)
    async with server_on(network) as server, client_on(network, records=DEVICE, lifetime=86_400) as client:
        await client.registered(60)
        events = server.events()
        assert (await server.observe("client", VOLUME)).observing
        network.conditions = Conditions(duplication=0.5, delay=(0.01, 4.0))
        for number in range(40):
            client.update([Record(VOLUME, float(number + 1))])
            await asyncio.sleep(1)
        network.conditions = Conditions()
        await asyncio.sleep(60)
        client.update([Record(VOLUME, 99.0)])
        await asyncio.sleep(1)
        seen = await told(events, server)
        assert seen == sorted(set(seen))
        assert seen[-1] == 99.0
        assert len(seen) > 10


async def told(events: object, server: Server) -> list[float]:
    """The values that the server's application was notified of, once it has stopped."""
    await server.stop()
    values = []
    async for event in events:  # type: ignore[attr-defined]  # an EventStream
        if isinstance(event, Notified):
            values += [record.value for record in event.records if isinstance(record.value, float)]
    return values


@in_virtual_time
async def test_a_body_of_many_blocks_arrives_whole_and_is_written_once() -> None:
    network = Network(5)
    written: list[bytes] = []

    class Memory:
        async def write(self, records: Sequence[Record]) -> None:
            written.extend(record.value for record in records if isinstance(record.value, bytes))
            client.update(records)

        async def execute(self, path: Path, arguments: str) -> None:  # noqa: ARG002
            raise NotFound(f"there is no {path}")

    client = client_on(network, records=[Record(Path(19, 0, 0, 0), b"")], actuator=Memory(), lifetime=86_400)
    async with server_on(network) as server, client:
        await client.registered(60)
        network.conditions = Conditions(loss=0.15, duplication=0.3, delay=(0.01, 0.5))
        body = bytes(range(256)) * 40
        began = clock().time()
        await server.write("client", "/19/0/0/0", body)
        assert written == [body]
        assert await server.read("client", "/19/0/0/0") == [Record(Path(19, 0, 0, 0), body)]
        assert clock().time() - began < 600
