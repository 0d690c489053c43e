"""The contract between what CoAP means, `asking`, `serving` and `notifying`, and what carries its single messages:
our own exchanges over datagrams, aiocoap's layers over UDP, TCP and WebSockets.

* A carrier acknowledges, retransmits, recognises repetitions, and matches responses to tokens by peer.
* It knows nothing of blocks, observations, bodies or LwM2M.
* Everything here is called in the event loop, and returns at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from lwm2m.coap.endpoint import Delivery, RequestFailed
from lwm2m.coap.message import Peer
from lwm2m.coap.packet import Packet

Withdraw: TypeAlias = Callable[[], None]
"""Send it no more, wait for nothing more. May be called at any time, and again."""
Settled: TypeAlias = Callable[[Delivery], None]


class Listener(Protocol):
    """Who asked. After `failed` nothing more comes."""

    def sent(self) -> None:
        """The request is on the wire for the first time: it may have waited for its turn (NSTART)."""
        ...

    def believes(self, packet: Packet) -> bool:
        """Asked for each response with the token of the request, before anything follows from it. False: nothing shows
        that it is from the peer, and it is as if it had not come."""
        ...

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:
        """A response with the token of the request: the first, and what follows on the same token until the request is
        withdrawn. False: not to be had; the carrier rejects it, and with it the request unless that was answered."""
        ...

    def failed(self, failure: RequestFailed) -> None: ...


class Incoming(Protocol):
    """A request that arrived, until it is answered or its sender has gone."""

    @property
    def packet(self) -> Packet: ...

    @property
    def peer(self) -> Peer: ...

    @property
    def confirmable(self) -> bool: ...

    @property
    def size(self) -> int:
        """Bytes that arrived for it."""
        ...

    @property
    def is_wanted(self) -> bool:
        """False once it was answered, its token was used again, or the endpoint stops."""
        ...

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        """At most once; nothing happens when it is wanted no more. `settled` is told what became of it where it left in
        a confirmable message of its own."""
        ...

    def disown(self) -> None:
        """Nothing shows who sent it: what comes with the same message ID is another message. To be called before it is
        answered or ignored, within `Serve`."""
        ...

    def ignore(self) -> None:
        """Leave it without a response; a confirmable one is acknowledged all the same. RFC 7967 §2"""
        ...


class Room(NamedTuple):
    """What one message holds: `payload` bytes at most, and blocks of 2 ** (exponent + 4); 7 is BERT, RFC 8323 §6. Where
    it `is_tight` there is no space beside that for what protects it."""

    payload: int
    exponent: int
    is_tight: bool = False


class Carrier(Protocol):
    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdraw:
        """Send a request; its token is in `packet` and must not be in use with this peer."""
        ...

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdraw:
        """Send a notification. `settled` is called once where it is confirmable, else only when it is reset."""
        ...

    def room(self, peer: Peer) -> Room: ...


Serve: TypeAlias = Callable[[Incoming], None]
"""Called for each request that arrives."""
