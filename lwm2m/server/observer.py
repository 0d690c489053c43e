"""Running observations: asks for them, passes on what they bring, asks again after a Register."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lwm2m.attributes import Reason
from lwm2m.coap.endpoint import Observation, Rejected, RequestFailed, TimedOut, TooBusy, Unreachable
from lwm2m.coap.message import Code, Peer, Response
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.operations.composite import ObserveComposite
from lwm2m.operations.device_management import Observe
from lwm2m.server.answers import Answer, InvalidAnswer, read_records
from lwm2m.server.events import EndReason, InvalidNotification, Notified, ObservationEnded, ServerEvent
from lwm2m.server.observations import (
    ObservationChange,
    Observations,
    Observed,
    Wish,
    cancelling,
    observed_by,
    observing,
    text_of,
)
from lwm2m.server.reasons import Reasons
from lwm2m.server.registry import Registration
from lwm2m.server.requests import Requests
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)


class NotObserved(Exception):
    """The server observes no such path, or list of paths, of that client."""

    def __init__(self, endpoint: str, path: Observed) -> None:
        super().__init__(f"{text_of(path)} of {endpoint!r} is not observed")
        self.endpoint = endpoint
        self.path = path


class _Origin(NamedTuple):
    """For which registration a client was asked, and where. Elsewhere it knows nothing of the observation."""

    registration_id: str
    peer: Peer

    @classmethod
    def of(cls, registration: Registration) -> _Origin:
        return cls(registration.id, registration.peer)


@dataclass(slots=True, eq=False)
class _Running:
    observation: Observation
    registration: Registration
    observed: Observed
    definitions: Definitions
    origin: _Origin
    path: Path
    paths: tuple[Path, ...]
    is_over: bool = False
    """What it brings is not passed on any more."""
    refused: bool = False
    """What came last was no success."""


class _Resuming(NamedTuple):
    task: asyncio.Task[None]
    origin: _Origin


class Observer:
    """`publish` takes events, `commit` makes wishes durable, `current` knows who is registered now. `heard` is told of
    every notification, and what is asked again is asked in a `turn`."""

    def __init__(
        self,
        requests: Requests,
        reasons: Reasons,
        publish: Callable[[ServerEvent], None],
        commit: Callable[[Sequence[ObservationChange]], Awaitable[None] | None],
        current: Callable[[str], Registration | None],
        heard: Callable[[str], None],
        turn: Callable[[str, float | None], AbstractAsyncContextManager[None]],
        wall: Callable[[], float],
        max_per_client: int,
    ) -> None:
        self._requests = requests
        self._reasons = reasons
        self._publish = publish
        self._commit = commit
        self._current = current
        self._heard = heard
        self._turn = turn
        self._wall = wall
        self._max_per_client = max_per_client
        self._wanted = Observations()
        self._running: dict[str, dict[Observed, _Running]] = {}
        self._resuming: dict[str, _Resuming] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def observed(self, endpoint: str) -> tuple[Observed, ...]:
        return tuple(self._wanted.of(endpoint))

    def restore(self, endpoint: str, observed: Observed, wish: Wish) -> None:
        self._wanted.want(endpoint, observed, wish)

    async def observe(
        self, registration: Registration, operation: Observe | ObserveComposite, timeout: float | None
    ) -> Answer:
        """The first value. Replaces an observation of the same path or list of paths. Raises RequestFailed,
        InvalidAnswer and StoreError."""
        endpoint = registration.endpoint
        observed, wish = observed_by(operation, registration.root)
        wanted = self._wanted.of(endpoint)
        if observed not in wanted and len(wanted) >= self._max_per_client:
            raise TooBusy(f"{endpoint} has {len(wanted)} observations already")
        answer = await self._start(registration, observed, operation, timeout)
        if answer.observing:
            await self._keep(self._wanted.want(endpoint, observed, wish))
        return answer

    async def cancel(
        self, registration: Registration, path: Observed, active: bool, timeout: float | None
    ) -> Answer | None:
        """The client's answer; None when it was not asked. Raises NotObserved, RequestFailed, InvalidAnswer,
        StoreError; the observation is over whatever is raised."""
        endpoint = registration.endpoint
        wish = self._wanted.of(endpoint).get(path, Wish())
        change = self._wanted.drop(endpoint, path)
        if change is None:
            raise NotObserved(endpoint, path)
        running = self._take(endpoint, path)
        self._reasons.ended(endpoint, path)
        self._publish(_ended_event(endpoint, path, EndReason.CANCELLED))
        try:
            response = None if running is None else await _cancel(running.observation, active, timeout)
        finally:
            await self._make_durable(change)
        if response is None:
            return None
        return self._requests.read(registration, cancelling(path, wish, registration.root), response)

    def refresh(self, registration: Registration) -> None:
        """The client was heard: ask again for what was asked under another registration or elsewhere, or was lost."""
        wanted = self._wanted.of(registration.endpoint)
        if not wanted:
            return
        endpoint, origin = registration.endpoint, _Origin.of(registration)
        resuming = self._resuming.get(endpoint)
        if resuming is not None and resuming.origin == origin:
            return
        running = self._running.get(endpoint, {})
        if any(path not in running or running[path].origin != origin for path in wanted):
            leaving = self._let_go(endpoint)
            task = self._spawn(self._resume(registration, leaving), f"lwm2m-resume {endpoint}")
            self._resuming[endpoint] = _Resuming(task, origin)

    def end(self, endpoint: str) -> None:
        """The client is gone."""
        self._let_go(endpoint)
        self._reasons.forget(endpoint)
        for path in self._wanted.drop_all(endpoint):
            self._publish(_ended_event(endpoint, path, EndReason.DEREGISTERED))

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._running:
            _, gone = self._running.popitem()
            for running in gone.values():
                running.is_over = True
                await self._drop(running)

    async def _start(
        self,
        registration: Registration,
        observed: Observed,
        operation: Observe | ObserveComposite,
        timeout: float | None,
    ) -> Answer:
        observation = await self._requests.observe(registration, operation, timeout)
        try:
            answer = self._requests.read(registration, operation, observation.first)
        except InvalidAnswer:
            await _cancel(observation, False, timeout)
            raise
        if answer.observing:
            self._reasons.initial(registration.endpoint, observed, answer.records, self._wall())
            await self._listen(registration, observed, observation)
        else:
            await _cancel(observation, False, timeout)
        return answer

    async def _listen(self, registration: Registration, observed: Observed, observation: Observation) -> None:
        endpoint = registration.endpoint
        definitions = self._requests.definitions(registration)
        older = self._take(endpoint, observed)
        origin = _Origin.of(registration)
        running = _Running(observation, registration, observed, definitions, origin, *_place(observed))
        self._running.setdefault(endpoint, {})[observed] = running
        asyncio.get_running_loop().call_soon(self._follow, running)  # once its first value has been told
        if older is not None:
            await self._drop(older)

    def _follow(self, running: _Running) -> None:
        if not running.is_over:
            running.observation.follow(partial(self._receive, running))

    def _receive(self, running: _Running, response: Response | None) -> None:
        """The next notification; None: it has ended."""
        if running.is_over:
            return
        if response is not None:
            self._notify(running, response)
            return
        self._take(running.registration.endpoint, running.observed)
        self._ended(running.registration.endpoint, running.observed, running.refused)

    def _notify(self, running: _Running, response: Response) -> None:
        registration, code = running.registration, response.code
        endpoint = registration.endpoint
        ok = code is Code.CONTENT or code.is_success
        running.refused = not ok
        self._heard(endpoint)
        now = self._wall()
        try:
            records = read_records(endpoint, running.path, response, running.definitions, now, registration.root)
        except InvalidAnswer as error:
            log.warning("notification of %s at %s: %s", text_of(running.observed), endpoint, error.reason)
            self._publish(InvalidNotification(endpoint, running.path, error.reason, running.paths))
            return
        reason = self._reasons.infer(endpoint, running.observed, records, now) if ok else None
        self._publish(Notified(endpoint, running.path, records, code, now, running.paths, reason))

    def _notified(self, endpoint: str, observed: Observed, answer: Answer, reason: Reason | None) -> Notified:
        path, paths = _place(observed)
        return Notified(endpoint, path, answer.records, answer.code, self._wall(), paths, reason)

    def _ended(self, endpoint: str, path: Observed, refused: bool) -> None:
        if path not in self._wanted.of(endpoint):
            return
        change = self._wanted.drop(endpoint, path) if refused else None
        self._publish(_ended_event(endpoint, path, EndReason.REFUSED if refused else EndReason.LOST))
        if change is not None:
            self._forget_durably(change)

    def _forget_durably(self, change: ObservationChange) -> None:
        try:
            durable = self._commit([change])
        except StoreError:
            log.exception("the end of an observation of %s could not be stored", change.endpoint)
            return
        if durable is not None:
            self._spawn(_wait(durable), f"lwm2m-forget {change.endpoint} {text_of(change.path)}")

    async def _make_durable(self, change: ObservationChange) -> None:
        """Raises StoreError."""
        durable = self._commit([change])
        if durable is not None:
            await durable

    async def _resume(self, registration: Registration, leaving: Sequence[asyncio.Task[None]]) -> None:
        endpoint = registration.endpoint
        try:
            if leaving:
                await asyncio.wait(leaving)
            await self._ask_for_all(registration)
        finally:
            resuming = self._resuming.get(endpoint)
            if resuming is not None and resuming.task is asyncio.current_task():
                del self._resuming[endpoint]

    async def _ask_for_all(self, registration: Registration) -> None:
        """One after the other, until the client does not answer: then it would not answer for the rest either."""
        endpoint = registration.endpoint
        waiting = deque(self._wanted.of(endpoint).items())
        while waiting:
            observed, wish = waiting[0]
            try:
                await self._ask_again(registration, observed, wish)
            except (TimedOut, Unreachable) as error:
                log.info("the observations of %s could not be renewed: %s", endpoint, error)
                for lost, _ in waiting:
                    self._ended(endpoint, lost, refused=False)
                return
            waiting.popleft()

    async def _ask_again(self, registration: Registration, observed: Observed, wish: Wish) -> None:
        """Raises TimedOut, Unreachable."""
        endpoint = registration.endpoint
        if observed not in self._wanted.of(endpoint):
            return
        operation = observing(observed, wish, registration.root)
        try:
            async with self._turn(endpoint, None):
                answer = await self._start(registration, observed, operation, None)
        except (Rejected, TooBusy, InvalidAnswer) as error:
            log.info("observation of %s at %s could not be renewed: %s", text_of(observed), endpoint, error)
            self._ended(endpoint, observed, refused=False)
            return
        if observed not in self._wanted.of(endpoint):
            await self._give_up(endpoint, observed)
            return
        self._publish(self._notified(endpoint, observed, answer, Reason.INITIAL if answer.ok else None))
        if not answer.observing:
            self._ended(endpoint, observed, refused=True)

    async def _keep(self, wish: ObservationChange) -> None:
        if self._current(wish.endpoint) is not None:
            try:
                await self._make_durable(wish)
            except StoreError:
                await self._give_up(wish.endpoint, wish.path)
                raise
        self._catch_up(wish.endpoint)

    async def _give_up(self, endpoint: str, path: Observed) -> None:
        self._wanted.drop(endpoint, path)
        running = self._take(endpoint, path)
        if running is not None:
            await self._drop(running)

    def _catch_up(self, endpoint: str) -> None:
        """The client may have registered anew, or gone, while it was asked."""
        current = self._current(endpoint)
        if current is None:
            self.end(endpoint)
        else:
            self.refresh(current)

    def _let_go(self, endpoint: str) -> list[asyncio.Task[None]]:
        """Without a word to the client, which has forgotten them too."""
        if resuming := self._resuming.pop(endpoint, None):
            resuming.task.cancel()
        gone = self._running.pop(endpoint, {})
        for running in gone.values():
            running.is_over = True
        return [
            self._spawn(self._drop(running), f"lwm2m-forget {endpoint} {text_of(path)}")
            for path, running in gone.items()
        ]

    def _take(self, endpoint: str, path: Observed) -> _Running | None:
        running = self._running.get(endpoint, {})
        found = running.pop(path, None)
        if found is not None:
            found.is_over = True
            if not running:
                del self._running[endpoint]
        return found

    async def _drop(self, running: _Running) -> None:
        try:
            await _cancel(running.observation, active=False, timeout=None)
        except RequestFailed as error:
            log.info("an observation was gone already: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_name(), exc_info=error)


async def _wait(durable: Awaitable[None]) -> None:
    await durable


async def _cancel(observation: Observation, active: bool, timeout: float | None) -> Response | None:
    """The client's answer, if it was asked. Raises RequestFailed."""
    try:
        async with asyncio.timeout(timeout):
            return await observation.cancel(active=active)
    except TimeoutError:
        raise TimedOut("no answer to the cancellation") from None


def _place(observed: Observed) -> tuple[Path, tuple[Path, ...]]:
    """As events name it: a path, or the root and the list of paths."""
    return (observed, ()) if isinstance(observed, Path) else (Path(), observed)


def _ended_event(endpoint: str, observed: Observed, reason: EndReason) -> ObservationEnded:
    path, paths = _place(observed)
    return ObservationEnded(endpoint, path, reason, paths)
