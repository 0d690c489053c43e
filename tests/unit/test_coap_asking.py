"""The asking half of CoAP as a script of packets: what leaves, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from lwm2m.coap.blocks import Block, block_at, body_tag
from lwm2m.coap.carrier import Listener, Room
from lwm2m.coap.endpoint import AnswerTooLarge, Limits, Rejected, TimedOut, TooBusy, Traced, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.packet import (
    ACCEPT,
    BLOCK1,
    BLOCK2,
    CONTENT_FORMAT,
    ECHO,
    ETAG,
    LOCATION_PATH,
    MAX_AGE,
    OBSERVE,
    REQUEST_TAG,
    SIZE1,
    URI_PATH,
    URI_QUERY,
    Packet,
    uint_value,
)
from lwm2m.coap.requests.conversation import Conversation
from tests.unit.fake_carrier import OTHER, PEER, Asked, FakeCarrier, Withdrawal, a_conversation

GET_X = Request(Code.GET, ("x",))


class Line:
    """A conversation that asks, and its carrier."""

    def __init__(self, room: Room | None = None, limits: Limits | None = None) -> None:
        self.traced: list[Traced] = []
        self.carrier = FakeCarrier() if room is None else FakeCarrier(room)
        self.conversation: Conversation = a_conversation(
            self.carrier, limits=limits or Limits(max_body=4096), tracer=self.traced.append
        )
        self.answered = 0

    def asks(self, request: Request, timeout: float | None = 5, peer: Peer = PEER) -> asyncio.Task[Response]:
        return asyncio.ensure_future(self.conversation.request(peer, request, timeout))

    async def next(self) -> Asked:
        """What leaves next."""
        for _ in range(10):
            if len(self.carrier.asked) > self.answered:
                self.answered += 1
                return self.carrier.asked[self.answered - 1]
            await asyncio.sleep(0)
        raise AssertionError("nothing left")

    async def leaves_nothing(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(self.carrier.asked) == self.answered


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    await line.conversation.stop()
    assert all(asked.withdrawn for asked in line.carrier.asked)


def of_body(body: bytes, wanted: bytes | None, exponent: int) -> tuple[dict[int, tuple[bytes, ...]], bytes]:
    """Options and payload of the block that a Block2 option asks for."""
    start = 0 if wanted is None else Block.decode(wanted).start
    block, payload = block_at(body, start, exponent, 4096)
    return {BLOCK2: (block.encode(),), ETAG: (body_tag(body),)}, payload


async def downloads(line: Line, body: Callable[[], bytes], exponent: int = 6) -> list[Asked]:
    """Answer with the blocks of a body, which may be another one each time, until nothing more is asked."""
    asked: list[Asked] = []
    while True:
        try:
            asked.append(await line.next())
        except AssertionError:
            return asked
        wanted = asked[-1].packet.options.get(BLOCK2)
        asked[-1].answer(Code.CONTENT, *of_body(body(), wanted[0] if wanted else None, exponent))


# One message each way


async def test_a_request_leaves_and_its_answer_comes_back(line: Line) -> None:
    request = Request(Code.POST, ("rd", "ü"), ("ep=a", "lt=60"), b"</1/0>", 40, 11542, confirmable=False)
    asking = line.asks(request)
    asked = await line.next()
    options = {
        URI_PATH: (b"rd", "ü".encode()),
        CONTENT_FORMAT: (b"\x28",),
        URI_QUERY: (b"ep=a", b"lt=60"),
        ACCEPT: (b"\x2d\x16",),
    }
    assert asked.packet == Packet(Code.POST, asked.packet.token, options, b"</1/0>")
    assert (asked.peer, asked.confirmable, len(asked.packet.token)) == (PEER, False, 8)
    told = {LOCATION_PATH: (b"rd", b"5a3f"), CONTENT_FORMAT: (b"",), MAX_AGE: (b"\x07",)}
    assert asked.answer(Code.CREATED, told, b"ok")
    assert await asking == Response(Code.CREATED, b"ok", 0, ("rd", "5a3f"), 7)
    assert asked.withdrawn
    assert [(each.incoming, each.token) for each in line.traced] == [
        (False, asked.packet.token),
        (True, asked.packet.token),
    ]


async def test_no_token_is_used_twice(line: Line) -> None:
    tokens = set()
    for _ in range(600):
        asking = line.asks(GET_X)
        asked = await line.next()
        tokens.add(asked.packet.token)
        asked.answer(Code.CONTENT)
        await asking
    assert len(tokens) == 600


async def test_an_elective_option_of_an_answer_that_is_wrong_is_ignored(line: Line) -> None:
    asking = line.asks(GET_X)
    wrong: dict[int, tuple[bytes, ...]] = {9998: (b"?",), CONTENT_FORMAT: (bytes(3),), MAX_AGE: (bytes(5),)}
    (await line.next()).answer(Code.CONTENT, wrong)
    assert await asking == Response(Code.CONTENT)


async def test_a_critical_option_of_an_answer_that_we_do_not_know_rejects_it(line: Line) -> None:
    asking = line.asks(GET_X)
    assert not (await line.next()).answer(Code.CONTENT, {9999: (b"?",)})
    with pytest.raises(Rejected, match="critical"):
        await asking


# When no answer comes


async def test_the_carrier_says_why_there_is_no_answer(line: Line) -> None:
    asking = line.asks(GET_X)
    (await line.next()).listener.failed(Unreachable("no route"))
    with pytest.raises(Unreachable, match="no route"):
        await asking


async def test_a_carrier_that_has_ended_fails_a_request_at_once() -> None:
    class Ended(FakeCarrier):
        def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdrawal:
            listener.failed(Unreachable("the endpoint has stopped"))
            return Withdrawal(Asked(peer, packet, confirmable, listener))

    with pytest.raises(Unreachable, match="stopped"):
        await a_conversation(Ended()).request(PEER, GET_X)


async def test_a_request_ends_at_its_deadline(line: Line) -> None:
    with pytest.raises(TimedOut):
        await line.asks(GET_X, 0.01)
    asked = await line.next()
    assert asked.withdrawn
    assert not asked.answer(Code.CONTENT)


async def test_a_request_that_is_cancelled_is_withdrawn(line: Line) -> None:
    asking = line.asks(GET_X)
    asked = await line.next()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked.withdrawn


async def test_no_more_requests_wait_for_a_peer_than_the_limit() -> None:
    line = Line(limits=Limits(max_pending_per_peer=2))
    waiting = [line.asks(GET_X) for _ in range(2)]
    asked = [await line.next() for _ in range(2)]
    with pytest.raises(TooBusy):
        await line.asks(GET_X)
    elsewhere = line.asks(GET_X, peer=OTHER)
    asked[0].answer(Code.CONTENT)
    await waiting[0]
    again = line.asks(GET_X)
    for each in asked[1], await line.next(), await line.next():
        each.answer(Code.CONTENT)
    assert [response.code for response in await asyncio.gather(waiting[1], elsewhere, again)] == [Code.CONTENT] * 3


# Who asks to see that we are where we say: RFC 9175


@pytest.mark.parametrize("method", [Code.GET, Code.POST])
async def test_an_echo_is_repeated_once(line: Line, method: Code) -> None:
    asking = line.asks(Request(method, ("x",), payload=b"1"))
    first = await line.next()
    first.answer(Code.UNAUTHORIZED, {ECHO: (b"where are you",)})
    again = await line.next()
    assert again.packet.token != first.packet.token
    assert again.packet[2:] == ({**first.packet.options, ECHO: (b"where are you",)}, b"1")
    again.answer(Code.UNAUTHORIZED, {ECHO: (b"really?",)})
    assert (await asking).code is Code.UNAUTHORIZED
    await line.leaves_nothing()


async def test_an_echo_is_repeated_within_a_body(line: Line) -> None:
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(1500)))
    (await line.next()).answer(Code.CONTINUE, {BLOCK1: (b"\x0e",)})
    last = await line.next()
    last.answer(Code.UNAUTHORIZED, {ECHO: (b"?",)})
    again = await line.next()
    assert again.packet[2:] == ({**last.packet.options, ECHO: (b"?",)}, last.packet.payload)
    again.answer(Code.CHANGED, {BLOCK1: (b"\x16",)})
    assert (await asking).code is Code.CHANGED


async def test_unauthorized_without_echo_is_the_answer(line: Line) -> None:
    asking = line.asks(GET_X)
    (await line.next()).answer(Code.UNAUTHORIZED)
    assert (await asking).code is Code.UNAUTHORIZED


# Bodies that leave in blocks


async def uploads(line: Line, code: Code = Code.CHANGED) -> list[tuple[Block, int]]:
    """Take all the blocks of a body; which ones, and how many bytes each."""
    taken = []
    while True:
        asked = await line.next()
        option = asked.packet.options[BLOCK1]
        taken.append((Block.decode(option[0]), len(asked.packet.payload)))
        asked.answer(Code.CONTINUE if taken[-1][0].more else code, {BLOCK1: option})
        if not taken[-1][0].more:
            return taken


@pytest.mark.parametrize(
    ("room", "blocks"),
    [
        (Room(1024, 6), [(Block(n, n < 2, 6), 1024 if n < 2 else 452) for n in range(3)]),
        (Room(1200, 4), [(Block(n, n < 9, 4), 256 if n < 9 else 196) for n in range(10)]),
        (Room(2100, 7), [(Block(0, True, 7), 2048), (Block(2, False, 7), 452)]),
    ],
    ids=["datagram", "small", "BERT"],
)
async def test_a_body_leaves_in_blocks_as_large_as_the_link_has_room_for(
    room: Room, blocks: list[tuple[Block, int]]
) -> None:
    line = Line(room)
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(2500)))
    assert await uploads(line) == blocks
    assert (await asking).code is Code.CHANGED
    sizes = [asked.packet.options.get(SIZE1) for asked in line.carrier.asked]
    assert sizes == [(uint_value(2500),)] + [None] * (len(blocks) - 1)


async def test_a_body_that_fits_leaves_in_one_message() -> None:
    line = Line(Room(100_000, 7))
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(100_000)))
    asked = await line.next()
    assert (len(asked.packet.payload), BLOCK1 in asked.packet.options) == (100_000, False)
    asked.answer(Code.CHANGED)
    await asking


async def test_smaller_blocks_leave_when_the_peer_asks_for_them(line: Line) -> None:
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(1280)))
    (await line.next()).answer(Code.CONTINUE, {BLOCK1: (b"\x0b",)})
    assert await uploads(line) == [(Block(8, True, 3), 128), (Block(9, False, 3), 128)]
    await asking


@pytest.mark.parametrize("size", [100, 1100])
async def test_a_body_that_is_too_large_begins_anew_with_smaller_blocks(line: Line, size: int) -> None:
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(size)))
    (await line.next()).answer(Code.REQUEST_ENTITY_TOO_LARGE, {BLOCK1: (b"\x02",)})
    taken = await uploads(line)
    assert taken[0] == (Block(0, True, 2), 64)
    assert sum(length for _, length in taken) == size
    assert (await asking).code is Code.CHANGED


async def test_a_refusal_ends_the_upload(line: Line) -> None:
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(5000)))
    (await line.next()).answer(Code.REQUEST_ENTITY_TOO_LARGE, {SIZE1: (b"\x10",)})
    assert (await asking).code is Code.REQUEST_ENTITY_TOO_LARGE
    await line.leaves_nothing()


async def test_a_peer_that_wants_more_than_there_is_is_rejected(line: Line) -> None:
    asking = line.asks(Request(Code.PUT, ("x",), payload=bytes(1025)))
    for _ in range(2):
        (await line.next()).answer(Code.CONTINUE, {BLOCK1: (b"\x0e",)})
    with pytest.raises(Rejected, match="continue"):
        await asking


async def test_two_bodies_for_one_resource_at_once_have_tags_of_their_own(line: Line) -> None:
    request = Request(Code.PUT, ("x",), payload=bytes(1500))
    first, second = line.asks(request), line.asks(request)
    elsewhere = line.asks(request, peer=OTHER)
    begun = [await line.next() for _ in range(3)]
    tags = [asked.packet.options.get(REQUEST_TAG) for asked in begun]
    assert tags == [None, (b"\x01",), None]
    for asked in begun:
        asked.answer(Code.CONTINUE, {BLOCK1: asked.packet.options[BLOCK1]})
    ended = [await line.next() for _ in range(3)]
    assert [asked.packet.options.get(REQUEST_TAG) for asked in ended] == tags
    for asked in ended:
        asked.answer(Code.CHANGED, {BLOCK1: asked.packet.options[BLOCK1]})
    await asyncio.gather(first, second, elsewhere)
    third = line.asks(request)
    assert REQUEST_TAG not in (await line.next()).packet.options
    third.cancel()
    await asyncio.wait([third])


# Bodies that come in blocks


async def test_an_answer_in_blocks_comes_back_whole(line: Line) -> None:
    body = bytes(range(256)) * 10
    asking = line.asks(Request(Code.GET, ("x",), observe=0))
    asked = await downloads(line, lambda: body)
    assert (await asking).payload == body
    assert [Block.decode(each.packet.options[BLOCK2][0]).number for each in asked[1:]] == [1, 2]
    assert [OBSERVE in each.packet.options for each in asked] == [True, False, False]
    assert [len(each.message.payload) for each in line.traced if isinstance(each.message, Response)] == [2560]


async def test_an_answer_in_several_blocks_a_message_comes_back_whole() -> None:
    line, body = Line(Room(5000, 7), Limits(max_body=20_000)), bytes(range(250)) * 50
    asking = line.asks(GET_X)
    asked = await downloads(line, lambda: body, 7)
    assert (await asking).payload == body
    assert [Block.decode(each.packet.options[BLOCK2][0]) for each in asked[1:]] == [
        Block(number, False, 7) for number in (4, 8, 12)
    ]


async def test_later_blocks_of_a_fetch_name_what_was_asked_for(line: Line) -> None:
    asking = line.asks(Request(Code.FETCH, (), payload=b"/3/0"))
    asked = await downloads(line, lambda: bytes(1500))
    assert len((await asking).payload) == 1500
    assert [each.packet.payload for each in asked] == [b"/3/0", b"/3/0"]


async def test_an_answer_that_changes_while_it_comes_is_fetched_again(line: Line) -> None:
    bodies = iter([b"a" * 2000])
    asking = line.asks(GET_X)
    await downloads(line, lambda: next(bodies, b"b" * 2000))
    assert (await asking).payload == b"b" * 2000


async def test_an_answer_that_becomes_small_while_it_comes_is_fetched_again(line: Line) -> None:
    asking = line.asks(GET_X)
    (await line.next()).answer(Code.CONTENT, *of_body(bytes(2000), None, 6))
    (await line.next()).answer(Code.CONTENT, {}, b"small")
    (await line.next()).answer(Code.CONTENT, {}, b"small")
    assert (await asking).payload == b"small"


async def test_an_answer_that_changes_each_time_is_rejected(line: Line) -> None:
    numbers = iter(range(100))
    asking = line.asks(GET_X)
    asked = await downloads(line, lambda: str(next(numbers)).encode() * 2000)
    with pytest.raises(Rejected, match="changed"):
        await asking
    assert len(asked) == 7


async def test_what_is_done_is_not_done_again_because_its_answer_changed(line: Line) -> None:
    numbers = iter(range(100))
    asking = line.asks(Request(Code.POST, ("x",)))
    asked = await downloads(line, lambda: str(next(numbers)).encode() * 2000)
    with pytest.raises(Rejected, match="changed"):
        await asking
    assert len(asked) == 2


async def test_an_answer_larger_than_the_limit_is_not_taken(line: Line) -> None:
    asking = line.asks(GET_X)
    await downloads(line, lambda: bytes(4097))
    with pytest.raises(AnswerTooLarge):
        await asking
    asking = line.asks(GET_X)
    (await line.next()).answer(Code.CONTENT, {}, bytes(4097))
    with pytest.raises(AnswerTooLarge):
        await asking


@pytest.mark.parametrize(("option", "length"), [(b"\x08", 5), (b"\x0f", 1024), (b"\x16", 5)])
async def test_blocks_that_do_not_fit_together_are_rejected(line: Line, option: bytes, length: int) -> None:
    asking = line.asks(GET_X)
    (await line.next()).answer(Code.CONTENT, {BLOCK2: (option,)}, bytes(length))
    with pytest.raises(Rejected, match="fit together"):
        await asking


async def test_a_refusal_of_a_later_block_is_the_answer(line: Line) -> None:
    asking = line.asks(GET_X)
    (await line.next()).answer(Code.CONTENT, *of_body(bytes(2000), None, 6))
    (await line.next()).answer(Code.NOT_FOUND, {}, b"gone")
    assert (await asking) == Response(Code.NOT_FOUND, b"gone")
