"""What clients ask of the server: Register, Update, De-register, Send. lwm2m.md §5, §7.5, §13."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.codec import decode
from lwm2m.errors import BadRequest, LwM2MError, NotFound, UnsupportedContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.device_management import Body
from lwm2m.operations.registration import (
    UNSAID,
    Deregister,
    Register,
    RegistrationOperation,
    Send,
    Update,
    from_coap,
)
from lwm2m.server.admission import Admission
from lwm2m.server.delivery import Delivery
from lwm2m.server.events import Deregistered, DeregistrationReason, Registered, Sent, ServerEvent, Updated
from lwm2m.server.observer import Observer
from lwm2m.server.registry import Registration, RegistrationChange, Registry
from lwm2m.server.requests import Requests
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)

Lasting: TypeAlias = Register | Update | Deregister
"""What changes the registry, and is kept."""

_CHANGED, _DELETED = Response(Code.CHANGED), Response(Code.DELETED)


class Intake:
    """Answers requests: the registry decides, the store keeps, then the answer goes out. What follows from it, events
    and requests to the client, is handed to `afterwards`, to be done once the answer has left."""

    def __init__(
        self,
        registry: Registry,
        admission: Admission,
        requests: Requests,
        observer: Observer,
        delivery: Delivery,
        commit: Callable[[Sequence[RegistrationChange]], Awaitable[None] | None],
        publish: Callable[[ServerEvent], None],
        afterwards: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        strict: bool,
    ) -> None:
        self._registry = registry
        self._admission = admission
        self._requests = requests
        self._observer = observer
        self._delivery = delivery
        self._commit = commit
        self._publish = publish
        self._afterwards = afterwards
        self._clock = clock
        self._wall = wall
        self._strict = strict

    def handle(self, endpoint: Endpoint, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        """An awaitable where the store has to be waited for."""
        try:
            operation = self._operation(request, peer)
            if isinstance(operation, Send):
                return self._send(operation, peer)
            change = self._change(operation, peer)
            durable = self._commit((change,))
        except LwM2MError as error:
            return Response(error.code, error.diagnostic.encode(), max_age=error.max_age)
        except StoreError:
            return _not_stored(peer)
        if durable is None:
            return self._done(endpoint, operation, change)
        return self._done_when(durable, endpoint, operation, change, peer)

    def gone(self, registration: Registration, reason: DeregistrationReason) -> None:
        """A registration has ended for good, and the store knows."""
        if self._registry.get(registration.endpoint) is None:
            self._requests.forget(registration.endpoint)
            self._delivery.forget(registration.endpoint)
        self._observer.end(registration.endpoint)
        self._publish(Deregistered(registration, reason))

    def _operation(self, request: Request, peer: Peer) -> RegistrationOperation:
        registration = self._registry.at(request.path)
        standing = UNSAID if registration is None else registration.standing
        name = None if peer.identity is None else self._admission.endpoint_of(peer.identity)
        return from_coap(request, identity=name, standing=standing, strict=self._strict)

    def _change(self, operation: Lasting, peer: Peer) -> RegistrationChange:
        """Raises LwM2MError."""
        match operation:
            case Update():
                registration = self._registry.at(operation.location)
                if registration is not None and registration.identity == peer.identity:
                    self._admission.check(registration.endpoint, peer)
                return self._registry.update(operation, peer, self._clock(), self._wall())
            case Register():
                self._admission.check(operation.endpoint, peer)
                return self._registry.register(operation, peer, self._clock(), self._wall())
            case Deregister():
                return self._registry.deregister(operation, peer)

    async def _done_when(
        self, durable: Awaitable[None], endpoint: Endpoint, operation: Lasting, change: RegistrationChange, peer: Peer
    ) -> Response:
        try:
            await durable
        except StoreError:
            return _not_stored(peer)
        return self._done(endpoint, operation, change)

    def _done(self, endpoint: Endpoint, operation: Lasting, change: RegistrationChange) -> Response:
        """The change is durable."""
        registration = change.after
        if registration is None:
            if change.before is not None:
                self._afterwards(partial(self.gone, change.before, DeregistrationReason.DEREGISTERED))
            return _DELETED
        self._requests.heard(registration.endpoint, endpoint)
        if isinstance(operation, Update):
            self._afterwards(partial(self._updated, registration, operation))
            response = _CHANGED
        else:
            self._afterwards(partial(self._registered, registration, change.before))
            response = Response(Code.CREATED, location=registration.location)
        self._delivery.heard(registration.endpoint)
        return response

    def _registered(self, registration: Registration, replaced: Registration | None) -> None:
        if missing := registration.object_list.missing:
            log.info("%s registered without object %s", registration.endpoint, " and ".join(map(str, missing)))
        if replaced is not None:
            self._publish(Deregistered(replaced, DeregistrationReason.REPLACED))
        self._publish(Registered(registration, replaced))
        self._refresh(registration.endpoint)

    def _updated(self, registration: Registration, operation: Update) -> None:
        self._publish(Updated(registration, operation))
        self._refresh(registration.endpoint)

    def _refresh(self, endpoint: str) -> None:
        current = self._registry.get(endpoint)
        if current is not None:
            self._observer.refresh(current)

    def _send(self, operation: Send, peer: Peer) -> Response:
        candidates = self._registry.of_peer(peer)
        if not candidates:
            raise NotFound("register first")
        for registration in candidates:
            self._admission.check(registration.endpoint, peer)
            records = self._decode(operation.body, registration)
            if all(record.path.object_id in registration.objects for record in records):
                self._afterwards(partial(self._publish, Sent(registration.endpoint, records)))
                self._delivery.heard(registration.endpoint)
                return _CHANGED
        raise NotFound("an object that is not registered")

    def _decode(self, body: Body, registration: Registration) -> tuple[Record, ...]:
        if body.content_format is None:
            raise UnsupportedContentFormat("a Send without a content format")
        definitions = self._requests.definitions(registration)
        records = tuple(
            decode(
                body.payload,
                body.content_format,
                Path(),
                definitions,
                now=self._wall(),
                root=registration.root,
            )
        )
        if not records or any(record.value is None for record in records):
            raise BadRequest("a Send is a list of values")
        return records


def _not_stored(peer: Peer) -> Response:
    log.exception("a request of %s could not be stored", peer)
    return Response(Code.INTERNAL_SERVER_ERROR)
