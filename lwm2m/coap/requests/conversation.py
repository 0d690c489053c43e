"""All that an endpoint says and hears, over its carrier: what is left for an endpoint is to open and close that."""

from __future__ import annotations

import logging

from lwm2m.coap.carrier import Carrier, Serve
from lwm2m.coap.endpoint import Delivery, Handler, Limits, Traced, Tracer, Transmission
from lwm2m.coap.guard import Guard
from lwm2m.coap.message import Peer, Request, Response, Subscription
from lwm2m.coap.requests.asking import Asking
from lwm2m.coap.requests.large_answers import LargeAnswers
from lwm2m.coap.requests.notifying import Notifying
from lwm2m.coap.requests.observing import RunningObservation
from lwm2m.coap.requests.serving import Serving

log = logging.getLogger("lwm2m.coap")


class Conversation:
    """Asks, serves and notifies. To be made in the event loop. The carrier calls `serve` for each request, and `lost`
    with a peer whose connection or session has ended; it fails by itself what was asked of that peer. `guard` is for
    carriers whose peers can write any address on what they send."""

    def __init__(
        self,
        carrier: Carrier,
        handler: Handler,
        *,
        limits: Limits,
        transmission: Transmission,
        tracer: Tracer | None = None,
        guard: Guard | None = None,
    ) -> None:
        tracer = None if tracer is None else _harmless(tracer)
        self._large = LargeAnswers(limits.max_large_answers, transmission.max_wait)
        self._asking = Asking(carrier, limits, transmission, tracer)
        self._notifying = Notifying(carrier, self._large, limits, tracer)
        self._serving = Serving(carrier, handler, self._notifying, self._large, limits, transmission, tracer, guard)
        self.serve: Serve = self._serving.receive

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:
        """See `Endpoint.request`."""
        return await self._asking.request(peer, request._replace(token=b"") if request.token else request, timeout)

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> RunningObservation:
        """See `Endpoint.observe`."""
        return await self._asking.observe(peer, request, timeout)

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        """See `Endpoint.notify`."""
        return await self._notifying.notify(subscription, response, confirmable)

    def forget(self, subscription: Subscription) -> None:
        """See `Endpoint.forget`."""
        self._notifying.drop(subscription.peer, subscription.token, Delivery.SUPERSEDED)

    def lost(self, peer: Peer) -> None:
        """Nobody observes us from there any more."""
        self._notifying.lost(peer)

    async def stop(self) -> None:
        """Serve no more, and end what runs. To be called before the carrier closes, which fails what was asked."""
        self._notifying.stop()
        await self._serving.stop()
        await self._asking.stop()
        self._large.clear()


def _harmless(tracer: Tracer) -> Tracer:
    """A fault of what only watches costs a line in the log, and no exchange."""

    def watched(traced: Traced) -> None:
        try:
            tracer(traced)
        except Exception:  # whatever it is, it is somebody else's
            log.exception("a message could not be traced")

    return watched
