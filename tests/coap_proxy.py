"""A proxy between a client and a server: message by message, with tokens and message IDs of its own on each side. What
it does to messages on their way is for the test to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Protocol

from lwm2m.coap.blocks import Block, block_at
from lwm2m.coap.carrier import Carrier, Incoming, Withdraw
from lwm2m.coap.endpoint import Delivery, Limits, RequestFailed, Transmission
from lwm2m.coap.exchange import Exchanges
from lwm2m.coap.guard import Guard
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.links.udp_socket import host_port
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.object_security.outer_blocks import block_of
from lwm2m.coap.packet import BLOCK1, BLOCK2, OBSERVE, Packet
from lwm2m.coap.streams.aiocoap_connection import Liveness
from lwm2m.coap.streams.aiocoap_connections import ConnectionCarrier
from lwm2m.coap.streams.tcp import TcpPool
from lwm2m.coap.uri import place_of

Tamper = Callable[[Packet], Packet | None]
"""What goes on in place of a message; None: nothing."""


def as_it_is(packet: Packet) -> Packet:
    return packet


def piece(packet: Packet, start: int, exponent: int, option: int) -> Packet:
    """The block that begins there; the whole where that is no longer."""
    if not start and len(packet.payload) <= Block(0, False, exponent).size:
        return packet
    block, payload = block_at(packet.payload, start, exponent)
    return packet._replace(options={**packet.options, option: (block.encode(),)}, payload=payload)


class Side(Protocol):
    """A socket of the proxy."""

    carrier: Carrier

    async def open(self) -> str:
        """Its own URI."""
        ...

    async def peer(self, uri: str) -> Peer: ...

    async def stop(self) -> None: ...


class UdpSide:
    def __init__(self, serve: Callable[[Incoming], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._link = UdpLink()
        self._guard = Guard(Limits(), b"secret")
        self.carrier = Exchanges(
            self._link.send,
            self._link.room,
            guard=self._guard,
            limits=Limits(),
            transmission=Transmission(),
            clock=self._loop.time,
            chance=lambda: 0.5,
            spread=lambda: 0.0,
            wake=self._wake,
        )
        self.carrier.serve = serve

    async def open(self) -> str:
        await self._link.open(self)
        return self._link.uri

    async def peer(self, uri: str) -> Peer:
        peer = await self._link.peer(uri)
        self._guard.verified(peer)
        return peer

    async def stop(self) -> None:
        self.carrier.stop()
        if self._timer is not None:
            self._timer.cancel()
        await self._link.close()

    def received(self, datagram: bytes, peer: Peer) -> None:
        self._guard.verified(peer)
        self.carrier.receive(datagram, peer, self._loop.time())

    def failed(self, peer: Peer, reason: str) -> None:
        self.carrier.failed(peer, reason)

    def lost(self, peer: Peer) -> None:
        self.carrier.lost(peer)

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, lambda: self.carrier.handle_timer(self._loop.time()))


class TcpSide:
    def __init__(self, serve: Callable[[Incoming], None]) -> None:
        self.carrier = ConnectionCarrier(serve, lambda _peer: None)
        self._pool = TcpPool("127.0.0.1", 0, self.carrier, Limits(), Liveness())

    async def open(self) -> str:
        await self._pool.open()
        return f"coap+tcp://{host_port(*self._pool.address)}"

    async def peer(self, uri: str) -> Peer:
        place = place_of(uri, "coap+tcp")
        return (await self._pool.reach(place.host, place.port)).peer

    async def stop(self) -> None:
        await self._pool.close()


SIDES: dict[str, Callable[[Callable[[Incoming], None]], Side]] = {"coap": UdpSide, "coap+tcp": TcpSide}


class Proxy:
    """Both ends speak this scheme. `seen` is every message that passed, as it came in."""

    def __init__(self, scheme: str = "coap") -> None:
        self.request: Tamper = as_it_is
        self.response: Tamper = as_it_is
        self.forge: Callable[[Packet], Packet] | None = None
        self.seen: list[Packet] = []
        self.cut: int | None = None
        """The exponent of the blocks that it cuts messages into."""
        self._held: list[Callable[[], None]] = []
        self._rests: dict[bytes, Packet] = {}
        self._near, self._far = SIDES[scheme](self._from_client), SIDES[scheme](self._from_server)
        self._tokens = count(1)
        self._client: Peer | None = None

    async def start(self, server: str) -> str:
        """Where clients come to."""
        await self._far.open()
        self._server = await self._far.peer(server)
        return await self._near.open()

    async def stop(self) -> None:
        await self._near.stop()
        await self._far.stop()

    def say(
        self, packet: Packet, listen: Callable[[Packet], None] = lambda _packet: None, *, to_client: bool = False
    ) -> None:
        """Ask the server something by ourselves, or the client."""
        if to_client:
            assert self._client is not None
            self._ask(self._near, self._client, packet, listen)
        else:
            self._ask(self._far, self._server, packet, listen)

    def let_go(self) -> None:
        """Of the responses that did not go on."""
        while self._held:
            self._held.pop(0)()

    def _from_client(self, incoming: Incoming) -> None:
        self._client = incoming.peer
        self._forward(incoming, self._near, self._far, self._server)

    def _from_server(self, incoming: Incoming) -> None:
        assert self._client is not None
        self._forward(incoming, self._far, self._near, self._client)

    def _forward(self, incoming: Incoming, side: Side, other: Side, to: Peer) -> None:
        wanted = block_of(incoming.packet, BLOCK2)
        if wanted is not None:
            rest = self._rests[incoming.packet.options[OSCORE][0]]
            incoming.answer(piece(rest, wanted.start, wanted.exponent, BLOCK2)._replace(token=incoming.packet.token))
            return
        self.seen.append(incoming.packet)
        packet = self.request(incoming.packet)
        if packet is None:
            return

        def back(response: Packet) -> None:
            self.seen.append(response)
            changed = self.response(response)
            if changed is None:
                self._held.append(partial(incoming.answer, response._replace(token=incoming.packet.token)))
                return
            changed = changed._replace(token=incoming.packet.token)
            if self.cut is not None:
                self._rests[incoming.packet.options[OSCORE][0]] = changed
                changed = piece(changed, 0, self.cut, BLOCK2)
            if incoming.is_wanted:
                incoming.answer(changed)
            elif OBSERVE in changed.options:
                side.carrier.notify(incoming.peer, changed, True, _settled)

        if self.cut is None:
            self._ask(other, to, packet, back)
        else:
            self._ask_in_pieces(other, to, packet, 0, self.cut, back)

    def _ask_in_pieces(
        self, side: Side, to: Peer, packet: Packet, start: int, cut: int, back: Callable[[Packet], None]
    ) -> None:
        """Blocks of the request first, then those of the response."""
        block = piece(packet, start, cut, BLOCK1)
        if not start and self.forge is not None:
            self._ask(side, to, self.forge(block), lambda _packet: None)

        def heard(response: Packet) -> None:
            if response.code == Code.CONTINUE:
                self._ask_in_pieces(side, to, packet, start + len(block.payload), cut, back)
            else:
                back(response)

        self._ask(side, to, block, heard)

    def _ask(self, side: Side, to: Peer, packet: Packet, listen: Callable[[Packet], None]) -> Withdraw:
        token = next(self._tokens).to_bytes(4, "big")
        return side.carrier.ask(to, packet._replace(token=token), True, _Listener(listen))


class _Listener:
    def __init__(self, listen: Callable[[Packet], None]) -> None:
        self._listen = listen

    def sent(self) -> None:
        """Nobody waits for that."""

    def believes(self, _packet: Packet) -> bool:
        return True

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:  # noqa: ARG002
        self._listen(packet)
        return True

    def failed(self, failure: RequestFailed) -> None:
        """Whoever asked us gives up by itself."""


def _settled(_delivery: Delivery) -> None:
    """The same."""
