"""The bootstrap server: clients ask it for their server accounts. lwm2m.md §4."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import TracebackType
from typing import NoReturn, Self, TypeAlias

from lwm2m.coap.endpoint import Endpoint, RequestFailed
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.errors import BadRequest, LwM2MError, ServiceUnavailable
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.operations.bootstrap import BootstrapOperation, BootstrapRequest, request_from_coap, to_coap
from lwm2m.server.admission import Admission, Refused
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapConfigs
from lwm2m.server.bootstrap_history import History
from lwm2m.server.bootstrap_log import OSCORE, LogEntry, SessionEvent, SessionLog, SessionOutcome, shortened
from lwm2m.server.bootstrap_session import (
    Answered,
    BootstrapSession,
    BootstrapSessionEvent,
    Ended,
    Start,
    Unanswered,
)
from lwm2m.server.store import StoreError
from lwm2m.server.store.configurations import ConfigurationStore, MemoryConfigurations
from lwm2m.server.streams import Broadcast, Stream

log = logging.getLogger(__name__)

OSCORE_VERSION = (2, 0)
"""The version of object 21 that calls bytes bytes; earlier ones have text with the same meaning."""


@dataclass(frozen=True, slots=True)
class BootstrapLimits:
    """What is kept, and how many sessions run at a time. `max_events` bounds what waits for one subscriber."""

    max_sessions: int = 1000
    max_endpoints: int = 10_000
    max_logs_per_endpoint: int = 8
    max_refused: int = 256
    max_events: int = 1024


@dataclass(frozen=True, slots=True)
class BootstrapEvent:
    """An entry of a session's log, as it is made. `session` is the number of the session."""

    endpoint: str
    session: int
    entry: LogEntry


BootstrapEventStream: TypeAlias = Stream[BootstrapEvent]


class BootstrapServer:
    """Serves on all `endpoints`. `configs` are those it always has; what `configure` is given is kept in `store`, and
    goes before them. `wall` gives Unix seconds. Each request to a client waits up to `timeout` seconds, None: as long
    as CoAP retransmits. `admission` says who may be which client."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        configs: BootstrapConfigs = BootstrapConfigs(),  # noqa: B008  # immutable
        definitions: Definitions | None = None,
        store: ConfigurationStore | None = None,
        wall: Callable[[], float] = time.time,
        limits: BootstrapLimits = BootstrapLimits(),  # immutable
        *,
        timeout: float | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.admission = Admission() if admission is None else admission
        self.definitions = (shipped() if definitions is None else definitions).choose({OSCORE: OSCORE_VERSION})
        self.configs = configs
        self._store: ConfigurationStore = MemoryConfigurations() if store is None else store
        self._endpoints = tuple(endpoints)
        self._wall = wall
        self._limits = limits
        self._timeout = timeout
        self._numbers = count(1)
        self._history = History(limits.max_endpoints, limits.max_logs_per_endpoint, limits.max_refused)
        self._broadcast: Broadcast[BootstrapEvent] = Broadcast(limits.max_events)
        self._running: dict[str, _Running] = {}
        self._is_serving = False
        self._changing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Take in what the store kept, then serve. Raises StoreError, OSError when an address is taken."""
        await self.admission.open(self._endpoints, self._credentials_changed, self._refused)
        try:
            kept = await self._store.load()
        except StoreError:
            await self.admission.close()
            raise
        for name, config in kept.items():
            self.configs = self.configs.with_endpoint(name, config)
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
        self._is_serving = True

    async def stop(self) -> None:
        """End every session, close the endpoints. May be called twice."""
        if not self._is_serving:
            return
        self._is_serving = False
        ending = list(self._running.values())
        for running in ending:
            self._end(running, SessionOutcome.STOPPED)
        tasks = [running.task for running in ending if running.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        for endpoint in self._endpoints:
            await endpoint.stop()
        await self._store.close()
        await self.admission.close()
        self._broadcast.end()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._endpoints

    async def configure(self, endpoint: str, config: BootstrapConfig) -> None:
        """From the client's next Bootstrap-Request on. Raises StoreError."""
        async with self._changing:
            await self._store.keep(endpoint, config)
            self.configs = self.configs.with_endpoint(endpoint, config)

    async def remove(self, endpoint: str) -> None:
        """Raises KeyError when the endpoint has no configuration of its own, StoreError."""
        async with self._changing:
            remaining = self.configs.without_endpoint(endpoint)
            await self._store.drop(endpoint)
            self.configs = remaining

    def sessions(self) -> list[SessionLog]:
        """Those that run, the last ones that ended and what was refused, the oldest first."""
        return self._history.all()

    def log(self, endpoint: str) -> list[SessionLog]:
        """The same of one endpoint."""
        return self._history.of(endpoint)

    def events(self) -> BootstrapEventStream:
        """What happens from now on. A subscriber too slow gets `Overflow` and no more."""
        return self._broadcast.subscribe()

    def _handle(self, way: Endpoint, request: Request, peer: Peer) -> Response:
        try:
            self._begin(way, request_from_coap(request), peer)
        except LwM2MError as error:
            return Response(error.code, error.diagnostic.encode(), max_age=error.max_age)
        return Response(Code.CHANGED)

    def _begin(self, way: Endpoint, request: BootstrapRequest, peer: Peer) -> None:
        endpoint = self._authorized(request, peer)
        config = self.configs.find(endpoint)
        if config is None:
            self._refuse(endpoint, peer, SessionEvent.NO_CONFIG, "there is no configuration for this endpoint")
        before = self._running.get(endpoint)
        if before is None and len(self._running) >= self._limits.max_sessions:
            raise ServiceUnavailable("too many clients at once")
        if before is not None:
            self._end(before, SessionOutcome.RESTARTED)
        session = BootstrapSession(
            next(self._numbers), endpoint, str(peer), config, request.preferred_format, self.definitions
        )
        self._history.add(session)
        running = _Running(session, way, peer)
        self._running[endpoint] = running
        self._note(session, SessionEvent.NEW_SESSION, _asked(request, peer))
        self._note(session, SessionEvent.AUTHORIZED, peer.identity or "without security")
        self._afterwards(partial(self._run, running))

    def _authorized(self, request: BootstrapRequest, peer: Peer) -> str:
        """The endpoint name."""
        endpoint = request.endpoint or self.admission.endpoint_of(peer.identity)
        if endpoint is None:
            raise BadRequest("ep, the endpoint name, is missing")
        self.admission.check(endpoint, peer)
        return endpoint

    def _refused(self, refused: Refused) -> None:
        """Whoever does not even say a name is known by its address."""
        name = str(refused.peer) if refused.endpoint is None else refused.endpoint
        self._note_refusal(name, refused.peer, SessionEvent.UNAUTHORIZED, refused.reason)

    async def _credentials_changed(self, endpoint: str, gone: frozenset[str]) -> None:
        running = self._running.get(endpoint)
        if running is not None and (
            running.peer.identity in gone or not self.admission.permits(endpoint, running.peer.identity)
        ):
            self._end(running, SessionOutcome.STOPPED)

    def _refuse(self, endpoint: str, peer: Peer, event: SessionEvent, reason: str) -> NoReturn:
        self._note_refusal(endpoint, peer, event, reason)
        raise BadRequest(reason)

    def _note_refusal(self, endpoint: str, peer: Peer, event: SessionEvent, reason: str) -> None:
        entry = LogEntry(self._wall(), event, reason)
        number = next(self._numbers)
        self._history.refuse(SessionLog(number, endpoint, str(peer), SessionOutcome.REFUSED, (entry,)))
        self._broadcast.publish(BootstrapEvent(endpoint, number, entry))

    def _note(self, session: BootstrapSession, event: SessionEvent, message: str) -> None:
        session.note(LogEntry(self._wall(), event, message))
        self._publish(session)

    def _tell(self, session: BootstrapSession, event: BootstrapSessionEvent) -> BootstrapOperation | None:
        operation = session.handle(event, self._wall())
        self._publish(session)
        return operation

    def _publish(self, session: BootstrapSession) -> None:
        for entry in session.news():
            self._broadcast.publish(BootstrapEvent(session.endpoint, session.number, entry))

    def _afterwards(self, work: Callable[[], None]) -> None:
        """Once the answer has left: a stack sends it a turn of the loop after the handler is done."""
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, work)

    def _run(self, running: _Running) -> None:
        if self._running.get(running.session.endpoint) is not running:
            return
        running.task = asyncio.create_task(self._converse(running), name="lwm2m-bootstrap")
        running.task.add_done_callback(partial(self._done, running))

    async def _converse(self, running: _Running) -> None:
        operation = self._tell(running.session, Start())
        while operation is not None:
            operation = self._tell(running.session, await self._ask(running, operation))

    async def _ask(self, running: _Running, operation: BootstrapOperation) -> BootstrapSessionEvent:
        try:
            return Answered(await running.way.request(running.peer, to_coap(operation), self._timeout))
        except RequestFailed as error:
            return Unanswered(str(error) or type(error).__name__)

    def _done(self, running: _Running, task: asyncio.Task[None]) -> None:
        if self._running.get(running.session.endpoint) is running:
            del self._running[running.session.endpoint]
        if not task.cancelled() and (error := task.exception()):
            log.error("the bootstrap session of %s failed", shortened(running.session.endpoint), exc_info=error)
            self._tell(running.session, Ended(SessionOutcome.FAILED))

    def _end(self, running: _Running, outcome: SessionOutcome) -> None:
        """Its task, if it has one, ends at its next turn."""
        self._running.pop(running.session.endpoint, None)
        self._tell(running.session, Ended(outcome))
        if running.task is not None:
            running.task.cancel()


@dataclass(eq=False)
class _Running:
    """A session, and the way to its client. The task begins once the answer to the request has left."""

    session: BootstrapSession
    way: Endpoint
    peer: Peer
    task: asyncio.Task[None] | None = None


def _asked(request: BootstrapRequest, peer: Peer) -> str:
    preferred = request.preferred_format
    return f"asked by {peer}" + ("" if preferred is None else f", prefers {ContentFormat(preferred).name}")
