"""Requests that nobody waits for: kept until they are answered, also over a restart of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from lwm2m.coap.endpoint import RequestFailed, TooBusy
from lwm2m.errors import LwM2MError
from lwm2m.server.answers import Answer, InvalidAnswer
from lwm2m.server.delivery import ClientGone, Delivery
from lwm2m.server.events import RequestAnswered, ServerEvent
from lwm2m.server.queued import QueueChange, QueuedRequest
from lwm2m.server.registry import NotRegistered
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)

CANCELLED = "cancelled"


class NotQueued(Exception):
    """No such request waits for that client: it was answered, given up, or never was."""

    def __init__(self, endpoint: str, number: str) -> None:
        super().__init__(f"no request {number!r} waits for {endpoint!r}")


class Submissions:
    """`perform` asks a client, in its turn; `commit` makes the queue durable. What was being asked when the process
    died is asked again: a request reaches its client at least once."""

    def __init__(
        self,
        delivery: Delivery,
        perform: Callable[[QueuedRequest], Awaitable[Answer | None]],
        commit: Callable[[Sequence[QueueChange]], Awaitable[None]],
        publish: Callable[[ServerEvent], None],
        wall: Callable[[], float],
    ) -> None:
        self._delivery = delivery
        self._perform = perform
        self._commit = commit
        self._publish = publish
        self._wall = wall
        self._requests: dict[str, QueuedRequest] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def submit(self, request: QueuedRequest) -> None:
        """Returns when it is durable. Raises TooBusy, StoreError."""
        if not self._delivery.has_room(request.endpoint):
            raise TooBusy(f"as many requests wait for {request.endpoint} as may")
        self._requests[request.id] = request
        try:
            await self._commit([QueueChange(request.endpoint, request.id, request)])
        except BaseException:
            del self._requests[request.id]
            raise
        self._start(request)
        await asyncio.sleep(0)  # what has not begun cannot be cancelled in order

    async def restore(self, requests: Iterable[QueuedRequest]) -> None:
        for request in requests:
            self._requests[request.id] = request
            self._start(request)
        await asyncio.sleep(0)

    def of(self, endpoint: str) -> tuple[QueuedRequest, ...]:
        """Those that wait, and the one that is with the client, in the order they came."""
        return tuple(request for request in self._requests.values() if request.endpoint == endpoint)

    def cancel(self, endpoint: str, number: str) -> None:
        """Raises NotQueued."""
        request, task = self._requests.get(number), self._tasks.get(number)
        if request is None or request.endpoint != endpoint or task is None or task.cancelling():
            raise NotQueued(endpoint, number)
        task.cancel(CANCELLED)

    async def stop(self) -> None:
        """What waits stays in the store."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, request: QueuedRequest) -> None:
        task = asyncio.create_task(self._run(request), name=f"lwm2m-queued {request.endpoint}")
        self._tasks[request.id] = task
        task.add_done_callback(partial(self._done, request))

    async def _run(self, request: QueuedRequest) -> None:
        try:
            async with self._delivery.turn(request.endpoint, max(0.0, request.until - self._wall())):
                answer = await self._perform(request)
        except (ClientGone, NotRegistered):
            await self._over(request, None, "client gone")
        except (RequestFailed, InvalidAnswer, LwM2MError, StoreError) as error:
            await self._over(request, None, str(error) or type(error).__name__)
        except asyncio.CancelledError as error:
            if CANCELLED in error.args:
                await self._over(request, None, CANCELLED)
            raise
        else:
            await self._over(request, answer, "")

    async def _over(self, request: QueuedRequest, answer: Answer | None, failure: str) -> None:
        self._requests.pop(request.id, None)
        self._publish(RequestAnswered(request.endpoint, request, answer, failure))
        await self._commit([QueueChange(request.endpoint, request.id, None)])

    def _done(self, request: QueuedRequest, task: asyncio.Task[None]) -> None:
        del self._tasks[request.id]
        self._requests.pop(request.id, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_name(), exc_info=error)
