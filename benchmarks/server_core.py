"""What the server costs above CoAP: its request handler, observer and `read`, with nothing beneath and one subscriber
that drains the events.

    python -m benchmarks.server_core [--clients 1000 100000] [--rounds 3]

Microseconds of processor time an operation, the best of the rounds, and bytes of resident memory a registered client.
Each number of clients is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path as FilePath

from lwm2m.coap.endpoint import AssociationLost, Delivery, Handler
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.codec import encode
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import Overflow, Server, ServerLimits

HERE = ("127.0.0.1", 5683)
WAKE_UP = 64
"""Datagrams that a stack takes in a turn of the loop."""
IN_FLIGHT = 200
OBSERVERS = 1000
VALUE = Path(3303, 0, 5700)
LINKS = b'</>;rt="oma.lwm2m";ct="60 110 112",</1/0>,</3/0>,</4/0>,</5/0>,</3303/0>,</3303/1>,</3442/0>'


def value(number: int) -> Response:
    payload = encode([Record(VALUE, 20.5 + number % 7)], ContentFormat.SENML_CBOR, VALUE, shipped())
    return Response(Code.CONTENT, payload, ContentFormat.SENML_CBOR, observing=True)


class Observation:
    """Notifications are what `receive` is called with."""

    def __init__(self, first: Response) -> None:
        self.first = first
        self.receive: Callable[[Response | None], None] | None = None

    async def __aiter__(self) -> AsyncIterator[Response]:
        return
        yield

    def follow(self, receive: Callable[[Response | None], None]) -> None:
        self.receive = receive

    async def cancel(self, *, active: bool = True) -> Response | None:  # noqa: ARG002
        return None


class NoNetwork:
    """An endpoint whose clients answer every read a turn of the loop later, and accept every observation."""

    address = HERE
    uri = "coap://127.0.0.1"

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.observations: list[Observation] = []
        self._value = value(0)

    async def start(self, handler: Handler) -> None:
        self.handler = handler

    async def stop(self) -> None:
        self.handler = None

    async def peer(self, uri: str) -> Peer:
        raise ValueError(f"nobody is at {uri}")

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:  # noqa: ARG002
        await asyncio.sleep(0)
        return self._value

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> Observation:  # noqa: ARG002
        self.observations.append(Observation(self._value))
        return self.observations[-1]

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        raise NotImplementedError

    def forget(self, subscription: Subscription) -> None:
        raise NotImplementedError

    def listen(self, listening: bool) -> None:
        raise NotImplementedError

    async def events(self) -> AsyncIterator[AssociationLost]:
        return
        yield


@dataclass(frozen=True)
class Figures:
    clients: int
    register: float
    update: float
    notification: float
    read: float
    endpoint: float
    bytes: float


async def measure(clients: int, rounds: int) -> Figures:
    network = NoNetwork()
    async with Server([network], limits=ServerLimits(max_registrations=2 * clients)) as server:
        drained = asyncio.create_task(drain(server))
        handler = network.handler
        assert handler is not None
        before = resident()
        locations = await fill(handler, clients)
        grown = (resident() - before) / clients
        gc.collect()
        gc.freeze()
        anybody, question = peer(0), Request(Code.GET)
        update = await best(rounds, lambda: updates(handler, locations))
        register = await best(rounds, lambda: registers(handler, clients))
        notification = await best(rounds, lambda: notifications(server, network, clients))
        read = await best(rounds, lambda: reads(clients, server.read))
        endpoint = await best(rounds, lambda: reads(clients, lambda _name, _path: network.request(anybody, question)))
    await drained
    return Figures(clients, register, update, notification, read, endpoint, grown)


async def drain(server: Server) -> None:
    async for event in server.events():
        if isinstance(event, Overflow):
            raise RuntimeError("the subscriber was too slow")


async def best(rounds: int, work: Callable[[], Awaitable[float]]) -> float:
    return min([await work() for _ in range(rounds)])


@cache
def peer(number: int) -> Peer:
    """As a stack hands out the same value for the same client."""
    return Peer(HERE, (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 40000))


def name(number: int) -> str:
    return f"urn:imei:35{number:013}"


def register(number: int) -> Request:
    query = (f"ep={name(number)}", "lt=86400", "lwm2m=1.1", "b=U")
    return Request(Code.POST, ("rd",), query, bytes(bytearray(LINKS)), ContentFormat.LINK)


async def fill(handler: Handler, clients: int) -> list[tuple[str, ...]]:
    return [
        response.location
        for batch in batches((register(number), peer(number)) for number in range(clients))
        for response in await answered(handler, batch)
    ]


async def registers(handler: Handler, clients: int) -> float:
    """Every client again: the old registration is replaced. What a stack has in hand anyway, request and peer, is made
    beforehand."""
    count = min(clients, 20_000)
    return await timed(handler, [(register(number), peer(number)) for number in range(count)])


async def updates(handler: Handler, locations: Sequence[tuple[str, ...]]) -> float:
    sample = [(Request(Code.POST, location), peer(number)) for number, location in enumerate(locations[:20_000])]
    return await timed(handler, sample)


async def notifications(server: Server, network: NoNetwork, clients: int) -> float:
    if not network.observations:
        for number in range(min(OBSERVERS, clients)):
            await server.observe(name(number), VALUE)
        await asyncio.sleep(0)
    arriving = [value(number) for number in range(20_000)]
    count = len(network.observations)
    start = time.process_time()
    for first in range(0, len(arriving), WAKE_UP):
        for number in range(first, min(first + WAKE_UP, len(arriving))):
            receive = network.observations[number % count].receive
            assert receive is not None
            receive(arriving[number])
        await asyncio.sleep(0)
    return (time.process_time() - start) / len(arriving)


async def reads(clients: int, read: Callable[[str, Path], Awaitable[object]]) -> float:
    """`IN_FLIGHT` workers, each with one read after the other."""
    numbers = iter(range(20_000))

    async def work() -> None:
        for number in numbers:
            await read(name(number % clients), VALUE)

    start = time.process_time()
    async with asyncio.TaskGroup() as workers:
        for _ in range(IN_FLIGHT):
            workers.create_task(work())
    return (time.process_time() - start) / 20_000


async def timed(handler: Handler, requests: Sequence[tuple[Request, Peer]]) -> float:
    every = list(batches(iter(requests)))
    start = time.process_time()
    answers = [await answered(handler, batch) for batch in every]
    taken = (time.process_time() - start) / len(requests)
    assert all(answer.code.is_success for batch in answers for answer in batch)
    return taken


def batches(requests: Iterator[tuple[Request, Peer]]) -> Iterator[list[tuple[Request, Peer]]]:
    while batch := list(islice(requests, WAKE_UP)):
        yield batch


async def answered(handler: Handler, batch: list[tuple[Request, Peer]]) -> list[Response]:
    """As a stack does it: all requests of a wake-up, then a turn of the loop for what follows."""
    given = [handler(request, sender) for request, sender in batch]
    responses = [answer if isinstance(answer, Response) else await answer for answer in given]
    await asyncio.sleep(0)
    return responses


def resident() -> int:
    gc.collect()
    pages = int(FilePath("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(clients: int, rounds: int) -> Figures:
    return asyncio.run(measure(clients, rounds))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--clients", type=int, nargs="+", default=[1000, 100_000])
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    print("| clients | Register | Update | notification | read | of it endpoint | bytes a client |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for clients in options.clients:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            found = process.apply(run, (clients, options.rounds))
        times = (found.register, found.update, found.notification, found.read, found.endpoint)
        figures = " | ".join(f"{seconds * 1e6:.1f} us" for seconds in times)
        print(f"| {clients} | {figures} | {found.bytes:.0f} |")


if __name__ == "__main__":
    main()
