"""A network in memory, under virtual time: what is sent arrives late, twice, in another order, or not at all, by seed.

Sockets of it stand where a CoAP stack has its UDP socket; everything above is what runs in production."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lwm2m.coap.endpoint import Endpoint, Limits, Tracer, Transmission
from lwm2m.coap.links.udp_socket import Ancillary, SocketAddress, host_port
from lwm2m.coap.stacks import open_endpoint
from lwm2m.testing.datagram import Datagram
from lwm2m.testing.virtual_time import clock

Address = tuple[str, int]

FIRST_FREE_PORT = 49_152
LAST_PORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Conditions:
    """Chances from 0 to 1 for each datagram; `delay` is the shortest and the longest in seconds. Datagrams of different
    delay overtake one another. Raises ValueError for what no network can be."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: tuple[float, float] = (0.01, 0.01)

    def __post_init__(self) -> None:
        if not (0 <= self.loss <= 1 and 0 <= self.duplication <= 1):
            raise ValueError("a chance is a number from 0 to 1")
        if not 0 <= self.delay[0] <= self.delay[1]:
            raise ValueError("a delay is a shortest and a longest time")


@dataclass(frozen=True, slots=True)
class Crossing:
    """One datagram that was sent. `at` is in seconds of the loop, `copies` how many arrive; the addresses are those of
    the sockets, whatever a NAT made of them."""

    at: float
    source: Address
    destination: Address
    data: bytes
    copies: int

    @property
    def message(self) -> Datagram:
        """Raises ValueError when it is no CoAP message."""
        return Datagram.decode(self.data)

    def __str__(self) -> str:
        way = f"{host_port(*self.source)} > {host_port(*self.destination)}"
        return f"{self.at:.3f} {way}  {self.message}{'' if self.copies else '  (lost)'}"


class MemorySocket:
    """What a stack uses of `socket.socket`, bound to one address of a `Network`."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self.family: int = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.address: Address = (host, port)
        self._network = network
        self._inbox: deque[tuple[bytes, Address]] = deque()
        self._wake: Callable[[], None] | None = None
        self._open = True

    def getsockname(self) -> Address:
        return self.address

    def fileno(self) -> int:
        """Not negative while it is open; otherwise without meaning."""
        return 0 if self._open else -1

    def close(self) -> None:
        if self._open:
            self._open = False
            self._inbox.clear()
            self._network.unbind(self)

    def sendmsg(self, buffers: Iterable[bytes], _ancillary: Ancillary, _flags: int, address: SocketAddress, /) -> int:
        data = b"".join(buffers)
        self._network.carry(self.address, (address[0], address[1]), data)
        return len(data)

    def recvmsg(self, _size: int, _ancillary_size: int = 0, flags: int = 0, /) -> tuple[bytes, Ancillary, int, Any]:
        """Raises BlockingIOError when there is nothing; errors of the network are never told."""
        if flags or not self._inbox:
            raise BlockingIOError(errno.EAGAIN, "nothing is there")
        data, source = self._inbox.popleft()
        return data, [], 0, source

    def wake(self, callback: Callable[[], None] | None) -> None:
        self._wake = callback

    def arrive(self, data: bytes, source: Address) -> None:
        if not self._open:
            return
        self._inbox.append((data, source))
        if self._wake is not None:
            self._wake()


class Nat:
    """Hides one host: the others see `outside` and a port, which lasts until `rebind`."""

    def __init__(self, outside: str) -> None:
        self.outside = outside
        self._ports: dict[Address, int] = {}
        self._insides: dict[int, Address] = {}
        self._next = FIRST_FREE_PORT

    def rebind(self) -> None:
        """Forget every port: what is sent to the old ones is lost, the next datagram from inside gets a new one."""
        self._ports.clear()
        self._insides.clear()

    def outward(self, inside: Address) -> Address:
        if inside not in self._ports:
            self._ports[inside] = self._next
            self._insides[self._next] = inside
            self._next += 1
        return self.outside, self._ports[inside]

    def inward(self, port: int) -> Address | None:
        return self._insides.get(port)


class Network:
    """Hosts are IP literals, which need no introduction. `conditions` may be changed at any time.
    `crossings` is all that was sent so far."""

    def __init__(self, seed: int = 0, conditions: Conditions = Conditions()) -> None:  # immutable
        self.conditions = conditions
        self.crossings: list[Crossing] = []
        self._chance = random.Random(seed)
        self._sockets: dict[Address, MemorySocket] = {}
        self._next_port: dict[str, int] = {}
        self._nats: dict[str, Nat] = {}
        self._cut: set[str] = set()

    def endpoint(
        self,
        host: str,
        port: int = 0,
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        stack: str | None = None,
    ) -> Endpoint:
        """A real endpoint on a host of this network, of this CoAP stack or of the one that is the default; port 0 takes
        a free one. Raises ValueError for a stack that does not exist."""
        return open_endpoint(
            host,
            port,
            stack=stack,
            limits=limits,
            transmission=transmission,
            tracer=tracer,
            open_socket=self.open_socket,
        )

    async def open_socket(self, host: str, port: int) -> MemorySocket:
        """Raises OSError when the address is taken, or no literal of one host."""
        try:
            if ipaddress.ip_address(host).is_unspecified:
                raise OSError(errno.EADDRNOTAVAIL, f"{host} is every host: name one")
        except ValueError:
            raise OSError(errno.EADDRNOTAVAIL, f"{host} is no IP literal") from None
        address = host, port or self._free_port(host)
        if address in self._sockets:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}: the port is taken")
        self._sockets[address] = MemorySocket(self, *address)
        return self._sockets[address]

    def unbind(self, bound: MemorySocket) -> None:
        del self._sockets[bound.address]

    def nat(self, inside: str, outside: str) -> Nat:
        """From now on `inside` is seen as `outside`."""
        made = self._nats[inside] = Nat(outside)
        return made

    def cut(self, host: str) -> None:
        """Nothing leaves or reaches this host until `mend`."""
        self._cut.add(host)

    def mend(self, host: str) -> None:
        self._cut.discard(host)

    def carry(self, source: Address, destination: Address, data: bytes) -> None:
        """Take one datagram along, as conditions are."""
        loop, copies = clock(), self._copies(source, destination)
        self.crossings.append(Crossing(loop.time(), source, self._behind(destination) or destination, data, copies))
        nat = self._nats.get(source[0])
        seen_as = nat.outward(source) if nat else source
        for _ in range(copies):
            loop.call_later(self._chance.uniform(*self.conditions.delay), self._deliver, seen_as, destination, data)

    def between(self, source: str | None = None, destination: str | None = None) -> Iterator[Crossing]:
        """What one host sent to another; None is any."""
        for crossing in self.crossings:
            if source in (None, crossing.source[0]) and destination in (None, crossing.destination[0]):
                yield crossing

    def _copies(self, source: Address, destination: Address) -> int:
        fate = self._chance.random()
        if source[0] in self._cut or destination[0] in self._cut or fate < self.conditions.loss:
            return 0
        return 2 if self._chance.random() < self.conditions.duplication else 1

    def _deliver(self, source: Address, destination: Address, data: bytes) -> None:
        inside = self._behind(destination)
        bound = self._sockets.get(inside) if inside else None
        if bound is not None and bound.address[0] not in self._cut:
            bound.arrive(data, source)

    def _behind(self, destination: Address) -> Address | None:
        """The address of the socket; None where a NAT knows no such port."""
        for nat in self._nats.values():
            if nat.outside == destination[0]:
                return nat.inward(destination[1])
        return None if destination[0] in self._nats else destination

    def _free_port(self, host: str) -> int:
        port = self._next_port.get(host, FIRST_FREE_PORT)
        while (host, port) in self._sockets:
            port += 1
        if port > LAST_PORT:
            raise OSError(errno.EADDRINUSE, f"{host} has no free port left")
        self._next_port[host] = port + 1
        return port
