"""Packets as aiocoap's messages: its layers see code, token, kind and number, and pass the rest as it is."""

from __future__ import annotations

from aiocoap import Message
from aiocoap.message import Direction
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON, NON, RST

from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.messaging import datagram_format
from lwm2m.coap.packet import Packet

TYPES = (CON, NON, ACK, RST)
"""By their number on the wire."""


class Tuning(TransportTuning):  # type: ignore[misc]  # aiocoap is not typed
    """Our transmission parameters for one message; `reliable` None lets aiocoap follow the request's type."""

    def __init__(self, transmission: Transmission, reliable: bool | None) -> None:
        self.ACK_TIMEOUT = transmission.ack_timeout
        self.ACK_RANDOM_FACTOR = transmission.ack_random_factor
        self.MAX_RETRANSMIT = transmission.max_retransmit
        self.reliability = reliable


class Carried(Message):  # type: ignore[misc]  # aiocoap is not typed
    """A message with a packet. `size` is that of the datagram it came in, 0 for ours."""

    size = 0

    def __init__(self, packet: Packet, remote: object, tuning: Tuning | None = None) -> None:
        super().__init__(code=packet.code, _token=packet.token, transport_tuning=tuning)
        self.packet = packet
        self.remote = remote

    def encode(self) -> bytes:
        return datagram_format.encode(int(self.mtype), self.mid, self.packet)

    @property
    def is_confirmable(self) -> bool:
        return self.mtype is CON


def read(datagram: bytes, remote: object) -> Carried:
    """Raises NotCoap, WrongOption."""
    kind, mid, packet = datagram_format.decode(datagram)
    message = Carried(packet, remote)
    message.mtype = TYPES[kind]
    message.mid = mid
    message.size = len(datagram)
    message.direction = Direction.INCOMING
    return message
