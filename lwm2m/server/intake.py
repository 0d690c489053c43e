"""What clients ask of the server: Register, Update, De-register, Send. lwm2m.md §5, §7.5, §13."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.codec import decode
from lwm2m.errors import BadRequest, LwM2MError, NotFound, UnsupportedContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.device_management import Body
from lwm2m.operations.registration import Deregister, Register, RegistrationOperation, Send, Standing, Update, from_coap
from lwm2m.server.delivery import Delivery
from lwm2m.server.events import Deregistered, DeregistrationReason, Registered, Sent, ServerEvent, Updated
from lwm2m.server.observer import Observer
from lwm2m.server.registry import Registration, RegistrationChange, Registry
from lwm2m.server.requests import Requests
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)


class Intake:
    """Answers requests: the registry decides, the store keeps, then the answer goes out. What follows from it, events
    and requests to the client, is handed to `afterwards`, to be done once the answer has left."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        observer: Observer,
        delivery: Delivery,
        commit: Callable[[Sequence[RegistrationChange]], Awaitable[None]],
        publish: Callable[[ServerEvent], None],
        afterwards: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        strict: bool,
    ) -> None:
        self._registry = registry
        self._requests = requests
        self._observer = observer
        self._delivery = delivery
        self._commit = commit
        self._publish = publish
        self._afterwards = afterwards
        self._clock = clock
        self._wall = wall
        self._strict = strict

    async def handle(self, endpoint: Endpoint, request: Request, peer: Peer) -> Response:
        try:
            return await self._answer(endpoint, self._operation(request, peer), peer)
        except LwM2MError as error:
            return Response(error.code, error.diagnostic.encode())
        except StoreError:
            log.exception("a request of %s could not be stored", peer)
            return Response(Code.INTERNAL_SERVER_ERROR)

    def gone(self, registration: Registration, reason: DeregistrationReason) -> None:
        """A registration has ended for good, and the store knows."""
        if self._registry.get(registration.endpoint) is None:
            self._requests.forget(registration.endpoint)
            self._delivery.forget(registration.endpoint)
        self._observer.end(registration.endpoint)
        self._publish(Deregistered(registration, reason))

    def _operation(self, request: Request, peer: Peer) -> RegistrationOperation:
        registration = self._registry.at(request.path)
        standing = Standing() if registration is None else registration.standing
        return from_coap(request, identity=peer.identity, standing=standing, strict=self._strict)

    async def _answer(self, endpoint: Endpoint, operation: RegistrationOperation, peer: Peer) -> Response:
        match operation:
            case Register():
                return await self._register(endpoint, operation, peer)
            case Update():
                return await self._update(endpoint, operation, peer)
            case Deregister():
                return await self._deregister(operation, peer)
            case Send():
                return self._send(operation, peer)

    async def _register(self, endpoint: Endpoint, operation: Register, peer: Peer) -> Response:
        if peer.identity is not None and peer.identity != operation.endpoint:
            raise BadRequest("the endpoint name is not yours")
        change = self._registry.register(operation, peer, self._clock(), self._wall())
        await self._commit([change])
        registration = _after(change)
        self._requests.heard(registration.endpoint, endpoint)
        self._afterwards(partial(self._registered, registration, change.before))
        self._delivery.heard(registration.endpoint)
        return Response(Code.CREATED, location=registration.location)

    async def _update(self, endpoint: Endpoint, operation: Update, peer: Peer) -> Response:
        change = self._registry.update(operation, peer, self._clock(), self._wall())
        await self._commit([change])
        registration = _after(change)
        self._requests.heard(registration.endpoint, endpoint)
        self._afterwards(partial(self._updated, registration, operation))
        self._delivery.heard(registration.endpoint)
        return Response(Code.CHANGED)

    async def _deregister(self, operation: Deregister, peer: Peer) -> Response:
        change = self._registry.deregister(operation, peer)
        await self._commit([change])
        if change.before is not None:
            self._afterwards(partial(self.gone, change.before, DeregistrationReason.DEREGISTERED))
        return Response(Code.DELETED)

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
            records = self._decode(operation.body, registration)
            if all(record.path.object_id in registration.objects for record in records):
                self._afterwards(partial(self._publish, Sent(registration.endpoint, records)))
                self._delivery.heard(registration.endpoint)
                return Response(Code.CHANGED)
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


def _after(change: RegistrationChange) -> Registration:
    if change.after is None:
        raise ValueError("the registration has ended")
    return change.after
