"""Strangers who send what they like to a server and a client of ours, while those two go on with each other.

What the strangers send is one input: steps with a header of four bytes each, see `Step`."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import NamedTuple

from lwm2m.client import Client
from lwm2m.coap.endpoint import Endpoint, Limits, RequestFailed
from lwm2m.coap.message import Code
from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import InvalidAnswer, Notified, NotRegistered, Registered, Server
from lwm2m.server.limits import ServerLimits
from lwm2m.testing import Datagram, Network, clock
from lwm2m.testing.datagram import Kind
from lwm2m.testing.network import Address, MemorySocket
from tests.fuzz.target import Way

SERVER: Address = ("10.0.0.1", 5683)
GOOD: Address = ("10.0.1.1", 5683)
STRANGERS: tuple[Address, ...] = (("10.0.9.1", 5683), ("10.0.9.2", 40_000), ("10.0.9.3", 1), (GOOD[0], 40_001))
"""The last one shares the address of the good client, as behind a NAT."""
TEMPERATURE = Path(3303, 0, 5700)
PAUSES = (0.0, 0.0, 0.0, 0.02, 0.2, 3.0, 30.0, 100.0)
FAILURES = (RequestFailed, LwM2MError, InvalidAnswer, NotRegistered)
"""What an operation on a stranger's device may end in."""
MAX_STEPS = 400
PATIENCE = 400.0
"""Virtual seconds for what may have to be sent again."""

LIMITS = Limits(
    max_body=4096,
    max_package=8192,
    max_packages=1,
    max_pending_per_peer=8,
    max_observations_per_client=8,
    max_peers=8,
    max_peers_unverified=4,
    max_duplicates=32,
)
SERVER_LIMITS = ServerLimits(max_registrations=8, max_links=64, max_observations_per_client=8, kept_object_lists=8)
MOST_KEPT = 300
"""What the largest table may hold under these limits; bodies on their way have 256 places of their own."""


class Step(NamedTuple):
    """Two bits say who sends; one bit that the client is meant and not the server; one that message ID and token are
    those of what was last received, as in an answer. Three bits choose the pause, the nine others are added to the port
    that it is sent from: then nobody hears the answer. Two bytes are the length of the datagram."""

    sender: int
    port: int
    to_client: bool
    answers: bool
    pause: float
    datagram: bytes

    def __bytes__(self) -> bytes:
        head = self.sender | self.to_client << 2 | self.answers << 3 | PAUSES.index(self.pause) << 4 | self.port << 7
        return head.to_bytes(2, "big") + len(self.datagram).to_bytes(2, "big") + self.datagram


def steps(data: bytes) -> Iterator[Step]:
    """What is cut short is taken as far as it goes."""
    at = 0
    for _ in range(MAX_STEPS):
        if at + 4 > len(data):
            return
        head, length = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        datagram = data[at + 4 : at + 4 + length]
        yield Step(head & 3, head >> 7, bool(head & 4), bool(head & 8), PAUSES[head >> 4 & 7], datagram)
        at += 4 + length


class Stranger:
    """Sends whole datagrams, and remembers what came."""

    def __init__(self, network: Network, line: MemorySocket) -> None:
        self._network = network
        self._line = line
        self._last = b""
        line.wake(self._receive)
        self.told = 0
        self.heard = 0
        self.only_asks = True

    def _receive(self) -> None:
        data, *_ = self._line.recvmsg(65_536)
        self.heard += len(data)
        self._last = data

    def send(self, step: Step) -> None:
        destination = GOOD if step.to_client else SERVER
        if step.port:
            host, port = self._line.address
            self._network.carry((host, port + step.port), destination, step.datagram)
            return
        data = answering(self._last, step.datagram) if step.answers else step.datagram
        self.only_asks &= is_plain_request(data)
        self.told += len(data)
        self._line.sendmsg([data], [], 0, destination)

    def close(self) -> None:
        self._line.close()


def answering(received: bytes, data: bytes) -> bytes:
    """With the message ID and the token of a request that came."""
    if len(received) < 4 or len(data) < 4:
        return data
    token = received[4 : 4 + (received[0] & 0x0F)]
    rest = data[4 + (data[0] & 0x0F) :]
    return bytes((data[0] & 0xF0 | len(token), data[1])) + received[2:4] + token + rest


def is_plain_request(data: bytes) -> bool:
    """What shows nobody that its sender receives anything."""
    try:
        message = Datagram.decode(data)
    except ValueError:
        return True
    return message.is_request and message.kind in (Kind.CON, Kind.NON) and not message.values(252)


class Hurt(AssertionError):
    """What a stranger must not be able to do."""


@contextmanager
def no_error_is_logged() -> Iterator[None]:
    """Raises Hurt with what was logged."""
    kept = _Errors(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(kept)
    try:
        yield
    finally:
        root.removeHandler(kept)
    if kept.texts:
        raise Hurt(f"logged: {kept.texts[0]}")


class _Errors(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter("%(name)s: %(message)s").format(record))


async def scene(stack: str, data: bytes) -> Way:
    """The input against a server and its client over this stack."""
    network = Network(seed=1)
    server_endpoint = network.endpoint(*SERVER, stack=stack, limits=LIMITS)
    client_endpoint = network.endpoint(*GOOD, stack=stack, limits=LIMITS)
    server = Server([server_endpoint], clock=clock().time, wall=clock().wall_time, limits=SERVER_LIMITS)
    client = Client(
        "good",
        f"coap://{SERVER[0]}",
        [Record(TEMPERATURE, 20.0)],
        lifetime=86_400,
        coap=client_endpoint,
        clock=clock().time,
        wall_clock=clock().wall_time,
    )
    strangers = [Stranger(network, await network.open_socket(*address)) for address in STRANGERS]
    async with server, client, asyncio.TaskGroup() as curious:
        await client.registered(PATIENCE)
        values: deque[object] = deque(maxlen=4)
        watching = curious.create_task(_watch(server, values, curious))
        await server.observe("good", TEMPERATURE, timeout=PATIENCE)
        for step in steps(data):
            strangers[step.sender].send(step)
            if step.pause:
                await asyncio.sleep(step.pause)
        await asyncio.sleep(1.0)
        await _unhurt(server, client, values)
        watching.cancel()
        _bounded(server_endpoint, client_endpoint)
        for stranger in strangers:
            stranger.close()
    _not_amplified(stack, strangers)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        raise Hurt(f"tasks are left: {sorted(task.get_name() for task in left)}")
    return Way(_answers(network))


async def _watch(server: Server, values: deque[object], curious: asyncio.TaskGroup) -> None:
    """Whoever registers is asked something, as an application would."""
    async for event in server.events():
        if isinstance(event, Notified) and event.endpoint == "good":
            values.extend(record.value for record in event.records)
        elif isinstance(event, Registered) and event.registration.endpoint != "good":
            curious.create_task(_ask(server, event.registration.endpoint))


async def _ask(server: Server, endpoint: str) -> None:
    try:
        await server.read(endpoint, "/3/0", timeout=5.0)
        await server.observe(endpoint, "/3/0/9", timeout=5.0)
    except FAILURES:
        return


async def _unhurt(server: Server, client: Client, values: deque[object]) -> None:
    """The good client is registered, read, observed, and registers anew."""
    endpoints = [registration.endpoint for registration in server.registrations()]
    if "good" not in endpoints:
        raise Hurt("the good client is not registered any more")
    if len(endpoints) > SERVER_LIMITS.max_registrations:
        raise Hurt(f"{len(endpoints)} registrations")
    read = await server.read("good", TEMPERATURE, timeout=PATIENCE)
    if [record.value for record in read] != [20.0]:
        raise Hurt(f"a stranger wrote {read}")
    client.update([Record(TEMPERATURE, 21.5)])
    await asyncio.sleep(10.0)
    if 21.5 not in values:
        raise Hurt("a notification did not arrive")
    client.update_registration()
    await asyncio.sleep(1.0)
    await client.registered(PATIENCE)


def _bounded(*endpoints: Endpoint) -> None:
    for endpoint in endpoints:
        size, what = largest_table(endpoint)
        if size > MOST_KEPT:
            raise Hurt(f"{size} things are kept in {what}")


def largest_table(endpoint: Endpoint) -> tuple[int, str]:
    """Of everything that is reached from an endpoint without leaving CoAP."""
    seen: set[int] = {id(clock())}
    waiting: list[tuple[object, str]] = [(endpoint, type(endpoint).__name__)]
    largest = (0, "")
    while waiting:
        thing, name = waiting.pop()
        for inner in gc.get_referents(thing):
            if id(inner) in seen or isinstance(inner, type | ModuleType | FunctionType | asyncio.Future | str | bytes):
                continue
            seen.add(id(inner))
            kind = type(inner)
            if kind.__module__.startswith(("lwm2m.coap", "aiocoap")) or isinstance(inner, MethodType | partial):
                waiting.append((inner, kind.__name__))
            elif isinstance(inner, dict | list | set | deque | tuple):
                largest = max(largest, (len(inner), f"{name}: {kind.__name__}"))
                waiting.append((inner, name))
    return largest


def _not_amplified(stack: str, strangers: list[Stranger]) -> None:
    """Our own stack sends no more than a multiple of what it got to who did not show that it receives anything."""
    if stack != "datagram":
        return
    for stranger in strangers:
        if stranger.only_asks and stranger.heard > LIMITS.amplification * stranger.told:
            raise Hurt(f"{stranger.heard} bytes for {stranger.told} bytes of somebody unknown")


def _answers(network: Network) -> Iterator[str]:
    """Each code that a stranger was answered with, and what it was asked."""
    found: dict[str, None] = defaultdict()
    for address in STRANGERS:
        for crossing in network.between(destination=address[0]):
            if crossing.destination == address and len(crossing.data) > 1:
                found[Code(crossing.data[1]).dotted] = None
    return iter(sorted(found))
