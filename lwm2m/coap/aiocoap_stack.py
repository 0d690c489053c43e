"""CoAP over UDP by aiocoap, as an `Endpoint`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiocoap.pipe import Pipe

from lwm2m.coap.aiocoap_udp.carrier import AiocoapCarrier
from lwm2m.coap.aiocoap_udp.interface import UdpSocket
from lwm2m.coap.aiocoap_udp.layers import Context, Layers
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
from lwm2m.coap.links.udp_socket import OpenSocket, bind, host_port, plain_host, resolve
from lwm2m.coap.message import Peer, Request, Response, Subscription
from lwm2m.coap.requests.conversation import Conversation
from lwm2m.coap.uri import parse_uri

RESOLVING_TIME = 10.0
"""Seconds that the name service gets."""

log = logging.getLogger("lwm2m.coap")


class AiocoapEndpoint:
    """One UDP socket that asks and answers. Port 0 takes a free one; host "::" speaks IPv4 too. `open_socket` gives
    another network than the machine's own, see `lwm2m.testing`."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        open_socket: OpenSocket = bind,
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits
        self._transmission = transmission
        self._tracer = tracer
        self._open_socket = open_socket
        self._running: _Running | None = None
        self._stopped = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        return self._live().udp.local

    @property
    def uri(self) -> str:
        return f"coap://{host_port(*self.address)}"

    async def start(self, handler: Handler) -> None:
        if self._running is not None:
            raise RuntimeError("the endpoint has been started already")
        bound = await self._open_socket(self._host, self._port)
        layers = Layers(Context(asyncio.get_running_loop(), log, self._on_request), self._limits)
        udp = UdpSocket(bound, layers.messages, self._limits.max_complaints)
        layers.attach(udp)
        carrier = AiocoapCarrier(layers, udp, self._transmission)
        conversation = Conversation(
            carrier, handler, limits=self._limits, transmission=self._transmission, tracer=self._tracer
        )
        self._stopped.clear()
        self._running = _Running(layers, udp, carrier, conversation)

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        self._stopped.set()
        running.layers.messages.drop_what_waits()
        await running.conversation.stop()
        await running.layers.shutdown()

    async def peer(self, uri: str) -> Peer:
        host, port = parse_uri(uri)
        udp = self._live().udp
        try:
            async with asyncio.timeout(RESOLVING_TIME):
                sockaddr = await resolve(host, port, udp.family)
        except TimeoutError:
            raise Unreachable(f"cannot find {host}: the name service does not answer") from None
        except OSError as error:
            raise Unreachable(f"cannot find {host}: {error.strerror or error}") from error
        return Peer(udp.local, (plain_host(sockaddr), port))

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
        if self._running is not None:
            self._running.udp.listening = listening

    async def events(self) -> AsyncIterator[AssociationLost]:
        """UDP has no associations to lose: this waits for `stop`."""
        await self._stopped.wait()
        return
        yield

    def _live(self) -> _Running:
        if self._running is None:
            raise Unreachable("the endpoint is not running")
        return self._running

    def _on_request(self, pipe: Pipe) -> None:
        running = self._running
        if running is not None:
            running.conversation.serve(running.carrier.incoming(pipe))


class _Running(NamedTuple):
    """What exists between start and stop."""

    layers: Layers
    udp: UdpSocket
    carrier: AiocoapCarrier
    conversation: Conversation
