"""The management server: clients register here, and are read, written, executed and observed from here."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Self

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.operations import (
    CancelCompositeObservation,
    CancelObservation,
    DeviceOperation,
    Observe,
    ObserveComposite,
    WriteAttributes,
    paths_of,
)
from lwm2m.server.admission import Admission
from lwm2m.server.aftermath import Aftermath
from lwm2m.server.answers import Answer
from lwm2m.server.commits import Commits
from lwm2m.server.connections import Connections
from lwm2m.server.delivery import Delivery
from lwm2m.server.events import Broadcast, DeregistrationReason, EventStream
from lwm2m.server.intake import Intake
from lwm2m.server.limits import DEFAULT_LIMITS, ServerLimits
from lwm2m.server.observations import Observed, Wish
from lwm2m.server.observer import Observer
from lwm2m.server.queue_mode import QueueMode
from lwm2m.server.queued import QueuedRequest
from lwm2m.server.reasons import Reasons
from lwm2m.server.registry import NotRegistered, Registration, RegistrationChange, Registry
from lwm2m.server.requests import Requests
from lwm2m.server.store import Change, Store, StoreError
from lwm2m.server.store.memory import MemoryStore
from lwm2m.server.submissions import Submissions
from lwm2m.server.verbs import Verbs, as_path

OBSERVING = (Observe, ObserveComposite, CancelObservation, CancelCompositeObservation)

log = logging.getLogger(__name__)

STORE_RETRY = 1.0
"""Seconds until an expiry is tried again that the store did not take."""
STORE_PATIENCE = 5.0
"""Seconds that a store gets for the last changes when the server stops."""


class Server(Verbs):
    """Serves on all `endpoints`, and answers a client only when `store` has kept what it said. `admission` says who may
    be which client; without it everybody may be everybody who shows nothing else.

    `clock` gives monotonic seconds, `wall` Unix seconds. `strict` refuses a Register with parameters that the
    specification does not know. Operations wait up to `timeout` seconds, None: as long as CoAP retransmits."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        definitions: Definitions | None = None,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        limits: ServerLimits = DEFAULT_LIMITS,
        *,
        strict: bool = False,
        admission: Admission | None = None,
    ) -> None:
        self.admission = Admission() if admission is None else admission
        self.definitions = shipped() if definitions is None else definitions
        self._endpoints = tuple(endpoints)
        self._store: Store = MemoryStore() if store is None else store
        self._clock = clock
        self._wall = wall
        self._registry = Registry(_new_id, limits)
        self._broadcast = Broadcast(limits.max_events)
        self._aftermath = Aftermath()
        self._commits = Commits(self._store, self._undo)
        self._requests = Requests(self._endpoints, self._registry, self.admission, self.definitions, wall)
        self._delivery = Delivery(
            QueueMode(limits.max_queued_per_client, limits.awake_for),
            self._registry.get,
            self._broadcast.publish,
            self._aftermath.add,
            clock,
            limits.queue_patience,
        )
        self._submissions = Submissions(
            self._delivery, self._perform, self._commits.commit, self._broadcast.publish, wall
        )
        self._patience = limits.queue_patience
        self._reasons = Reasons()
        self._observer = Observer(
            self._requests,
            self._reasons,
            self._broadcast.publish,
            self._commits.give,
            self._registry.get,
            self._delivery.heard,
            self._delivery.turn,
            wall,
            limits.max_observations_per_client,
        )
        self._intake = Intake(
            self._registry,
            self.admission,
            self._requests,
            self._observer,
            self._delivery,
            self._commits.give,
            self._broadcast.publish,
            self._aftermath.add,
            clock,
            wall,
            strict,
        )
        self._awaited: float | None = None
        self._nearer = asyncio.Event()
        self._expiring: asyncio.Task[None] | None = None
        self._connections = Connections(self._lost)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Take in what the store kept, then serve. Raises StoreError, OSError when an address is taken."""
        await self.admission.open(self._endpoints, self._credentials_changed, self._broadcast.publish)
        try:
            kept = await self._store.load()
        except StoreError:
            await self.admission.close()
            raise
        self._registry.restore(kept.registrations, self._clock(), self._wall())
        for endpoint, observed, *wish in kept.observations:
            self._observer.restore(endpoint, observed, Wish(*wish))
        await self._end_the_unpermitted()
        await self._serve()
        self._requests.recall()
        self._connections.watch(self._endpoints)
        self._expiring = asyncio.create_task(self._expire(), name="lwm2m-expiry")
        self._expiring.add_done_callback(_report)
        for registration in self.registrations():
            if not registration.queue_mode:
                self._observer.refresh(registration)
        await self._submissions.restore(request for request in kept.queue if self._registry.get(request.endpoint))

    async def stop(self) -> None:
        """End every wait, close the endpoints. Registrations stay in the store. May be called twice."""
        expiring, self._expiring = self._expiring, None
        if expiring is None:
            return
        self._aftermath.stop()
        expiring.cancel()
        await asyncio.wait([expiring])
        await self._connections.stop()
        await self._submissions.stop()
        await self._observer.stop()
        self._delivery.stop()
        for endpoint in self._endpoints:
            await endpoint.stop()
        await self._drain()
        await self._store.close()
        await self.admission.close()
        self._broadcast.end()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    def events(self) -> EventStream:
        """What happens from now on. A subscriber too slow gets `Overflow` and no more."""
        return self._broadcast.subscribe()

    def registrations(self) -> list[Registration]:
        """By endpoint."""
        return sorted(self._registry, key=lambda registration: registration.endpoint)

    def registration(self, endpoint: str) -> Registration:
        """Raises NotRegistered."""
        registration = self._registry.get(endpoint)
        if registration is None:
            raise NotRegistered(endpoint)
        return registration

    async def ask(self, endpoint: str, operation: DeviceOperation, timeout: float | None = None) -> Answer:
        """Any operation but those that begin or end an observation. A refusal is an answer. Where the client sleeps,
        the request waits for it, at most `timeout` seconds, None: as `ServerLimits.queue_patience` says; cancelling the
        task that waits takes it back. Raises NotRegistered, RequestFailed, InvalidAnswer."""
        if isinstance(operation, OBSERVING):
            raise TypeError("observations have methods of their own")
        registration = self.registration(endpoint)
        if not registration.queue_mode:
            return await self._ask(registration, operation, timeout)
        async with self._turn(endpoint, timeout):
            return await self._ask(self.registration(endpoint), operation, timeout)

    async def submit(
        self,
        endpoint: str,
        operation: DeviceOperation,
        timeout: float | None = None,
        patience: float | None = None,
    ) -> QueuedRequest:
        """Ask any operation without waiting for the answer, which comes as a `RequestAnswered` event; where the client
        sleeps, once it is awake, within `patience` seconds. The request is durable when this returns. Raises
        NotRegistered, TooBusy, StoreError."""
        now = self._wall()
        until = now + (self._patience if patience is None else patience)
        request = QueuedRequest(_new_id(), self.registration(endpoint).endpoint, operation, timeout, now, until)
        await self._submissions.submit(request)
        return request

    def submitted(self, endpoint: str) -> tuple[QueuedRequest, ...]:
        """Requests whose answer is still to come, in their order."""
        return self._submissions.of(endpoint)

    def take_back(self, endpoint: str, request_id: str) -> None:
        """Cancel a submitted request. Raises NotQueued."""
        self._submissions.cancel(endpoint, request_id)

    def is_sleeping(self, endpoint: str) -> bool:
        """Whether requests wait now. Raises NotRegistered."""
        return self._delivery.is_sleeping(self.registration(endpoint))

    async def observe(
        self, endpoint: str, path: Path | str, accept: int | None = None, timeout: float | None = None
    ) -> Answer:
        """The first value; `answer.observing` says that the rest comes as `Notified` events, also after the client
        registered anew. Raises NotRegistered, RequestFailed, InvalidAnswer, StoreError."""
        async with self._turn(endpoint, timeout):
            return await self._observer.observe(self.registration(endpoint), Observe(as_path(path), accept), timeout)

    async def observe_composite(
        self,
        endpoint: str,
        paths: Iterable[Path | str],
        accept: int | None = None,
        *,
        list_format: int | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """The same of several paths at once: each event brings all of them. `list_format` is the content format of the
        list of paths. Raises LwM2MError for a list that is none, and what `observe` raises."""
        operation = ObserveComposite(self.path_list(endpoint, paths, list_format), accept)
        async with self._turn(endpoint, timeout):
            return await self._observer.observe(self.registration(endpoint), operation, timeout)

    async def cancel_observation(
        self, endpoint: str, path: Path | str, active: bool = True, timeout: float | None = None
    ) -> Answer | None:
        """The client's answer; None when it was not asked. Raises NotObserved, NotRegistered, RequestFailed,
        InvalidAnswer, StoreError."""
        return await self._cancel(endpoint, as_path(path), active, timeout)

    async def cancel_composite_observation(
        self, endpoint: str, paths: Iterable[Path | str], active: bool = True, timeout: float | None = None
    ) -> Answer | None:
        """`paths` as they are observed, in their order. Returns and raises as `cancel_observation`."""
        return await self._cancel(endpoint, tuple(map(as_path, paths)), active, timeout)

    def observations(self, endpoint: str) -> tuple[Path, ...]:
        """The paths that are observed by themselves."""
        return tuple(found for found in self._observer.observed(endpoint) if isinstance(found, Path))

    def composite_observations(self, endpoint: str) -> tuple[tuple[Path, ...], ...]:
        return tuple(found for found in self._observer.observed(endpoint) if not isinstance(found, Path))

    def definitions_of(self, endpoint: str) -> Definitions:
        """In the versions that the client registered. Raises NotRegistered."""
        return self._requests.definitions(self.registration(endpoint))

    async def _cancel(self, endpoint: str, observed: Observed, active: bool, timeout: float | None) -> Answer | None:
        if not active:
            return await self._observer.cancel(self.registration(endpoint), observed, active, timeout)
        async with self._turn(endpoint, timeout):
            return await self._observer.cancel(self.registration(endpoint), observed, active, timeout)

    async def _ask(self, registration: Registration, operation: DeviceOperation, timeout: float | None) -> Answer:
        answer = await self._requests.ask(registration, operation, timeout)
        if isinstance(operation, WriteAttributes) and answer.ok:
            self._reasons.wrote(registration.endpoint, operation.path, operation.attributes)
        return answer

    def _turn(self, endpoint: str, patience: float | None) -> AbstractAsyncContextManager[None]:
        """Raises NotRegistered."""
        return self._delivery.turn(self.registration(endpoint).endpoint, patience)

    async def _perform(self, request: QueuedRequest) -> Answer | None:
        """In its turn. Raises NotRegistered, RequestFailed, InvalidAnswer, LwM2MError, StoreError."""
        registration, operation = self.registration(request.endpoint), request.operation
        match operation:
            case Observe() | ObserveComposite():
                return await self._observer.observe(registration, operation, request.timeout)
            case CancelObservation(path=path):
                return await self._observer.cancel(registration, path, True, request.timeout)
            case CancelCompositeObservation(body=body):
                observed = paths_of(body, registration.root)
                return await self._observer.cancel(registration, observed, True, request.timeout)
        return await self._ask(registration, operation, request.timeout)

    async def _serve(self) -> None:
        serving: list[Endpoint] = []
        try:
            for endpoint in self._endpoints:
                await endpoint.start(partial(self._handle, endpoint))
                serving.append(endpoint)
        except OSError:
            for endpoint in serving:
                await endpoint.stop()
            await self._store.close()
            await self.admission.close()
            raise

    async def _credentials_changed(self, endpoint: str, gone: frozenset[str]) -> None:
        """Raises StoreError."""
        registration = self._registry.get(endpoint)
        if registration is None:
            return
        if registration.identity in gone or not self.admission.permits(endpoint, registration.identity):
            await self._end_registration(registration)

    async def _end_the_unpermitted(self) -> None:
        """Of those that a store kept. Raises StoreError."""
        for registration in self.registrations():
            if not self.admission.permits(registration.endpoint, registration.identity):
                await self._end_registration(registration)

    async def _end_registration(self, registration: Registration) -> None:
        change = self._registry.end(registration.endpoint)
        if change is not None:
            await self._commits.commit((change,))
            self._intake.gone(registration, DeregistrationReason.REVOKED)

    def _lost(self, peer: Peer) -> None:
        for registration in self._registry.of_peer(peer):
            self._delivery.unreachable(registration.endpoint)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await self._commits.drain()
        except TimeoutError:
            log.error("the store did not take the last changes within %g s", STORE_PATIENCE)

    def _handle(self, endpoint: Endpoint, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        answer = self._intake.handle(endpoint, request, peer)
        self._expire_in_time()
        return answer

    def _expire_in_time(self) -> None:
        """The registry has changed."""
        nearest = self._registry.nearest()
        if nearest is not None and (self._awaited is None or nearest < self._awaited):
            self._nearer.set()

    async def _expire(self) -> None:
        """The one task that waits for the next registrations to end."""
        while True:
            await self._until(self._registry.deadline())
            changes = self._registry.expire(self._clock())
            try:
                await self._commits.commit(changes)
            except StoreError:
                log.exception("the end of %d registrations could not be stored", len(changes))
                await asyncio.sleep(STORE_RETRY)
                continue
            for change in changes:
                if change.before is not None:
                    self._intake.gone(change.before, DeregistrationReason.EXPIRED)

    async def _until(self, deadline: float | None) -> None:
        """Until the deadline, or until there is a nearer one."""
        self._awaited = deadline
        self._nearer.clear()
        delay = None if deadline is None else max(0.0, deadline - self._clock())
        try:
            async with asyncio.timeout(delay):
                await self._nearer.wait()
        except TimeoutError:
            return

    def _undo(self, change: Change) -> None:
        if isinstance(change, RegistrationChange):
            self._registry.undo(change)
            self._expire_in_time()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("%s failed", task.get_name(), exc_info=error)


def _new_id() -> str:
    """As long as an option may be whose length is in its first byte."""
    return secrets.token_urlsafe(9)
