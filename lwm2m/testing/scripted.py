"""Peers that do what a test says and nothing else, on the CoAP stack of production."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.content_format import ContentFormat

PATIENCE = 300.0
MOST_WAITING = 64
LINKS = '</>;rt="oma.lwm2m",</1/0>,</3/0>'


class Asked:
    """A request that waits for its answer."""

    def __init__(self, request: Request, peer: Peer) -> None:
        self.request = request
        self.peer = peer
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def answer(self, code: Code, payload: bytes = b"", **more: object) -> None:
        """`more` are fields of `Response`."""
        if not self.response.done():
            self.response.set_result(Response(code, payload, **more))  # type: ignore[arg-type]  # checked by Response


class ScriptedPeer:
    """What `answers` has for a method and a path is answered at once; every other request waits for `expect`."""

    def __init__(self, coap: Endpoint, answers: Mapping[tuple[Code, str], Response] | None = None) -> None:
        self.coap = coap
        self.answers = dict(answers or {})
        self._waiting: asyncio.Queue[Asked] = asyncio.Queue(MOST_WAITING)

    async def __aenter__(self) -> Self:
        await self.coap.start(self._handle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.coap.stop()

    async def expect(self, method: Code, path: str, timeout: float = PATIENCE) -> Asked:
        """The next request that `answers` does not know. Raises AssertionError when it is another, TimeoutError."""
        async with asyncio.timeout(timeout):
            asked = await self._waiting.get()
        came = asked.request.method, _path(asked.request)
        assert came == (method, path), f"expected {method.name} {path}, got {came[0].name} {came[1]}"
        return asked

    async def expect_nothing(self, during: float) -> None:
        """Raises AssertionError when a request comes that `answers` does not know."""
        try:
            async with asyncio.timeout(during):
                asked = await self._waiting.get()
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {asked.request}")

    async def ask(self, peer: Peer | str, request: Request, timeout: float | None = None) -> Response:
        """Raises RequestFailed."""
        if isinstance(peer, str):
            peer = await self.coap.peer(peer)
        return await self.coap.request(peer, request, timeout)

    async def _handle(self, request: Request, peer: Peer) -> Response:
        known = self.answers.get((request.method, _path(request)))
        if known is not None:
            return known
        asked = Asked(request, peer)
        try:
            self._waiting.put_nowait(asked)
        except asyncio.QueueFull:
            return Response(Code.SERVICE_UNAVAILABLE)
        return await asked.response


class ScriptedClient(ScriptedPeer):
    """A client to try a server with."""

    async def register(
        self,
        server: str,
        endpoint: str,
        *more: str,
        lifetime: int = 300,
        version: str = "1.1",
        links: str = LINKS,
    ) -> str:
        """The location, such as "/rd/5a3f". `more` are further parameters, as "b=U". Raises AssertionError when the
        server refuses, RequestFailed."""
        query = (f"lwm2m={version}", f"ep={endpoint}", f"lt={lifetime}", *more)
        request = Request(Code.POST, ("rd",), query, links.encode(), ContentFormat.LINK)
        answer = await self.ask(server, request)
        assert answer.code is Code.CREATED, f"the server refused: {answer.code.dotted} {answer.diagnostic}"
        return "/" + "/".join(answer.location)


class ScriptedServer(ScriptedPeer):
    """A server to try a client with: it takes every Register, Update and De-register, and tells of them."""

    async def registered(self, timeout: float = PATIENCE) -> Asked:
        """The next Register; it has been answered with the location /rd/1. Raises TimeoutError, AssertionError."""
        asked = await self.expect(Code.POST, "/rd", timeout)
        self.answers |= {
            (Code.POST, "/rd/1"): Response(Code.CHANGED),
            (Code.DELETE, "/rd/1"): Response(Code.DELETED),
        }
        asked.answer(Code.CREATED, location=("rd", "1"))
        return asked


def _path(request: Request) -> str:
    return "/" + "/".join(request.path)
