"""Single messages of the asking half of one endpoint, and what their senders share: tokens, waits, numbers, a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lwm2m.coap.carrier import Carrier, Room
from lwm2m.coap.endpoint import Limits, Traced, Tracer, Transmission
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.coap.packet import Packet
from lwm2m.coap.requests.opened import Opened
from lwm2m.coap.requests.packets import request_options
from lwm2m.coap.requests.patience import Patience
from lwm2m.coap.requests.tokens import Tokens


class Sending:
    def __init__(self, carrier: Carrier, limits: Limits, transmission: Transmission, tracer: Tracer | None) -> None:
        self._carrier = carrier
        self.max_body = limits.max_body
        self.max_unread = limits.max_unread_notifications
        self._patience = Patience(transmission.max_wait)
        self._tracer = tracer
        self.is_traced = tracer is not None
        self._tokens = Tokens()
        self._uploads: dict[object, set[int]] = {}

    def send(self, peer: Peer, packet: Packet, confirmable: bool, deadline: float | None) -> Opened:
        return Opened(self._carrier, peer, packet, confirmable, deadline, self._patience, self.max_unread)

    def room(self, peer: Peer) -> Room:
        return self._carrier.room(peer)

    def new_token(self) -> bytes:
        return self._tokens.new()

    def trace(self, peer: Peer, message: Request | Response, token: bytes, *, incoming: bool) -> None:
        if self._tracer is not None:
            self._tracer(Traced(peer, incoming, message, token))

    @contextmanager
    def upload(self, peer: Peer, request: Request) -> Iterator[int]:
        """A number that tells this upload from the others of the same resource that run; 0 for the first. RFC 9175
        §3.3"""
        resource = peer, request.method, tuple(sorted(request_options(request).items()))
        running = self._uploads.setdefault(resource, set())
        number = min(set(range(len(running) + 1)) - running)
        running.add(number)
        try:
            yield number
        finally:
            running.discard(number)
            if not running:
                self._uploads.pop(resource, None)

    def stop(self) -> None:
        self._patience.stop()
