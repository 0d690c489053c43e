"""The connections of one endpoint: those that it accepted, and one to each place that it connected to."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress

from lwm2m.address import Address
from lwm2m.coap.complaints import Complaints
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.guard import Limits
from lwm2m.coap.messaging.datagram_format import WrongOption
from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.aiocoap_connection import Connection, Liveness, Owner
from lwm2m.coap.streams.stream_format import BASE_SIZE

log = logging.getLogger("lwm2m.coap")

CONNECTING_TIME = 10.0
LINGER = 1.0
"""Seconds that the other side gets to read what was sent last, and to close."""


class ConnectionPool(ABC):
    """`host` is where connections are accepted at `port`, unless that is None, and from where others are reached."""

    def __init__(self, host: str, port: int | None, owner: Owner, limits: Limits, liveness: Liveness) -> None:
        self.host = host
        self.port = port
        self.max_message = limits.max_body + BASE_SIZE
        self.liveness = liveness
        self.address: tuple[str, int] = host, 0
        self._owner = owner
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        """Of the connections that need some."""
        self._alive: set[Connection] = set()
        self._without_csm: dict[Connection, None] = {}
        self._reached: dict[tuple[str, int], Connection] = {}
        self._connecting = asyncio.Lock()
        self._fewer = asyncio.Event()
        self._closing = False
        self._misshapen = Complaints(log, "sent a message that cannot be used", limits.max_complaints)
        self._too_many = Complaints(log, "was refused", limits.max_complaints)

    @abstractmethod
    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Accept connections; the address with the real port. Raises OSError with a sentence."""

    @abstractmethod
    async def refuse(self) -> None:
        """Accept no more connections. May be called twice, and without `listen`."""

    @abstractmethod
    async def connect(self, host: str, port: int) -> Connection:
        """Raises OSError."""

    async def open(self) -> None:
        """Raises OSError with a sentence."""
        if self.port is not None:
            self.address = await self.listen(self.host, self.port)

    async def close(self) -> None:
        """May be called twice."""
        self._closing = True
        await self.refuse()
        self.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(3 * LINGER):
                while self._alive:
                    self._fewer.clear()
                    await self._fewer.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._misshapen.end()
        self._too_many.end()

    def connections(self) -> list[Connection]:
        """Those that are there now."""
        return list(self._alive)

    def leave(self) -> None:
        """Close all connections in peace."""
        for connection in self.connections():
            connection.leave()

    async def reach(self, host: str, port: int) -> Connection:
        """The one connection to this place, open and with the peer's CSM. Raises Unreachable."""
        async with self._connecting:
            known = self._reached.get((host, port))
            if known is not None and known.is_ready:
                return known
            try:
                async with asyncio.timeout(CONNECTING_TIME):
                    connection = await self.connect(host, port)
                    await connection.ready.wait()
            except TimeoutError:
                raise Unreachable(f"{host} does not answer") from None
            except ConnectionRefusedError as error:
                raise Unreachable(f"nobody listens at {Address(host, port)}") from error
            except OSError as error:
                raise Unreachable(error.strerror or str(error)) from error
            if not connection.is_ready:
                raise connection.failure()
            self._reached[host, port] = connection
            return connection

    @property
    def is_full(self) -> bool:
        return self._closing or len(self._alive) >= self._limits.max_connections

    def begun(self, connection: Connection) -> None:
        """It is there, without its CSM. Of too many such the one that has waited longest goes."""
        self._alive.add(connection)
        self._without_csm[connection] = None
        if len(self._without_csm) > self._limits.max_peers_unverified:
            next(iter(self._without_csm)).abort("too many connections without a CSM")

    def refused(self, place: tuple[str, int]) -> None:
        """Somebody who connected while `is_full`."""
        now = asyncio.get_running_loop().time()
        self._too_many.tell(Address(*place), place[0], "there are too many connections", now)

    def closed(self, connection: Connection) -> None:
        """Nothing is left of it."""
        self._alive.discard(connection)
        self._fewer.set()

    # Between connections and their owner

    def opened(self, connection: Connection) -> None:
        self._without_csm.pop(connection, None)
        self._owner.opened(connection)

    def received(self, connection: Connection, packet: Packet, size: int) -> None:
        self._owner.received(connection, packet, size)

    def misshapen(self, connection: Connection, code: int, token: bytes, why: WrongOption, /) -> None:
        peer = connection.peer
        self._misshapen.tell(peer, peer.address[0], why, asyncio.get_running_loop().time())
        self._owner.misshapen(connection, code, token, why)

    def lost(self, connection: Connection, reason: str) -> None:
        log.info("the connection with %s ended: %s", connection.peer, reason)
        self._without_csm.pop(connection, None)
        for place in [place for place, known in self._reached.items() if known is connection]:
            del self._reached[place]
        self._owner.lost(connection, reason)
