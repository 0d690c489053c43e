"""The contract that every CoAP stack keeps. The rest of the toolkit knows this and the values of `message` only.

* A request is answered once, or raises one of `RequestFailed`; cancelling the awaiting task ends the exchange.
* Requests to a peer leave from the local address the peer knows.
* Bodies arrive whole; a stack splits and joins blocks (RFC 7959) and bounds them by `Limits`.
* Notifications carry no policy here: when to send one is decided above.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias, runtime_checkable

from lwm2m.coap.guard import Limits
from lwm2m.coap.message import Peer, Request, Response, Subscription

__all__ = [
    "AnswerTooLarge",
    "AssociationLost",
    "Delivery",
    "Endpoint",
    "Handler",
    "Limits",
    "Observation",
    "Recalling",
    "Rejected",
    "RequestFailed",
    "Secured",
    "TimedOut",
    "TooBusy",
    "Traced",
    "Tracer",
    "Transmission",
    "Unreachable",
]


class RequestFailed(Exception):
    """No response came. The subclasses say why."""


class TimedOut(RequestFailed):
    """Nothing arrived within the deadline or the last retransmission."""


class Rejected(RequestFailed):
    """The peer answered with a Reset, with something that is not CoAP, or with more than `Limits.max_body`."""


class AnswerTooLarge(Rejected):
    """The answer is larger than `Limits.max_body`."""


class Unreachable(RequestFailed):
    """The network said so, or the connection or security session is gone."""


class TooBusy(RequestFailed):
    """Too many requests to this peer are waiting already."""


class Delivery(Enum):
    """What became of a notification. A non-confirmable one is `DELIVERED` when it was sent."""

    DELIVERED = "delivered"
    RESET = "reset"
    TIMED_OUT = "timed out"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class AssociationLost:
    """The connection or security session with a peer ended."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Traced:
    """One message that passed, for people: logs, `--trace`, the COAPLOG event."""

    peer: Peer
    incoming: bool
    message: Request | Response
    token: bytes


@dataclass(frozen=True, slots=True)
class Transmission:
    """The transmission parameters of RFC 7252 §4.8, times in seconds."""

    ack_timeout: float = 2.0
    ack_random_factor: float = 1.5
    max_retransmit: int = 4

    @property
    def max_wait(self) -> float:
        """MAX_TRANSMIT_WAIT: from the first transmission until the sender gives up, 93 s."""
        return float(self.ack_timeout * (2 ** (self.max_retransmit + 1) - 1) * self.ack_random_factor)


Handler: TypeAlias = Callable[[Request, Peer], Response | Awaitable[Response]]
Tracer: TypeAlias = Callable[[Traced], None]


class Observation(Protocol):
    """A running observation of a peer's resource. Iterating yields the notifications after the first response, in
    order, the newest last; it ends when the peer ended it. Breaking off does not cancel: call `cancel`."""

    @property
    def first(self) -> Response: ...

    def __aiter__(self) -> AsyncIterator[Response]: ...

    def follow(self, receive: Callable[[Response | None], None]) -> None:
        """Instead of iterating: `receive` is called with each notification, in order, in the moment it is whole, those
        that came already first, and with None once the observation has ended. Costs no task."""
        ...

    async def cancel(self, *, active: bool = True) -> Response | None:
        """Active: ask with Observe=1 and the same token, and return the answer. Passive: forget it; the next
        notification is answered with a Reset. Raises RequestFailed."""
        ...


class Endpoint(Protocol):
    """Asks and answers CoAP on one local address."""

    @property
    def address(self) -> tuple[str, int]:
        """Where we listen, with the real port."""
        ...

    @property
    def uri(self) -> str:
        """The same as a URI, "coap://127.0.0.1:5683"."""
        ...

    async def start(self, handler: Handler) -> None:
        """Bind and serve. Raises OSError when the address is taken or not ours."""
        ...

    async def stop(self) -> None:
        """Stop serving, end every wait, close the socket. May be called twice."""
        ...

    async def peer(self, uri: str) -> Peer:
        """The peer behind a URI such as "coap://host:5683"; resolves names, connects where the transport connects.
        Raises Unreachable, ValueError."""
        ...

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:
        """Raises RequestFailed. `timeout` in seconds; None leaves it to the retransmission limits (93 s)."""
        ...

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> Observation:
        """Start observing; `request.observe` is set for you. Look at `first.observing`: a peer may answer without
        accepting. Raises RequestFailed."""
        ...

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        """Send a notification. While a confirmable one is unacknowledged only the newest waits. A response that is no
        success ends the observation, and so does a peer that resets or never acknowledges one. `RESET` as well when
        nobody observes any more: that is how a Reset of a non-confirmable notification shows, with the next one."""
        ...

    def forget(self, subscription: Subscription) -> None:
        """Serve this observation no more, without telling the peer."""
        ...

    def listen(self, listening: bool) -> None:
        """False: what arrives from now on is lost, as by a device that sleeps; True undoes it. Sending goes on."""
        ...

    def events(self) -> AsyncIterator[AssociationLost]: ...


@runtime_checkable
class Recalling(Protocol):
    """An endpoint that needs no session to speak with peers that are protected."""

    def recall(self, peer: Peer) -> Peer | None:
        """Whoever had this identity there in an earlier process, to speak with now; None where it has to speak
        first."""
        ...


@runtime_checkable
class Secured(Protocol):
    """An endpoint whose peers have shown who they are."""

    def expel(self, identity: str, *, revoked: bool = False) -> None:
        """End the sessions of this identity, which is valid no more; nobody resumes them. The peer is told if its
        certificate was `revoked`."""
        ...
