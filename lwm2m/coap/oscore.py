"""OSCORE above any carrier: packets are plain above, protected below. RFC 8613

* Every message is protected by itself: what is joined from blocks above was verified block by block.
* What does not verify changes nothing: a response is as if it had not come, a request is refused in the clear, and the
  true one is taken when it comes.
* What a proxy has cut into blocks of its own is joined first.
* Notifications are in order, and none comes twice.
* Who registers or asks for a bootstrap has to show that it does so now (Echo, RFC 9175), and so has who changes
  something with a request that others have overtaken.
* A peer here is a context with a peer of the carrier below: somebody else than that peer without protection."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lwm2m.coap.blocks import Block
from lwm2m.coap.carrier import Carrier, Incoming, Listener, Room, Serve, Settled, Withdraw
from lwm2m.coap.complaints import Complaints
from lwm2m.coap.endpoint import Delivery, RequestFailed, Unreachable
from lwm2m.coap.guard import PROTECTION, Guard, Limits
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.context import Context, Exhausted, RequestId, Unprotected, Unverified, WindowLost
from lwm2m.coap.object_security.contexts import Contexts, Oscore
from lwm2m.coap.object_security.freshness import LENGTH as FRESHNESS
from lwm2m.coap.object_security.option import OSCORE, OscoreOption
from lwm2m.coap.object_security.outer_blocks import Fetching, OuterBlocks, is_cut
from lwm2m.coap.object_security.refusals import Fault, Refusals
from lwm2m.coap.object_security.verifying import Verifying
from lwm2m.coap.packet import BLOCK1, ECHO, MAX_AGE, OBSERVE, URI_PATH, Packet
from lwm2m.security.info import oscore_identity, oscore_ids
from lwm2m.security.sequence_numbers import SequenceNumbersError

log = logging.getLogger("lwm2m.coap.oscore")

SMALL = 1024
"""Payloads up to this are in messages that have room for protection, where the link is not tight."""
SMALLEST = 16
"""Bytes of the smallest block."""
PEERS_KEPT = 100_000
OBSERVATIONS_KEPT = 128
"""Of one peer; those not notified for longest go."""

_UNSAFE = frozenset({Code.POST, Code.PUT, Code.DELETE, Code.PATCH, Code.IPATCH})
_BEGINNING = frozenset({(b"rd",), (b"bs",)})
_OUTER_CODES = frozenset({Code.POST, Code.FETCH})
_NOT_SENT = (Exhausted, SequenceNumbersError)


class OscoreAssociation(NamedTuple):
    """What makes a protected peer: see `Peer.association`."""

    context: Context
    below: Peer


class OscoreCarrier:
    """Keeps the contract of `Carrier`. What arrives below is put into `receive`, and what of it is true goes to
    `serve`. `guard` is that of the carrier below, where that has one."""

    def __init__(
        self,
        inner: Carrier,
        oscore: Oscore,
        guard: Guard | None = None,
        limits: Limits = Limits(),  # noqa: B008  # immutable
    ) -> None:
        self.serve: Serve = _leave
        self._inner = inner
        self._guard = guard
        self._contexts = Contexts(oscore)
        self._loop = asyncio.get_running_loop()
        self._complaints = Complaints(log, "was refused", limits.max_complaints)
        self._refusals = Refusals(oscore.refused or self._complain)
        self._outer = OuterBlocks()
        self._above: OrderedDict[Peer, dict[Context, Peer]] = OrderedDict()
        self._observations: dict[Peer, OrderedDict[bytes, RequestId]] = {}

    # Peers

    def peer(self, below: Peer) -> Peer:
        """With whom we speak there. Raises Unreachable."""
        try:
            own = self._contexts.own()
        except SequenceNumbersError as error:
            raise Unreachable(str(error)) from None
        return below if own is None else self._protected(own, below)

    def recall(self, peer: Peer) -> Peer | None:
        """Whoever had this identity there in an earlier process, to speak with now; None where it has no context any
        more."""
        ids = None if peer.identity is None else oscore_ids(peer.identity)
        if ids is None or peer.below is None:
            return None
        context = self._contexts.find(*ids)
        return None if context is None else self._protected(context, peer.below)

    def lost(self, below: Peer) -> list[Peer]:
        """Those that were reached through this peer, which is gone: it has failed already what was asked of them."""
        lost = list(self._above.pop(below, {}).values())
        for peer in lost:
            self._observations.pop(peer, None)
        return lost

    def _protected(self, context: Context, below: Peer) -> Peer:
        known = self._above.get(below)
        if known is None:
            known = self._above[below] = {}
            if len(self._above) > PEERS_KEPT:
                self._above.popitem(last=False)
        peer = known.get(context)
        if peer is None:
            association = OscoreAssociation(context, below)
            peer = known[context] = Peer(below.local, below.address, association, context.identity, below)
        return peer

    # As a `Carrier`

    def room(self, peer: Peer) -> Room:
        association = peer.association
        if not isinstance(association, OscoreAssociation):
            return self._inner.room(peer)
        room = self._inner.room(association.below)
        if room.is_tight:
            payload = max(SMALLEST, room.payload - PROTECTION)
            return Room(payload, min(room.exponent, payload.bit_length() - 5))
        return room if room.payload <= SMALL else room._replace(payload=max(SMALL, room.payload - PROTECTION))

    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdraw:
        association = peer.association
        if not isinstance(association, OscoreAssociation):
            return self._inner.ask(peer, packet, confirmable, listener)
        context, below = association
        if not self._contexts.holds(context):
            return self._fail(listener, Unreachable(f"the OSCORE context with {peer} is valid no more"))
        try:
            protected, request = context.protect_request(packet)
        except _NOT_SENT as error:
            return self._fail(listener, RequestFailed(str(error)))
        asking = Verifying(context, request, listener, partial(self._fetching, below, protected))
        asking.withdraw_below = self._inner.ask(below, protected, confirmable, asking)
        return asking.withdraw

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdraw:
        association = peer.association
        if not isinstance(association, OscoreAssociation):
            return self._inner.notify(peer, packet, confirmable, settled)
        context, below = association
        observations = self._observations.get(peer, OrderedDict())
        request = observations.get(packet.token)
        if request is None or not self._contexts.holds(context):
            return self._loop.call_soon(settled, Delivery.RESET).cancel
        observations.move_to_end(packet.token)
        try:
            protected = context.protect_response(packet, request)
        except _NOT_SENT as error:
            log.error("a notification cannot be protected: %s", error)
            return self._loop.call_soon(settled, Delivery.TIMED_OUT).cancel
        if packet.code >> 5 != 2:
            self._forget(peer, packet.token)
        return self._inner.notify(below, protected, confirmable, settled)

    def _fetching(
        self,
        below: Peer,
        request: Packet,
        first: Packet,
        whole: Callable[[Packet], None],
        failed: Callable[[RequestFailed], None],
    ) -> Fetching:
        return Fetching(self._inner, below, request, first, whole, failed)

    def _fail(self, listener: Listener, failure: RequestFailed) -> Withdraw:
        """Not at once: whoever asks is not ready for the answer."""
        return self._loop.call_soon(listener.failed, failure).cancel

    # Requests that arrive

    def receive(self, incoming: Incoming) -> None:
        """The `Serve` of the carrier below."""
        if OSCORE not in incoming.packet.options:
            self._receive_plain(incoming)
            return
        if is_cut(incoming.packet):
            joined = self._outer.joined(incoming, self._loop.time())
            if joined is None:
                return
            incoming = joined
        option: OscoreOption | None = None
        try:
            option = _option_of(incoming.packet)
            context = self._context_of(option)
            found = context.unprotect_request(incoming.packet, self._loop.time())
        except Unverified as unverified:
            self._refuse_unverified(incoming, unverified.fault, option)
        except WindowLost as lost:
            self._challenge(incoming, context, lost.request)
        except _NOT_SENT as error:
            log.error("a request cannot be answered with protection: %s", error)
            _refuse(incoming, Code.SERVICE_UNAVAILABLE, "")
        else:
            self._receive_verified(incoming, context, found)

    def _receive_plain(self, incoming: Incoming) -> None:
        if self._contexts.is_private:
            _refuse(incoming, Code.UNAUTHORIZED, "OSCORE is required")
        else:
            self.serve(incoming)

    def _refuse_unverified(self, incoming: Incoming, fault: Fault, option: OscoreOption | None) -> None:
        identity = None if option is None else oscore_identity(option.kid or b"", option.kid_context)
        self._refusals.tell(incoming.peer, fault, identity, self._loop.time())
        _refuse(incoming, fault.code, fault.diagnostic)

    def _complain(self, peer: Peer, reason: str, identity: str | None) -> None:  # noqa: ARG002  # the reason says it
        self._complaints.tell(peer, peer.address[0], reason, self._loop.time())

    def _context_of(self, option: OscoreOption) -> Context:
        """Raises Unverified."""
        context = self._contexts.find(option.kid or b"", option.kid_context)
        if context is None:
            raise Unverified(Fault.UNKNOWN)
        return context

    def _receive_verified(self, incoming: Incoming, context: Context, found: Unprotected) -> None:
        packet, request, number = found
        now = self._loop.time()
        assert number is not None
        is_overtaken, context.newest = number < context.newest, max(number, context.newest)
        is_fresh = context.is_fresh(packet, now)
        if not is_fresh and _must_be_fresh(packet, is_overtaken):
            self._challenge(incoming, context, request)
            return
        peer = self._protected(context, incoming.peer)
        if OBSERVE in packet.options:
            self._forget(peer, packet.token)
        if is_fresh:
            if self._guard is not None:
                self._guard.accepts(peer, packet.options[ECHO][0][FRESHNESS:], now)
            packet = packet._replace(options={n: values for n, values in packet.options.items() if n != ECHO})
        self.serve(_Protected(self, incoming, packet, peer, context, request))

    def _challenge(self, incoming: Incoming, context: Context, request: RequestId) -> None:
        """Whoever repeats it shows that the request is new, and where it is."""
        guard, peer, now = self._guard, incoming.peer, self._loop.time()
        place = b"" if guard is None or guard.is_verified(peer) else guard.challenge(peer, now)
        try:
            incoming.answer(context.challenge(incoming.packet.token, request, now, place))
        except _NOT_SENT as error:
            log.error("a request cannot be answered with protection: %s", error)
            incoming.ignore()

    def observed(self, peer: Peer, token: bytes, request: RequestId) -> None:
        """The peer was told that it observes."""
        observations = self._observations.setdefault(peer, OrderedDict())
        observations[token] = request
        if len(observations) > OBSERVATIONS_KEPT:
            observations.popitem(last=False)

    def _forget(self, peer: Peer, token: bytes) -> None:
        observations = self._observations.get(peer)
        if observations is not None and observations.pop(token, None) is not None and not observations:
            del self._observations[peer]


class _Protected:
    """A request that has been verified: an `Incoming`."""

    __slots__ = ("_carrier", "_context", "_inner", "_request", "packet", "peer")

    def __init__(
        self, carrier: OscoreCarrier, inner: Incoming, packet: Packet, peer: Peer, context: Context, request: RequestId
    ) -> None:
        self._carrier = carrier
        self._inner = inner
        self.packet = packet
        self.peer = peer
        self._context = context
        self._request = request

    @property
    def confirmable(self) -> bool:
        return self._inner.confirmable

    @property
    def size(self) -> int:
        return self._inner.size

    @property
    def is_wanted(self) -> bool:
        return self._inner.is_wanted

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        if not self.is_wanted:
            return
        try:
            protected = self._context.protect_response(packet, self._request)
        except _NOT_SENT as error:
            log.error("an answer cannot be protected: %s", error)
            self._inner.ignore()
            return
        if OBSERVE in packet.options:
            self._carrier.observed(self.peer, packet.token, self._request)
        if settled is None:
            self._inner.answer(protected)
        else:
            self._inner.answer(protected, settled)

    def disown(self) -> None:
        self._inner.disown()

    def ignore(self) -> None:
        self._inner.ignore()


def _option_of(packet: Packet) -> OscoreOption:
    """Of a request: it says by which key it is protected, and by which number. Raises Unverified."""
    values = packet.options[OSCORE]
    if packet.code not in _OUTER_CODES:
        raise Unverified(Fault.METHOD)
    try:
        option = OscoreOption.decode(values[0])
    except ValueError:
        raise Unverified(Fault.MALFORMED) from None
    if len(values) > 1 or option.number is None or option.kid is None or not packet.payload:
        raise Unverified(Fault.MALFORMED)
    return option


def _must_be_fresh(packet: Packet, is_overtaken: bool) -> bool:
    if packet.code not in _UNSAFE:
        return False
    begins = packet.code == Code.POST and packet.options.get(URI_PATH) in _BEGINNING
    return is_overtaken or (begins and not _goes_on(packet))


def _goes_on(packet: Packet) -> bool:
    values = packet.options.get(BLOCK1)
    return values is not None and Block.decode(values[0]).more


def _refuse(incoming: Incoming, code: Code, sentence: str) -> None:
    """In the clear; a non-confirmable request is left without an answer. RFC 8613 §8.2"""
    incoming.disown()
    if incoming.confirmable:
        incoming.answer(Packet(code, incoming.packet.token, {MAX_AGE: (b"",)}, sentence.encode()))
    else:
        incoming.ignore()


def _leave(incoming: Incoming) -> None:
    """While nobody serves."""
    incoming.ignore()
