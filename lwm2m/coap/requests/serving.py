"""The answering half of CoAP: from a request to the handler and back, bodies of any size, over any carrier."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Hashable
from functools import partial

from lwm2m.coap.blocks import LARGEST_EXPONENT, Block, Gap, NoPlace, Packages, Shelf, TooLarge, Uploads
from lwm2m.coap.carrier import Carrier, Incoming, Settled
from lwm2m.coap.complaints import Complaints
from lwm2m.coap.endpoint import Delivery, Handler, Limits, Traced, Tracer, Transmission
from lwm2m.coap.guard import Guard
from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.packet import BLOCK1, BLOCK2, ECHO, NO_RESPONSE, OBSERVE, SIZE1, Packet, uint_value
from lwm2m.coap.requests.large_answers import LargeAnswers
from lwm2m.coap.requests.notifying import Notifying, Served
from lwm2m.coap.requests.packets import (
    body_key,
    is_unwanted,
    number_of,
    packet_size,
    refuse_unusable,
    request_from,
    response_options,
)
from lwm2m.coap.requests.running_handlers import RunningHandlers
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
SAFE = frozenset({Code.GET, Code.FETCH})
NO_SUCH_BLOCK = "the answer has no such block"


class Serving:
    """Answers what arrives at one endpoint. With a guard, an answer that an address may not be sent yet is left to the
    carrier, which pings first; where too many wait for that already it becomes 4.01 with the Echo option, and where the
    handler must not run twice its answer is withheld until the peer repeats that."""

    def __init__(
        self,
        carrier: Carrier,
        handler: Handler,
        notifying: Notifying,
        large: LargeAnswers,
        limits: Limits,
        transmission: Transmission,
        tracer: Tracer | None,
        guard: Guard | None,
    ) -> None:
        lifetime = transmission.max_wait
        self._carrier = carrier
        self._handler = handler
        self._notifying = notifying
        self._large = large
        self._limits = limits
        self._tracer = tracer
        self._guard = guard
        self._uploads = Uploads(limits.max_body, lifetime, limits.max_uploads)
        self._packages = Packages(limits.max_package, lifetime, limits.max_packages)
        self._withheld: Shelf[Response] = Shelf(limits.max_withheld, lifetime)
        self._running = RunningHandlers(limits.max_running, limits.max_pending_per_peer)
        self._ignored = Complaints(log, "sent a non-confirmable request that is ignored", limits.max_complaints)
        self._now = asyncio.get_running_loop().time

    async def stop(self) -> None:
        await self._running.stop()
        self._uploads.clear()
        self._packages.clear()
        self._withheld.clear()
        self._ignored.end()

    def receive(self, incoming: Incoming) -> None:
        packet = incoming.packet
        options, body = packet.options, packet.payload
        try:
            refuse_unusable(options)
            if packet.code not in METHODS:
                raise MethodNotAllowed
            if ECHO in options and self._answer_withheld(incoming):
                return
            if BLOCK1 in options or BLOCK2 in options or SIZE1 in options or len(body) > self._limits.max_body:
                whole = self._whole_body(incoming)
                if whole is None:
                    return
                body = whole
            request = request_from(packet, body, incoming.confirmable)
        except LwM2MError as refusal:
            self._refuse(incoming, refusal)
            return
        self._handle(incoming, request)

    # The handler

    def _handle(self, incoming: Incoming, request: Request) -> None:
        if request.observe is not None:
            self._notifying.drop(incoming.peer, request.token, Delivery.SUPERSEDED)
        if self._tracer is not None:
            self._tracer(Traced(incoming.peer, True, request, request.token))
        try:
            result = self._handler(request, incoming.peer)
        except Exception as error:  # whatever a handler raises is answered
            self._respond(incoming, _refusal_of(error), None)
            return
        if isinstance(result, Response):
            self._respond(incoming, result, request.observe)
        else:
            self._wait_for(incoming, request, result)

    def _wait_for(self, incoming: Incoming, request: Request, result: Awaitable[Response]) -> None:
        if not self._running.wait_for(incoming.peer, result, partial(self._finished, incoming, request)):
            self._respond(incoming, _refused(ServiceUnavailable("too many requests at a time")), None)

    def _finished(self, incoming: Incoming, request: Request, result: Response | BaseException) -> None:
        self._respond(incoming, result if isinstance(result, Response) else _refusal_of(result), request.observe)

    def _respond(self, incoming: Incoming, response: Response, observe: int | None) -> None:
        """`observe` is what the request had."""
        if not incoming.is_wanted:
            return
        packet = incoming.packet
        asked = packet.options
        if BLOCK2 in asked and _is_beyond(_block(packet, BLOCK2), response):
            response = _refused(BadRequest(NO_SUCH_BLOCK))
        payload = response.payload
        options = response_options(response)
        if BLOCK1 in asked:
            options[BLOCK1] = asked[BLOCK1]
        settled: Settled | None = None
        if response.code >> 5 == 2:
            if observe == 0 and response.observing:
                settled = self._observed(incoming, options)
            if payload or BLOCK2 in asked:
                payload = self._in_blocks(incoming, response, options)
        self._answer(incoming, Packet(response.code, packet.token, options, payload), response, settled)

    def _observed(self, incoming: Incoming, options: dict[int, tuple[bytes, ...]]) -> Settled | None:
        packet = incoming.packet
        wanted = _block(packet, BLOCK2)
        first = None if wanted is None else wanted._replace(number=0)
        served = Served(incoming.peer, packet.token, _answer_keys(incoming), first)
        number = self._notifying.serve(served)
        if number is None:
            return None
        options[OBSERVE] = (uint_value(number),)
        return self._notifying.first_settled(served)

    def _in_blocks(self, incoming: Incoming, response: Response, options: dict[int, tuple[bytes, ...]]) -> bytes:
        room = self._carrier.room(incoming.peer)
        wanted = _block(incoming.packet, BLOCK2)
        block, payload = self._large.cut(response, wanted, room, partial(_answer_keys, incoming), self._now())
        options.update(block)
        return payload

    # What leaves

    def _answer(
        self, incoming: Incoming, packet: Packet, response: Response | None, settled: Settled | None = None
    ) -> None:
        """`response` is what the packet begins, for the trace; None for a later block."""
        asked = incoming.packet.options
        if NO_RESPONSE in asked and packet.code != Code.CONTINUE and is_unwanted(asked, packet.code):
            incoming.ignore()
            return
        guard = self._guard
        if guard is not None and (packet.payload or packet.options) and not self._may_answer(guard, incoming, packet):
            if packet.code >> 5 != 2:
                packet = packet._replace(payload=b"")
            elif not guard.may_defer(incoming.peer):
                self._challenge(guard, incoming, response)
                return
        if self._tracer is not None and response is not None:
            self._tracer(Traced(incoming.peer, False, response, packet.token))
        if settled is None:
            incoming.answer(packet)
        else:
            incoming.answer(packet, settled)

    @staticmethod
    def _may_answer(guard: Guard, incoming: Incoming, packet: Packet) -> bool:
        return guard.is_verified(incoming.peer) or guard.may_answer(incoming.peer, incoming.size, packet_size(packet))

    def _challenge(self, guard: Guard, incoming: Incoming, response: Response | None) -> None:
        """Answer 4.01 with the Echo option instead. RFC 9175 §2.3"""
        packet, peer = incoming.packet, incoming.peer
        self._notifying.drop(peer, packet.token, Delivery.SUPERSEDED)
        if response is not None and (packet.code not in SAFE or BLOCK1 in packet.options):
            self._withheld.keep(_repeated_key(incoming), response, self._now())
        challenge = {ECHO: (guard.challenge(peer, self._now()),)}
        if self._tracer is not None:
            self._tracer(Traced(peer, False, Response(Code.UNAUTHORIZED), packet.token))
        incoming.answer(Packet(Code.UNAUTHORIZED, packet.token, challenge))

    def _answer_withheld(self, incoming: Incoming) -> bool:
        """Whether this repeats a challenge of ours, and the handler has answered it already."""
        guard = self._guard
        if guard is None or not guard.accepts(incoming.peer, incoming.packet.options[ECHO][0], self._now()):
            return False
        key = _repeated_key(incoming)
        response = self._withheld.find(key, self._now())
        if response is None:
            return False
        self._withheld.drop(key)
        self._respond(incoming, response, None)
        return True

    def _refuse(self, incoming: Incoming, refusal: LwM2MError) -> None:
        packet = incoming.packet
        if isinstance(refusal, BadOption) and not incoming.confirmable:
            self._ignored.tell(incoming.peer, incoming.peer.address[0], refusal.diagnostic, self._now())
            incoming.ignore()
            return
        if self._tracer is not None:
            request = request_from(packet, packet.payload, incoming.confirmable, errors="replace")
            self._tracer(Traced(incoming.peer, True, request, packet.token))
        response = _refused(refusal)
        options = response_options(response)
        block = _block(packet, BLOCK1)
        if block is not None and block.exponent <= self._largest_exponent(incoming):
            options[BLOCK1] = (block._replace(more=False).encode(),)
        if response.code is Code.REQUEST_ENTITY_TOO_LARGE:
            options[SIZE1] = (uint_value(self._max_body(self._takes_package(packet))),)
        self._answer(incoming, Packet(response.code, packet.token, options, response.payload), response)

    # Blocks

    def _whole_body(self, incoming: Incoming) -> bytes | None:
        """None where this was answered already: it asks for more of an answer, or is not the last of its blocks."""
        packet = incoming.packet
        largest = self._largest_exponent(incoming)
        upload, wanted = _block(packet, BLOCK1), _block(packet, BLOCK2)
        if any(block is not None and block.exponent > largest for block in (upload, wanted)):
            raise BadRequest("blocks have at most 1024 bytes here")
        is_last = upload is None or not upload.more
        if wanted is not None and wanted.number and is_last and self._answer_later_block(incoming, wanted):
            return None
        is_package = self._takes_package(packet)
        announced = number_of(packet.options, SIZE1) or 0
        if max(announced, len(packet.payload)) > self._max_body(is_package):
            raise RequestEntityTooLarge
        return packet.payload if upload is None else self._join(incoming, upload, is_package)

    def _join(self, incoming: Incoming, block: Block, is_package: bool) -> bytes | None:
        packet = incoming.packet
        uploads = self._packages if is_package else self._uploads
        try:
            body = uploads.add(
                _key(incoming), block, packet.payload, self._now(), is_verified=self._is_verified(incoming)
            )
        except Gap:
            raise RequestEntityIncomplete("this block does not follow the last one") from None
        except TooLarge:
            raise RequestEntityTooLarge from None
        except NoPlace:
            raise ServiceUnavailable("other packages are being received") from None
        if body is None:
            options = {BLOCK1: packet.options[BLOCK1]}
            self._answer(incoming, Packet(Code.CONTINUE, packet.token, options), None)
        return body

    def _is_verified(self, incoming: Incoming) -> bool:
        return self._guard is not None and self._guard.is_verified(incoming.peer)

    def _answer_later_block(self, incoming: Incoming, wanted: Block) -> bool:
        """Whether the answer is there already."""
        packet = incoming.packet
        kept = self._large.find(_answer_keys(incoming)[0], self._now())
        if kept is None:
            if packet.code != Code.GET:
                raise RequestEntityIncomplete("there is no answer to continue")
            return False
        if wanted.start >= len(kept.response.payload):
            raise BadRequest(NO_SUCH_BLOCK)
        options, payload = kept.block(wanted, self._carrier.room(incoming.peer))
        options.update(response_options(kept.response))
        self._answer(incoming, Packet(kept.response.code, packet.token, options, payload), None)
        return True

    def _takes_package(self, packet: Packet) -> bool:
        return self._limits.takes_package(request_from(packet, b"", True, errors="replace").path)

    def _max_body(self, is_package: bool) -> int:
        return self._limits.max_package if is_package else self._limits.max_body

    def _largest_exponent(self, incoming: Incoming) -> int:
        return max(LARGEST_EXPONENT, self._carrier.room(incoming.peer).exponent)


def _block(packet: Packet, option: int) -> Block | None:
    values = packet.options.get(option)
    return Block.decode(values[0]) if values else None


def _is_beyond(wanted: Block | None, response: Response) -> bool:
    return bool(wanted and wanted.number and response.code.is_success and wanted.start >= len(response.payload))


def _key(incoming: Incoming) -> Hashable:
    return incoming.peer, body_key(incoming.packet)


def _answer_keys(incoming: Incoming) -> tuple[Hashable, ...]:
    """What the later blocks of the answer are found by. What a FETCH asks for is in its body, and some peers repeat
    that with each block."""
    packet, key = incoming.packet, _key(incoming)
    if packet.code != Code.FETCH or not packet.payload or BLOCK1 in packet.options:
        return (key,)
    return (key, packet.payload), key


def _repeated_key(incoming: Incoming) -> Hashable:
    """Of a request that comes again with the Echo option; its token is another one then."""
    return _key(incoming), incoming.packet.payload


def _refused(refusal: LwM2MError) -> Response:
    return Response(refusal.code, refusal.diagnostic.encode(), max_age=refusal.max_age)


def _refusal_of(error: BaseException) -> Response:
    if isinstance(error, LwM2MError):
        return _refused(error)
    log.error("a request could not be handled", exc_info=error)
    return Response(Code.INTERNAL_SERVER_ERROR)
