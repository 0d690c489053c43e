"""Protected messages that a proxy has cut into blocks of its own. RFC 8613 §4.1.3.4.2, RFC 7959

Nothing shows who such a block is from until the message is whole and verifies: so what is kept is bounded, and short of
life."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from lwm2m.coap.blocks import LARGEST_EXPONENT, Block, Gap, Joining, Shelf, TooLarge, Uploads, block_at
from lwm2m.coap.carrier import Carrier, Incoming, Settled, Withdraw
from lwm2m.coap.endpoint import Rejected, RequestFailed
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.packet import BLOCK1, BLOCK2, OBSERVE, Packet
from lwm2m.coap.requests.tokens import Tokens

MAX_UNFRAGMENTED_SIZE = 16 * 1024
"""Bytes of a protected message that came in pieces."""
KEPT = 64
LIFETIME = 30.0
"""Seconds until the next block of a message has to be there."""


def is_cut(packet: Packet) -> bool:
    return BLOCK1 in packet.options or BLOCK2 in packet.options


class OuterBlocks:
    """Of the requests that arrive, and of their answers."""

    def __init__(self) -> None:
        self._uploads = Uploads(MAX_UNFRAGMENTED_SIZE, LIFETIME, KEPT)
        self._answers: Shelf[Packet] = Shelf(KEPT, LIFETIME)

    def joined(self, incoming: Incoming, now: float) -> Incoming | None:
        """The whole request, whose answer is cut as it asks; None where there are more blocks to come, or what came was
        answered here."""
        packet = incoming.packet
        key: Hashable = (incoming.peer, packet.code, packet.options[OSCORE])
        upload, wanted = block_of(packet, BLOCK1), block_of(packet, BLOCK2)
        if any(block is not None and block.exponent > LARGEST_EXPONENT for block in (upload, wanted)):
            return _said(incoming, Code.BAD_REQUEST)
        if wanted is not None and wanted.number:
            kept = self._answers.find(key, now)
            if kept is None:
                return _said(incoming, Code.REQUEST_ENTITY_INCOMPLETE)
            incoming.answer(_piece(kept, wanted)._replace(token=packet.token))
            return None
        body: bytes | None = packet.payload
        if upload is not None:
            try:
                body = self._uploads.add(key, upload, packet.payload, now)
            except Gap:
                return _said(incoming, Code.REQUEST_ENTITY_INCOMPLETE)
            except TooLarge:
                return _said(incoming, Code.REQUEST_ENTITY_TOO_LARGE)
            if body is None:
                return _said(incoming, Code.CONTINUE)
        options = {number: values for number, values in packet.options.items() if number not in (BLOCK1, BLOCK2)}
        return _Joined(self, incoming, packet._replace(options=options, payload=body or b""), wanted, key, now)

    def keep(self, key: Hashable, packet: Packet, now: float) -> None:
        self._answers.keep(key, packet, now)


class _Joined:
    """A request that came in pieces, or whose answer shall: an `Incoming`."""

    def __init__(
        self, blocks: OuterBlocks, inner: Incoming, packet: Packet, wanted: Block | None, key: Hashable, now: float
    ) -> None:
        self.packet = packet
        self._blocks = blocks
        self._inner = inner
        self._wanted = wanted
        self._key = key
        self._now = now

    @property
    def peer(self) -> Peer:
        return self._inner.peer

    @property
    def confirmable(self) -> bool:
        return self._inner.confirmable

    @property
    def size(self) -> int:
        return self._inner.size

    @property
    def is_wanted(self) -> bool:
        return self._inner.is_wanted

    def answer(self, packet: Packet, settled: Settled | None = None) -> None:
        asked = self._inner.packet.options
        if self._wanted is not None and len(packet.payload) > self._wanted.size:
            self._blocks.keep(self._key, packet, self._now)
            packet = _piece(packet, self._wanted)
        if BLOCK1 in asked:
            packet = packet._replace(options={**packet.options, BLOCK1: asked[BLOCK1]})
        self._inner.answer(packet, settled)

    def disown(self) -> None:
        self._inner.disown()

    def ignore(self) -> None:
        self._inner.ignore()


class Fetching:
    """The rest of a response that a proxy has cut: a `Listener` for each block of it. `request` is what it answers;
    `whole` or `failed` is told the end."""

    def __init__(
        self,
        carrier: Carrier,
        peer: Peer,
        request: Packet,
        first: Packet,
        whole: Callable[[Packet], None],
        failed: Callable[[RequestFailed], None],
    ) -> None:
        self._carrier = carrier
        self._peer = peer
        self._request = request
        self._first = first
        self._whole = whole
        self._failed = failed
        self._joining = Joining(MAX_UNFRAGMENTED_SIZE)
        self._tokens = Tokens()
        self._withdraw: Withdraw | None = None

    def begin(self) -> None:
        self._take(self._first)

    def withdraw(self) -> None:
        withdraw, self._withdraw = self._withdraw, None
        if withdraw is not None:
            withdraw()

    def sent(self) -> None:
        """Who waits, waits for the whole."""

    def believes(self, packet: Packet) -> bool:
        return packet.options.get(OSCORE) == self._first.options[OSCORE]

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:  # noqa: ARG002  # either way
        self.withdraw()
        self._take(packet)
        return True

    def failed(self, failure: RequestFailed) -> None:
        self._withdraw = None
        self._failed(failure)

    def _take(self, packet: Packet) -> None:
        block = block_of(packet, BLOCK2)
        try:
            if block is None or block.exponent > LARGEST_EXPONENT:
                raise Gap
            self._joining.add(block, packet.payload)
        except (Gap, TooLarge):
            self._failed(Rejected("the pieces of a protected answer do not fit together"))
            return
        if block.more:
            self._ask(Block(len(self._joining) // block.size, False, block.exponent))
            return
        options = {number: values for number, values in self._first.options.items() if number != BLOCK2}
        self._whole(self._first._replace(options=options, payload=self._joining.body))

    def _ask(self, block: Block) -> None:
        options = {number: values for number, values in self._request.options.items() if number != OBSERVE}
        packet = Packet(self._request.code, self._tokens.new(), {**options, BLOCK2: (block.encode(),)})
        self._withdraw = self._carrier.ask(self._peer, packet, True, self)


def block_of(packet: Packet, option: int) -> Block | None:
    values = packet.options.get(option)
    return Block.decode(values[0]) if values else None


def _piece(packet: Packet, wanted: Block) -> Packet:
    block, payload = block_at(packet.payload, wanted.start, wanted.exponent)
    return packet._replace(options={**packet.options, BLOCK2: (block.encode(),)}, payload=payload)


def _said(incoming: Incoming, code: Code) -> Incoming | None:
    """Nothing of it is left."""
    packet = incoming.packet
    echoed = {BLOCK1: packet.options[BLOCK1]} if code is Code.CONTINUE else {}
    incoming.answer(Packet(code, packet.token, echoed))
    return None
