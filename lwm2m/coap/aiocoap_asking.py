"""The asking half of the aiocoap stack: requests with bodies of any size, and observations of peers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aiocoap import Message, error

from lwm2m.coap.aiocoap_layers import Exchange, Layers, new_token
from lwm2m.coap.aiocoap_messages import Tuning, block_option, request_to, response_from
from lwm2m.coap.aiocoap_udp import UdpAddress
from lwm2m.coap.blocks import LARGEST_EXPONENT, Block, Gap, Joining, TooLarge, block_at
from lwm2m.coap.endpoint import (
    AnswerTooLarge,
    Limits,
    Rejected,
    RequestFailed,
    TimedOut,
    TooBusy,
    Traced,
    Tracer,
    Transmission,
    Unreachable,
)
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.notification_order import is_newer

log = logging.getLogger("lwm2m.coap")

LARGEST_BLOCK = 1024
NOTIFICATIONS_KEPT = 64
"""How many notifications wait for a slow consumer; then the oldest go."""
DOWNLOAD_ATTEMPTS = 3
"""How often a body is fetched that changes while we fetch it."""
REPEATABLE = frozenset({Code.GET, Code.FETCH})


class _Changed(Exception):
    """The body changed between two of its blocks."""


class _Opened:
    """A message of ours, and what comes back on its token until it is closed."""

    def __init__(self, layers: Layers, message: Message) -> None:
        self.message = message
        self.first: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.first.add_done_callback(_retrieve)
        self.later: deque[Message] = deque()
        self.sent = asyncio.Event()
        self.changed = asyncio.Event()
        self.ended = False
        self.on_later: Callable[[Message], None] = self.later.append
        exchange = Exchange(message, log, self.sent.set)
        self._close = exchange.on_event(self._on_event)
        layers.tokens.request(exchange)

    def close(self) -> None:
        self._close()
        self.ended = True
        self.changed.set()

    def _on_event(self, event: Any) -> bool:
        if event.exception is not None:
            if not self.first.done():
                self.first.set_exception(_failure(event.exception))
        elif not self.first.done():
            self.first.set_result(event.message)
        elif event.message is not None:
            self.on_later(event.message)
        self.ended = self.ended or event.is_last
        self.sent.set()
        self.changed.set()
        return not event.is_last


def _retrieve(future: asyncio.Future[Message]) -> None:
    """A failure that comes in the moment its waiter is cancelled concerns nobody."""
    if not future.cancelled():
        future.exception()


def _failure(exception: Exception | type[Exception]) -> RequestFailed:
    """Our layers fail a request in our words; aiocoap adds a Reset, and its own end."""
    if isinstance(exception, RequestFailed):
        return exception
    if exception is error.MessageError or isinstance(exception, error.MessageError):
        return Rejected("the peer answered with a Reset")
    return Unreachable("the endpoint has stopped")


class Asking:
    """Sends requests from one socket and joins what comes back."""

    def __init__(self, layers: Layers, limits: Limits, transmission: Transmission, tracer: Tracer | None) -> None:
        self._layers = layers
        self._limits = limits
        self._transmission = transmission
        self._tracer = tracer
        self._pending: Counter[Peer] = Counter()

    async def request(self, peer: Peer, remote: UdpAddress, request: Request, timeout: float | None) -> Response:
        with self._place(peer):
            return await _Transfer(self, peer, remote, request, self._deadline(timeout)).run()

    async def observe(
        self, peer: Peer, remote: UdpAddress, request: Request, timeout: float | None
    ) -> RunningObservation:
        request = replace(request, observe=0, token=b"")
        with self._place(peer):
            transfer = _Transfer(self, peer, remote, request, self._deadline(timeout))
            opened = await transfer.open()
            try:
                message = opened.first.result()
                first = replace(await transfer.whole(message), observing=message.opt.observe is not None)
            except BaseException:
                opened.close()
                raise
        self.trace(peer, first, opened.message.token, incoming=True)
        return RunningObservation(self, peer, remote, request, opened, first)

    def trace(self, peer: Peer, message: Request | Response, token: bytes, *, incoming: bool) -> None:
        if self._tracer is not None:
            self._tracer(Traced(peer, incoming, message, token))

    async def exchange(self, message: Message, deadline: float | None) -> _Opened:
        """Send one message and wait for its first response; the caller closes what it gets. Without a deadline the wait
        is bounded from the moment the message is sent: only one is unacknowledged at a time. Raises RequestFailed."""
        opened = _Opened(self._layers, message)
        try:
            async with asyncio.timeout_at(deadline) as limit:
                await opened.sent.wait()
                if deadline is None:
                    limit.reschedule(self._deadline(self._transmission.max_wait))
                await opened.first
        except TimeoutError:
            opened.close()
            raise TimedOut("no answer in time") from None
        except BaseException:
            opened.close()
            raise
        return opened

    def tuning(self, request: Request) -> Tuning:
        return Tuning(self._transmission, request.confirmable)

    @property
    def max_body(self) -> int:
        return self._limits.max_body

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else asyncio.get_running_loop().time() + timeout

    @contextmanager
    def _place(self, peer: Peer) -> Iterator[None]:
        if self._pending[peer] >= self._limits.max_pending_per_peer:
            raise TooBusy(f"{self._pending[peer]} requests to {peer} are waiting already")
        self._pending[peer] += 1
        try:
            yield
        finally:
            self._pending[peer] -= 1
            if not self._pending[peer]:
                del self._pending[peer]


class _Transfer:
    """One request as the caller means it, in as many messages as it takes."""

    def __init__(
        self, asking: Asking, peer: Peer, remote: UdpAddress, request: Request, deadline: float | None
    ) -> None:
        self._asking = asking
        self._peer = peer
        self._remote = remote
        self._request = request
        self._deadline = deadline
        self.is_traced = False

    async def run(self) -> Response:
        opened = await self.open()
        opened.close()
        response = await self.whole(opened.first.result())
        self._asking.trace(self._peer, response, opened.message.token, incoming=True)
        return response

    async def open(self) -> _Opened:
        """Send the request, in blocks where it is large or the peer wants it so; the last message stays open."""
        body = self._request.payload
        exponent = LARGEST_EXPONENT
        if len(body) <= LARGEST_BLOCK:
            opened = await self._send(self._message(body))
            wanted = _smaller_blocks(opened, exponent)
            if wanted is None or not body:
                return opened
            opened.close()
            exponent = wanted
        return await self._upload(body, exponent)

    async def _upload(self, body: bytes, exponent: int) -> _Opened:
        start = 0
        while True:
            block, payload = block_at(body, start, exponent)
            opened = await self._send(self._message(payload, block1=block, size=len(body)))
            answer = opened.first.result()
            wanted = _smaller_blocks(opened, exponent)
            if start == 0 and wanted is not None:
                exponent = wanted
            elif block.more and _goes_on(answer):
                start += block.size
                accepted = block_option(answer.opt.block1)
                exponent = min(exponent, accepted.exponent) if accepted else exponent
            elif answer.code == Code.CONTINUE:
                opened.close()
                raise Rejected("the peer wants to continue after the last block")
            else:
                return opened
            opened.close()

    async def whole(self, first: Message) -> Response:
        """The response with all its blocks. Raises RequestFailed."""
        for _ in range(DOWNLOAD_ATTEMPTS):
            try:
                return await self._download(first)
            except _Changed:
                if self._request.method not in REPEATABLE:
                    break
                first = await self._ask(self._message(self._request.payload, observing=False))
        raise Rejected("the answer changed while it was transferred")

    async def _download(self, first: Message) -> Response:
        block = block_option(first.opt.block2)
        if block is None:
            return response_from(first, first.payload)
        joining = Joining(self._asking.max_body)
        answer = first
        while True:
            _join(joining, block, answer.payload)
            if not block.more:
                return response_from(first, joining.body)
            wanted = Block(len(joining) // block.size, False, block.exponent)
            answer = await self._ask(self._message(self._repeated_body(), block2=wanted, observing=False))
            if not answer.code.is_successful():
                return response_from(answer, answer.payload)
            block = block_option(answer.opt.block2)
            if answer.opt.etag != first.opt.etag or block is None:
                raise _Changed

    def _repeated_body(self) -> bytes:
        """What a FETCH asks for is in its body, so that names the resource of later blocks too. RFC 8132 §2."""
        body = self._request.payload
        return body if self._request.method is Code.FETCH and len(body) <= LARGEST_BLOCK else b""

    async def _ask(self, message: Message) -> Message:
        opened = await self._send(message)
        opened.close()
        return opened.first.result()

    async def _send(self, message: Message) -> _Opened:
        if not self.is_traced:
            self.is_traced = True
            self._asking.trace(self._peer, self._request, message.token, incoming=False)
        return await self._asking.exchange(message, self._deadline)

    def _message(
        self,
        payload: bytes,
        *,
        block1: Block | None = None,
        block2: Block | None = None,
        size: int | None = None,
        observing: bool = True,
    ) -> Message:
        request = self._request
        observe = request.observe if observing else None
        message = request_to(replace(request, payload=payload, observe=observe), self._asking.tuning(request))
        message.token = request.token or new_token()
        message.remote = self._remote
        message.opt.block1 = block1
        message.opt.block2 = block2
        message.opt.size1 = size if block1 is not None and block1.number == 0 else None
        return message


def _join(joining: Joining, block: Block, payload: bytes) -> None:
    try:
        if not block.is_valid:
            raise Gap
        joining.add(block, payload)
    except Gap:
        raise Rejected("the answer's blocks do not fit together") from None
    except TooLarge:
        raise AnswerTooLarge("the answer is larger than we take") from None


def _smaller_blocks(opened: _Opened, exponent: int) -> int | None:
    """The exponent that the peer asks to begin again with. RFC 7959 §2.9.3."""
    answer = opened.first.result()
    wanted = block_option(answer.opt.block1)
    if answer.code == Code.REQUEST_ENTITY_TOO_LARGE and wanted is not None and wanted.exponent < exponent:
        return wanted.exponent
    return None


def _goes_on(answer: Message) -> bool:
    return answer.code == Code.CONTINUE or (answer.code.is_successful() and answer.opt.block1 is not None)


class RunningObservation:
    """An observation of a peer's resource; see `lwm2m.coap.endpoint.Observation`."""

    def __init__(
        self, asking: Asking, peer: Peer, remote: UdpAddress, request: Request, opened: _Opened, first: Response
    ) -> None:
        self._asking = asking
        self._peer = peer
        self._remote = remote
        self._request = request
        self._opened = opened
        self._first = first
        self._dropped = False
        self._following: asyncio.Task[None] | None = None
        self._newest = opened.first.result().opt.observe
        self._newest_at = asyncio.get_running_loop().time()
        early = list(opened.later)
        opened.later.clear()
        opened.on_later = self._arrived
        for message in early:
            self._arrived(message)

    @property
    def first(self) -> Response:
        return self._first

    @property
    def token(self) -> bytes:
        """The token that the peer knows the observation by."""
        return bytes(self._opened.message.token)

    def __aiter__(self) -> AsyncIterator[Response]:
        return self

    async def __anext__(self) -> Response:
        while True:
            if self._opened.later:
                response = await self._read(self._opened.later.popleft())
                if response is not None:
                    return response
            elif self._opened.ended:
                raise StopAsyncIteration
            else:
                self._opened.changed.clear()
                await self._opened.changed.wait()

    def follow(self, receive: Callable[[Response | None], None]) -> None:
        """See `Observation.follow`."""
        self._following = asyncio.get_running_loop().create_task(self._pass_on(receive), name="lwm2m-observation")

    async def _pass_on(self, receive: Callable[[Response | None], None]) -> None:
        async for response in self:
            receive(response)
        receive(None)

    async def cancel(self, *, active: bool = True) -> Response | None:
        """See `Observation.cancel`. None as well when the peer had ended the observation already."""
        over = self._opened.ended
        self._opened.close()
        self._opened.later.clear()
        if self._following is not None:
            await asyncio.wait([self._following])
        if over or not active:
            return None
        request = replace(self._request, observe=1, token=self.token)
        return await self._asking.request(self._peer, self._remote, request, None)

    def _arrived(self, message: Message) -> None:
        if not self._is_news(message):
            return
        later = self._opened.later
        if len(later) >= NOTIFICATIONS_KEPT:
            later.popleft()
            if not self._dropped:
                log.warning("%s notifies faster than we read; the oldest notifications are dropped", self._peer)
            self._dropped = True
        later.append(message)

    def _is_news(self, message: Message) -> bool:
        number, now = message.opt.observe, asyncio.get_running_loop().time()
        if number is not None and self._newest is not None:
            if not is_newer(number, now, self._newest, self._newest_at):
                return False
            self._newest, self._newest_at = number, now
        return True

    async def _read(self, message: Message) -> Response | None:
        transfer = _Transfer(self._asking, self._peer, self._remote, replace(self._request, observe=None), None)
        transfer.is_traced = True
        try:
            response = await transfer.whole(message)
        except RequestFailed as failure:
            log.warning(
                "%s notified of more than one message holds, and the rest did not come: %s", self._peer, failure
            )
            return None
        if response.code != int(message.code):
            log.warning("the rest of a large notification from %s did not come: %s", self._peer, response.code.dotted)
            return None
        response = replace(response, observing=message.opt.observe is not None)
        self._asking.trace(self._peer, response, self.token, incoming=True)
        return response
