"""An `Endpoint` without a network: the test is the client at the other end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from lwm2m.coap.endpoint import AssociationLost, Delivery, Handler, RequestFailed
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.model.content_format import ContentFormat


def peer(port: int = 40000, identity: str | None = None) -> Peer:
    return Peer(("127.0.0.1", 5683), ("127.0.0.1", port), identity=identity)


def text(value: str) -> Response:
    return Response(Code.CONTENT, value.encode(), ContentFormat.TEXT)


class ClientObservation:
    """What the client under test would send; `None` ends it without a word."""

    def __init__(self, first: Response, cancelled: Response | RequestFailed | None) -> None:
        self._first = first
        self._on_cancel = cancelled
        self._coming: asyncio.Queue[Response | RequestFailed | None] = asyncio.Queue()
        self.cancelled: list[bool] = []

    @property
    def first(self) -> Response:
        return self._first

    def bring(self, what: Response | RequestFailed | None) -> None:
        self._coming.put_nowait(what)

    async def __aiter__(self) -> AsyncIterator[Response]:
        while (what := await self._coming.get()) is not None:
            if isinstance(what, RequestFailed):
                raise what
            yield what
            if not what.code.is_success:
                return

    def follow(self, receive: Callable[[Response | None], None]) -> None:
        self._following = asyncio.get_running_loop().create_task(self._pass_on(receive))

    async def _pass_on(self, receive: Callable[[Response | None], None]) -> None:
        with suppress(RequestFailed):  # who follows hears only that it ended
            async for response in self:
                receive(response)
        receive(None)

    async def cancel(self, *, active: bool = True) -> Response | None:
        self.cancelled.append(active)
        if not active:
            return None
        if isinstance(self._on_cancel, RequestFailed):
            raise self._on_cancel
        return self._on_cancel


class MemoryEndpoint:
    """`answers` maps a path such as "/3/0/0" to what the client answers; anything else is 4.04. `waiting` is set once
    a future holds an answer back."""

    def __init__(self, port: int = 5683) -> None:
        self.answers: dict[str, Response | RequestFailed | asyncio.Future[Response]] = {}
        self.on_cancel: Response | RequestFailed | None = None
        self.asked: list[tuple[Peer, Request]] = []
        self.observations: list[ClientObservation] = []
        self.is_running = False
        self.waiting = asyncio.Event()
        self._port = port
        self._handler: Handler | None = None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    @property
    def uri(self) -> str:
        return f"coap://127.0.0.1:{self._port}"

    async def start(self, handler: Handler) -> None:
        self._handler = handler
        self.is_running = True

    async def stop(self) -> None:
        self.is_running = False

    async def peer(self, uri: str) -> Peer:
        raise ValueError(f"nobody is asked at {uri}")

    async def receive(self, request: Request, sender: Peer) -> Response:
        """The answer to a client's request, a turn after the handler has it, as a stack would send it."""
        assert self._handler is not None
        result = self._handler(request, sender)
        response = await asyncio.ensure_future(result) if inspect.isawaitable(result) else result
        await asyncio.sleep(0)
        return response

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:  # noqa: ARG002
        return await self._answer(peer, request)

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> ClientObservation:  # noqa: ARG002
        observation = ClientObservation(await self._answer(peer, request), self.on_cancel)
        self.observations.append(observation)
        return observation

    async def _answer(self, peer: Peer, request: Request) -> Response:
        self.asked.append((peer, request))
        answer = self.answers.get("/" + "/".join(request.path), Response(Code.NOT_FOUND))
        if isinstance(answer, RequestFailed):
            raise answer
        if isinstance(answer, asyncio.Future):
            self.waiting.set()
            return await answer
        return answer

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        raise AssertionError(f"a server notifies nobody: {subscription} {response} {confirmable}")

    def forget(self, subscription: Subscription) -> None:
        raise AssertionError(f"a server is not observed: {subscription}")

    def listen(self, listening: bool) -> None:
        self.listening = listening

    async def events(self) -> AsyncIterator[AssociationLost]:
        return
        yield
