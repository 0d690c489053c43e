"""The `Carrier` over connections: nothing is retransmitted or acknowledged, tokens are matched by connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lwm2m.coap.carrier import Listener, Room, Serve, Settled, Withdraw
from lwm2m.coap.endpoint import Delivery, Rejected, RequestFailed, Unreachable
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.messaging.datagram_format import WrongOption
from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.aiocoap_connection import Association, Connection, is_request
from lwm2m.coap.streams.stream_format import BASE_SIZE, room_in

log = logging.getLogger("lwm2m.coap")

CLOSED = "the connection is closed"


class ConnectedRequest:
    """A request that came over a connection, see `Incoming`."""

    confirmable = True

    def __init__(self, connection: Connection, packet: Packet, size: int, done: Callable[[], None]) -> None:
        self.packet = packet
        self.peer = connection.peer
        self.size = size
        self.is_wanted = True
        self._connection = connection
        self._done = done

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:  # noqa: ARG002  # nothing acknowledges
        if not self.is_wanted:
            return
        self.ignore()
        try:
            self._connection.send(packet)
        except ValueError as error:
            log.error("an answer could not be sent: %s", error)
            self._connection.send(Packet(Code.INTERNAL_SERVER_ERROR, packet.token))

    def disown(self) -> None:
        """A connection has no messages that come twice."""

    def ignore(self) -> None:
        if self.is_wanted:
            self.is_wanted = False
            self._done()


@dataclass(frozen=True, slots=True)
class _Traffic:
    """What is under way on one connection, by token."""

    asked: dict[bytes, Listener] = field(default_factory=dict)
    incoming: dict[bytes, ConnectedRequest] = field(default_factory=dict)


class ConnectionCarrier:
    """`lost` learns of each peer whose connection has ended."""

    def __init__(self, serve: Serve, lost: Callable[[Peer], None]) -> None:
        self._serve = serve
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._traffic: dict[Association, _Traffic] = {}

    # As a `Carrier`

    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdraw:  # noqa: ARG002
        connection = _connection_of(peer)
        if connection is None:
            return self._later(listener.failed, Unreachable(CLOSED))
        asked = self._traffic[connection.association].asked
        asked[packet.token] = listener
        try:
            connection.send(packet)
        except ValueError as error:
            del asked[packet.token]
            return self._later(listener.failed, RequestFailed(str(error)))
        listener.sent()
        return partial(_withdraw, asked, packet.token, listener)

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdraw:
        """A confirmable one is delivered when it was written: the connection sees to the rest, or ends."""
        connection = _connection_of(peer)
        if connection is None:
            return self._later(settled, Delivery.TIMED_OUT)
        try:
            connection.send(packet)
        except ValueError as error:
            log.error("a notification could not be sent: %s", error)
            return self._later(settled, Delivery.TIMED_OUT)
        return self._later(settled, Delivery.DELIVERED) if confirmable else _nothing

    def room(self, peer: Peer) -> Room:
        connection = _connection_of(peer)
        return room_in(BASE_SIZE, False) if connection is None else connection.room

    # As the owner of connections

    def opened(self, connection: Connection) -> None:
        self._traffic[connection.association] = _Traffic()

    def received(self, connection: Connection, packet: Packet, size: int) -> None:
        traffic, token = self._traffic[connection.association], packet.token
        if not packet.is_request:
            self._answered(traffic, packet)
            return
        if (earlier := traffic.incoming.get(token)) is not None:
            earlier.ignore()
        incoming = ConnectedRequest(connection, packet, size, partial(_forget, traffic.incoming, token))
        traffic.incoming[token] = incoming
        self._serve(incoming)

    def misshapen(self, connection: Connection, code: int, token: bytes, _why: WrongOption, /) -> None:
        if is_request(code):
            connection.send(Packet(Code.BAD_OPTION, token))
        elif (listener := self._traffic[connection.association].asked.pop(token, None)) is not None:
            listener.failed(Rejected("the answer has an option that cannot have that value"))

    def lost(self, connection: Connection, reason: str) -> None:
        traffic = self._traffic.pop(connection.association, None)
        if traffic is None:
            return
        for incoming in list(traffic.incoming.values()):
            incoming.ignore()
        for listener in list(traffic.asked.values()):
            listener.failed(Unreachable(reason))
        self._lost(connection.peer)

    @staticmethod
    def _answered(traffic: _Traffic, packet: Packet) -> None:
        """Notifications that nobody waits for are answered by nothing. RFC 8323 §7"""
        listener = traffic.asked.get(packet.token)
        if (
            listener is not None
            and listener.believes(packet)
            and not listener.answered(packet, in_acknowledgement=False)
        ):
            _withdraw(traffic.asked, packet.token, listener)

    def _later(self, tell: Callable[..., None], what: object) -> Withdraw:
        """Not at once: whoever asks is not ready for the answer."""
        return self._loop.call_soon(tell, what).cancel


def _forget(incoming: dict[bytes, ConnectedRequest], token: bytes) -> None:
    del incoming[token]


def _withdraw(asked: dict[bytes, Listener], token: bytes, listener: Listener) -> None:
    if asked.get(token) is listener:
        del asked[token]


def _connection_of(peer: Peer) -> Connection | None:
    association = peer.association
    return association.connection if isinstance(association, Association) else None


def _nothing() -> None:
    """There is nothing to withdraw: it has left."""
