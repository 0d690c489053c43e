"""An Endpoint without a network: a test answers what the client asks, and asks what the client answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from lwm2m.coap.endpoint import AssociationLost, Delivery, Handler, Observation, RequestFailed
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription

SERVER = Peer(("127.0.0.1", 40000), ("127.0.0.1", 5683))
CREATED = Response(Code.CREATED, location=("rd", "1"))


class FakeEndpoint:
    """`answers` maps a method to what a request of it gets: a response, a failure, what a future brings, or None for
    no answer ever. An Update is `PUT` there."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self.notifications: asyncio.Queue[tuple[Subscription, Response, bool]] = asyncio.Queue()
        self.forgotten: list[Subscription] = []
        self.answers: dict[Code, Response | RequestFailed | asyncio.Future[Response] | None] = {
            Code.POST: CREATED,
            Code.PUT: Response(Code.CHANGED),
            Code.DELETE: Response(Code.DELETED),
        }
        self.delivery = Delivery.DELIVERED
        self.handler: Handler | None = None
        self.listening = True
        self.unresolved: RequestFailed | None = None

    address = ("127.0.0.1", 40000)
    uri = "coap://127.0.0.1:40000"

    async def start(self, handler: Handler) -> None:
        self.handler = handler

    async def stop(self) -> None:
        self.handler = None

    async def peer(self, uri: str) -> Peer:  # noqa: ARG002  # there is one peer
        if self.unresolved:
            raise self.unresolved
        return SERVER

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:
        assert peer == SERVER
        self.requests.put_nowait(request)
        is_update = request.method is Code.POST and request.path != ("rd",)
        answer = self.answers[Code.PUT if is_update else request.method]
        if isinstance(answer, asyncio.Future):
            return await answer
        if answer is None:
            await asyncio.sleep(timeout or 3600)
            raise RequestFailed("no answer")
        if isinstance(answer, RequestFailed):
            raise answer
        return answer

    async def observe(self, peer: Peer, request: Request, timeout: float | None = None) -> Observation:
        raise NotImplementedError

    async def notify(self, subscription: Subscription, response: Response, *, confirmable: bool = False) -> Delivery:
        self.notifications.put_nowait((subscription, response, confirmable))
        return self.delivery

    def forget(self, subscription: Subscription) -> None:
        self.forgotten.append(subscription)

    def listen(self, listening: bool) -> None:
        self.listening = listening

    async def events(self) -> AsyncIterator[AssociationLost]:
        return
        yield

    async def next_request(self) -> Request:
        return await asyncio.wait_for(self.requests.get(), 5)

    async def next_notification(self) -> tuple[Subscription, Response, bool]:
        return await asyncio.wait_for(self.notifications.get(), 5)

    async def ask(self, request: Request, peer: Peer = SERVER) -> Response:
        """What the client answers."""
        assert self.handler is not None
        answer = self.handler(request, peer)
        return answer if isinstance(answer, Response) else await asyncio.wait_for(answer, 5)
