"""The observations that peers have of us, over any carrier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from lwm2m.coap.blocks import Block
from lwm2m.coap.carrier import Carrier, Withdraw
from lwm2m.coap.endpoint import Delivery, Limits, Traced, Tracer
from lwm2m.coap.message import Peer, Response, Subscription
from lwm2m.coap.packet import OBSERVE, Packet, uint_value
from lwm2m.coap.requests.large_answers import LargeAnswers
from lwm2m.coap.requests.packets import response_options

OBSERVE_NUMBERS = 1 << 24

Delivered = asyncio.Future[Delivery]


class _Waiting:
    __slots__ = ("confirmable", "delivered", "response")

    def __init__(self, response: Response, confirmable: bool, delivered: Delivered) -> None:
        self.response = response
        self.confirmable = confirmable
        self.delivered = delivered


class Served:
    """One observation. `keys` and `wanted` say how the peer asked for the body, in case it has to come in blocks."""

    __slots__ = ("delivered", "keys", "peer", "token", "waiting", "wanted", "withdraw")

    def __init__(self, peer: Peer, token: bytes, keys: tuple[Hashable, ...], wanted: Block | None) -> None:
        self.peer = peer
        self.token = token
        self.keys = keys
        self.wanted = wanted
        self.delivered: Delivered | None = None
        """Of the confirmable notification that is not acknowledged yet."""
        self.withdraw: Withdraw | None = None
        self.waiting: _Waiting | None = None

    def replace_waiting(self, newer: _Waiting | None, verdict: Delivery) -> None:
        if self.waiting is not None:
            _settle(self.waiting.delivered, verdict)
        self.waiting = newer

    def end(self, verdict: Delivery) -> None:
        if self.withdraw is not None:
            self.withdraw()
        if self.delivered is not None:
            _settle(self.delivered, verdict)
        self.replace_waiting(None, verdict)


def _settle(delivered: Delivered, verdict: Delivery) -> None:
    if not delivered.done():
        delivered.set_result(verdict)


class Notifying:
    """Sends notifications and keeps to one unacknowledged confirmable one for each observation."""

    def __init__(self, carrier: Carrier, large: LargeAnswers, limits: Limits, tracer: Tracer | None) -> None:
        self._carrier = carrier
        self._large = large
        self._most = limits.max_observations_per_client
        self._tracer = tracer
        self._served: dict[Peer, dict[bytes, Served]] = {}
        self._number = 0
        self._now = asyncio.get_running_loop().time

    def serve(self, served: Served) -> int | None:
        """Begin an observation and return the number for its first response; None when the peer has too many."""
        self.drop(served.peer, served.token, Delivery.SUPERSEDED)
        of_peer = self._served.setdefault(served.peer, {})
        if len(of_peer) >= self._most:
            return None
        of_peer[served.token] = served
        return self._next_number()

    def first_settled(self, served: Served) -> Callable[[Delivery], None]:
        """What to call where the first response leaves in a confirmable message of its own: a Reset to that ends the
        observation too."""

        def settled(verdict: Delivery) -> None:
            if verdict is not Delivery.DELIVERED:
                self._settled(served, verdict)

        return settled

    def drop(self, peer: Peer, token: bytes, verdict: Delivery) -> None:
        served = self._served.get(peer, {}).get(token)
        if served is not None:
            self._take(served)
            served.end(verdict)

    def lost(self, peer: Peer) -> None:
        for served in list(self._served.get(peer, {}).values()):
            self._take(served)
            served.end(Delivery.TIMED_OUT)

    def stop(self) -> None:
        for peer in list(self._served):
            self.lost(peer)

    async def notify(self, subscription: Subscription, response: Response, confirmable: bool) -> Delivery:
        """`RESET` as well when nobody observes, or does no more. When this is cancelled it is not sent again."""
        served = self._served.get(subscription.peer, {}).get(subscription.token)
        if served is None:
            return Delivery.RESET
        if served.delivered is None and not confirmable:
            self._send(served, response, None)
            return Delivery.DELIVERED
        delivered: Delivered = asyncio.get_running_loop().create_future()
        if served.delivered is None:
            self._send(served, response, delivered)
        else:
            served.replace_waiting(_Waiting(response, confirmable, delivered), Delivery.SUPERSEDED)
        try:
            return await delivered
        except asyncio.CancelledError:
            self._give_up(served, delivered)
            raise

    def _send(self, served: Served, response: Response, delivered: Delivered | None) -> None:
        """Confirmable where somebody wants to know whether it was delivered."""
        packet = self._packet(served, response)
        if self._tracer is not None:
            self._tracer(Traced(served.peer, False, response, served.token))
        if response.code >> 5 != 2:
            self._take(served)
        served.delivered = delivered

        def settled(verdict: Delivery) -> None:
            self._settled(served, verdict)

        served.withdraw = self._carrier.notify(served.peer, packet, delivered is not None, settled)

    def _packet(self, served: Served, response: Response) -> Packet:
        options, payload = response_options(response), response.payload
        if response.code >> 5 == 2:
            options[OBSERVE] = (uint_value(self._next_number()),)
            room = self._carrier.room(served.peer)
            block, payload = self._large.cut(response, served.wanted, room, lambda: served.keys, self._now())
            options.update(block)
        return Packet(response.code, served.token, options, payload)

    def _settled(self, served: Served, verdict: Delivery) -> None:
        """An acknowledgement, a Reset, or the end of patience. RFC 7641 §4.5: the latter two end the observation."""
        delivered, served.delivered = served.delivered, None
        if delivered is not None:
            _settle(delivered, verdict)
        if verdict is not Delivery.DELIVERED:
            self._take(served)
            served.end(verdict)
            return
        self._send_waiting(served)

    def _give_up(self, served: Served, delivered: Delivered) -> None:
        """Nobody wants to know of this one any more: the next goes, if it was under way."""
        if served.delivered is delivered and served.withdraw is not None:
            served.delivered = None
            served.withdraw()
            self._send_waiting(served)

    def _send_waiting(self, served: Served) -> None:
        waiting, served.waiting = served.waiting, None
        if waiting is None or waiting.delivered.cancelled():
            return
        if waiting.confirmable:
            self._send(served, waiting.response, waiting.delivered)
        else:
            self._send(served, waiting.response, None)
            _settle(waiting.delivered, Delivery.DELIVERED)

    def _take(self, served: Served) -> None:
        of_peer = self._served.get(served.peer)
        if of_peer is not None and of_peer.get(served.token) is served:
            del of_peer[served.token]
            if not of_peer:
                del self._served[served.peer]

    def _next_number(self) -> int:
        self._number = (self._number + 1) % OBSERVE_NUMBERS
        return self._number
