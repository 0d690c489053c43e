"""A carrier without a network: what is asked and notified is kept, and what comes is put in by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from lwm2m.coap.carrier import Listener, Room, Settled
from lwm2m.coap.endpoint import Delivery, Handler, Limits, Tracer, Transmission
from lwm2m.coap.guard import Guard
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.packet import Packet
from lwm2m.coap.requests.conversation import Conversation
from lwm2m.coap.requests.packets import packet_size

PEER = Peer(("192.0.2.1", 5683), ("192.0.2.9", 40000))
OTHER = Peer(("192.0.2.1", 5683), ("192.0.2.10", 40000))

DATAGRAM = Room(1024, 6)


@dataclass
class Asked:
    """One request that left, and who asked."""

    peer: Peer
    packet: Packet
    confirmable: bool
    listener: Listener
    withdrawn: bool = False

    def answer(
        self,
        code: int,
        options: dict[int, tuple[bytes, ...]] | None = None,
        payload: bytes = b"",
        *,
        in_acknowledgement: bool = True,
    ) -> bool:
        packet = Packet(code, self.packet.token, options or {}, payload)
        return self.listener.answered(packet, in_acknowledgement=in_acknowledgement)


@dataclass
class Notified:
    peer: Peer
    packet: Packet
    confirmable: bool
    settled: Settled
    withdrawn: bool = False


@dataclass
class FakeCarrier:
    size: Room = DATAGRAM
    asked: list[Asked] = field(default_factory=list)
    notified: list[Notified] = field(default_factory=list)

    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdrawal:
        asked = Asked(peer, packet, confirmable, listener)
        self.asked.append(asked)
        listener.sent()
        return Withdrawal(asked)

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdrawal:
        notified = Notified(peer, packet, confirmable, settled)
        self.notified.append(notified)
        return Withdrawal(notified)

    def room(self, _peer: Peer) -> Room:
        return self.size


@dataclass
class Withdrawal:
    of: Asked | Notified

    def __call__(self) -> None:
        self.of.withdrawn = True


@dataclass
class FakeIncoming:
    """A request that came, and what became of it."""

    packet: Packet
    peer: Peer = PEER
    confirmable: bool = True
    is_wanted: bool = True
    answered: Packet | None = None
    settled: Settled | None = None
    ignored: bool = False
    disowned: bool = False

    @property
    def size(self) -> int:
        return packet_size(self.packet)

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        if self.is_wanted:
            assert self.answered is None
            assert not self.ignored
            self.answered, self.settled = packet, settled

    def disown(self) -> None:
        self.disowned = True

    def ignore(self) -> None:
        self.ignored = True

    @property
    def outcome(self) -> Packet:
        assert self.answered is not None
        return self.answered


def not_found(_request: Request, _peer: Peer) -> Response:
    return Response(Code.NOT_FOUND)


def a_conversation(
    carrier: FakeCarrier,
    handler: Handler = not_found,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    guard: Guard | None = None,
) -> Conversation:
    return Conversation(carrier, handler, limits=limits, transmission=Transmission(), tracer=tracer, guard=guard)


DELIVERED, RESET, TIMED_OUT, SUPERSEDED = (
    Delivery.DELIVERED,
    Delivery.RESET,
    Delivery.TIMED_OUT,
    Delivery.SUPERSEDED,
)
