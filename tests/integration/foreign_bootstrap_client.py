"""A client's side of a bootstrap made of aiocoap alone, knowing nothing of this project: it judges the server."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import aiocoap
from aiocoap import resource
from aiocoap.numbers.codes import Code

LINK = 40


class Asked(NamedTuple):
    code: Code
    path: str
    content_format: int | None
    payload: bytes


class _Answering(resource.Resource):
    def __init__(self, client: ForeignBootstrapClient) -> None:
        super().__init__()
        self._client = client

    async def render(self, request: aiocoap.Message) -> aiocoap.Message:
        return await self._client.answer(request)


class ForeignBootstrapClient:
    """`answers` maps "PUT /0/1" to the message it gets; everything else gets what a willing client says. While `held`
    is clear no answer leaves."""

    def __init__(self, server: str, links: str = "</>;lwm2m=1.1,</0/0>,</3/0>") -> None:
        self.server = server
        self.links = links
        self.asked: list[Asked] = []
        self.answers: dict[str, list[aiocoap.Message]] = {}
        self.outstanding = 0
        self.most_outstanding = 0
        self.finished = asyncio.Event()
        self.waiting = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()
        self._context: aiocoap.Context | None = None

    async def __aenter__(self) -> ForeignBootstrapClient:
        site = _Answering(self)
        self._context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["udp6"])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._context is not None
        await self._context.shutdown()

    async def ask(self, *query: str) -> aiocoap.Message:
        assert self._context is not None
        message = aiocoap.Message(code=Code.POST, uri=f"{self.server}/bs")
        message.opt.uri_query = query
        async with asyncio.timeout(10):
            return await self._context.request(message).response

    async def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        path = "/" + "/".join(request.opt.uri_path)
        self.asked.append(Asked(request.code, path, request.opt.content_format, request.payload))
        self.outstanding += 1
        self.most_outstanding = max(self.most_outstanding, self.outstanding)
        self.waiting.set()
        await self.free.wait()
        self.outstanding -= 1
        planned = self.answers.get(f"{request.code} {path}")
        message = planned.pop(0) if planned else _willing(request, self.links)
        if (request.code, path) == (Code.POST, "/bs"):
            self.finished.set()
        return message

    @property
    def operations(self) -> list[str]:
        return [f"{asked.code} {asked.path}" for asked in self.asked]


def _willing(request: aiocoap.Message, links: str) -> aiocoap.Message:
    if request.code == Code.GET and request.opt.accept == LINK:
        return aiocoap.Message(code=Code.CONTENT, payload=links.encode(), content_format=LINK)
    if request.code == Code.GET:
        return aiocoap.Message(code=Code.NOT_FOUND)
    return aiocoap.Message(code=Code.DELETED if request.code == Code.DELETE else Code.CHANGED)
