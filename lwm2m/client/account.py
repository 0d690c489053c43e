"""One server of a client: the shell around its registration and its observations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from lwm2m.attributes import Reason
from lwm2m.client import events
from lwm2m.client.alarm import Alarm
from lwm2m.client.alerts import begins_anew, heard, is_final, reason
from lwm2m.client.dispatch import DeviceManagement
from lwm2m.client.observation import Observed
from lwm2m.client.pairing import ServerAccount
from lwm2m.client.presentation import Presentation
from lwm2m.client.registration import (
    Accepted,
    Action,
    Changed,
    Due,
    Event,
    Failed,
    GaveUp,
    Halt,
    Outcome,
    Registration,
    Restart,
    SendDeregister,
    SendRegister,
    SendUpdate,
    State,
    Stop,
    Triggered,
    outcome,
)
from lwm2m.client.registration_events import Move, Negative, events_of
from lwm2m.client.report_delivery import ReportDelivery
from lwm2m.client.sending import SendRefused
from lwm2m.client.transport import Transport
from lwm2m.coap.endpoint import RequestFailed, TimedOut, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.errors import LwM2MError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.device_management import DeviceOperation
from lwm2m.operations.registration import to_coap

ANSWER_FIRST = 0.1
"""Seconds between an answer and the disruptive action that it announces: Disable, Reboot, an Update asked for."""
SETTLE_WITHIN = 2.0
"""How long a request waits that overtakes the answer to our Register."""
MAX_UNSETTLED = 16
GOODBYE_WITHIN = 1.0
REOPEN_PAUSE = 5.0
"""Seconds between two times that a connection is opened again: a server may accept and close them as fast as it can."""

NOT_FOR_YOU = Response(Code.NOT_FOUND)
"""To whoever is not the server that we are registered with. The contract of Endpoint knows no silence; this is short
and says nothing."""

_SETTLED = frozenset(State) - {State.UPDATING, State.REGISTERING}
_SERVING = frozenset({State.REGISTERED, State.UPDATING})
_log = logging.getLogger(__name__)


class Surroundings(Protocol):
    """What an account tells the client around it."""

    def publish(self, event: events.ClientEvent) -> None: ...

    def moved(self, account: Account) -> None:
        """The registration is in another state."""
        ...

    def exchanged(self) -> None:
        """Something was sent to a server, or answered by one."""
        ...

    async def prepare(self, account: Account) -> None:
        """Before a Register: the way to the server has to be there. Raises OSError, Unreachable."""
        ...

    def alerted(self, account: Account, alert: int) -> None:
        """The server has refused or ended a session with this alert of TLS or DTLS."""
        ...


class _NewSession(Exception):
    """The server knows nothing of the session that we registered in."""


class Account:
    """`manage` makes device management for an LwM2M version: a server may speak an older one than we do."""

    def __init__(
        self,
        pair: ServerAccount,
        presentation: Presentation,
        registration: Registration,
        manage: Callable[[str], DeviceManagement],
        transport: Transport,
        surroundings: Surroundings,
        clock: Callable[[], float],
    ) -> None:
        self.pair = pair
        self.last_failure = ""
        self._presentation = presentation
        self._registration = registration
        self._manage = manage
        self._version = registration.version
        self._management = manage(self._version)
        self._transport = transport
        self._surroundings = surroundings
        self._clock = clock
        self._peer: Peer | None = None
        self._exchange: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: set[asyncio.TimerHandle] = set()
        self._unsettled = 0
        self._reopening = False
        """The server is to be reached anew, with an Update; until then nothing reaches it, nor us."""
        self._reopened_at = -REOPEN_PAUSE
        self._moved = asyncio.Event()
        self._due = Alarm(registration.deadline, clock, self._registration_due)
        self._reports = ReportDelivery(
            lambda: self._management.reporting,
            transport,
            pair.short_server_id,
            surroundings.publish,
            surroundings.exchanged,
            self._spawn,
            clock,
        )

    @property
    def state(self) -> State:
        return self._registration.state

    @property
    def server(self) -> str:
        """Where it is reached now."""
        return self._transport.uri

    @property
    def identity(self) -> str | None:
        """What the server has shown, None without security."""
        return None if self._peer is None else self._peer.identity

    def is_of(self, peer: Peer) -> bool:
        return peer == self._peer

    async def reached(self, *states: State) -> None:
        """Wait until the registration is in one of these states."""
        while self.state not in states:
            await self._moved.wait()

    def feed(self, event: Event) -> None:
        """Something happened; do what follows from it."""
        before = self.state
        actions = self._registration.handle(event, self._clock())
        self._tell(before, event)
        for action in actions:
            self._perform(action)
        self._due.set()
        if self.state is not before:
            self._moved.set()
            self._moved = asyncio.Event()
            self._surroundings.moved(self)

    def feed_later(self, event: Event, delay: float = ANSWER_FIRST) -> None:
        """The same in `delay` seconds: once the answer to the request being served is on its way."""

        def ring() -> None:
            self._later.discard(handle)
            self.feed(event)

        handle = asyncio.get_running_loop().call_later(delay, ring)
        self._later.add(handle)

    def changed(self, paths: frozenset[Path], told: Changed) -> None:
        """The data model changed; `told` is what of it concerns the registration."""
        self._management.changed(paths, self._clock())
        if told != Changed():
            self.feed(told)
        self._reports.send_due()

    def vanished(self, paths: Iterable[Path]) -> None:
        self._management.vanished(paths)

    def defaults_changed(self) -> None:
        self._management.observations.refresh()
        self._reports.set()

    def connection_lost(self, *, reopen: bool) -> None:
        """The connection with the server has ended, and with it every observation."""
        if self.state not in _SERVING:
            return
        self._begin_reopening()
        if reopen:
            pause = max(ANSWER_FIRST, self._reopened_at + REOPEN_PAUSE - self._clock())
            self._reopened_at = self._clock() + pause
            self.feed_later(Triggered(), pause)

    def go_over_to(self, uri: str) -> None:
        """Reach the server there from the next Update on, until the next Register."""
        if uri != self._transport.uri:
            self._transport.uri = uri
            self._begin_reopening()

    def _begin_reopening(self) -> None:
        self._reopening = True
        self._reports.suspend()

    async def send(self, what: Sequence[Path | Record]) -> Code:
        """The code that the server answered. Raises SendRefused, RequestFailed."""
        if self._reopening and self.state in _SERVING:
            self.feed(Triggered())
            await self.reached(*_SETTLED)
        if self.state not in _SERVING or self._peer is None:
            raise SendRefused(f"not registered with {self.server}")
        request = to_coap(self._management.send(what))
        self._surroundings.exchanged()
        response = await self._transport.running.request(self._peer, request)
        self._surroundings.exchanged()
        paths = dict.fromkeys(one.path if isinstance(one, Record) else one for one in what)
        self._reports.tell(Observed(tuple(paths), composite=True), Reason.SEND, True)
        if response.code is Code.NOT_FOUND:
            self.feed(Restart())
        return response.code

    async def stop(self, deregister: bool) -> None:
        """De-register if there is anything to de-register from and the server answers within a second; end all."""
        for handle in self._later:
            handle.cancel()
        if deregister:
            await self._say_goodbye()
        self.feed(Halt())
        self._reports.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.release()

    async def _say_goodbye(self) -> None:
        self.feed(Stop())
        try:
            async with asyncio.timeout(1.5 * GOODBYE_WITHIN):
                await self.reached(State.STOPPED)
        except TimeoutError:
            _log.info("%s did not answer our De-register", self.server)

    def handle(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        """The answer to a request of this server."""
        if self.state is State.REGISTERING and self._unsettled < MAX_UNSETTLED:
            return self._handle_when_settled(request, peer)
        return self._serve(request, peer)

    async def _handle_when_settled(self, request: Request, peer: Peer) -> Response:
        self._unsettled += 1
        try:
            async with asyncio.timeout(SETTLE_WITHIN):
                while self.state is State.REGISTERING:
                    await self._moved.wait()
        except TimeoutError:
            return NOT_FOR_YOU
        finally:
            self._unsettled -= 1
        answer = self._serve(request, peer)
        return answer if isinstance(answer, Response) else await answer

    def _serve(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        if self.state not in _SERVING:
            return NOT_FOR_YOU
        operation: DeviceOperation | None = None
        try:
            operation = self._management.operation(request)
            answer = self._management.perform(operation, Subscription(peer, request.token), self._clock())
        except LwM2MError as error:
            answer = _refusal(error)
        if not isinstance(answer, Response):
            return self._finish(request, operation, answer)
        self._reports.set()
        self._surroundings.exchanged()
        self._surroundings.publish(events.Served(request, operation, answer.code, self.pair.short_server_id))
        if answer.observing:
            observed = self._management.observations.observed(Subscription(peer, request.token))
            self._reports.tell(observed, Reason.INITIAL, False)
        return answer

    async def _finish(
        self, request: Request, operation: DeviceOperation | None, answer: Awaitable[Response]
    ) -> Response:
        try:
            response = await answer
        except LwM2MError as error:
            response = _refusal(error)
        except Exception:
            _log.exception("the actuator failed on %s /%s", request.method.name, "/".join(request.path))
            response = Response(Code.INTERNAL_SERVER_ERROR)
        self._surroundings.exchanged()
        self._surroundings.publish(events.Served(request, operation, response.code, self.pair.short_server_id))
        return response

    def _registration_due(self) -> None:
        self.feed(Due())

    def _perform(self, action: Action) -> None:
        if isinstance(action, SendRegister | SendDeregister):
            self._reports.suspend()
        if self._exchange is not None:
            self._exchange.cancel()
        self._surroundings.exchanged()
        self._exchange = self._spawn(self._ask(action))

    async def _ask(self, action: Action) -> None:
        me = asyncio.current_task()
        try:
            response = await self._exchanged(action)
        except _NewSession:
            result: Outcome | Restart = Restart()
        except (RequestFailed, OSError) as error:
            if (alert := heard(error)) is not None:
                self._surroundings.alerted(self, alert)
            result = GaveUp(reason(error)) if is_final(error) else Failed(reason(error))
        else:
            result = outcome(action, response)
            self._surroundings.exchanged()
        if self._exchange is me:
            self._exchange = None
            self.feed(result)

    async def _exchanged(self, action: Action) -> Response:
        if isinstance(action, SendRegister):
            self._speak(self._registration.version)
            self._transport.uri = self.pair.uri
            await self._surroundings.prepare(self)
            return await self._over_any_way(self._request(action), registers=True)
        request = self._request(action)
        assert self._peer is not None
        if isinstance(action, SendUpdate) and (self._reopening or self._peer.association is not None):
            return await self._over_any_way(request, registers=False)
        timeout = GOODBYE_WITHIN if isinstance(action, SendDeregister) else None
        return await self._transport.running.request(self._peer, request, timeout)

    def _request(self, action: Action) -> Request:
        return to_coap(self._presentation.operation(action, self._registration.version))

    def _speak(self, version: str) -> None:
        if version != self._version:
            self._version = version
            self._management = self._manage(version)

    async def _over_any_way(self, request: Request, *, registers: bool) -> Response:
        """Over the first way that is not refused; a name may stand for addresses that nobody listens on. An
        association that is silent is given up: the server may know nothing of it. Raises _NewSession for what only
        goes on with a registration, where that would be over a session of its own: Core 1.1.1 wants a Register."""
        failure = Unreachable("no way to the server")
        async with aclosing(self._transport.peers()) as peers:
            async for coap, peer in peers:
                before, self._peer = self._peer, peer
                if not registers and peer != before and begins_anew(peer):
                    raise _NewSession
                try:
                    return await coap.request(peer, request)
                except Unreachable as error:
                    failure = error
                except TimedOut:
                    if peer.association is not None:
                        await self._transport.release()
                    raise
        raise failure

    def _tell(self, before: State, event: Event) -> None:
        if isinstance(event, Accepted) and (before is State.REGISTERING or self._reopening):
            self._reopening = False
            self._management.reporting.resume()
        if isinstance(event, Negative):
            self.last_failure = event.reason
        deadline = self._registration.deadline()
        move = Move(
            before,
            event,
            self.state,
            self.server,
            "/" + "/".join(self._registration.location),
            None if deadline is None else deadline - self._clock(),
        )
        for told in events_of(move, self.pair.short_server_id):
            self._surroundings.publish(told)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("an exchange with %s failed", self.server, exc_info=error)
        if task is self._exchange:
            self._exchange = None
            self.feed(Failed("internal error"))


def _refusal(error: LwM2MError) -> Response:
    return Response(error.code, error.diagnostic.encode(), ContentFormat.TEXT if error.diagnostic else None)
