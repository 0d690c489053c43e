"""A request that arrived as a datagram."""

from __future__ import annotations

from typing import Protocol

from lwm2m.coap.carrier import Settled
from lwm2m.coap.message import Peer
from lwm2m.coap.messaging.outgoing import Outgoing
from lwm2m.coap.packet import Packet


class Answering(Protocol):
    def answer(self, arrived: Arrived, packet: Packet, settled: Settled | None) -> None: ...

    def ignore(self, arrived: Arrived) -> None: ...


class Arrived:
    """See `carrier.Incoming`. `key` is what its repetitions are known by, `reply` what they get, `deferred` an answer
    that waits for a ping."""

    __slots__ = (
        "_answering",
        "acknowledged",
        "confirmable",
        "deferred",
        "disowned",
        "is_handled_later",
        "is_wanted",
        "key",
        "mid",
        "packet",
        "peer",
        "reply",
        "size",
    )

    def __init__(
        self,
        answering: Answering,
        peer: Peer,
        packet: Packet,
        confirmable: bool,
        mid: int,
        size: int,
        key: tuple[Peer, bytes],
    ) -> None:
        self._answering = answering
        self.peer = peer
        self.packet = packet
        self.confirmable = confirmable
        self.mid = mid
        self.size = size
        self.key = key
        self.reply = b""
        self.acknowledged = False
        self.deferred: Outgoing | None = None
        self.disowned = False
        self.is_wanted = True
        self.is_handled_later = False

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        if self.is_wanted:
            self.is_wanted = False
            self._answering.answer(self, packet, settled)

    def disown(self) -> None:
        self.disowned = True

    def ignore(self) -> None:
        if self.is_wanted:
            self.is_wanted = False
            self._answering.ignore(self)
