"""One request as its caller means it, in as many messages as it takes. RFC 7959, RFC 9175"""

from __future__ import annotations

from lwm2m.coap.blocks import LARGEST_EXPONENT, Block, Gap, Joining, TooLarge, block_at
from lwm2m.coap.endpoint import AnswerTooLarge, Rejected
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.packet import BLOCK1, BLOCK2, ECHO, ETAG, OBSERVE, REQUEST_TAG, SIZE1, Options, Packet, uint_value
from lwm2m.coap.requests.opened import Opened
from lwm2m.coap.requests.packets import request_options, response_from
from lwm2m.coap.requests.sending import Sending

DOWNLOAD_ATTEMPTS = 3
"""How often a body is fetched that changes while we fetch it."""
TOO_LARGE = "the answer is larger than we take"
REPEATABLE = frozenset({Code.GET, Code.FETCH})


class _Changed(Exception):
    """The body changed between two of its blocks."""


class Transfer:
    def __init__(self, sending: Sending, peer: Peer, request: Request, deadline: float | None) -> None:
        self._sending = sending
        self._peer = peer
        self._request = request
        self._deadline = deadline
        self._room = sending.room(peer)
        self.is_traced = False

    async def run(self) -> Response:
        opened = await self.open()
        answer = opened.first.result()
        opened.close()
        response = await self.whole(answer)
        if self._sending.is_traced:
            self._sending.trace(self._peer, response, opened.packet.token, incoming=True)
        return response

    async def open(self) -> Opened:
        """Send the request, in blocks where it is large or the peer wants it so. The last message stays open where it
        began an observation. Raises RequestFailed."""
        body = self._request.payload
        if len(body) > self._room.payload:
            return await self._upload(body, self._room.exponent)
        opened = await self._send(request_options(self._request), body)
        wanted = _smaller_blocks(opened.first.result(), LARGEST_EXPONENT)
        if wanted is None or not body:
            return opened
        return await self._upload(body, wanted)

    async def _upload(self, body: bytes, exponent: int) -> Opened:
        with self._sending.upload(self._peer, self._request) as number:
            return await self._send_blocks(body, exponent, uint_value(number))

    async def _send_blocks(self, body: bytes, exponent: int, tag: bytes) -> Opened:
        start = 0
        while True:
            block, payload = block_at(body, start, exponent, self._room.payload)
            options = request_options(self._request)
            options[BLOCK1] = (block.encode(),)
            if start == 0:
                options[SIZE1] = (uint_value(len(body)),)
            if tag:
                options[REQUEST_TAG] = (tag,)
            opened = await self._send(options, payload)
            answer = opened.first.result()
            wanted = _smaller_blocks(answer, exponent)
            if start == 0 and wanted is not None:
                exponent = wanted
            elif block.more and _goes_on(answer):
                start += len(payload)
                accepted = _block(answer, BLOCK1)
                exponent = min(exponent, accepted.exponent) if accepted else exponent
            elif answer.code == Code.CONTINUE:
                raise Rejected("the peer wants to continue after the last block")
            else:
                return opened
            opened.close()

    async def whole(self, first: Packet) -> Response:
        """The response with all its blocks. Raises RequestFailed."""
        if BLOCK2 not in first.options:
            return self._undivided(first)
        for _ in range(DOWNLOAD_ATTEMPTS):
            try:
                return await self._download(first)
            except _Changed:
                if self._request.method not in REPEATABLE:
                    break
                first = await self._ask(self._later_options(), self._request.payload)
        raise Rejected("the answer changed while it was transferred")

    async def _download(self, first: Packet) -> Response:
        block = _block(first, BLOCK2)
        if block is None:
            return self._undivided(first)
        joining = Joining(self._sending.max_body)
        answer = first
        while True:
            self._join(joining, block, answer.payload)
            if not block.more:
                return response_from(first, joining.body)
            options = self._later_options()
            options[BLOCK2] = (Block(len(joining) // block.size, False, block.exponent).encode(),)
            answer = await self._ask(options, self._repeated_body())
            if answer.code >> 5 != 2:
                return response_from(answer, answer.payload)
            block = _block(answer, BLOCK2)
            if answer.options.get(ETAG) != first.options.get(ETAG) or block is None:
                raise _Changed

    def _undivided(self, answer: Packet) -> Response:
        if len(answer.payload) > self._sending.max_body:
            raise AnswerTooLarge(TOO_LARGE)
        return response_from(answer, answer.payload)

    def _join(self, joining: Joining, block: Block, payload: bytes) -> None:
        try:
            if block.exponent > max(LARGEST_EXPONENT, self._room.exponent):
                raise Gap
            joining.add(block, payload)
        except Gap:
            raise Rejected("the answer's blocks do not fit together") from None
        except TooLarge:
            raise AnswerTooLarge(TOO_LARGE) from None

    def _later_options(self) -> dict[int, tuple[bytes, ...]]:
        options = request_options(self._request)
        options.pop(OBSERVE, None)
        return options

    def _repeated_body(self) -> bytes:
        """What a FETCH asks for is in its body, so that names the resource of later blocks too. RFC 8132 §2."""
        body = self._request.payload
        return body if self._request.method is Code.FETCH and len(body) <= self._room.payload else b""

    async def _ask(self, options: Options, payload: bytes) -> Packet:
        opened = await self._send(options, payload)
        opened.close()
        return opened.first.result()

    async def _send(self, options: Options, payload: bytes) -> Opened:
        """Send one message and wait for its first response. A peer that first wants to know whether we are where we
        say gets it once more, with what it asks us to repeat. RFC 9175 §2.3"""
        opened = self._exchange(options, payload)
        answer = await opened.answer()
        if answer.code == Code.UNAUTHORIZED and ECHO in answer.options:
            opened = self._exchange({**options, ECHO: answer.options[ECHO][:1]}, payload)
            await opened.answer()
        return opened

    def _exchange(self, options: Options, payload: bytes) -> Opened:
        request, sending = self._request, self._sending
        packet = Packet(request.method, request.token or sending.new_token(), options, payload)
        if not self.is_traced:
            self.is_traced = True
            if sending.is_traced:
                sending.trace(self._peer, request, packet.token, incoming=False)
        return sending.send(self._peer, packet, request.confirmable, self._deadline)


def _block(packet: Packet, option: int) -> Block | None:
    values = packet.options.get(option)
    return Block.decode(values[0]) if values else None


def _smaller_blocks(answer: Packet, exponent: int) -> int | None:
    """The exponent that the peer asks to begin again with. RFC 7959 §2.9.3."""
    if answer.code != Code.REQUEST_ENTITY_TOO_LARGE:
        return None
    wanted = _block(answer, BLOCK1)
    return wanted.exponent if wanted is not None and wanted.exponent < exponent else None


def _goes_on(answer: Packet) -> bool:
    return answer.code == Code.CONTINUE or (answer.code >> 5 == 2 and BLOCK1 in answer.options)
