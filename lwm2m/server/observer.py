"""Running observations: asks for them, passes on what they bring, asks again after a Register."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from lwm2m.coap.endpoint import Observation, Rejected, RequestFailed, TimedOut, TooBusy, Unreachable
from lwm2m.coap.message import Peer, Response
from lwm2m.model.path import Path
from lwm2m.operations.device_management import CancelObservation, Observe
from lwm2m.server.answers import Answer, InvalidAnswer
from lwm2m.server.events import EndReason, InvalidNotification, Notified, ObservationEnded, ServerEvent
from lwm2m.server.observations import ObservationChange, Observations
from lwm2m.server.registry import Registration
from lwm2m.server.requests import Requests
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)


class NotObserved(Exception):
    """The server observes no such path of that client."""

    def __init__(self, endpoint: str, path: Path) -> None:
        super().__init__(f"{path} of {endpoint!r} is not observed")
        self.endpoint = endpoint
        self.path = path


class _Origin(NamedTuple):
    """For which registration a client was asked, and where. Elsewhere it knows nothing of the observation."""

    registration_id: str
    peer: Peer

    @classmethod
    def of(cls, registration: Registration) -> _Origin:
        return cls(registration.id, registration.peer)


class _Running(NamedTuple):
    observation: Observation
    listener: asyncio.Task[None]
    origin: _Origin


class _Resuming(NamedTuple):
    task: asyncio.Task[None]
    origin: _Origin


class Observer:
    """`publish` takes events, `commit` makes wishes durable, `current` knows who is registered now."""

    def __init__(
        self,
        requests: Requests,
        publish: Callable[[ServerEvent], None],
        commit: Callable[[Sequence[ObservationChange]], Awaitable[None]],
        current: Callable[[str], Registration | None],
        wall: Callable[[], float],
        max_per_client: int,
    ) -> None:
        self._requests = requests
        self._publish = publish
        self._commit = commit
        self._current = current
        self._wall = wall
        self._max_per_client = max_per_client
        self._wanted = Observations()
        self._running: dict[str, dict[Path, _Running]] = {}
        self._resuming: dict[str, _Resuming] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def paths(self, endpoint: str) -> tuple[Path, ...]:
        return tuple(self._wanted.of(endpoint))

    def restore(self, endpoint: str, path: Path, accept: int | None) -> None:
        self._wanted.want(endpoint, path, accept)

    async def observe(self, registration: Registration, operation: Observe, timeout: float | None) -> Answer:
        """The first value. Replaces an observation of the same path. Raises RequestFailed, InvalidAnswer and
        StoreError."""
        endpoint, path = registration.endpoint, operation.path
        wanted = self._wanted.of(endpoint)
        if path not in wanted and len(wanted) >= self._max_per_client:
            raise TooBusy(f"{endpoint} has {len(wanted)} observations already")
        answer = await self._start(registration, operation, timeout)
        if answer.observing:
            await self._keep(self._wanted.want(endpoint, path, operation.accept))
        return answer

    async def cancel(
        self, registration: Registration, path: Path, active: bool, timeout: float | None
    ) -> Answer | None:
        """The client's answer; None when it was not asked. Raises NotObserved, RequestFailed, InvalidAnswer,
        StoreError; the observation is over whatever is raised."""
        endpoint = registration.endpoint
        accept = self._wanted.of(endpoint).get(path)
        change = self._wanted.drop(endpoint, path)
        if change is None:
            raise NotObserved(endpoint, path)
        running = self._take(endpoint, path)
        self._publish(ObservationEnded(endpoint, path, EndReason.CANCELLED))
        try:
            response = None if running is None else await _stop(running, active, timeout)
        finally:
            await self._commit([change])
        if response is None:
            return None
        return self._requests.read(registration, CancelObservation(path, accept), response)

    def refresh(self, registration: Registration) -> None:
        """The client was heard: ask again for what was asked under another registration or elsewhere, or was lost."""
        endpoint, origin = registration.endpoint, _Origin.of(registration)
        resuming = self._resuming.get(endpoint)
        if resuming is not None and resuming.origin == origin:
            return
        running = self._running.get(endpoint, {})
        if any(path not in running or running[path].origin != origin for path in self._wanted.of(endpoint)):
            leaving = self._let_go(endpoint)
            task = self._spawn(self._resume(registration, leaving), f"lwm2m-resume {endpoint}")
            self._resuming[endpoint] = _Resuming(task, origin)

    def end(self, endpoint: str) -> None:
        """The client is gone."""
        self._let_go(endpoint)
        for path in self._wanted.drop_all(endpoint):
            self._publish(ObservationEnded(endpoint, path, EndReason.DEREGISTERED))

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    async def _start(self, registration: Registration, operation: Observe, timeout: float | None) -> Answer:
        observation = await self._requests.observe(registration, operation, timeout)
        try:
            answer = self._requests.read(registration, operation, observation.first)
        except InvalidAnswer:
            await _cancel(observation, False, timeout)
            raise
        if answer.observing:
            await self._listen(registration, operation, observation)
        else:
            await _cancel(observation, False, timeout)
        return answer

    async def _listen(self, registration: Registration, operation: Observe, observation: Observation) -> None:
        endpoint, path = registration.endpoint, operation.path
        older = self._take(endpoint, path)
        listener = self._spawn(self._pass_on(registration, operation, observation), f"lwm2m-observe {endpoint} {path}")
        self._running.setdefault(endpoint, {})[path] = _Running(observation, listener, _Origin.of(registration))
        if older is not None:
            await self._drop(older)

    async def _pass_on(self, registration: Registration, operation: Observe, observation: Observation) -> None:
        refused = False
        try:
            async for response in observation:
                self._notify(registration, operation, response)
                refused = not response.code.is_success
        except RequestFailed as error:
            log.info("observation of %s at %s failed: %s", operation.path, registration.endpoint, error)
        self._take(registration.endpoint, operation.path)
        await self._ended(registration.endpoint, operation.path, refused)

    def _notify(self, registration: Registration, operation: Observe, response: Response) -> None:
        try:
            answer = self._requests.read(registration, operation, response)
        except InvalidAnswer as error:
            log.warning("notification of %s at %s: %s", operation.path, registration.endpoint, error.reason)
            self._publish(InvalidNotification(registration.endpoint, operation.path, error.reason))
            return
        self._publish(Notified(registration.endpoint, operation.path, answer.records, answer.code, self._wall()))

    async def _ended(self, endpoint: str, path: Path, refused: bool) -> None:
        if path not in self._wanted.of(endpoint):
            return
        change = self._wanted.drop(endpoint, path) if refused else None
        self._publish(ObservationEnded(endpoint, path, EndReason.REFUSED if refused else EndReason.LOST))
        if change is not None:
            await self._commit([change])

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
            path, accept = waiting[0]
            try:
                await self._ask_again(registration, Observe(path, accept))
            except (TimedOut, Unreachable) as error:
                log.info("the observations of %s could not be renewed: %s", endpoint, error)
                for lost, _ in waiting:
                    await self._ended(endpoint, lost, refused=False)
                return
            waiting.popleft()

    async def _ask_again(self, registration: Registration, operation: Observe) -> None:
        """Raises TimedOut, Unreachable."""
        endpoint, path = registration.endpoint, operation.path
        if path not in self._wanted.of(endpoint):
            return
        try:
            answer = await self._start(registration, operation, None)
        except (Rejected, TooBusy, InvalidAnswer) as error:
            log.info("observation of %s at %s could not be renewed: %s", path, endpoint, error)
            await self._ended(endpoint, path, refused=False)
            return
        if path not in self._wanted.of(endpoint):
            await self._give_up(endpoint, path)
            return
        self._publish(Notified(endpoint, path, answer.records, answer.code, self._wall()))
        if not answer.observing:
            await self._ended(endpoint, path, refused=True)

    async def _keep(self, wish: ObservationChange) -> None:
        if self._current(wish.endpoint) is not None:
            try:
                await self._commit([wish])
            except StoreError:
                await self._give_up(wish.endpoint, wish.path)
                raise
        self._catch_up(wish.endpoint)

    async def _give_up(self, endpoint: str, path: Path) -> None:
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
        return [
            self._spawn(self._drop(running), f"lwm2m-forget {endpoint} {path}")
            for path, running in self._running.pop(endpoint, {}).items()
        ]

    def _take(self, endpoint: str, path: Path) -> _Running | None:
        running = self._running.get(endpoint, {})
        found = running.pop(path, None)
        if found is not None and not running:
            del self._running[endpoint]
        return found

    async def _drop(self, running: _Running) -> None:
        try:
            await _stop(running, active=False, timeout=None)
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


async def _stop(running: _Running, active: bool, timeout: float | None) -> Response | None:
    """The client's answer, if it was asked. Raises RequestFailed."""
    running.listener.cancel()
    await asyncio.wait([running.listener])
    return await _cancel(running.observation, active, timeout)


async def _cancel(observation: Observation, active: bool, timeout: float | None) -> Response | None:
    try:
        async with asyncio.timeout(timeout):
            return await observation.cancel(active=active)
    except TimeoutError:
        raise TimedOut("no answer to the cancellation") from None
