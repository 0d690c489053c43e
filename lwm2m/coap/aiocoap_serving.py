"""The answering half of the aiocoap stack: from a message to the handler and back, bodies of any size."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from functools import partial

from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.types import CON
from aiocoap.pipe import Pipe

from lwm2m.coap.aiocoap_messages import (
    Tuning,
    block_option,
    body_key,
    request_from,
    response_to,
    unknown_critical_option,
    wants_proxy,
)
from lwm2m.coap.aiocoap_notifying import Notifying, Served
from lwm2m.coap.blocks import LARGEST_EXPONENT, Block, Gap, Shelf, TooLarge, Uploads, block_at, body_tag
from lwm2m.coap.endpoint import Delivery, Handler, Limits, Traced, Tracer, Transmission
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.errors import (
    BadOption,
    BadRequest,
    LwM2MError,
    MethodNotAllowed,
    RequestEntityIncomplete,
    RequestEntityTooLarge,
    ServiceUnavailable,
)

log = logging.getLogger("lwm2m.coap")

METHODS = frozenset(range(Code.GET, Code.IPATCH + 1))
PATIENCE = 3.0
"""Seconds that handlers get to end when the endpoint stops."""
BODIES_KEPT = 256
"""Answers in blocks that peers are fetching."""


class _ProxyingNotSupported(LwM2MError):
    code = Code(0xA5)


class Incoming:
    """A request that came, until it is answered or its sender has gone."""

    def __init__(self, pipe: Pipe, peer: Peer) -> None:
        self.message = pipe.request
        self.peer = peer
        self._pipe = pipe
        self._gone = False
        pipe.on_interest_end(self._ended)

    @property
    def is_wanted(self) -> bool:
        """No more once it is answered, its token was used again, or the endpoint stops."""
        return not self._gone

    def answer(self, message: Message) -> None:
        if not self._gone:
            self._pipe.add_response(message, is_last=True)

    def _ended(self) -> None:
        self._gone = True


class Serving:
    """Answers what arrives at one socket."""

    def __init__(
        self, handler: Handler, notifying: Notifying, limits: Limits, transmission: Transmission, tracer: Tracer | None
    ) -> None:
        self._handler = handler
        self._notifying = notifying
        self._limits = limits
        self._tuning = Tuning(transmission, None)
        self._tracer = tracer
        self._uploads = Uploads(limits.max_body, transmission.max_wait)
        self._packages = Uploads(limits.max_package, transmission.max_wait, limits.max_packages)
        self._bodies: Shelf[Response] = Shelf(BODIES_KEPT, transmission.max_wait)
        self._stopping = False
        self._running: set[asyncio.Future[Response]] = set()
        self._waiting: Counter[Peer] = Counter()

    async def stop(self) -> None:
        self._stopping = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            _, stubborn = await asyncio.wait(running, timeout=PATIENCE)
            for task in stubborn:
                log.error("a request handler does not end when it is cancelled: %r", task)
        self._uploads.clear()
        self._packages.clear()
        self._bodies.clear()

    def receive(self, incoming: Incoming) -> None:
        try:
            self._check(incoming.message)
            if self._answer_later_block(incoming):
                return
            body = self._whole_body(incoming)
        except LwM2MError as refusal:
            self._refuse(incoming, refusal)
            return
        if body is not None:
            self._handle(incoming, request_from(incoming.message, body))

    def _check(self, message: Message) -> None:
        """Raises LwM2MError for what no handler should see."""
        if wants_proxy(message):
            raise _ProxyingNotSupported("this is no proxy")
        unknown = unknown_critical_option(message)
        if unknown is not None:
            raise BadOption(f"option {unknown} is critical and not understood")
        if int(message.code) not in METHODS:
            raise MethodNotAllowed
        for block in (block_option(message.opt.block1), block_option(message.opt.block2)):
            if block is not None and not block.is_valid:
                raise BadRequest("blocks over UDP have at most 1024 bytes")

    def _whole_body(self, incoming: Incoming) -> bytes | None:
        """None while blocks are missing: then this one is answered."""
        message = incoming.message
        block = block_option(message.opt.block1)
        announced = message.opt.size1 or 0
        is_package = self._limits.takes_package(message.opt.uri_path)
        if max(announced, len(message.payload)) > self._max_body(is_package):
            raise RequestEntityTooLarge
        if block is None:
            return bytes(message.payload)
        try:
            uploads = self._packages if is_package else self._uploads
            body = uploads.add(body_key(message), block, message.payload, self._now())
        except Gap:
            raise RequestEntityIncomplete("this block does not follow the last one") from None
        except TooLarge:
            raise RequestEntityTooLarge from None
        if body is None:
            self._continue(incoming, block)
        return body

    def _max_body(self, is_package: bool) -> int:
        return self._limits.max_package if is_package else self._limits.max_body

    def _continue(self, incoming: Incoming, block: Block) -> None:
        answer = Message(code=codes.CONTINUE, transport_tuning=self._tuning)
        answer.opt.block1 = block
        incoming.answer(answer)

    def _refuse(self, incoming: Incoming, refusal: LwM2MError) -> None:
        message = incoming.message
        self._trace(incoming.peer, request_from(message, message.payload), message.token, incoming=True)
        self._trace(incoming.peer, _refused(refusal), message.token, incoming=False)
        answer = response_to(_refused(refusal), self._tuning)
        block = block_option(message.opt.block1)
        if block is not None and block.is_valid:
            answer.opt.block1 = block._replace(more=False)
        if refusal.code is Code.REQUEST_ENTITY_TOO_LARGE:
            answer.opt.size1 = self._max_body(self._limits.takes_package(message.opt.uri_path))
        incoming.answer(answer)

    # The answer's later blocks

    def _answer_later_block(self, incoming: Incoming) -> bool:
        """Whether this asks for more of an answer that is there already."""
        message = incoming.message
        block = block_option(message.opt.block2)
        upload = block_option(message.opt.block1)
        if block is None or block.number == 0 or (upload is not None and upload.more):
            return False
        kept = self._bodies.find(body_key(message), self._now())
        if kept is None:
            if message.code != codes.GET:
                raise RequestEntityIncomplete("there is no answer to continue")
            return False
        incoming.answer(self._block_of(kept, response_to(kept, self._tuning), block))
        return True

    def _block_of(self, response: Response, answer: Message, wanted: Block) -> Message:
        if wanted.start >= len(response.payload) and wanted.number:
            return response_to(_refused(BadRequest("the answer has no such block")), self._tuning)
        answer.opt.block2, answer.payload = block_at(response.payload, wanted.start, wanted.exponent)
        answer.opt.etag = body_tag(response.payload)
        return answer

    def _in_blocks(
        self, key: Callable[[], Hashable], wanted: Block | None, response: Response, answer: Message
    ) -> Message:
        """The block that the peer asked for, or the first one of a large body, which is kept for the rest."""
        block = wanted or Block(0, False, LARGEST_EXPONENT)
        if not response.code.is_success or (wanted is None and len(response.payload) <= block.size):
            return answer
        if len(response.payload) > block.size:
            self._bodies.keep(key(), response, self._now())
        return self._block_of(response, answer, block)

    # The handler

    def _handle(self, incoming: Incoming, request: Request) -> None:
        if request.observe is not None:
            self._notifying.drop(Subscription(incoming.peer, request.token), Delivery.SUPERSEDED)
        self._trace(incoming.peer, request, request.token, incoming=True)
        try:
            result = self._handler(request, incoming.peer)
        except Exception as error:  # whatever a handler raises is answered
            self._respond(incoming, request, _refusal_of(error))
            return
        if inspect.isawaitable(result):
            self._wait_for(incoming, request, result)
        else:
            self._respond(incoming, request, result)

    def _wait_for(self, incoming: Incoming, request: Request, result: Awaitable[Response]) -> None:
        task = asyncio.ensure_future(result)
        if self._waiting[incoming.peer] >= self._limits.max_pending_per_peer:
            task.cancel()
            self._respond(incoming, request, _refused(ServiceUnavailable("too many requests at a time")))
            return
        self._waiting[incoming.peer] += 1
        self._running.add(task)
        task.add_done_callback(partial(self._finished, incoming, request))

    def _finished(self, incoming: Incoming, request: Request, task: asyncio.Future[Response]) -> None:
        self._running.discard(task)
        self._waiting[incoming.peer] -= 1
        if not self._waiting[incoming.peer]:
            del self._waiting[incoming.peer]
        if self._stopping:
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._respond(incoming, request, task.result() if error is None else _refusal_of(error))

    def _respond(self, incoming: Incoming, request: Request, response: Response) -> None:
        if not incoming.is_wanted:
            return
        message = incoming.message
        answer = response_to(response, self._tuning)
        if request.observe == 0 and response.observing and response.code.is_success:
            answer.opt.observe = self._notifying.serve(self._served(incoming))
        block = block_option(message.opt.block1)
        if block is not None:
            answer.opt.block1 = block
        wanted = block_option(message.opt.block2)
        answer = self._in_blocks(partial(body_key, message), wanted, response, answer)
        self._trace(incoming.peer, response, message.token, incoming=False)
        incoming.answer(answer)
        if answer.opt.observe is not None and answer.mtype is CON:
            self._notifying.watch(Subscription(incoming.peer, message.token), answer)

    def _served(self, incoming: Incoming) -> Served:
        message = incoming.message
        subscription = Subscription(incoming.peer, message.token)
        return Served(subscription, message.remote, self._finish(body_key(message), subscription, message.opt.block2))

    def _finish(
        self, key: Hashable, subscription: Subscription, wanted: tuple[int, bool, int] | None
    ) -> Callable[[Response, Message], Message]:
        def finish(response: Response, answer: Message) -> Message:
            self._trace(subscription.peer, response, subscription.token, incoming=False)
            return self._in_blocks(lambda: key, block_option(wanted), response, answer)

        return finish

    def _trace(self, peer: Peer, message: Request | Response, token: bytes, *, incoming: bool) -> None:
        if self._tracer is not None:
            self._tracer(Traced(peer, incoming, message, token))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _refused(refusal: LwM2MError) -> Response:
    return Response(refusal.code, refusal.diagnostic.encode())


def _refusal_of(error: BaseException) -> Response:
    if isinstance(error, LwM2MError):
        return _refused(error)
    log.error("a request could not be handled", exc_info=error)
    return Response(Code.INTERNAL_SERVER_ERROR)
