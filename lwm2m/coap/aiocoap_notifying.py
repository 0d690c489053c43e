"""The observations that peers have of us, in the aiocoap stack."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from aiocoap import Message

from lwm2m.coap.aiocoap_layers import Layers
from lwm2m.coap.aiocoap_messages import Tuning, response_to
from lwm2m.coap.aiocoap_udp import UdpAddress
from lwm2m.coap.endpoint import Delivery, Limits, Transmission
from lwm2m.coap.message import Peer, Response, Subscription

OBSERVE_NUMBERS = 1 << 24

Delivered = asyncio.Future[Delivery]


@dataclass
class _Waiting:
    response: Response
    confirmable: bool
    delivered: Delivered


@dataclass(eq=False)
class Served:
    """One observation. `finish` is the last thing done to a notification before it is sent: a body larger than a
    block is cut to its first block, and kept for the peer to fetch the rest."""

    subscription: Subscription
    remote: UdpAddress
    finish: Callable[[Response, Message], Message]
    delivered: Delivered | None = None
    """Of the confirmable notification that is not acknowledged yet."""
    withdraw: Callable[[], None] = field(default=lambda: None)
    waiting: _Waiting | None = None

    def replace_waiting(self, newer: _Waiting | None, verdict: Delivery) -> None:
        if self.waiting is not None:
            _settle(self.waiting.delivered, verdict)
        self.waiting = newer

    def end(self, verdict: Delivery) -> None:
        self.withdraw()
        if self.delivered is not None:
            _settle(self.delivered, verdict)
        self.replace_waiting(None, verdict)


def _settle(delivered: Delivered, verdict: Delivery) -> None:
    if not delivered.done():
        delivered.set_result(verdict)


class Notifying:
    """Sends notifications and keeps to one unacknowledged confirmable one for each observation."""

    def __init__(self, layers: Layers, limits: Limits, transmission: Transmission) -> None:
        self._layers = layers
        self._limits = limits
        self._transmission = transmission
        self._served: dict[Subscription, Served] = {}
        self._count: Counter[Peer] = Counter()
        self._number = 0

    def serve(self, served: Served) -> int | None:
        """Begin an observation and return the number for its first response; None when the peer has too many."""
        self.drop(served.subscription, Delivery.SUPERSEDED)
        peer = served.subscription.peer
        if self._count[peer] >= self._limits.max_observations_per_client:
            return None
        self._served[served.subscription] = served
        self._count[peer] += 1
        return self._next_number()

    def watch(self, subscription: Subscription, first: Message) -> None:
        """The first response went out in a confirmable message of its own: a Reset to that ends the observation too."""
        served = self._served.get(subscription)
        if served is not None:
            self._layers.messages.expect_delivery(first, partial(self._first_settled, served))

    def _first_settled(self, served: Served, verdict: Delivery) -> None:
        if verdict is not Delivery.DELIVERED:
            self._settled(served, verdict)

    def drop(self, subscription: Subscription, verdict: Delivery) -> None:
        served = self._take(subscription)
        if served is not None:
            served.end(verdict)

    def stop(self) -> None:
        for subscription in list(self._served):
            self.drop(subscription, Delivery.TIMED_OUT)

    async def notify(self, subscription: Subscription, response: Response, confirmable: bool) -> Delivery:
        """`RESET` as well when nobody observes, or does no more."""
        served = self._served.get(subscription)
        if served is None:
            return Delivery.RESET
        waiting = _Waiting(response, confirmable, asyncio.get_running_loop().create_future())
        if served.delivered is None:
            self._send(served, waiting)
        else:
            served.replace_waiting(waiting, Delivery.SUPERSEDED)
        return await waiting.delivered

    def _send(self, served: Served, notification: _Waiting) -> None:
        message = served.finish(notification.response, self._message(served, notification))
        settle = partial(self._settled, served)
        if not notification.confirmable:
            self._layers.messages.notify(message, settle)
            _settle(notification.delivered, Delivery.DELIVERED)
        else:
            served.delivered = notification.delivered
            served.withdraw = self._layers.messages.notify(message, settle)
        if not notification.response.code.is_success:
            self._take(served.subscription)

    def _message(self, served: Served, notification: _Waiting) -> Message:
        tuning = Tuning(self._transmission, notification.confirmable)
        message = response_to(notification.response, tuning)
        message.remote = served.remote
        message.token = served.subscription.token
        if notification.response.code.is_success:
            message.opt.observe = self._next_number()
        return message

    def _settled(self, served: Served, verdict: Delivery) -> None:
        """An acknowledgement, a Reset, or the end of patience. RFC 7641 §4.5: the latter two end the observation."""
        delivered, served.delivered = served.delivered, None
        if delivered is not None:
            _settle(delivered, verdict)
        if verdict is not Delivery.DELIVERED:
            if self._served.get(served.subscription) is served:
                self._take(served.subscription)
            served.replace_waiting(None, verdict)
            return
        waiting, served.waiting = served.waiting, None
        if waiting is not None and not waiting.delivered.cancelled():
            self._send(served, waiting)

    def _take(self, subscription: Subscription) -> Served | None:
        served = self._served.pop(subscription, None)
        if served is not None:
            self._count[subscription.peer] -= 1
            if not self._count[subscription.peer]:
                del self._count[subscription.peer]
        return served

    def _next_number(self) -> int:
        self._number = (self._number + 1) % OBSERVE_NUMBERS
        return self._number
