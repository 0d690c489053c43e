"""Endpoints on connections: CoAP over TCP and over WebSockets, as an `Endpoint`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar

from lwm2m.coap.carrier import Incoming
from lwm2m.coap.endpoint import (
    AssociationLost,
    Delivery,
    Handler,
    Limits,
    Observation,
    Tracer,
    Transmission,
    Unreachable,
)
from lwm2m.coap.links.udp_socket import host_port
from lwm2m.coap.lost_peers import LostPeers
from lwm2m.coap.message import Peer, Request, Response, Subscription
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.oscore import OscoreCarrier
from lwm2m.coap.requests.conversation import Conversation
from lwm2m.coap.streams.aiocoap_connection import Liveness, Owner
from lwm2m.coap.streams.aiocoap_connections import ConnectionCarrier
from lwm2m.coap.streams.connection_pool import ConnectionPool
from lwm2m.coap.streams.tcp import TcpPool
from lwm2m.coap.streams.web_socket import WebSocketPool
from lwm2m.coap.uri import place_of


class _Running:
    """What exists between start and stop."""

    def __init__(self, pool: ConnectionPool, conversation: Conversation, protection: OscoreCarrier | None) -> None:
        self.pool = pool
        self.conversation = conversation
        self.protection = protection


class ConnectedEndpoint(ABC):
    """Accepts connections at `port`, unless that is None, and connects to whoever it is to speak with; requests go both
    ways on each connection. Port 0 takes a free one; host "::" speaks IPv4 too."""

    scheme: ClassVar[str]

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int | None = 0,
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        liveness: Liveness = Liveness(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        oscore: Oscore | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits
        self._transmission = transmission
        self._liveness = liveness
        self._tracer = tracer
        self._oscore = oscore
        self._running: _Running | None = None
        self._lost_peers = LostPeers()

    @property
    def address(self) -> tuple[str, int]:
        return self._live().pool.address

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{host_port(*self.address)}"

    async def start(self, handler: Handler) -> None:
        if self._running is not None:
            raise RuntimeError("the endpoint has been started already")
        carrier = ConnectionCarrier(self._serve, self._lost)
        pool = self.new_pool(carrier)
        protection = None if self._oscore is None else OscoreCarrier(carrier, self._oscore, limits=self._limits)
        conversation = Conversation(
            protection or carrier, handler, limits=self._limits, transmission=self._transmission, tracer=self._tracer
        )
        if protection is not None:
            protection.serve = conversation.serve
        await pool.open()
        self._lost_peers.begin()
        self._running = _Running(pool, conversation, protection)

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        await running.conversation.stop()
        await running.pool.close()
        self._lost_peers.end()

    async def peer(self, uri: str) -> Peer:
        place = place_of(uri, self.scheme)
        running = self._live()
        connection = await running.pool.reach(place.host, place.port)
        return connection.peer if running.protection is None else running.protection.peer(connection.peer)

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:
        return await self._live().conversation.request(peer, request, timeout)

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> Observation:
        return await self._live().conversation.observe(peer, request, timeout)

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        if self._running is None:
            return Delivery.TIMED_OUT
        return await self._running.conversation.notify(subscription, response, confirmable=confirmable)

    def forget(self, subscription: Subscription) -> None:
        if self._running is not None:
            self._running.conversation.forget(subscription)

    def listen(self, listening: bool) -> None:
        """False closes all connections: nobody reaches us then. They are opened again when we have something to say."""
        if self._running is not None and not listening:
            self._running.pool.leave()

    def events(self) -> AsyncIterator[AssociationLost]:
        return self._lost_peers.events()

    @abstractmethod
    def new_pool(self, owner: Owner) -> ConnectionPool:
        """Not open yet."""

    def _live(self) -> _Running:
        if self._running is None:
            raise Unreachable("the endpoint is not running")
        return self._running

    def _serve(self, incoming: Incoming) -> None:
        running = self._running
        if running is None:
            return
        if running.protection is None:
            running.conversation.serve(incoming)
        else:
            running.protection.receive(incoming)

    def _lost(self, peer: Peer) -> None:
        running = self._running
        protected = [] if running is None or running.protection is None else running.protection.lost(peer)
        for gone in (*protected, peer):
            if running is not None:
                running.conversation.lost(gone)
            self._lost_peers.tell(gone)


class TcpEndpoint(ConnectedEndpoint):
    """CoAP over TCP. RFC 8323 §3"""

    scheme = "coap+tcp"

    def new_pool(self, owner: Owner) -> ConnectionPool:
        return TcpPool(self._host, self._port, owner, self._limits, self._liveness)


class WebSocketEndpoint(ConnectedEndpoint):
    """CoAP over WebSockets. RFC 8323 §4"""

    scheme = "coap+ws"

    def new_pool(self, owner: Owner) -> ConnectionPool:
        return WebSocketPool(self._host, self._port, owner, self._limits, self._liveness)
