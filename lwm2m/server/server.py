"""The management server: clients register here, and are read, written, executed and observed from here."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.codec import encode
from lwm2m.errors import UnsupportedContentFormat, refusal
from lwm2m.link_format import Link
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations.device_management import (
    Body,
    CancelObservation,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    Read,
    Write,
)
from lwm2m.server.answers import Answer
from lwm2m.server.commits import Commits
from lwm2m.server.events import Broadcast, DeregistrationReason, EventStream
from lwm2m.server.formats import suitable_formats
from lwm2m.server.intake import Intake
from lwm2m.server.limits import DEFAULT_LIMITS, ServerLimits
from lwm2m.server.observer import Observer
from lwm2m.server.registry import Registration, RegistrationChange, Registry
from lwm2m.server.requests import Requests
from lwm2m.server.store import Change, Store, StoreError
from lwm2m.server.store.memory import MemoryStore

log = logging.getLogger(__name__)

STORE_RETRY = 1.0
"""Seconds until an expiry is tried again that the store did not take."""
STORE_PATIENCE = 5.0
"""Seconds that a store gets for the last changes when the server stops."""


class NotRegistered(Exception):
    """No client of that name is registered."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"{endpoint!r} is not registered")
        self.endpoint = endpoint


class Server:
    """Serves on all `endpoints`, and answers a client only when `store` has kept what it said.

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
    ) -> None:
        self.definitions = shipped() if definitions is None else definitions
        self._endpoints = tuple(endpoints)
        self._store: Store = MemoryStore() if store is None else store
        self._clock = clock
        self._wall = wall
        self._registry = Registry(_new_id, limits)
        self._broadcast = Broadcast(limits.max_events)
        self._commits = Commits(self._store, self._undo)
        self._requests = Requests(self._endpoints, self._registry, self.definitions, wall)
        self._observer = Observer(
            self._requests,
            self._broadcast.publish,
            self._commits.commit,
            self._registry.get,
            wall,
            limits.max_observations_per_client,
        )
        self._intake = Intake(
            self._registry,
            self._requests,
            self._observer,
            self._commits.commit,
            self._broadcast.publish,
            self._afterwards,
            clock,
            wall,
            strict,
        )
        self._awaited: float | None = None
        self._nearer = asyncio.Event()
        self._expiring: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Take in what the store kept, then serve. Raises StoreError, OSError when an address is taken."""
        kept = await self._store.load()
        self._registry.restore(kept.registrations, self._clock(), self._wall())
        for endpoint, path, accept in kept.observations:
            self._observer.restore(endpoint, path, accept)
        await self._serve()
        self._expiring = asyncio.create_task(self._expire(), name="lwm2m-expiry")
        self._expiring.add_done_callback(_report)
        for registration in self.registrations():
            if not registration.queue_mode:
                self._observer.refresh(registration)

    async def stop(self) -> None:
        """End every wait, close the endpoints. Registrations stay in the store. May be called twice."""
        expiring, self._expiring = self._expiring, None
        if expiring is None:
            return
        expiring.cancel()
        await asyncio.wait([expiring])
        await self._observer.stop()
        for endpoint in self._endpoints:
            await endpoint.stop()
        await self._drain()
        await self._store.close()
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
        """Any operation but Observe and CancelObservation. A refusal is an answer. Raises NotRegistered,
        RequestFailed, InvalidAnswer."""
        if isinstance(operation, Observe | CancelObservation):
            raise TypeError("observations have methods of their own: observe() and cancel_observation()")
        return await self._requests.ask(self.registration(endpoint), operation, timeout)

    async def observe(
        self, endpoint: str, path: Path | str, accept: int | None = None, timeout: float | None = None
    ) -> Answer:
        """The first value; `answer.observing` says that the rest comes as `Notified` events, also after the client
        registered anew. Raises NotRegistered, RequestFailed, InvalidAnswer, StoreError."""
        operation = Observe(_path(path), accept)
        return await self._observer.observe(self.registration(endpoint), operation, timeout)

    async def cancel_observation(
        self, endpoint: str, path: Path | str, active: bool = True, timeout: float | None = None
    ) -> Answer | None:
        """The client's answer; None when it was not asked. Raises NotObserved, NotRegistered, RequestFailed,
        InvalidAnswer, StoreError."""
        return await self._observer.cancel(self.registration(endpoint), _path(path), active, timeout)

    def observations(self, endpoint: str) -> tuple[Path, ...]:
        return self._observer.paths(endpoint)

    async def read(
        self, endpoint: str, path: Path | str, accept: int | None = None, timeout: float | None = None
    ) -> list[Record]:
        """Raises LwM2MError when the client refuses, and what `ask` raises."""
        return list(_accepted(await self.ask(endpoint, Read(_path(path), accept), timeout)).records)

    async def write(
        self,
        endpoint: str,
        path: Path | str,
        value_or_records: Value | Sequence[Record],
        *,
        replace: bool = True,
        content_format: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """A value for the path itself, or records beneath it. Without a content format, those that suit are tried in
        turn. Raises LwM2MError when the client refuses or the value does not fit, and what `ask` raises."""
        target = _path(path)
        records = _records(target, value_or_records)
        formats = self._formats(endpoint, target, records, content_format)
        for candidate in formats:
            body = self.body(endpoint, target, records, candidate)
            answer = await self.ask(endpoint, Write(target, body, replace), timeout)
            if answer.code is not UnsupportedContentFormat.code:
                break
        _accepted(answer)

    async def execute(self, endpoint: str, path: Path | str, arguments: str = "", timeout: float | None = None) -> None:
        """Raises LwM2MError when the client refuses, and what `ask` raises."""
        _accepted(await self.ask(endpoint, Execute(_path(path), arguments), timeout))

    async def discover(self, endpoint: str, path: Path | str, timeout: float | None = None) -> tuple[Link, ...]:
        """Raises LwM2MError when the client refuses, and what `ask` raises."""
        return _accepted(await self.ask(endpoint, Discover(_path(path)), timeout)).links

    def body(
        self, endpoint: str, path: Path | str, records: Sequence[Record], content_format: int | None = None
    ) -> Body:
        """The payload of a Write, in the definitions that the client registered; without a content format in the one
        that suits it best. Raises NotRegistered, and LwM2MError when the records do not fit."""
        target = _path(path)
        chosen = self._formats(endpoint, target, records, content_format)[0]
        registration = self.registration(endpoint)
        definitions = self._requests.definitions(registration)
        return Body(encode(records, chosen, target, definitions, root=registration.root), chosen)

    def _formats(
        self, endpoint: str, path: Path, records: Sequence[Record], content_format: int | None
    ) -> Sequence[int]:
        if content_format is not None:
            return (content_format,)
        return suitable_formats(self.registration(endpoint), path, records)

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
            raise

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(STORE_PATIENCE):
                await self._commits.drain()
        except TimeoutError:
            log.error("the store did not take the last changes within %g s", STORE_PATIENCE)

    async def _handle(self, endpoint: Endpoint, request: Request, peer: Peer) -> Response:
        response = await self._intake.handle(endpoint, request, peer)
        deadline = self._registry.deadline()
        if deadline is not None and (self._awaited is None or deadline < self._awaited):
            self._nearer.set()
        return response

    def _afterwards(self, work: Callable[[], None]) -> None:
        """Do it once the answer has left: a stack sends it when the handler is done, a turn of the loop from here, so
        this takes two. A client that has not seen its 2.01 yet would ignore what we ask."""
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._unless_stopped, work)

    def _unless_stopped(self, work: Callable[[], None]) -> None:
        if self._expiring is not None:
            work()

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


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("%s failed", task.get_name(), exc_info=error)


def _new_id() -> str:
    return secrets.token_urlsafe(12)


def _path(path: Path | str) -> Path:
    return path if isinstance(path, Path) else Path.parse(path)


def _records(path: Path, value_or_records: Value | Sequence[Record]) -> Sequence[Record]:
    if isinstance(value_or_records, str | int | float | bool | bytes | ObjectLink):
        return (Record(path, value_or_records),)
    return value_or_records


def _accepted(answer: Answer) -> Answer:
    if not answer.ok:
        raise refusal(answer.code, answer.diagnostic)
    return answer
