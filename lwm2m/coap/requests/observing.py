"""An observation of a peer's resource that runs: notifications in order, whole, to whoever iterates or follows."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from lwm2m.coap.blocks import Block
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.coap.packet import BLOCK2, OBSERVE, Packet
from lwm2m.coap.requests.notification_order import is_newer
from lwm2m.coap.requests.opened import CANCEL, Opened
from lwm2m.coap.requests.packets import number_of, response_from
from lwm2m.coap.requests.sending import Sending
from lwm2m.coap.requests.transfer import Transfer

log = logging.getLogger("lwm2m.coap")

Receive = Callable[[Response | None], None]


class Asking(Protocol):
    """See `lwm2m.coap.requests.asking.Asking`."""

    sending: Sending

    async def request(self, peer: Peer, request: Request, timeout: float | None) -> Response: ...

    def fetch(self, fetching: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...


class RunningObservation:
    """See `lwm2m.coap.endpoint.Observation`. A notification that is one message is passed on to whoever follows in the
    moment it arrives. Others wait here: for somebody to iterate, or until the rest of an earlier one was fetched."""

    __slots__ = (
        "_asking",
        "_changed",
        "_dropped",
        "_fetching",
        "_first",
        "_loop",
        "_newest",
        "_newest_at",
        "_opened",
        "_peer",
        "_receive",
        "_request",
        "_waiting",
    )

    def __init__(self, asking: Asking, peer: Peer, request: Request, opened: Opened, first: Response) -> None:
        self._asking = asking
        self._peer = peer
        self._request = request
        self._opened = opened
        self._first = first
        self._loop = asyncio.get_running_loop()
        self._newest = number_of(opened.first.result().options, OBSERVE)
        self._newest_at = self._loop.time()
        self._waiting: deque[Packet] | None = None
        self._dropped = opened.dropped > 0
        if self._dropped:
            log.warning(
                "%s notifies faster than we read; its oldest %d notifications are dropped", peer, opened.dropped
            )
        self._changed: asyncio.Event | None = None
        self._receive: Receive | None = None
        self._fetching: asyncio.Task[None] | None = None
        early, opened.early = opened.early, None
        opened.on_later = self._arrived
        opened.on_end = self._ended
        for packet in early or ():
            self._arrived(packet)

    @property
    def first(self) -> Response:
        return self._first

    @property
    def token(self) -> bytes:
        """The token that the peer knows the observation by."""
        return self._opened.packet.token

    def __aiter__(self) -> AsyncIterator[Response]:
        return self

    async def __anext__(self) -> Response:
        while True:
            packet = self._next()
            if packet is not None:
                response = await self._whole(packet) if _is_part(packet) else self._read(packet)
                if response is not None:
                    return response
            elif self._opened.ended:
                raise StopAsyncIteration
            else:
                self._changed = self._changed or asyncio.Event()
                self._changed.clear()
                await self._changed.wait()

    def follow(self, receive: Receive) -> None:
        """See `Observation.follow`. What `receive` raises is logged, and the observation goes on."""
        self._receive = receive
        self._pass_on()

    async def cancel(self, *, active: bool = True) -> Response | None:
        """See `Observation.cancel`. None as well when the peer had ended the observation already. Whoever follows is
        told of the end at once."""
        over = self._opened.ended
        self._waiting = None
        self._fetch_no_more()
        if over:
            self._ended()
            return None
        self._opened.close()
        if not active:
            return None
        request = self._request._replace(observe=CANCEL, token=self.token)
        return await self._asking.request(self._peer, request, None)

    # What arrives

    def _arrived(self, packet: Packet) -> None:
        if not self._is_news(packet):
            return
        if self._receive is not None and self._fetching is None and not _is_part(packet):
            self._tell(self._receive, self._read(packet))
            return
        self._keep(packet)
        if self._receive is not None:
            self._pass_on()
        elif self._changed is not None:
            self._changed.set()

    def _is_news(self, packet: Packet) -> bool:
        number = number_of(packet.options, OBSERVE)
        if number is not None:
            now = self._loop.time()
            if self._newest is not None and not is_newer(number, now, self._newest, self._newest_at):
                return False
            self._newest, self._newest_at = number, now
        return True

    def _keep(self, packet: Packet) -> None:
        if self._waiting is None:
            self._waiting = deque()
        elif len(self._waiting) >= self._asking.sending.max_unread:
            self._waiting.popleft()
            if not self._dropped:
                log.warning("%s notifies faster than we read; the oldest notifications are dropped", self._peer)
            self._dropped = True
        self._waiting.append(packet)

    def _next(self) -> Packet | None:
        """The oldest that waits. Of two that are parts of something large only the newer can be had: the peer keeps
        the rest of the newest only."""
        waiting = self._waiting
        while waiting:
            packet = waiting.popleft()
            if not (_is_part(packet) and any(_is_part(newer) for newer in waiting)):
                return packet
        return None

    def _ended(self) -> None:
        if self._opened.lost:
            self._fetch_no_more()
        if self._changed is not None:
            self._changed.set()
        if self._receive is not None:
            self._pass_on()

    # Following

    def _pass_on(self) -> None:
        """Everything that can be had now, and the end when it has come."""
        while self._receive is not None and self._fetching is None:
            packet = self._next()
            if packet is None:
                break
            if _is_part(packet):
                self._fetching = self._asking.fetch(self._fetch(packet))
            else:
                self._tell(self._receive, self._read(packet))
        if self._opened.ended and self._fetching is None and self._receive is not None:
            receive, self._receive = self._receive, None
            self._tell(receive, None)

    def _fetch_no_more(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None
        if self._waiting:
            self._waiting = deque(packet for packet in self._waiting if not _is_part(packet))

    async def _fetch(self, packet: Packet) -> None:
        try:
            response = await self._whole(packet)
        finally:
            self._fetching = None
        if response is not None and self._receive is not None:
            self._tell(self._receive, response)
        self._pass_on()

    def _tell(self, receive: Receive, response: Response | None) -> None:
        try:
            receive(response)
        except Exception:  # whatever it is, it is the consumer's
            log.exception("a notification from %s could not be received", self._peer)

    # Reading

    def _read(self, packet: Packet) -> Response:
        response = response_from(packet, packet.payload)
        if self._asking.sending.is_traced:
            self._asking.sending.trace(self._peer, response, self._opened.packet.token, incoming=True)
        return response

    async def _whole(self, packet: Packet) -> Response | None:
        transfer = Transfer(self._asking.sending, self._peer, self._request._replace(observe=None), None)
        transfer.is_traced = True
        try:
            response = await transfer.whole(packet)
        except RequestFailed as failure:
            log.warning(
                "%s notified of more than one message holds, and the rest did not come: %s", self._peer, failure
            )
            return None
        if response.code != packet.code:
            log.warning("the rest of a large notification from %s did not come: %s", self._peer, response.code.dotted)
            return None
        response = response._replace(observing=OBSERVE in packet.options)
        self._asking.sending.trace(self._peer, response, self.token, incoming=True)
        return response


def _is_part(packet: Packet) -> bool:
    """Whether the peer holds more of it."""
    return BLOCK2 in packet.options and Block.decode(packet.options[BLOCK2][0]).more
