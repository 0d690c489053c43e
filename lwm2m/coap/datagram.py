"""CoAP over a link of datagrams by our own exchanges, as an `Endpoint`."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator

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
from lwm2m.coap.exchange import Exchanges
from lwm2m.coap.guard import Guard
from lwm2m.coap.link import Link
from lwm2m.coap.lost_peers import LostPeers
from lwm2m.coap.message import Peer, Request, Response, Subscription
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.oscore import OscoreCarrier
from lwm2m.coap.requests.conversation import Conversation

SECRET_LENGTH = 32
CHANCE = random.SystemRandom().random
"""Where message IDs begin must not be guessed: whoever answers one is verified."""


class DatagramEndpoint:
    """Asks and answers over one link."""

    def __init__(
        self,
        link: Link,
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        oscore: Oscore | None = None,
    ) -> None:
        self._link = link
        self._limits = limits
        self._transmission = transmission
        self._tracer = tracer
        self._oscore = oscore
        self._running: _Running | None = None
        self._lost = LostPeers()

    @property
    def address(self) -> tuple[str, int]:
        self._live()
        return self._link.address

    @property
    def uri(self) -> str:
        self._live()
        return self._link.uri

    async def start(self, handler: Handler) -> None:
        if self._running is not None:
            raise RuntimeError("the endpoint has been started already")
        running = _Running(
            self._link, handler, self._limits, self._transmission, self._tracer, self._lost, self._oscore
        )
        await self._link.open(running)
        self._lost.begin()
        self._running = running

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        await running.stop()
        await self._link.close()
        self._lost.end()

    async def peer(self, uri: str) -> Peer:
        running = self._live()
        peer = await self._link.peer(uri)
        running.guard.verified(peer)
        return running.protected(peer)

    def recall(self, peer: Peer) -> Peer | None:
        """See `Recalling`."""
        return self._live().recall(peer)

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
        self._link.listen(listening)

    def events(self) -> AsyncIterator[AssociationLost]:
        return self._lost.events()

    def _live(self) -> _Running:
        if self._running is None:
            raise Unreachable("the endpoint is not running")
        return self._running


class _Running:
    """What exists between start and stop: the `Receiver` of the link, and the one timer."""

    def __init__(
        self,
        link: Link,
        handler: Handler,
        limits: Limits,
        transmission: Transmission,
        tracer: Tracer | None,
        lost_peers: LostPeers,
        oscore: Oscore | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._lost_peers = lost_peers
        self.guard = Guard(limits, os.urandom(SECRET_LENGTH))
        self._exchanges = Exchanges(
            link.send,
            link.room,
            guard=self.guard,
            limits=limits,
            transmission=transmission,
            clock=self._now,
            chance=CHANCE,
            spread=random.random,
            wake=self._wake,
        )
        self._protection = None if oscore is None else OscoreCarrier(self._exchanges, oscore, self.guard, limits)
        self.conversation = Conversation(
            self._protection or self._exchanges,
            handler,
            limits=limits,
            transmission=transmission,
            tracer=tracer,
            guard=self.guard,
        )
        self._exchanges.serve = self.conversation.serve
        if self._protection is not None:
            self._protection.serve, self._exchanges.serve = self.conversation.serve, self._protection.receive

    async def stop(self) -> None:
        await self.conversation.stop()
        self._exchanges.stop()
        if self._timer is not None:
            self._timer.cancel()

    def protected(self, peer: Peer) -> Peer:
        """As whom we speak with it. Raises Unreachable."""
        return peer if self._protection is None else self._protection.peer(peer)

    def recall(self, peer: Peer) -> Peer | None:
        return None if self._protection is None else self._protection.recall(peer)

    # Receiver

    def received(self, datagram: bytes, peer: Peer) -> None:
        self._exchanges.receive(datagram, peer, self._now())

    def failed(self, peer: Peer, reason: str) -> None:
        self._exchanges.failed(peer, reason)

    def moved(self, peer: Peer) -> None:
        self.guard.moved(peer)

    def lost(self, peer: Peer) -> None:
        self.guard.lost(peer)
        self._exchanges.lost(peer)
        protected = [] if self._protection is None else self._protection.lost(peer)
        for gone in (*protected, peer):
            self.conversation.lost(gone)
            self._lost_peers.tell(gone)

    # The timer

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._exchanges.handle_timer(self._now())
