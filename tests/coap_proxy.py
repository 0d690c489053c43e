"""A proxy between a client and a server: message by message, with tokens and message IDs of its own on each side. What
it does to messages on their way is for the test to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from lwm2m.coap.blocks import Block, block_at
from lwm2m.coap.carrier import Incoming, Withdraw
from lwm2m.coap.endpoint import Delivery, Limits, RequestFailed, Transmission
from lwm2m.coap.exchange import Exchanges
from lwm2m.coap.guard import Guard
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.object_security.outer_blocks import block_of
from lwm2m.coap.packet import BLOCK1, BLOCK2, OBSERVE, Packet

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


class Side:
    """A socket of the proxy."""

    def __init__(self, serve: Callable[[Incoming], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.link = UdpLink()
        self.guard = Guard(Limits(), b"secret")
        self.exchanges = Exchanges(
            self.link.send,
            self.link.room,
            guard=self.guard,
            limits=Limits(),
            transmission=Transmission(),
            clock=self._loop.time,
            chance=lambda: 0.5,
            spread=lambda: 0.0,
            wake=self._wake,
        )
        self.exchanges.serve = serve

    async def stop(self) -> None:
        self.exchanges.stop()
        if self._timer is not None:
            self._timer.cancel()
        await self.link.close()

    def received(self, datagram: bytes, peer: Peer) -> None:
        self.guard.verified(peer)
        self.exchanges.receive(datagram, peer, self._loop.time())

    def failed(self, peer: Peer, reason: str) -> None:
        self.exchanges.failed(peer, reason)

    def moved(self, peer: Peer) -> None:
        """Nobody has a session here."""

    def lost(self, peer: Peer) -> None:
        self.exchanges.lost(peer)

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, lambda: self.exchanges.handle_timer(self._loop.time()))


class Proxy:
    """`seen` is every message that passed, as it came in."""

    def __init__(self) -> None:
        self.request: Tamper = as_it_is
        self.response: Tamper = as_it_is
        self.forge: Callable[[Packet], Packet] | None = None
        self.seen: list[Packet] = []
        self.cut: int | None = None
        """The exponent of the blocks that it cuts messages into."""
        self._rests: dict[bytes, Packet] = {}
        self._near, self._far = Side(self._from_client), Side(self._from_server)
        self._tokens = count(1)
        self._client: Peer | None = None

    async def start(self, server: str) -> str:
        """Where clients come to."""
        await self._near.link.open(self._near)
        await self._far.link.open(self._far)
        self._server = await self._far.link.peer(server)
        self._far.guard.verified(self._server)
        return self._near.link.uri

    async def stop(self) -> None:
        await self._near.stop()
        await self._far.stop()

    def say(self, packet: Packet, listen: Callable[[Packet], None] = lambda _packet: None) -> None:
        """Ask the server something by ourselves."""
        self._ask(self._far, self._server, packet, listen)

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
                return
            changed = changed._replace(token=incoming.packet.token)
            if self.cut is not None:
                self._rests[incoming.packet.options[OSCORE][0]] = changed
                changed = piece(changed, 0, self.cut, BLOCK2)
            if incoming.is_wanted:
                incoming.answer(changed)
            elif OBSERVE in changed.options:
                side.exchanges.notify(incoming.peer, changed, True, _settled)

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
        return side.exchanges.ask(to, packet._replace(token=token), True, _Listener(listen))


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
