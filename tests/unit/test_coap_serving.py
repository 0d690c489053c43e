"""The answering half of CoAP as a script of packets: one in, one expected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Limits, Traced, Tracer
from lwm2m.coap.guard import Guard
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.packet import (
    ACCEPT,
    BLOCK1,
    BLOCK2,
    CONTENT_FORMAT,
    ECHO,
    ETAG,
    LOCATION_PATH,
    MAX_AGE,
    NO_RESPONSE,
    OBSERVE,
    PROXY_SCHEME,
    PROXY_URI,
    REQUEST_TAG,
    SIZE1,
    URI_HOST,
    URI_PATH,
    URI_QUERY,
    Packet,
)
from lwm2m.coap.requests.conversation import Conversation
from lwm2m.coap.requests.packets import packet_size
from lwm2m.errors import NotFound
from tests.unit.fake_carrier import DATAGRAM, OTHER, PEER, FakeCarrier, FakeIncoming, a_conversation

TOKEN = b"\x0a\x0b"
SMALL = Room(64, 2)
BERT = Room(5000, 7)


@dataclass
class Device:
    seen: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Response | Awaitable[Response]] = lambda _: Response(Code.CHANGED)

    def __call__(self, request: Request, _peer: Peer) -> Response | Awaitable[Response]:
        self.seen.append(request)
        return self.answer(request)


@dataclass
class Desk:
    """A conversation that requests are handed to."""

    device: Device
    carrier: FakeCarrier
    conversation: Conversation

    def hands(
        self,
        code: int,
        *options: tuple[int, bytes],
        payload: bytes = b"",
        peer: Peer = PEER,
        confirmable: bool = True,
        token: bytes = TOKEN,
    ) -> FakeIncoming:
        values: dict[int, tuple[bytes, ...]] = {}
        for number, value in options or ((URI_PATH, b"x"),):
            values[number] = (*values.get(number, ()), value)
        incoming = FakeIncoming(Packet(code, token, values, payload), peer, confirmable)
        self.conversation.serve(incoming)
        return incoming

    def asks(self, code: int, *options: tuple[int, bytes], payload: bytes = b"", peer: Peer = PEER) -> Packet:
        return self.hands(code, *options, payload=payload, peer=peer).outcome


LIMITS = Limits(max_body=4096, max_package=6000)


def a_desk(
    room: Room = DATAGRAM, *, limits: Limits = LIMITS, tracer: Tracer | None = None, guard: Guard | None = None
) -> Desk:
    device, carrier = Device(), FakeCarrier(room)
    return Desk(device, carrier, a_conversation(carrier, device, limits=limits, tracer=tracer, guard=guard))


@pytest.fixture
async def desk() -> Desk:
    return a_desk()


# One request, one answer


async def test_a_request_is_handled_and_answered(desk: Desk) -> None:
    desk.device.answer = lambda _: Response(Code.CREATED, b"ok", 0, ("rd", "5a3f"), 7)
    answer = desk.asks(
        Code.POST,
        (URI_PATH, b"rd"),
        (URI_PATH, "ü".encode()),
        (URI_QUERY, b"ep=a"),
        (CONTENT_FORMAT, b"\x28"),
        (ACCEPT, b"\x2d\x16"),
        payload=b"</1/0>",
    )
    assert desk.device.seen == [Request(Code.POST, ("rd", "ü"), ("ep=a",), b"</1/0>", 40, 11542, token=TOKEN)]
    options = {LOCATION_PATH: (b"rd", b"5a3f"), CONTENT_FORMAT: (b"",), MAX_AGE: (b"\x07",)}
    assert answer == Packet(Code.CREATED, TOKEN, options, b"ok")


async def test_a_refusal_has_its_code_and_its_text(desk: Desk) -> None:
    def refuse(_request: Request) -> Response:
        raise NotFound("no such instance")

    desk.device.answer = refuse
    assert desk.asks(Code.GET) == Packet(Code.NOT_FOUND, TOKEN, {}, b"no such instance")


@pytest.mark.parametrize("later", [True, False])
async def test_a_handler_that_fails_is_logged_and_tells_nothing(
    desk: Desk, later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_request: Request) -> Response:
        raise RuntimeError("the secret is 1234")

    async def fail_later(request: Request) -> Response:
        return fail(request)

    desk.device.answer = fail_later if later else fail
    incoming = desk.hands(Code.GET)
    for _ in range(3):
        await asyncio.sleep(0)
    assert incoming.outcome == Packet(Code.INTERNAL_SERVER_ERROR, TOKEN)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_handler_that_takes_its_time_answers_when_it_is_done(desk: Desk) -> None:
    done = asyncio.Event()

    async def slowly() -> Response:
        await done.wait()
        return Response(Code.CHANGED)

    desk.device.answer = lambda _: slowly()
    incoming, gone = desk.hands(Code.PUT), desk.hands(Code.PUT, token=b"2")
    assert incoming.answered is None
    gone.is_wanted = False
    done.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert incoming.outcome == Packet(Code.CHANGED, TOKEN)
    assert gone.answered is None


async def test_a_peer_that_keeps_its_handlers_busy_is_told_so() -> None:
    desk = a_desk(limits=Limits(max_pending_per_peer=1))
    never = asyncio.Event()

    async def slowly() -> Response:
        await never.wait()
        raise AssertionError("nobody sets it")

    desk.device.answer = lambda _: slowly()
    desk.hands(Code.GET)
    refusal = desk.asks(Code.GET)
    assert (refusal.code, refusal.options) == (Code.SERVICE_UNAVAILABLE, {MAX_AGE: (b"\x3c",)})
    assert desk.hands(Code.GET, peer=OTHER).answered is None
    await desk.conversation.stop()


# Options


@pytest.mark.parametrize(
    "options",
    [
        ((9999, b"?"),),
        ((1, b"x"),),
        ((5, b""),),
        ((URI_HOST, b""),),
        ((ACCEPT, b"\x01"), (ACCEPT, b"\x02")),
        ((ACCEPT, b"\x01\x02\x03"),),
        ((BLOCK1, bytes(4)),),
        ((URI_PATH, b"x" * 256),),
        ((URI_PATH, b"\xff"),),
        ((URI_QUERY, b"\xff"),),
    ],
    ids=["unknown", "If-Match", "If-None-Match", "no host", "twice", "large", "long", "path", "bytes", "query"],
)
async def test_a_critical_option_that_is_wrong_is_4_02_or_nothing(
    desk: Desk, options: tuple[tuple[int, bytes], ...]
) -> None:
    assert desk.asks(Code.GET, *options).code == Code.BAD_OPTION
    incoming = desk.hands(Code.GET, *options, confirmable=False)
    assert (incoming.answered, incoming.ignored) == (None, True)
    assert desk.device.seen == []


async def test_requests_that_are_ignored_do_not_flood_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lwm2m.coap")
    for _ in range(100):
        assert desk.hands(Code.GET, (9999, b"?"), confirmable=False).ignored
    assert len(caplog.messages) == 1
    assert "non-confirmable request that is ignored" in caplog.text
    await desk.conversation.stop()
    assert caplog.messages[1].startswith("99 more times somebody sent")


async def test_an_elective_option_that_is_wrong_is_ignored(desk: Desk) -> None:
    answer = desk.asks(Code.GET, (9998, b"?"), (OBSERVE, bytes(4)), (CONTENT_FORMAT, bytes(3)), (NO_RESPONSE, bytes(2)))
    assert answer.code == Code.CHANGED
    assert desk.device.seen == [Request(Code.GET, token=TOKEN)]


@pytest.mark.parametrize("option", [PROXY_URI, PROXY_SCHEME])
async def test_we_are_no_proxy(desk: Desk, option: int) -> None:
    assert desk.asks(Code.GET, (option, b"coap")).code == 0xA5


async def test_an_unknown_method_is_4_05(desk: Desk) -> None:
    assert desk.asks(0x1E).code == Code.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(("code", "value"), [(Code.PUT, b""), (Code.GET, b"\x02")])
async def test_observe_is_ignored_where_it_means_nothing(desk: Desk, code: Code, value: bytes) -> None:
    desk.device.answer = lambda request: Response(Code.CONTENT, observing=request.observe == 0)
    assert OBSERVE not in desk.asks(code, (OBSERVE, value)).options
    assert desk.device.seen[0].observe is None


@pytest.mark.parametrize(
    ("unwanted", "code", "is_told"),
    [
        (0, Code.CHANGED, True),
        (2, Code.CHANGED, False),
        (2, Code.NOT_FOUND, True),
        (8, Code.NOT_FOUND, False),
        (16, Code.INTERNAL_SERVER_ERROR, False),
        (26, Code.CONTENT, False),
        (24, Code.CONTENT, True),
    ],
)
async def test_responses_that_the_request_does_not_want_are_not_sent(
    desk: Desk, unwanted: int, code: Code, is_told: bool
) -> None:
    desk.device.answer = lambda _: Response(code)
    incoming = desk.hands(Code.PUT, (NO_RESPONSE, bytes((unwanted,)) if unwanted else b""))
    assert (incoming.answered is not None, incoming.ignored) == (is_told, not is_told)
    assert len(desk.device.seen) == 1


async def test_a_block_is_continued_whatever_responses_are_wanted(desk: Desk) -> None:
    assert desk.asks(Code.PUT, block1(0, True), (NO_RESPONSE, b"\x1a"), payload=bytes(16)).code == Code.CONTINUE
    assert desk.hands(Code.PUT, block1(1, False), (NO_RESPONSE, b"\x1a"), payload=b"x").ignored
    assert desk.device.seen[0].payload == bytes(16) + b"x"


# Bodies that arrive in blocks


def block1(number: int, more: bool, exponent: int = 0) -> tuple[int, bytes]:
    return BLOCK1, (number << 4 | more << 3 | exponent).to_bytes(3, "big").lstrip(b"\0")


def block2(number: int, exponent: int, more: bool = False) -> tuple[int, bytes]:
    return BLOCK2, block1(number, more, exponent)[1]


async def test_blocks_in_order_are_one_body(desk: Desk) -> None:
    for number in range(3):
        option = block1(number, number < 2)
        answer = desk.asks(Code.PUT, option, payload=bytes((number,)) * 16)
        assert answer == Packet(Code.CONTINUE if number < 2 else Code.CHANGED, TOKEN, {BLOCK1: (option[1],)})
    assert [request.payload for request in desk.device.seen] == [b"\0" * 16 + b"\1" * 16 + b"\2" * 16]


async def test_a_gap_is_4_08_and_the_body_begins_anew(desk: Desk) -> None:
    desk.asks(Code.PUT, block1(0, True), payload=bytes(16))
    for number, more in ((2, True), (1, False)):
        answer = desk.asks(Code.PUT, block1(number, more), payload=bytes(16))
        assert (answer.code, answer.options[BLOCK1]) == (
            Code.REQUEST_ENTITY_INCOMPLETE,
            (block1(number, False)[1],),
        )
    assert desk.device.seen == []


async def test_bodies_of_two_peers_and_of_two_tags_do_not_mix(desk: Desk) -> None:
    senders: list[tuple[Peer, tuple[tuple[int, bytes], ...]]] = [
        (PEER, ()),
        (OTHER, ()),
        (PEER, ((REQUEST_TAG, b""),)),
        (PEER, ((REQUEST_TAG, b"\x01"),)),
    ]
    for number in range(2):
        for n, (peer, tag) in enumerate(senders):
            desk.asks(Code.PUT, block1(number, number == 0), *tag, payload=bytes((n,)) * 16, peer=peer)
    assert [request.payload for request in desk.device.seen] == [bytes((n,)) * 32 for n in range(4)]


async def test_a_request_tag_that_is_too_long_is_ignored(desk: Desk) -> None:
    desk.asks(Code.PUT, block1(0, True), (REQUEST_TAG, bytes(9)), payload=bytes(16))
    assert desk.asks(Code.PUT, block1(1, False), payload=b"x").code == Code.CHANGED


async def test_a_body_over_the_limit_is_4_13_with_the_limit(desk: Desk) -> None:
    refusal = Packet(Code.REQUEST_ENTITY_TOO_LARGE, TOKEN, {SIZE1: (b"\x10\x00",)})
    assert desk.asks(Code.PUT, payload=bytes(4097)) == refusal
    for number in range(4):
        assert desk.asks(Code.PUT, block1(number, True, 6), payload=bytes(1024)).code == Code.CONTINUE
    last = block1(4, False, 6)
    grown = refusal._replace(options={BLOCK1: (last[1],), **refusal.options})
    assert desk.asks(Code.PUT, last, payload=b"x") == grown
    announced = desk.asks(Code.PUT, block1(0, True, 6), (SIZE1, b"\x10\x01"), payload=bytes(1024))
    assert announced.code == Code.REQUEST_ENTITY_TOO_LARGE
    assert desk.device.seen == []


PACKAGE = (URI_PATH, b"5"), (URI_PATH, b"0"), (URI_PATH, b"0")


async def test_a_package_has_a_limit_of_its_own(desk: Desk) -> None:
    assert desk.asks(Code.PUT, *PACKAGE, payload=bytes(6000)).code == Code.CHANGED
    answer = desk.asks(Code.PUT, *PACKAGE, payload=bytes(6001))
    assert (answer.code, answer.options[SIZE1]) == (Code.REQUEST_ENTITY_TOO_LARGE, ((6000).to_bytes(2, "big"),))


def stranger(number: int) -> Peer:
    return Peer(PEER.local, ("198.51.100.9", number))


async def test_strangers_do_not_end_a_package_that_is_received() -> None:
    desk = a_desk(guard=Guard(LIMITS, b"a secret of 16 B"))
    for number in range(3):
        answer = desk.asks(Code.PUT, *PACKAGE, block1(number, True), payload=bytes(16))
        assert answer.code == Code.CONTINUE
        refused = [
            desk.asks(Code.PUT, *PACKAGE, block1(0, True), payload=bytes(16), peer=stranger(10 * number + n))
            for n in range(LIMITS.max_packages + 1)
        ]
        assert (refused[-1].code, refused[-1].options[MAX_AGE]) == (Code.SERVICE_UNAVAILABLE, (b"\x3c",))
        assert refused[-1].options[BLOCK1] == (block1(0, False)[1],)
    assert desk.asks(Code.PUT, *PACKAGE, block1(3, False), payload=b"end").code == Code.CHANGED
    assert [request.payload for request in desk.device.seen] == [bytes(48) + b"end"]


async def test_strangers_leave_room_for_the_package_of_somebody_we_know() -> None:
    guard = Guard(LIMITS, b"a secret of 16 B")
    desk = a_desk(guard=guard)
    for number in range(LIMITS.max_packages):
        desk.asks(Code.PUT, *PACKAGE, block1(0, True), payload=bytes(16), peer=stranger(number))
    assert desk.asks(Code.PUT, *PACKAGE, block1(0, True), payload=bytes(16)).code == Code.SERVICE_UNAVAILABLE
    guard.verified(PEER)
    assert desk.asks(Code.PUT, *PACKAGE, block1(0, True), payload=bytes(16)).code == Code.CONTINUE
    assert desk.asks(Code.PUT, *PACKAGE, block1(1, False), payload=b"end").code == Code.CHANGED


async def test_several_blocks_in_a_message_are_for_transports_that_hold_them() -> None:
    refused = a_desk().asks(Code.PUT, block1(0, True, 7), payload=bytes(2048))
    assert (refused.code, BLOCK1 in refused.options) == (Code.BAD_REQUEST, False)
    desk = a_desk(BERT)
    assert desk.asks(Code.PUT, block1(0, True, 7), payload=bytes(2048)).code == Code.CONTINUE
    assert desk.asks(Code.PUT, block1(2, True, 7), payload=bytes(1024)).code == Code.CONTINUE
    assert desk.asks(Code.PUT, block1(3, False, 7), payload=b"end").code == Code.CHANGED
    assert desk.device.seen[0].payload == bytes(3072) + b"end"
    assert desk.asks(Code.PUT, block1(0, True, 7), payload=bytes(1025)).code == Code.REQUEST_ENTITY_INCOMPLETE


# Answers that leave in blocks


async def test_an_answer_in_blocks_of_the_size_asked_is_made_once(desk: Desk) -> None:
    body = bytes(range(100))
    desk.device.answer = lambda _: Response(Code.CONTENT, body, 42)
    received, tags = b"", set()
    for number in range(4):
        answer = desk.asks(Code.GET, block2(number, 1))
        received += answer.payload
        tags.add(answer.options[ETAG])
        assert answer.options[BLOCK2] == (block2(number, 1, number < 3)[1],)
        assert answer.options[CONTENT_FORMAT] == (b"\x2a",)
    assert (received, len(tags), len(desk.device.seen)) == (body, 1, 1)


@pytest.mark.parametrize(("room", "sizes"), [(DATAGRAM, [1024, 976]), (SMALL, [64] * 31 + [16]), (BERT, [2000])])
async def test_an_answer_goes_in_messages_as_large_as_the_link_has_room_for(room: Room, sizes: list[int]) -> None:
    desk = a_desk(room)
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(2000))
    answer = desk.asks(Code.GET)
    received = [len(answer.payload)]
    while BLOCK2 in answer.options and answer.options[BLOCK2][0][-1] & 8:
        answer = desk.asks(Code.GET, block2(len(received), room.exponent))
        received.append(len(answer.payload))
    assert received == sizes


async def test_a_large_answer_over_tcp_goes_in_several_blocks_at_once() -> None:
    desk = a_desk(BERT)
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(9000))
    first = desk.asks(Code.GET)
    assert (len(first.payload), first.options[BLOCK2]) == (4096, (block2(0, 7, True)[1],))
    assert len(desk.asks(Code.GET, block2(4, 7)).payload) == 4096
    assert len(desk.asks(Code.GET, block2(8, 7)).payload) == 9000 - 8192


async def test_blocks_are_never_larger_than_the_link_has_room_for() -> None:
    desk = a_desk(SMALL)
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(2000))
    assert desk.asks(Code.GET, block2(0, 6)).options[BLOCK2] == (block2(0, 2, True)[1],)
    assert desk.asks(Code.GET, block2(1, 6)).options[BLOCK2] == (block2(16, 2, True)[1],)


async def test_a_block_that_does_not_exist_is_4_00_and_one_of_nothing_4_08(desk: Desk) -> None:
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(100))
    assert desk.asks(Code.GET, block2(5, 6)).code == Code.BAD_REQUEST
    desk.asks(Code.GET, block2(0, 0))
    assert desk.asks(Code.GET, block2(7, 0)).code == Code.BAD_REQUEST
    assert desk.asks(Code.POST, block2(1, 0)).code == Code.REQUEST_ENTITY_INCOMPLETE


async def test_two_large_answers_to_what_the_body_asks_for_do_not_mix(desk: Desk) -> None:
    desk.device.answer = lambda request: Response(Code.CONTENT, request.payload * 100)
    for body in (b"a", b"b"):
        desk.asks(Code.FETCH, block2(0, 2), payload=body)
    later = [desk.asks(Code.FETCH, block2(1, 2), payload=body).payload for body in (b"a", b"b", b"")]
    assert later == [b"a" * 36, b"b" * 36, b"b" * 36]


# Addresses that nobody verified


def guarded() -> Desk:
    """With so many strangers that no answer can wait until they have answered a ping."""
    return a_desk(guard=Guard(Limits(max_peers_unverified=0), b"a secret of 16 B"))


@pytest.mark.parametrize("code", [Code.GET, Code.PUT])
async def test_an_address_gets_a_large_answer_once_it_has_repeated_what_we_sent(code: Code) -> None:
    desk = guarded()
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(200))
    asked = desk.hands(code)
    challenge = asked.outcome
    assert (challenge.code, list(challenge.options), challenge.payload) == (Code.UNAUTHORIZED, [ECHO], b"")
    assert packet_size(challenge) <= 3 * asked.size
    echo = challenge.options[ECHO][0]
    answer = desk.hands(code, (URI_PATH, b"x"), (ECHO, echo), token=b"another").outcome
    assert answer == Packet(Code.CONTENT, b"another", {}, bytes(200))
    assert len(desk.device.seen) == (2 if code is Code.GET else 1)
    assert desk.asks(code).payload == bytes(200)


async def test_the_echo_of_another_peer_is_worth_nothing() -> None:
    desk = guarded()
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(200))
    echo = desk.asks(Code.PUT).options[ECHO][0]
    again = desk.asks(Code.PUT, (URI_PATH, b"x"), (ECHO, echo), peer=OTHER)
    assert (again.code, len(desk.device.seen)) == (Code.UNAUTHORIZED, 2)


async def test_what_was_withheld_is_for_the_same_request_only() -> None:
    desk = guarded()
    desk.device.answer = lambda request: Response(Code.CONTENT, request.payload * 100)
    echo = desk.asks(Code.PUT, payload=b"a").options[ECHO][0]
    assert desk.asks(Code.PUT, (URI_PATH, b"x"), (ECHO, echo), payload=b"b").payload == b"b" * 100
    assert desk.asks(Code.PUT, (URI_PATH, b"x"), (ECHO, echo), payload=b"a").payload == b"a" * 100
    assert [request.payload for request in desk.device.seen] == [b"a", b"b"]


async def test_the_last_block_of_a_body_is_repeated_without_the_others() -> None:
    desk = guarded()
    desk.device.answer = lambda request: Response(Code.CONTENT, request.payload * 10)
    assert desk.asks(Code.FETCH, block1(0, True), payload=bytes(16)).code == Code.CONTINUE
    echo = desk.asks(Code.FETCH, block1(1, False), payload=b"x").options[ECHO][0]
    answer = desk.asks(Code.FETCH, block1(1, False), (ECHO, echo), payload=b"x")
    assert (answer.code, answer.payload) == (Code.CONTENT, (bytes(16) + b"x") * 10)
    assert len(desk.device.seen) == 1


async def test_a_refusal_that_is_too_long_for_a_stranger_loses_its_text() -> None:
    desk = guarded()
    desk.device.answer = lambda _: Response(Code.NOT_FOUND, b"a long story " * 20)
    assert desk.asks(Code.GET) == Packet(Code.NOT_FOUND, TOKEN)


async def test_a_stranger_whose_observation_is_not_answered_does_not_observe() -> None:
    desk = guarded()
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(200), observing=True)
    assert desk.asks(Code.GET, (OBSERVE, b"")).code == Code.UNAUTHORIZED
    assert (await desk.conversation.notify(Subscription(PEER, TOKEN), Response(Code.CONTENT))).name == "RESET"


async def test_small_answers_need_no_proof() -> None:
    desk = guarded()
    assert desk.asks(Code.PUT).code == Code.CHANGED
    desk.device.answer = lambda _: Response(Code.CONTENT, b"21.5", 0)
    assert desk.asks(Code.GET).payload == b"21.5"


# Tracing and stopping


async def test_what_is_refused_is_traced_too() -> None:
    traced: list[Traced] = []
    a_desk(tracer=traced.append).asks(Code.GET, (9999, b""), (URI_PATH, b"\xff"))
    assert [(each.incoming, type(each.message)) for each in traced] == [(True, Request), (False, Response)]


async def test_a_tracer_that_fails_costs_a_line(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_traced: Traced) -> None:
        raise RuntimeError("out of paper")

    with caplog.at_level(logging.ERROR):
        assert a_desk(tracer=fail).asks(Code.GET).code == Code.CHANGED
    assert {record.getMessage() for record in caplog.records} == {"a message could not be traced"}


async def test_stopping_cancels_the_handlers_that_run(desk: Desk) -> None:
    ended = []

    async def forever() -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError("nobody sets it")

    desk.device.answer = lambda _: forever()
    incoming = desk.hands(Code.GET)
    await asyncio.sleep(0)
    await desk.conversation.stop()
    assert (ended, incoming.answered) == ([True], None)
