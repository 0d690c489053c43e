"""OSCORE: its option, and what becomes of protected messages that a stranger has changed, cut, mixed or made up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from random import Random

from lwm2m.coap.blocks import Block, block_at
from lwm2m.coap.carrier import Incoming
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.coap.message import Code
from lwm2m.coap.messaging.datagram_format import CON, NotCoap, WrongOption, decode, encode
from lwm2m.coap.object_security.context import Context
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE, OscoreOption
from lwm2m.coap.object_security.outer_blocks import KEPT, MAX_UNFRAGMENTED_SIZE
from lwm2m.coap.oscore import OscoreCarrier
from lwm2m.coap.packet import BLOCK1, BLOCK2, OBSERVE, URI_PATH, Packet, uint_value
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers
from lwm2m.testing import run
from tests.fuzz.live import no_error_is_logged
from tests.fuzz.target import Target, Way
from tests.unit.fake_carrier import PEER, FakeCarrier, FakeIncoming

AT_SERVER = OscoreSecurity(bytes(range(16)), b"s", b"c")
AT_CLIENT = OscoreSecurity(bytes(range(16)), b"c", b"s")
GET = Packet(Code.GET, b"", {URI_PATH: (b"3", b"0")})
OBSERVING = GET._replace(options={**GET.options, OBSERVE: (b"",)})
PLAIN = (
    GET,
    OBSERVING,
    Packet(Code.PUT, b"", {URI_PATH: (b"5", b"0", b"0")}, bytes(range(200))),
    Packet(Code.POST, b"", {URI_PATH: (b"rd",)}, b"</3/0>"),
)
ANSWERS = tuple(Packet(Code.CONTENT, b"", {OBSERVE: (b"",)}, b"%d" % number * 60) for number in range(4))
TRUE_PAYLOADS = tuple(answer.payload for answer in ANSWERS)
"""In their order."""
AFTER_ALL = 60.0
"""Seconds: all that waits for something has ended by then."""


class After:
    """Sequence numbers that are larger than those of the seeds."""

    def reserve(self, _context: bytes, _count: int) -> int:
        return 5000


def option(data: bytes) -> object:
    """What is read are parts of the value, none of them twice."""
    read = OscoreOption.decode(data)
    parts = [part for part in (read.kid, read.kid_context) if part is not None]
    assert sum(map(len, parts)) <= len(data)
    assert all(part in data for part in parts)
    assert read.number is None or read.number < 1 << 40
    return Way((str(read.number is None), *(str(min(len(part), 9)) for part in parts)))


async def heard(data: bytes) -> Way:
    """A server takes what the client said, each once, and nothing that it did not say; then it hears it all the same.
    Messages have their lengths before them, in two bytes."""
    told: list[str] = []
    oscore = Oscore(MemoryNumbers(), _known, refused=lambda _peer, reason, _identity: told.append(reason))
    carrier = OscoreCarrier(FakeCarrier(), oscore)
    served: list[Incoming] = []
    carrier.serve = served.append
    outcomes = []
    for packet, confirmable in _messages(data):
        if packet.is_request and OSCORE in packet.options:
            incoming = FakeIncoming(packet, confirmable=confirmable)
            before = len(served)
            carrier.receive(incoming)
            outcomes.append("served" if len(served) > before else str(incoming.answered and incoming.answered.code))
            assert len(served) > before or incoming.answered is not None or incoming.ignored
    _require_bounded(carrier)
    said = [incoming.packet._replace(token=b"") for incoming in served]
    assert all(one in PLAIN and said.count(one) == 1 for one in said)
    assert {incoming.peer.identity for incoming in served} <= {"oscore:63"}
    assert len(told) <= 5
    true, _ = Context(AT_CLIENT, After(), Freshness(b"secret")).protect_request(GET._replace(token=b"true"))
    carrier.receive(FakeIncoming(true))
    assert served[-1].packet.token == b"true"
    return Way((*outcomes, *(reason[:30] for reason in told)))


async def answered(data: bytes) -> Way:
    """Who asked hears the answers, each once and in their order, or one refusal in the clear; nothing else. The first
    byte of a step says which of the messages it answers that went below: more of them are asked for where an answer is
    in pieces."""
    below, asker = FakeCarrier(), Asker()
    carrier = OscoreCarrier(below, Oscore.of_server(AT_CLIENT, MemoryNumbers()))
    withdraw = carrier.ask(carrier.peer(PEER), OBSERVING._replace(token=b"t"), True, asker)
    steps = 0
    for packet, _ in _messages(data):
        if not packet.is_request and packet.code:
            steps += 1
            asked = below.asked[-1 if BLOCK2 in packet.options else 0]
            if not asked.withdrawn and asked.listener.believes(packet):
                asked.listener.answered(packet, in_acknowledgement=False)
    await asyncio.sleep(AFTER_ALL)
    withdraw()
    assert len(below.asked) <= 1 + steps
    assert all(asked.withdrawn for asked in below.asked)
    heard = [answer for answer in asker.answers if answer.payload in TRUE_PAYLOADS]
    refusals = [answer for answer in asker.answers if answer not in heard]
    assert [answer.payload for answer in heard] == sorted({answer.payload for answer in heard})
    assert len(refusals) <= 1
    assert all(refusal.code >> 5 in (4, 5) and not refusal.options for refusal in refusals)
    assert not (refusals and heard)
    return Way((*(answer.payload[:1].decode() for answer in heard), *(str(refusal.code) for refusal in refusals)))


class Asker:
    def __init__(self) -> None:
        self.answers: list[Packet] = []

    def sent(self) -> None:
        """It was."""

    def believes(self, _packet: Packet) -> bool:
        return True

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:  # noqa: ARG002  # either way
        self.answers.append(packet)
        return True

    def failed(self, failure: RequestFailed) -> None:
        raise AssertionError(f"{failure} ends what nobody ended")


def requests(data: bytes) -> Way:
    with no_error_is_logged():
        return run(heard(data))


def responses(data: bytes) -> Way:
    with no_error_is_logged():
        return run(answered(data))


def _known(recipient_id: bytes, id_context: bytes | None) -> OscoreSecurity | None:
    return AT_SERVER if (recipient_id, id_context) == (b"c", None) else None


def _messages(data: bytes) -> Iterator[tuple[Packet, bool]]:
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        with suppress(NotCoap, WrongOption):
            kind, _, packet = decode(data[at + 2 : end])
            yield packet, kind == CON
        at = end


def _require_bounded(carrier: OscoreCarrier) -> None:
    joining = [kept for _, kept in carrier._outer._uploads._shelf._kept.values()]
    assert len(joining) <= KEPT
    assert all(len(one) <= MAX_UNFRAGMENTED_SIZE for one in joining)


# Seeds


def _pieces(packet: Packet, exponent: int, number: int) -> tuple[Packet, ...]:
    """As a proxy cuts it, with this block option."""
    size = Block(0, False, exponent).size
    made = []
    for start in range(0, len(packet.payload), size):
        block, payload = block_at(packet.payload, start, exponent)
        made.append(packet._replace(options={**packet.options, number: (block.encode(),)}, payload=payload))
    return tuple(made)


def _said() -> tuple[Packet, ...]:
    client = Context(AT_CLIENT, MemoryNumbers(), Freshness(b"secret"))
    return tuple(client.protect_request(plain._replace(token=b"t"))[0] for plain in PLAIN)


def _told() -> tuple[Packet, ...]:
    """The answer to the request of `answered`, and the notifications after it."""
    client, server = (Context(one, MemoryNumbers(), Freshness(b"secret")) for one in (AT_CLIENT, AT_SERVER))
    request = server.unprotect_request(client.protect_request(OBSERVING._replace(token=b"t"))[0], 0.0).request
    return tuple(
        server.protect_response(answer._replace(token=b"t", options={OBSERVE: (uint_value(number),)}), request)
        for number, answer in enumerate(ANSWERS)
    )


def _written(*packets: Packet) -> bytes:
    datagrams = [encode(CON, number, packet) for number, packet in enumerate(packets)]
    return b"".join(len(datagram).to_bytes(2, "big") + datagram for datagram in datagrams)


SAID, TOLD = _said(), _told()
CUT = {BLOCK1: SAID, BLOCK2: TOLD}


def _seeds(option_number: int) -> tuple[bytes, ...]:
    whole = CUT[option_number]
    cut = [_pieces(packet, exponent, option_number) for packet in whole for exponent in (0, 2)]
    return (_written(*whole), *map(_written, whole), *(_written(*pieces) for pieces in cut), _written(*reversed(whole)))


def _some(option_number: int, random: Random) -> bytes:
    """True messages and pieces of them in any order, most with one thing changed."""
    made: list[Packet] = []
    for _ in range(random.choice((1, 2, 4, 8))):
        packet = random.choice(CUT[option_number])
        if random.random() < 0.4:
            pieces = _pieces(packet, random.randrange(4), option_number)
            made += random.choice((pieces, random.sample(pieces, random.randint(1, len(pieces))), pieces * 2))
        else:
            made.append(packet)
    for _ in range(random.choice((0, 1, 3))):
        at = random.randrange(len(made))
        made[at] = _changed(random, made[at], option_number)
    return _written(*made)


def _changed(random: Random, packet: Packet, option_number: int) -> Packet:
    values = {
        OSCORE: random.choice((b"", b"\x09\0c", b"\x09\0x", b"\x19\0\1xc", b"\x0d\1\0\0\0\0c", random.randbytes(3))),
        option_number: random.choice((b"", b"\x08", b"\x0e", b"\xff\xff\xf8", b"\x17", random.randbytes(2))),
        OBSERVE: random.choice((b"", b"\1", b"\xff\xff\xff")),
    }
    number, value = random.choice(list(values.items()))
    kind = random.randrange(4)
    if kind == 0:
        return packet._replace(options={**packet.options, number: (value,)})
    if kind == 1:
        return packet._replace(options={one: found for one, found in packet.options.items() if one != number})
    if kind == 2:
        return packet._replace(code=random.choice((Code.POST, Code.FETCH, Code.GET, Code.CHANGED, Code.UNAUTHORIZED)))
    return packet._replace(payload=random.choice((b"", packet.payload[:-1], bytes(len(packet.payload)), b"x" * 3000)))


OPTIONS = (*(packet.options[OSCORE][0] for packet in (*SAID, *TOLD)), b"\x1a\1\2\3ctxkid", b"\x10\3ctx")
WORDS = (b"\x09\0c", b"\x09\1c", b"\x91", b"\xff", b"\x19\0\1xc", b"\xd1\x06\x0e", b"\x61\0", b"\0\0")

TARGETS = (
    Target("OSCORE option", option, (ValueError,), OPTIONS, WORDS, short=1000),
    Target("OSCORE requests", requests, (), _seeds(BLOCK1), WORDS, lambda random: _some(BLOCK1, random), short=200),
    Target("OSCORE responses", responses, (), _seeds(BLOCK2), WORDS, lambda random: _some(BLOCK2, random), short=200),
)
