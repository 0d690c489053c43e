"""CoAP message by message, each stack held against a peer made of bytes.

Each test states what has to happen. What a stack cannot be cured of is a strict xfail whose reason names the fact."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import weakref
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

import aiocoap
import pytest

from lwm2m.coap.endpoint import Delivery, Endpoint, Limits, Rejected, TimedOut, Transmission, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import STACKS, open_endpoint
from tests.lockstep import ACK, CON, NON, RST, Datagram, ScriptedPeer

OBSERVE, URI_PATH, CONTENT_FORMAT, ACCEPT, BLOCK2, BLOCK1, SIZE1 = 6, 11, 12, 17, 23, 27, 60
ETAG, MAX_AGE, PROXY_URI, NO_RESPONSE, UNKNOWN_CRITICAL, UNKNOWN_ELECTIVE = 4, 14, 35, 258, 9999, 9998
GET, POST, PUT, CONTENT, CHANGED, CONTINUE, BAD_OPTION, EMPTY = 0x01, 0x02, 0x03, 0x45, 0x44, 0x5F, 0x82, 0
QUICK = Transmission(ack_timeout=0.08, ack_random_factor=1.0, max_retransmit=2)
TOKEN = b"\xaa\xbb"


@dataclass
class Device:
    """Remembers who observes, and what came."""

    seen: list[Request] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    body: bytes = b"1"
    forever: bool = False
    running: int = 0
    delay: float = 0

    def __call__(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        self.seen.append(request)
        if self.forever:
            return self._never()
        if self.delay:
            return self._later(request, peer)
        return self._answer(request, peer)

    def _answer(self, request: Request, peer: Peer) -> Response:
        if request.observe == 0:
            self.subscriptions.append(Subscription(peer, request.token))
        return Response(Code.CONTENT, self.body, observing=request.observe == 0)

    async def _later(self, request: Request, peer: Peer) -> Response:
        await asyncio.sleep(self.delay)
        return self._answer(request, peer)

    async def _never(self) -> Response:
        self.running += 1
        try:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")
        finally:
            self.running -= 1


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture(params=sorted(STACKS))
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def endpoint(stack: str, device: Device) -> AsyncIterator[Endpoint]:
    endpoint = open_endpoint(stack=stack, transmission=QUICK, limits=Limits(max_body=4096))
    await endpoint.start(device)
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def unhandled() -> list[str]:
    """What the event loop could only report."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context["message"]))
    return reports


@pytest.fixture
async def scripted(endpoint: Endpoint) -> AsyncIterator[ScriptedPeer]:
    async with ScriptedPeer() as scripted:
        scripted.other = endpoint.address
        yield scripted


def asks(scripted: ScriptedPeer, *options: tuple[int, bytes], kind: int = CON, code: int = GET) -> Datagram:
    request = Datagram(kind, code, scripted.next_mid(), TOKEN, ((URI_PATH, b"x"), *options))
    scripted.send(request)
    return request


def uploads(scripted: ScriptedPeer, number: int, more: bool, payload: bytes, exponent: int = 0) -> None:
    option = (BLOCK1, (number << 4 | more << 3 | exponent).to_bytes(2, "big").lstrip(b"\0"))
    scripted.send(Datagram(CON, PUT, scripted.next_mid(), TOKEN, ((URI_PATH, b"x"), option), payload))


async def observes(scripted: ScriptedPeer, kind: int = CON) -> None:
    asks(scripted, (OBSERVE, b""), kind=kind)
    assert (await scripted.expect()).option(OBSERVE) is not None


def acknowledges(scripted: ScriptedPeer, received: Datagram, kind: int = ACK) -> None:
    scripted.send(Datagram(kind, EMPTY, received.mid))


def answers(scripted: ScriptedPeer, request: Datagram, *options: tuple[int, bytes], payload: bytes = b"") -> None:
    scripted.send(Datagram(ACK, CONTENT, request.mid, request.token, options, payload))


def in_background(endpoint: Endpoint, subscription: Subscription, text: str) -> asyncio.Task[Delivery]:
    response = Response(Code.CONTENT, text.encode())
    return asyncio.create_task(endpoint.notify(subscription, response, confirmable=True))


# Exchanges do not harm each other


async def test_a_request_that_times_out_leaves_the_observations_of_its_peer_alone(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    peer = await endpoint.peer(scripted.uri)
    observing = asyncio.create_task(endpoint.observe(peer, Request(Code.GET, ("x",))))
    request = await scripted.expect()
    answers(scripted, request, (OBSERVE, b"\x01"), payload=b"first")
    observation = await observing
    with pytest.raises(TimedOut):
        await endpoint.request(peer, Request(Code.GET, ("y",)))
    for _ in range(3):
        await scripted.expect()
    scripted.send(Datagram(NON, CONTENT, 7, request.token, ((OBSERVE, b"\x02"),), b"second"))
    assert (await asyncio.wait_for(anext(aiter(observation)), 1)).payload == b"second"


async def test_a_request_that_times_out_leaves_the_ones_behind_it_alone(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    peer = await endpoint.peer(scripted.uri)
    first = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("a",))))
    second = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("b",))))
    for _ in range(3):
        assert (await scripted.expect()).option(URI_PATH) == b"a"
    request = await scripted.expect()
    assert request.option(URI_PATH) == b"b"
    answers(scripted, request, payload=b"2")
    assert (await second).payload == b"2"
    with pytest.raises(TimedOut):
        await first


async def test_a_cancelled_request_is_not_retransmitted_and_lets_the_next_one_go(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    peer = await endpoint.peer(scripted.uri)
    first = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("a",))))
    await scripted.expect()
    first.cancel()
    second = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("b",))))
    request = await scripted.expect()
    assert request.option(URI_PATH) == b"b"
    answers(scripted, request)
    assert (await second).code is Code.CONTENT
    await scripted.expect_nothing()


async def test_a_cancelled_request_that_waits_its_turn_is_never_sent(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    peer = await endpoint.peer(scripted.uri)
    first = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("a",))))
    second = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("b",))))
    request = await scripted.expect()
    second.cancel()
    await asyncio.sleep(0)
    answers(scripted, request)
    await first
    await scripted.expect_nothing()


async def test_a_reset_rejects_the_request(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    acknowledges(scripted, await scripted.expect(), RST)
    with pytest.raises(Rejected):
        await asking


async def test_a_separate_response_stops_the_retransmission(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    request = await scripted.expect()
    scripted.send(Datagram(CON, CONTENT, 99, request.token, payload=b"late"))
    assert (await asking).payload == b"late"
    assert await scripted.expect() == Datagram(ACK, EMPTY, 99)
    await scripted.expect_nothing()


async def test_a_repeated_separate_response_is_acknowledged_again(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    request = await scripted.expect()
    acknowledges(scripted, request)
    response = Datagram(CON, CONTENT, 99, request.token)
    for _ in range(2):
        scripted.send(response)
        assert await scripted.expect() == Datagram(ACK, EMPTY, 99)
    await asking


async def test_a_lost_separate_response_is_a_time_out(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    acknowledges(scripted, await scripted.expect())
    with pytest.raises(TimedOut):
        await asking


# Notifications


@pytest.mark.parametrize("kind", [CON, NON])
async def test_a_reset_ends_the_observation(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device, kind: int
) -> None:
    await observes(scripted)
    subscription = device.subscriptions[0]
    notifying = asyncio.create_task(endpoint.notify(subscription, Response(Code.CONTENT), confirmable=kind == CON))
    notification = await scripted.expect()
    assert (notification.kind, notification.token) == (kind, TOKEN)
    acknowledges(scripted, notification, RST)
    assert await notifying is (Delivery.RESET if kind == CON else Delivery.DELIVERED)
    asks(scripted)
    await scripted.expect()
    assert await endpoint.notify(subscription, Response(Code.CONTENT)) is Delivery.RESET
    await scripted.expect_nothing()


async def test_a_reset_to_a_first_response_of_its_own_ends_the_observation(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    device.delay = 0.15
    request = asks(scripted, (OBSERVE, b""))
    assert await scripted.expect() == Datagram(ACK, EMPTY, request.mid)
    first = await scripted.expect()
    assert (first.kind, first.code) == (CON, CONTENT)
    assert first.option(OBSERVE) is not None
    acknowledges(scripted, first, RST)
    device.delay = 0
    asks(scripted)
    await scripted.expect()
    assert await endpoint.notify(device.subscriptions[0], Response(Code.CONTENT)) is Delivery.RESET


async def test_while_one_is_unacknowledged_only_the_newest_waits(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    await observes(scripted)
    notifying = [in_background(endpoint, device.subscriptions[0], str(n)) for n in range(5)]
    first = await scripted.expect()
    assert first.payload == b"0"
    acknowledges(scripted, first)
    last = await scripted.expect()
    assert last.payload == b"4"
    acknowledges(scripted, last)
    assert await asyncio.gather(*notifying) == [
        Delivery.DELIVERED,
        Delivery.SUPERSEDED,
        Delivery.SUPERSEDED,
        Delivery.SUPERSEDED,
        Delivery.DELIVERED,
    ]
    await scripted.expect_nothing()


async def test_a_notification_that_nobody_acknowledges_ends_the_observation(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    await endpoint.peer(scripted.uri)
    await observes(scripted)
    notifying = [in_background(endpoint, device.subscriptions[0], str(n)) for n in range(2)]
    assert await asyncio.gather(*notifying) == [Delivery.TIMED_OUT, Delivery.TIMED_OUT]
    assert len({await scripted.expect() for _ in range(3)}) == 1
    assert await endpoint.notify(device.subscriptions[0], Response(Code.CONTENT)) is Delivery.RESET


async def test_a_forgotten_observation_is_not_retransmitted(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    await observes(scripted)
    notifying = in_background(endpoint, device.subscriptions[0], "1")
    await scripted.expect()
    endpoint.forget(device.subscriptions[0])
    assert await notifying is Delivery.SUPERSEDED
    await scripted.expect_nothing()


async def test_a_cancelled_notification_is_not_retransmitted_and_lets_the_next_one_go(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    await endpoint.peer(scripted.uri)
    await observes(scripted)
    first = in_background(endpoint, device.subscriptions[0], "1")
    await scripted.expect()
    second = in_background(endpoint, device.subscriptions[0], "2")
    first.cancel()
    following = await scripted.expect()
    assert following.payload == b"2"
    acknowledges(scripted, following)
    assert await second is Delivery.DELIVERED
    await scripted.expect_nothing()


@pytest.mark.parametrize("asked", [CON, NON])
@pytest.mark.parametrize("notified", [CON, NON])
async def test_notifications_are_confirmable_as_asked_and_not_as_the_request_was(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device, asked: int, notified: int
) -> None:
    await observes(scripted, asked)
    response = Response(Code.CONTENT)
    notifying = asyncio.create_task(endpoint.notify(device.subscriptions[0], response, confirmable=notified == CON))
    notification = await scripted.expect()
    assert notification.kind == notified
    acknowledges(scripted, notification)
    assert await notifying is Delivery.DELIVERED


async def test_observe_numbers_grow_over_a_renewal_with_the_same_token(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    numbers = []
    for _ in range(3):
        asks(scripted, (OBSERVE, b""))
        numbers.append(int.from_bytes((await scripted.expect()).option(OBSERVE) or b"", "big"))
        await endpoint.notify(device.subscriptions[-1], Response(Code.CONTENT))
        numbers.append(int.from_bytes((await scripted.expect()).option(OBSERVE) or b"", "big"))
    assert numbers == sorted(set(numbers))


async def test_an_older_notification_that_comes_late_is_dropped(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    observing = asyncio.create_task(endpoint.observe(await endpoint.peer(scripted.uri), Request(Code.GET)))
    request = await scripted.expect()
    answers(scripted, request, (OBSERVE, b"\x02"))
    observation = await observing
    for mid, number in enumerate([5, 4, 5, 6]):
        scripted.send(Datagram(CON, CONTENT, mid, request.token, ((OBSERVE, bytes((number,))),), bytes((number,))))
        assert await scripted.expect() == Datagram(ACK, EMPTY, mid)
    notifications = aiter(observation)
    assert [(await anext(notifications)).payload for _ in range(2)] == [b"\x05", b"\x06"]


@pytest.mark.parametrize("kind", [CON, NON])
async def test_a_notification_that_nobody_wants_is_reset(scripted: ScriptedPeer, kind: int) -> None:
    scripted.send(Datagram(kind, CONTENT, 0x77, b"\x99", ((OBSERVE, b"\x01"),), b"?"))
    assert await scripted.expect() == Datagram(RST, EMPTY, 0x77)


async def test_a_notification_under_way_is_not_taken_for_the_answer_to_a_cancellation(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    observing = asyncio.create_task(endpoint.observe(await endpoint.peer(scripted.uri), Request(Code.GET)))
    request = await scripted.expect()
    answers(scripted, request, (OBSERVE, b"\x01"))
    cancelling = asyncio.create_task((await observing).cancel())
    cancellation = await scripted.expect()
    assert (cancellation.token, cancellation.option(OBSERVE)) == (request.token, b"\x01")
    scripted.send(Datagram(NON, CONTENT, 8, request.token, ((OBSERVE, b"\x02"),), b"under way"))
    answers(scripted, cancellation, payload=b"answer")
    response = await cancelling
    assert response is not None
    assert response.payload == b"answer"


# Options


async def test_an_unknown_critical_option_is_4_02(scripted: ScriptedPeer, device: Device) -> None:
    asks(scripted, (UNKNOWN_CRITICAL, b"?"))
    answer = await scripted.expect()
    assert (answer.kind, answer.code, answer.token) == (ACK, BAD_OPTION, TOKEN)
    assert device.seen == []


async def test_a_non_confirmable_request_with_an_unknown_critical_option_is_ignored(
    scripted: ScriptedPeer, device: Device
) -> None:
    asks(scripted, (UNKNOWN_CRITICAL, b"?"), kind=NON)
    await scripted.expect_nothing()
    assert device.seen == []


async def test_an_unknown_elective_option_is_ignored(scripted: ScriptedPeer) -> None:
    asks(scripted, (UNKNOWN_ELECTIVE, b"?"))
    assert (await scripted.expect()).code == CONTENT


@pytest.mark.parametrize(
    "options",
    [
        ((ACCEPT, b"\x01"), (ACCEPT, b"\x02")),
        ((ACCEPT, b"\x01\x02\x03"),),
        ((URI_PATH, b"\xff"),),
        ((URI_PATH, b"x" * 256),),
        ((1, b""),),
        ((5, b""),),
    ],
    ids=["twice", "too long", "not UTF-8", "long path", "If-Match", "If-None-Match"],
)
async def test_a_critical_option_that_is_wrong_is_4_02(
    scripted: ScriptedPeer, device: Device, options: tuple[tuple[int, bytes], ...]
) -> None:
    asks(scripted, *options)
    answer = await scripted.expect()
    assert (answer.code, answer.token) == (BAD_OPTION, TOKEN)
    assert device.seen == []


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (ETAG, b""),
        (OBSERVE, bytes(4)),
        (CONTENT_FORMAT, bytes(3)),
        (MAX_AGE, bytes(5)),
        (SIZE1, bytes(5)),
        (NO_RESPONSE, b"\0\x02"),
    ],
    ids=["ETag", "Observe", "Content-Format", "Max-Age", "Size1", "No-Response"],
)
async def test_an_elective_option_with_a_wrong_length_is_ignored(
    scripted: ScriptedPeer, device: Device, number: int, value: bytes
) -> None:
    asks(scripted, (number, value))
    answer = await scripted.expect()
    assert (answer.code, answer.token, answer.payload) == (CONTENT, TOKEN, b"1")
    asks(scripted)
    assert (await scripted.expect()).code == CONTENT
    assert device.seen[0] == device.seen[1]


@pytest.mark.parametrize(("code", "value"), [(PUT, b""), (GET, b"\x02")])
async def test_observe_is_ignored_where_it_means_nothing(
    scripted: ScriptedPeer, device: Device, code: int, value: bytes
) -> None:
    asks(scripted, (OBSERVE, value), code=code)
    assert (await scripted.expect()).option(OBSERVE) is None
    assert device.seen[0].observe is None


async def test_we_are_no_proxy(scripted: ScriptedPeer) -> None:
    asks(scripted, (PROXY_URI, b"coap://elsewhere/"))
    assert (await scripted.expect()).code == 0xA5


async def test_an_answer_with_an_unknown_critical_option_is_rejected(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    answers(scripted, await scripted.expect(), (UNKNOWN_CRITICAL, b"?"))
    with pytest.raises(Rejected, match="critical"):
        await asking


async def test_an_unknown_method_is_4_05(scripted: ScriptedPeer) -> None:
    asks(scripted, code=0x1E)
    assert (await scripted.expect()).code == 0x85


# What is no CoAP


async def test_nonsense_does_not_flood_the_log(
    endpoint: Endpoint, scripted: ScriptedPeer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lwm2m.coap")
    for _ in range(50):
        scripted.send(b"\x80\x01\x00\x01")
    asks(scripted)
    await scripted.expect()
    await endpoint.stop()
    assert [message.split(": ")[0] for message in caplog.messages] == [
        f"{scripted.uri.removeprefix('coap://')} sent what is no CoAP message",
        "49 more times somebody sent what is no CoAP message",
    ]


@pytest.mark.parametrize(
    "datagram",
    [b"", b"\x40", b"\x40\x01\x00", b"\x80\x01\x00\x01", b"\x50\x01\x00\x01\xf0", b"\x4f\x01\x00", b"\xff" * 64],
)
async def test_nonsense_is_ignored_and_service_goes_on(scripted: ScriptedPeer, datagram: bytes) -> None:
    scripted.send(datagram)
    await scripted.expect_nothing(0.05)
    asks(scripted)
    assert (await scripted.expect()).code == CONTENT


@pytest.mark.parametrize(
    "datagram", [b"\x40\x01\x12\x34\xf0", b"\x49\x01\x12\x34" + bytes(9), b"\x40\x00\x12\x34x", b"\x40\x01\x12\x34\xd1"]
)
async def test_a_confirmable_message_that_does_not_parse_is_reset(scripted: ScriptedPeer, datagram: bytes) -> None:
    scripted.send(datagram)
    assert await scripted.expect() == Datagram(RST, EMPTY, 0x1234)


async def test_a_ping_is_answered_with_a_reset(scripted: ScriptedPeer) -> None:
    scripted.send(Datagram(CON, EMPTY, 0x55))
    assert await scripted.expect() == Datagram(RST, EMPTY, 0x55)


async def test_a_repeated_request_gets_the_same_answer_and_is_handled_once(
    scripted: ScriptedPeer, device: Device
) -> None:
    request = asks(scripted)
    first = await scripted.expect_bytes()
    scripted.send(request)
    assert await scripted.expect_bytes() == first
    assert len(device.seen) == 1


async def test_a_message_of_ours_is_not_taken_for_the_answer_to_a_request_with_its_number(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET, ("a",))))
    ours = await scripted.expect()
    theirs = Datagram(CON, GET, ours.mid + 1, TOKEN)
    scripted.send(theirs)
    answer = await scripted.expect_bytes()
    answers(scripted, ours)
    await asking
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET, ("b",))))
    ours = await scripted.expect()
    assert ours.mid == theirs.mid
    scripted.send(theirs)
    assert await scripted.expect_bytes() == answer
    answers(scripted, ours)
    await asking


# Block-wise


async def test_blocks_in_order_are_one_body(scripted: ScriptedPeer, device: Device) -> None:
    for number in range(3):
        uploads(scripted, number, number < 2, bytes((number,)) * 16)
        answer = await scripted.expect()
        assert answer.code == (CONTINUE if number < 2 else CONTENT)
        assert answer.option(BLOCK1) is not None
    assert [request.payload for request in device.seen] == [b"\0" * 16 + b"\1" * 16 + b"\2" * 16]


async def test_a_gap_between_blocks_is_4_08_without_a_traceback(
    scripted: ScriptedPeer, device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    uploads(scripted, 0, True, bytes(16))
    assert (await scripted.expect()).code == CONTINUE
    uploads(scripted, 2, True, bytes(16))
    assert (await scripted.expect()).code == 0x88
    uploads(scripted, 1, False, bytes(16))
    assert (await scripted.expect()).code == 0x88
    assert device.seen == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_body_that_grows_beyond_the_limit_is_4_13(scripted: ScriptedPeer, device: Device) -> None:
    for number in range(4):
        uploads(scripted, number, True, bytes(1024), 6)
        assert (await scripted.expect()).code == CONTINUE
    uploads(scripted, 4, True, bytes(1024), 6)
    answer = await scripted.expect()
    assert (answer.code, answer.option(SIZE1)) == (0x8D, (4096).to_bytes(2, "big"))
    assert device.seen == []


async def test_a_body_announced_beyond_the_limit_is_4_13_at_once(scripted: ScriptedPeer) -> None:
    first = ((URI_PATH, b"x"), (BLOCK1, b"\x0e"), (SIZE1, b"\x01\x00\x00"))
    scripted.send(Datagram(CON, PUT, scripted.next_mid(), TOKEN, first, bytes(1024)))
    assert (await scripted.expect()).code == 0x8D


async def test_a_block_of_the_size_that_is_for_tcp_is_4_00(scripted: ScriptedPeer) -> None:
    uploads(scripted, 0, True, bytes(1024), 7)
    assert (await scripted.expect()).code == 0x80


async def test_smaller_blocks_are_sent_when_the_peer_asks(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    body = bytes(range(256)) * 5
    peer = await endpoint.peer(scripted.uri)
    asking = asyncio.create_task(endpoint.request(peer, Request(Code.PUT, ("x",), payload=body)))
    first = await scripted.expect()
    assert (first.option(BLOCK1), len(first.payload)) == (b"\x0e", 1024)
    scripted.send(Datagram(ACK, CONTINUE, first.mid, first.token, ((BLOCK1, b"\x0b"),)))
    received = first.payload
    while len(received) < len(body):
        block = await scripted.expect()
        option = int.from_bytes(block.option(BLOCK1) or b"", "big")
        assert (option >> 4) * 128 == len(received)
        assert option & 7 == 3
        received += block.payload
        code = CONTINUE if option & 8 else CHANGED
        scripted.send(Datagram(ACK, code, block.mid, block.token, ((BLOCK1, block.option(BLOCK1) or b""),)))
    assert received == body
    assert (await asking).code is Code.CHANGED


async def test_a_large_answer_comes_in_blocks_of_the_size_asked(
    endpoint: Endpoint, scripted: ScriptedPeer, device: Device
) -> None:
    await endpoint.peer(scripted.uri)
    device.body = bytes(range(100))
    received = b""
    tags = set()
    for number in range(4):
        asks(scripted, (BLOCK2, bytes((number << 4 | 1,)) if number else b"\x01"))
        answer = await scripted.expect()
        received += answer.payload
        tags.add(answer.option(ETAG))
        assert answer.option(BLOCK2) == bytes((number << 4 | (8 if number < 3 else 0) | 1,))
    assert received == device.body
    assert len(tags) == 1
    assert len(device.seen) == 1


async def test_a_block_beyond_the_answer_is_4_00(scripted: ScriptedPeer) -> None:
    asks(scripted, (BLOCK2, b"\x56"))
    assert (await scripted.expect()).code == 0x80


async def test_blocks_of_an_answer_that_do_not_fit_together_are_rejected(
    endpoint: Endpoint, scripted: ScriptedPeer
) -> None:
    asking = asyncio.create_task(endpoint.request(await endpoint.peer(scripted.uri), Request(Code.GET)))
    answers(scripted, await scripted.expect(), (BLOCK2, b"\x08"), payload=b"short")
    with pytest.raises(Rejected, match="fit together"):
        await asking


# Whatever comes, and whenever it ends


@pytest.mark.parametrize("seed", range(4))
async def test_damaged_datagrams_do_no_damage(
    scripted: ScriptedPeer, device: Device, caplog: pytest.LogCaptureFixture, unhandled: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    request = Datagram(
        CON, PUT, 1, TOKEN, ((OBSERVE, b""), (URI_PATH, b"3"), (ACCEPT, b"-\x16"), (BLOCK1, b"\x08")), bytes(16)
    ).encode()
    with contextlib.closing(ScriptedPeer()) as noisy:
        noisy.other = scripted.other
        for _ in range(500):
            damaged = bytearray(request[: chance.choice((len(request), chance.randrange(len(request) + 1)))])
            for _ in range(chance.randrange(4) if damaged else 0):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            noisy.send(bytes(damaged))
            await asyncio.sleep(0)
        asks(scripted)
        assert (await scripted.expect()).code == CONTENT
    assert device.seen != []
    assert unhandled == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_stopping_in_the_middle_of_everything_leaves_nothing_behind(
    endpoint: Endpoint,
    scripted: ScriptedPeer,
    device: Device,
    caplog: pytest.LogCaptureFixture,
    unhandled: list[str],
) -> None:
    await observes(scripted)
    peer = await endpoint.peer(scripted.uri)
    observing = asyncio.create_task(endpoint.observe(peer, Request(Code.GET, ("y",))))
    request = await scripted.expect()
    answers(scripted, request, (OBSERVE, b"\x01"))
    observation = await observing
    device.forever = True
    asks(scripted)
    asks(scripted, kind=NON)
    while device.running < 2:  # noqa: ASYNC110  # two datagrams are on their way
        await asyncio.sleep(0)
    waiting: list[asyncio.Task[object]] = [
        asyncio.create_task(endpoint.request(peer, Request(Code.GET, (str(n),)))) for n in range(3)
    ]
    waiting.append(in_background(endpoint, device.subscriptions[0], "1"))
    waiting.append(in_background(endpoint, device.subscriptions[0], "2"))
    waiting.append(asyncio.create_task(anext(aiter(observation), None)))
    await scripted.expect()
    await endpoint.stop()
    ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert [type(each) for each in ended[:3]] == [Unreachable] * 3
    assert ended[3:] == [Delivery.TIMED_OUT, Delivery.TIMED_OUT, None]
    assert device.running == 0
    await asyncio.sleep(0.3)
    assert unhandled == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stopped_endpoint_is_garbage(stack: str) -> None:
    async def run() -> weakref.ref[Endpoint]:
        device, endpoint = Device(), open_endpoint(stack=stack)
        await endpoint.start(device)
        async with ScriptedPeer() as scripted:
            scripted.other = endpoint.address
            await observes(scripted)
            await endpoint.notify(device.subscriptions[0], Response(Code.CONTENT))
        await endpoint.stop()
        return weakref.ref(endpoint)

    reference = await run()
    gc.collect()
    assert reference() is None


# The socket


async def test_a_request_is_answered_without_formatting_the_message(
    scripted: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_message: aiocoap.Message) -> str:
        raise AssertionError("half of aiocoap's time goes here")

    monkeypatch.setattr(aiocoap.Message, "__repr__", refuse)
    asks(scripted)
    assert (await scripted.expect()).code == CONTENT


async def test_tokens_are_not_counted(endpoint: Endpoint, scripted: ScriptedPeer) -> None:
    peer = await endpoint.peer(scripted.uri)
    tokens = []
    for _ in range(3):
        asking = asyncio.create_task(endpoint.request(peer, Request(Code.GET)))
        request = await scripted.expect()
        tokens.append(int.from_bytes(request.token, "big"))
        answers(scripted, request)
        await asking
    assert all(abs(one - other) > 1 << 16 for one, other in itertools.pairwise(tokens))


async def test_an_icmp_error_does_not_stop_the_service(scripted: ScriptedPeer) -> None:
    gone = ScriptedPeer()
    gone.other = scripted.other
    for _ in range(20):
        asks(gone)
    gone.close()
    asks(scripted)
    assert (await scripted.expect()).code == CONTENT


async def test_a_datagram_larger_than_a_page_arrives_whole(scripted: ScriptedPeer, device: Device) -> None:
    scripted.send(Datagram(CON, POST, 1, TOKEN, payload=bytes(4096)))
    assert (await scripted.expect()).code == CONTENT
    assert len(device.seen[0].payload) == 4096


async def test_a_server_on_all_addresses_answers_and_asks_from_the_one_it_was_asked_at(
    stack: str, device: Device
) -> None:
    everywhere = open_endpoint("0.0.0.0", stack=stack)
    await everywhere.start(device)
    async with ScriptedPeer() as scripted:
        scripted.other = known = "127.0.0.2", everywhere.address[1]
        asks(scripted)
        await scripted.expect()
        assert scripted.other == known
        asking = asyncio.create_task(everywhere.request(await everywhere.peer(scripted.uri), Request(Code.GET)))
        answers(scripted, await scripted.expect())
        await asking
        assert scripted.other == known
    await everywhere.stop()


async def test_an_unverified_address_gets_at_most_three_times_what_it_sent(
    stack: str, scripted: ScriptedPeer, device: Device, request: pytest.FixtureRequest
) -> None:
    if stack == "aiocoap":
        reason = "answers to addresses that nobody verified are not limited to three times the request"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    device.body = bytes(1000)
    asked = asks(scripted)
    came = 0
    with contextlib.suppress(TimeoutError):
        while True:
            came += len(await asyncio.wait_for(scripted.expect_bytes(), 0.6))
    assert 0 < came <= 3 * len(asked.encode())


async def test_whoever_answers_a_ping_gets_what_it_asked_for(
    scripted: ScriptedPeer, device: Device, stack: str
) -> None:
    if stack == "aiocoap":
        pytest.skip("it answers at once")
    device.body = bytes(1000)
    for _ in range(2):
        asked = asks(scripted)
        answer = await scripted.expect()
        if answer.code == EMPTY:
            assert answer.kind == CON
            acknowledges(scripted, answer, RST)
            answer = await scripted.expect()
        assert (answer.kind, answer.mid, answer.payload) == (ACK, asked.mid, device.body)
    assert len(device.seen) == 2
