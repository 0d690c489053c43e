"""A client and a server of ours with a wire between them that remembers what crossed it.

What a case asserts is on the wire; what the two libraries say of it is asserted elsewhere."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lwm2m.client import Client
from lwm2m.client.objects import Downloader, SimulatedDevice
from lwm2m.coap.endpoint import Endpoint, Limits
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.codec import decode, encode
from lwm2m.link_format import Link, parse
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations import Body, Create, Delete, DeviceOperation, Discover, Execute, Read, Write, WriteAttributes
from lwm2m.operations.composite import ReadComposite, WriteComposite, path_list
from lwm2m.server import Server
from lwm2m.testing import Crossing, Datagram, Network, VirtualTimeLoop, run
from tests.conformance.configurations import CONFIGURATIONS
from tests.wire import DEVICE, SERVER

Found = TypeVar("Found")

ENDPOINT = "urn:conformance:1"
SOON = 3.0
"""Seconds within which something has to cross that is due at once."""
LOOKS = 2000
"""How often the wire is looked at, at most, while something is awaited."""


class Wire(Protocol):
    """A network that remembers. `lwm2m.testing.Network` is one, and so is real UDP with a recorder."""

    crossings: list[Crossing]

    def endpoint(self, host: str, port: int = 0, *, limits: Limits = ...) -> Endpoint: ...


@dataclass(frozen=True)
class Exchange:
    """A request and its first response. `at` is when the request left."""

    at: float
    source: str
    request: Datagram
    response: Datagram

    @property
    def code(self) -> Code:
        return Code(self.response.code)

    @property
    def path(self) -> Path:
        return Path.parse(self.request.path)

    @property
    def payload(self) -> bytes:
        return self.response.payload


@dataclass(frozen=True)
class Notification:
    at: float
    message: Datagram


class Bench:
    """`server`, `client` and what crosses between them. Everything before `mark` is of no interest any more."""

    def __init__(
        self,
        wire: Wire,
        server: Server,
        client: Client,
        server_host: str,
        device_host: str,
        device: SimulatedDevice | None = None,
    ) -> None:
        self.wire = wire
        self.given_device = device
        self.server = server
        self.client = client
        self.server_host = server_host
        self.device_host = device_host
        self.mark = 0

    @property
    def is_virtual(self) -> bool:
        """Whether waiting costs nothing."""
        return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)

    @property
    def device(self) -> SimulatedDevice:
        """Of a case that wants objects that work."""
        assert self.given_device is not None
        return self.given_device

    # What the server asks

    def begin(self) -> None:
        """What crossed so far is of no interest any more."""
        self.mark = len(self.wire.crossings)

    async def ask(self, operation: DeviceOperation) -> Exchange:
        self.begin()
        await self.server.ask(ENDPOINT, operation)
        return self.last()

    def last(self) -> Exchange:
        """The newest answered request of the server since the mark; what comes later is looked for after it."""
        found = [exchange for exchange in self.exchanges() if exchange.source == self.server_host]
        assert found, "the server asked nothing"
        return found[-1]

    async def read(self, path: str, accept: int | None = None) -> Exchange:
        return await self.ask(Read(Path.parse(path), accept))

    async def write(
        self, path: str, values: Value | Mapping[str, Value], content_format: int, *, replace: bool = True
    ) -> Exchange:
        """One value, or values by their path beneath this one, as "2" or "0/1"."""
        return await self.ask(Write(Path.parse(path), self.body(path, values, content_format), replace))

    async def write_bytes(self, path: str, payload: bytes, content_format: int, *, replace: bool = True) -> Exchange:
        """Bytes as a document prints them."""
        return await self.ask(Write(Path.parse(path), Body(payload, content_format), replace))

    async def execute(self, path: str, arguments: str = "") -> Exchange:
        return await self.ask(Execute(Path.parse(path), arguments))

    async def discover(self, path: str) -> Exchange:
        return await self.ask(Discover(Path.parse(path)))

    async def attributes(self, path: str, **attributes: str | int | None) -> Exchange:
        texts = {name: None if value is None else str(value) for name, value in attributes.items()}
        return await self.ask(WriteAttributes(Path.parse(path), texts))

    async def create(self, path: str, body: Body) -> Exchange:
        return await self.ask(Create(Path.parse(path), body))

    async def delete(self, path: str) -> Exchange:
        return await self.ask(Delete(Path.parse(path)))

    async def observe(self, path: str, accept: int | None = None) -> Exchange:
        self.begin()
        await self.server.observe(ENDPOINT, path, accept)
        return self.last()

    async def read_composite(self, *paths: str, accept: int = ContentFormat.SENML_CBOR) -> Exchange:
        return await self.ask(ReadComposite(path_list(map(Path.parse, paths), accept), accept))

    async def write_composite(self, values: Mapping[str, Value], content_format: int) -> Exchange:
        records = [Record(Path.parse(path), value) for path, value in values.items()]
        payload = encode(records, content_format, Path(), self.server.definitions)
        return await self.ask(WriteComposite(Body(payload, content_format)))

    async def observe_composite(self, *paths: str, accept: int = ContentFormat.SENML_CBOR) -> Exchange:
        self.begin()
        await self.server.observe_composite(ENDPOINT, paths, accept, list_format=accept)
        return self.last()

    def body(self, path: str, values: Value | Mapping[str, Value], content_format: int) -> Body:
        target = Path.parse(path)
        if isinstance(values, Mapping):
            records = [Record(Path.parse(f"{path}/{name}"), value) for name, value in values.items()]
        else:
            records = [Record(target, values)]
        return self.server.body(ENDPOINT, target, records, content_format)

    # What the device sends

    async def coming(self, method: Code, path: str, within: float = SOON) -> Exchange:
        """The next request of the client to a path that begins so, once it is answered; the mark moves behind it.
        Raises AssertionError when none comes in time."""

        def found() -> Exchange | None:
            for exchange in self.exchanges():
                asked = exchange.request
                if exchange.source == self.device_host and asked.code == method and asked.path.startswith(path):
                    return exchange
            return None

        exchange = await self.until(found, within, f"{method.name} {path}")
        self.mark = 1 + max(n for n, one in enumerate(self.wire.crossings) if one.data == exchange.request.encode())
        return exchange

    async def silence(self, during: float, *, method: Code | None = None, path: str = "/") -> None:
        """Nothing of the client, or no such request, crosses in this time."""
        begin = len(self.wire.crossings)
        await asyncio.sleep(during)
        came = [one for one in self.wire.crossings[begin:] if one.source[0] == self.device_host]
        if method is not None:
            came = [one for one in came if one.message.code == method and one.message.path.startswith(path)]
        assert not came, "\n".join(map(str, came))

    def notifications(self, observed: Exchange) -> list[Notification]:
        """All so far, the first answer not among them; a retransmission counts once."""
        seen: dict[int, Notification] = {}
        for crossing in self._from(self.device_host):
            message = crossing.message
            is_one = message.is_response and message.token == observed.request.token
            if is_one and message.mid != observed.response.mid and message.observe is not None:
                seen.setdefault(message.mid, Notification(crossing.at, message))
        return list(seen.values())

    async def notified(self, observed: Exchange, count: int = 1, within: float = 3600) -> list[Notification]:
        """The next so many notifications from now on."""
        before = len(self.notifications(observed))

        def found() -> list[Notification] | None:
            new = self.notifications(observed)[before:]
            return new[:count] if len(new) >= count else None

        return await self.until(found, within, f"{count} notifications of {observed.request.path}")

    # What crossed

    def exchanges(self) -> list[Exchange]:
        """All that were answered since the mark, in the order of their answers."""
        made: list[Exchange] = []
        asked: dict[bytes, Crossing] = {}
        for crossing in self.wire.crossings[self.mark :]:
            message = crossing.message
            if message.is_request:
                asked[message.token] = crossing
            elif message.is_response and message.token in asked:
                request = asked.pop(message.token)
                made.append(Exchange(request.at, request.source[0], request.message, message))
        return made

    def records(self, exchange: Exchange | Notification, path: str | None = None) -> list[Record]:
        """What an answer or a notification says, decoded; a notification wants the path that is observed."""
        if isinstance(exchange, Exchange):
            message, target = exchange.response, exchange.request.path
        else:
            message, target = exchange.message, "/"
        assert message.content_format is not None, "it has no content format"
        where = Path.parse(target if path is None else path)
        return list(decode(message.payload, message.content_format, where, self.server.definitions, now=0.0))

    def values(self, exchange: Exchange | Notification, path: str | None = None) -> dict[str, Value | None]:
        return {str(record.path): record.value for record in self.records(exchange, path)}

    def links(self, exchange: Exchange) -> dict[str, Mapping[str, str | None]]:
        assert exchange.response.content_format == ContentFormat.LINK
        return links_of(exchange.payload)

    def _from(self, host: str) -> Iterable[Crossing]:
        return (crossing for crossing in self.wire.crossings if crossing.source[0] == host)

    async def until(self, found: Callable[[], Found | None], within: float, what: str) -> Found:
        deadline, seen = asyncio.get_running_loop().time() + within, -1
        while True:
            if len(self.wire.crossings) != seen:
                seen = len(self.wire.crossings)
                if (result := found()) is not None:
                    return result
            assert asyncio.get_running_loop().time() < deadline, f"{what} did not come within {within} s"
            await asyncio.sleep(max(0.02, within / LOOKS))


def changed(path: str, value: Value) -> list[Record]:
    """For `Client.update`."""
    return [Record(Path.parse(path), value)]


def refuse(_request: Request, _peer: Peer) -> Response:
    """A handler for whoever is asked nothing."""
    return Response(Code.NOT_FOUND)


def links_of(payload: bytes) -> dict[str, Mapping[str, str | None]]:
    links: tuple[Link, ...] = parse(payload.decode())
    return {link.target.rstrip("/") or "/": dict(link.attributes) for link in links}


@asynccontextmanager
async def bench_on(
    wire: Wire,
    configuration: str,
    *,
    registered: bool = True,
    working: bool = False,
    lifetime: int = 86_400,
    **more: Any,
) -> AsyncIterator[Bench]:
    """Both ends up; the client registered, unless the case wants to see it come. With `working` its objects are those
    of a simulated device, and do what they say."""
    loop = asyncio.get_running_loop()
    wall = loop.wall_time if isinstance(loop, VirtualTimeLoop) else time.time
    at_server, at_device = wire.endpoint(SERVER, 5683), wire.endpoint(DEVICE)
    async with Server([at_server], clock=loop.time, wall=wall) as server:
        records = [
            record._replace(value=lifetime) if record.path == Path(1, 0, 1) else record
            for record in CONFIGURATIONS[configuration]
        ]
        device = simulated(wire, records, wall) if working else None
        if device is not None:
            more["objects"] = device.objects
        more |= {"coap": at_device, "lifetime": lifetime, "clock": loop.time, "wall_clock": wall}
        client = Client(ENDPOINT, at_server.uri, records, **more)
        bench = Bench(wire, server, client, SERVER, DEVICE, device)
        try:
            if registered:
                await client.start()
                await client.registered(SOON)
                bench.begin()
            yield bench
        finally:
            await client.stop()


def simulated(wire: Wire, records: list[Record], wall: Callable[[], float]) -> SimulatedDevice:
    """It downloads over the wire."""

    def open_endpoint(host: str, limits: Limits) -> Endpoint:
        return wire.endpoint(host, limits=limits)

    async def ways(_host: str, _port: int) -> list[str]:
        return [DEVICE]

    return SimulatedDevice(records, wall_clock=wall, download=Downloader(open_endpoint=open_endpoint, hosts=ways))


Case = Callable[[Bench], Awaitable[None]]


def conforms(configuration: str, **more: Any) -> Callable[[Case], Callable[[], None]]:
    """Make a case a test in memory and virtual time. `body` is the case itself, `real` runs it over real UDP."""

    def decorate(case: Case) -> Callable[[], None]:
        async def on(wire: Wire) -> None:
            async with bench_on(wire, configuration, **more) as bench:
                await case(bench)

        def test() -> None:
            run(on(Network()))

        functools.update_wrapper(test, case)
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]  # pytest reads it
        test.on = on  # type: ignore[attr-defined]
        return test

    return decorate
