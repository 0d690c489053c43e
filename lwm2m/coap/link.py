"""The contract of what carries datagrams: UDP, DTLS above it, a serial line, a modem's non-IP or SMS channel."""

from __future__ import annotations

from typing import Protocol

from lwm2m.coap.carrier import Room
from lwm2m.coap.message import Peer


class Receiver(Protocol):
    """Who gets what arrives."""

    def received(self, datagram: bytes, peer: Peer) -> None: ...

    def failed(self, peer: Peer, reason: str) -> None:
        """The network says that this peer cannot be reached now. What waits for an answer of it fails."""
        ...

    def moved(self, peer: Peer) -> None:
        """The association with this peer goes on from another address, where it has not shown yet that it is there."""
        ...

    def lost(self, peer: Peer) -> None:
        """The association with this peer has ended; it will not speak as this peer again."""
        ...


class Link(Protocol):
    """Peers that it hands out are the same object each time while they are known: then looking them up is cheap."""

    @property
    def address(self) -> tuple[str, int]:
        """Our own, as peers of this link name it; (name, 0) where there are no ports."""
        ...

    @property
    def uri(self) -> str:
        """Where peers reach us: "coap://127.0.0.1:5683"."""
        ...

    async def open(self, receiver: Receiver) -> None:
        """Raises OSError with a sentence."""
        ...

    async def close(self) -> None:
        """May be called twice."""
        ...

    async def peer(self, uri: str) -> Peer:
        """Raises Unreachable, ValueError with a sentence for a URI of another scheme or form."""
        ...

    def send(self, datagram: bytes, peer: Peer) -> None:
        """Never raises for what the network does: a datagram may be lost, and `Receiver.failed` may be called later."""
        ...

    def room(self, peer: Peer) -> Room:
        """What a datagram of this link holds, CoAP header and options taken off."""
        ...

    def listen(self, listening: bool) -> None:
        """False: what arrives is dropped."""
        ...
