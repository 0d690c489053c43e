"""The client and its bootstrap server: the shell around the sequence and the session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Protocol

from lwm2m.client import events
from lwm2m.client.alarm import Alarm
from lwm2m.client.alerts import is_final, reason
from lwm2m.client.bootstrap import (
    Abandon,
    Accepted,
    Begin,
    BootstrapAction,
    BootstrapEvent,
    BootstrapSequence,
    BootstrapState,
    Due,
    Failed,
    Finished,
    GiveWay,
    Operated,
    PurgeAccount,
    RollBack,
    SendRequest,
)
from lwm2m.client.bootstrap_session import BootstrapSession
from lwm2m.client.pairing import BootstrapAccount
from lwm2m.client.transport import Transport
from lwm2m.coap.endpoint import Endpoint, RequestFailed, TimedOut, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.errors import LwM2MError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations.bootstrap import (
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRequest,
    from_coap,
    to_coap,
)

_log = logging.getLogger(__name__)


class Configuring(Protocol):
    """The client, as its bootstrap needs it."""

    def bootstrap_account(self) -> BootstrapAccount | None: ...

    def bootstrap_session(self) -> BootstrapSession:
        """One that begins with the configuration in force."""
        ...

    def adopt(self, session: BootstrapSession) -> None:
        """Let what the session wrote be the configuration, and register once the answer is on its way."""
        ...

    def give_way(self) -> None: ...

    def purge_bootstrap_account(self) -> None: ...

    def exchanged(self) -> None: ...

    def publish(self, event: events.ClientEvent) -> None: ...


class Bootstrapping:
    """`reach` makes the way to a URI with what a Security instance says. `endpoint` is our name; `preferred` the
    content format that we ask for."""

    def __init__(
        self,
        client: Configuring,
        reach: Callable[[str, Path], Transport],
        endpoint: str,
        preferred: int | None,
        clock: Callable[[], float],
    ) -> None:
        self.last_failure = ""
        self._client = client
        self._reach = reach
        self._endpoint = endpoint
        self._preferred = preferred
        self._clock = clock
        self._sequence = BootstrapSequence()
        self._session: BootstrapSession | None = None
        self._transport: Transport | None = None
        self._peer: Peer | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = Alarm(self._sequence.deadline, clock, lambda: self._feed(Due()))

    @property
    def state(self) -> BootstrapState:
        return self._sequence.state

    @property
    def is_busy(self) -> bool:
        """The bootstrap server is expected to speak."""
        return self.state in (BootstrapState.HOLDING_OFF, BootstrapState.REQUESTING, BootstrapState.RUNNING)

    def begin(self) -> bool:
        """Ask for a configuration, unless that is going on. False: there is no bootstrap server to ask."""
        account = self._client.bootstrap_account()
        if account is None:
            return False
        if self.state is BootstrapState.IDLE:
            self._client.publish(events.Bootstrapping(account.uri))
            self._feed(Begin(account.hold_off))
            if account.hold_off:
                self._run(self._find())
        return True

    def begin_anew(self) -> None:
        self._end()
        self.begin()

    def registered(self) -> None:
        """A server took us: nobody needs the bootstrap that gave way to it."""
        if self.state is BootstrapState.RESTING:
            self._end()

    def serves(self, peer: Peer) -> bool:
        return self.state is not BootstrapState.IDLE and peer == self._peer

    def handle(self, request: Request) -> Response:
        """The answer to a request of the bootstrap server."""
        operation: BootstrapOperation | None = None
        try:
            operation = from_coap(request)
            self._feed(Operated())
            self._session = session = self._session or self._client.bootstrap_session()
            answer = session.perform(operation)
        except LwM2MError as error:
            text = error.diagnostic.encode()
            answer = Response(error.code, text, ContentFormat.TEXT if text else None)
        self._client.exchanged()
        self._client.publish(events.BootstrapServed(request, operation, answer.code))
        if isinstance(operation, BootstrapFinish) and answer.code.is_success:
            self._finish()
        return answer

    async def stop(self) -> None:
        self._sequence.handle(Abandon(), self._clock())
        self._due.off()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._transport is not None:
            await self._transport.release()

    def _finish(self) -> None:
        session, self._session = self._session, None
        assert session is not None
        self._cancel()
        self._client.adopt(session)
        account = self._client.bootstrap_account()
        self._feed(Finished(0 if account is None else account.timeout))
        self._client.publish(events.Bootstrapped())

    def _end(self) -> None:
        self._cancel()
        self._session = None
        self._feed(Abandon())

    def _feed(self, event: BootstrapEvent) -> None:
        before = self.state
        for action in self._sequence.handle(event, self._clock()):
            self._perform(action)
        if isinstance(event, Failed) and self.state is not before:
            self._tell_failure(event.reason)
        self._due.set()

    def _perform(self, action: BootstrapAction) -> None:
        match action:
            case SendRequest():
                self._session = None
                self._client.exchanged()
                self._run(self._ask())
            case RollBack():
                self._session = None
                self._tell_failure("the bootstrap server fell silent")
            case GiveWay():
                self._client.give_way()
            case PurgeAccount():
                self._client.purge_bootstrap_account()

    def _tell_failure(self, reason: str) -> None:
        self.last_failure = reason
        retry_at = None if self.state is BootstrapState.IDLE else self._sequence.deadline()
        self._client.publish(events.BootstrapFailed(reason, None if retry_at is None else retry_at - self._clock()))

    async def _find(self) -> None:
        """Learn who the bootstrap server is: during our hold-off time it may begin."""
        try:
            async with aclosing(self._ways()) as ways:
                async for _, peer in ways:
                    self._peer = peer
                    return
        except (RequestFailed, OSError) as error:
            _log.info("the bootstrap server is not to be found yet: %s", reason(error))

    async def _ask(self) -> None:
        try:
            response = await self._request(self._preferred)
            if response.code is Code.UNSUPPORTED_CONTENT_FORMAT and self._preferred is not None:
                response = await self._request(None)
        except (RequestFailed, OSError) as error:
            if isinstance(error, TimedOut):
                await self._leave()
            self._feed(Failed(reason(error), is_final(error)))
            return
        if response.code.is_success:
            self._feed(Accepted())
        else:
            self._feed(Failed(f"{response.code.dotted} {response.diagnostic}".rstrip()))

    async def _request(self, preferred: int | None) -> Response:
        """Over the first way that is not refused."""
        request = to_coap(BootstrapRequest(self._endpoint, preferred))
        failure = Unreachable("no way to the bootstrap server")
        async with aclosing(self._ways()) as ways:
            async for coap, peer in ways:
                self._peer = peer
                try:
                    return await coap.request(peer, request)
                except Unreachable as error:
                    failure = error
        raise failure

    async def _ways(self) -> AsyncGenerator[tuple[Endpoint, Peer], None]:
        """Raises Unreachable, OSError."""
        account = self._client.bootstrap_account()
        if account is None:
            raise Unreachable("there is no bootstrap account any more")
        if self._transport is not None and self._transport.uri != account.uri:
            await self._transport.release()
            self._transport = None
        self._transport = self._transport or self._reach(account.uri, account.security)
        async with aclosing(self._transport.peers()) as peers:
            async for way in peers:
                yield way

    async def _leave(self) -> None:
        """A session that the server knows nothing of any more would only be silent again."""
        if self._transport is not None and self._peer is not None and self._peer.association is not None:
            await self._transport.release()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._cancel()
        self._task = asyncio.get_running_loop().create_task(work, name=f"bootstrap of {self._endpoint}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is self._task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the bootstrap failed", exc_info=error)
            self._feed(Failed("internal error"))

    def _cancel(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None
