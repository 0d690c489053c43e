"""The `Carrier` over aiocoap's layers and a UDP socket."""

from __future__ import annotations

from aiocoap.pipe import Pipe

from lwm2m.coap.aiocoap_udp.interface import UdpAddress, UdpSocket
from lwm2m.coap.aiocoap_udp.layers import Layers
from lwm2m.coap.aiocoap_udp.messages import Carried, Tuning
from lwm2m.coap.blocks import LARGEST_EXPONENT
from lwm2m.coap.carrier import Listener, Room, Settled, Withdraw
from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.message import Peer
from lwm2m.coap.packet import Packet

ROOM = Room(1024, LARGEST_EXPONENT)


class AiocoapRequest:
    """A request that came, see `Incoming`."""

    def __init__(self, layers: Layers, pipe: Pipe, peer: Peer, tuning: Tuning) -> None:
        message: Carried = pipe.request
        self.packet = message.packet
        self.confirmable = message.is_confirmable
        self.size = message.size
        self.peer = peer
        self.is_wanted = True
        self._layers = layers
        self._pipe = pipe
        self._tuning = tuning
        pipe.on_interest_end(self._ended)

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        if not self.is_wanted:
            return
        message = Carried(packet, self._pipe.request.remote, self._tuning)
        self._pipe.add_response(message, is_last=True)
        if settled is not None and message.is_confirmable:
            self._layers.messages.expect_delivery(message, settled)

    def disown(self) -> None:
        """aiocoap remembers it all the same."""

    def ignore(self) -> None:
        if self.is_wanted:
            self._layers.tokens.ignore(self._pipe.request)

    def _ended(self) -> None:
        self.is_wanted = False


class AiocoapCarrier:
    def __init__(self, layers: Layers, udp: UdpSocket, transmission: Transmission) -> None:
        self._layers = layers
        self._udp = udp
        self._tuning = {reliable: Tuning(transmission, reliable) for reliable in (None, False, True)}

    def incoming(self, pipe: Pipe) -> AiocoapRequest:
        remote: UdpAddress = pipe.request.remote
        peer = Peer(self._udp.local, (remote.host, remote.port))
        return AiocoapRequest(self._layers, pipe, peer, self._tuning[None])

    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdraw:
        return self._layers.tokens.ask(self._message(peer, packet, confirmable), listener)

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdraw:
        return self._layers.messages.notify(self._message(peer, packet, confirmable), settled)

    def room(self, peer: Peer) -> Room:  # noqa: ARG002  # the same for all
        return ROOM

    def _message(self, peer: Peer, packet: Packet, confirmable: bool) -> Carried:
        return Carried(packet, self._udp.address_of(*peer.address), self._tuning[confirmable])
