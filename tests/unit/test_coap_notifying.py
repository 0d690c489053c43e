"""The observations that peers have of us: what leaves, and what becomes of it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from lwm2m.coap.blocks import Block
from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Delivery, Limits
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.packet import BLOCK2, CONTENT_FORMAT, ETAG, OBSERVE, URI_PATH, Packet
from lwm2m.coap.requests.conversation import Conversation
from tests.unit.fake_carrier import OTHER, PEER, FakeCarrier, FakeIncoming, Notified, a_conversation

TOKEN = b"\x0a\x0b"
SUBSCRIPTION = Subscription(PEER, TOKEN)


class Observed:
    """A conversation that is observed."""

    def __init__(self, room: Room | None = None, limits: Limits | None = None) -> None:
        self.carrier = FakeCarrier() if room is None else FakeCarrier(room)
        self.body = b"first"
        self.conversation: Conversation = a_conversation(self.carrier, self.answer, limits=limits or Limits())

    def answer(self, request: Request, _peer: Peer) -> Response:
        return Response(Code.CONTENT, self.body, observing=request.observe == 0)

    def observes(
        self, token: bytes = TOKEN, peer: Peer = PEER, observe: bytes = b"", block2: bytes = b""
    ) -> FakeIncoming:
        options: dict[int, tuple[bytes, ...]] = {OBSERVE: (observe,), URI_PATH: (b"x",)}
        if block2:
            options[BLOCK2] = (block2,)
        incoming = FakeIncoming(Packet(Code.GET, token, options), peer)
        self.conversation.serve(incoming)
        return incoming

    async def notifies(self, payload: bytes, *, confirmable: bool = False, to: Subscription = SUBSCRIPTION) -> Delivery:
        return await self.conversation.notify(to, Response(Code.CONTENT, payload), confirmable=confirmable)

    async def begins(self, *payloads: bytes, confirmable: bool = True) -> list[asyncio.Task[Delivery]]:
        """Notifications whose delivery is waited for in the background."""
        tasks = [asyncio.ensure_future(self.notifies(payload, confirmable=confirmable)) for payload in payloads]
        await asyncio.sleep(0)
        return tasks

    @property
    def last(self) -> Notified:
        return self.carrier.notified[-1]

    @property
    def payloads(self) -> list[bytes]:
        return [notified.packet.payload for notified in self.carrier.notified]


@pytest.fixture
async def observed() -> Observed:
    observed = Observed()
    observed.observes()
    return observed


async def test_notifications_carry_the_token_and_numbers_that_grow(observed: Observed) -> None:
    first = observed.observes(b"other").outcome
    response = Response(Code.CONTENT, b"1", 0)
    assert await observed.conversation.notify(SUBSCRIPTION, response) is Delivery.DELIVERED
    await observed.notifies(b"2")
    packet = observed.carrier.notified[0].packet
    assert packet == Packet(Code.CONTENT, TOKEN, {CONTENT_FORMAT: (b"",), OBSERVE: packet.options[OBSERVE]}, b"1")
    packets = [first, *(notified.packet for notified in observed.carrier.notified)]
    numbers = [int.from_bytes(packet.options[OBSERVE][0], "big") for packet in packets]
    assert all(one < other for one, other in pairwise(numbers))


@pytest.mark.parametrize("confirmable", [True, False])
async def test_they_are_confirmable_as_asked(observed: Observed, confirmable: bool) -> None:
    (delivered,) = await observed.begins(b"1", confirmable=confirmable)
    assert (observed.last.confirmable, delivered.done()) == (confirmable, not confirmable)
    if confirmable:
        observed.last.settled(Delivery.DELIVERED)
    assert await delivered is Delivery.DELIVERED


async def test_while_one_is_unacknowledged_only_the_newest_waits(observed: Observed) -> None:
    deliveries = await observed.begins(b"0", b"1", b"2", b"3")
    assert observed.payloads == [b"0"]
    observed.last.settled(Delivery.DELIVERED)
    assert observed.payloads == [b"0", b"3"]
    observed.last.settled(Delivery.DELIVERED)
    names = [(await delivery).name for delivery in deliveries]
    assert names == ["DELIVERED", "SUPERSEDED", "SUPERSEDED", "DELIVERED"]


async def test_one_that_waits_may_be_non_confirmable(observed: Observed) -> None:
    (first,) = await observed.begins(b"0")
    (second,) = await observed.begins(b"1", confirmable=False)
    assert not second.done()
    observed.last.settled(Delivery.DELIVERED)
    assert [(each.packet.payload, each.confirmable) for each in observed.carrier.notified] == [
        (b"0", True),
        (b"1", False),
    ]
    assert [await first, await second] == [Delivery.DELIVERED] * 2


async def test_one_that_nobody_waits_for_any_more_is_not_sent(observed: Observed) -> None:
    _, waiting = await observed.begins(b"0", b"1")
    waiting.cancel()
    await asyncio.sleep(0)
    observed.last.settled(Delivery.DELIVERED)
    assert observed.payloads == [b"0"]


@pytest.mark.parametrize("confirmable", [True, False])
async def test_one_under_way_that_is_cancelled_is_withdrawn_and_the_next_goes(
    observed: Observed, confirmable: bool
) -> None:
    (under_way,) = await observed.begins(b"0")
    (waiting,) = await observed.begins(b"1", confirmable=confirmable)
    cancelled = observed.last
    under_way.cancel()
    await asyncio.wait([under_way])
    assert (cancelled.withdrawn, under_way.cancelled()) == (True, True)
    assert observed.payloads == [b"0", b"1"]
    if confirmable:
        observed.last.settled(Delivery.DELIVERED)
    assert await waiting is Delivery.DELIVERED
    assert await observed.notifies(b"2") is Delivery.DELIVERED


async def test_one_that_is_cancelled_after_its_verdict_changes_nothing(observed: Observed) -> None:
    under_way, waiting = await observed.begins(b"0", b"1")
    observed.last.settled(Delivery.DELIVERED)
    under_way.cancel()
    await asyncio.wait([under_way])
    assert observed.payloads == [b"0", b"1"]
    assert not observed.last.withdrawn
    observed.last.settled(Delivery.DELIVERED)
    assert await waiting is Delivery.DELIVERED


@pytest.mark.parametrize("verdict", [Delivery.RESET, Delivery.TIMED_OUT])
async def test_a_reset_or_silence_ends_the_observation(observed: Observed, verdict: Delivery) -> None:
    deliveries = await observed.begins(b"0", b"1")
    observed.last.settled(verdict)
    assert [await delivery for delivery in deliveries] == [verdict, verdict]
    assert await observed.notifies(b"2") is Delivery.RESET
    assert observed.payloads == [b"0"]


async def test_a_reset_to_a_non_confirmable_one_ends_it_with_what_is_under_way(observed: Observed) -> None:
    await observed.notifies(b"0")
    (under_way,) = await observed.begins(b"1")
    observed.carrier.notified[0].settled(Delivery.RESET)
    assert await under_way is Delivery.RESET
    assert observed.last.withdrawn
    assert await observed.notifies(b"2") is Delivery.RESET


async def test_a_reset_to_a_first_response_of_its_own_ends_it() -> None:
    observed = Observed()
    settled = observed.observes().settled
    assert settled is not None
    settled(Delivery.DELIVERED)
    assert await observed.notifies(b"1") is Delivery.DELIVERED
    settled(Delivery.RESET)
    assert await observed.notifies(b"2") is Delivery.RESET


async def test_a_verdict_on_an_observation_that_was_renewed_leaves_the_new_one(observed: Observed) -> None:
    await observed.notifies(b"0")
    observed.observes()
    observed.carrier.notified[0].settled(Delivery.RESET)
    assert await observed.notifies(b"1") is Delivery.DELIVERED


async def test_a_cancellation_ends_it(observed: Observed) -> None:
    (under_way,) = await observed.begins(b"0")
    assert OBSERVE not in observed.observes(observe=b"\x01").outcome.options
    assert await under_way is Delivery.SUPERSEDED
    assert observed.last.withdrawn
    assert await observed.notifies(b"1") is Delivery.RESET


async def test_one_that_is_no_success_is_the_last(observed: Observed) -> None:
    notifying = asyncio.ensure_future(
        observed.conversation.notify(SUBSCRIPTION, Response(Code.NOT_FOUND), confirmable=True)
    )
    await asyncio.sleep(0)
    assert observed.last.packet == Packet(Code.NOT_FOUND, TOKEN)
    assert await observed.notifies(b"1") is Delivery.RESET
    observed.last.settled(Delivery.DELIVERED)
    assert await notifying is Delivery.DELIVERED


async def test_what_is_forgotten_is_withdrawn(observed: Observed) -> None:
    deliveries = await observed.begins(b"0", b"1")
    observed.conversation.forget(SUBSCRIPTION)
    observed.conversation.forget(SUBSCRIPTION)
    assert [await delivery for delivery in deliveries] == [Delivery.SUPERSEDED] * 2
    assert observed.last.withdrawn


@pytest.mark.parametrize("stops", [True, False])
async def test_stopping_or_losing_the_peer_ends_what_waits(observed: Observed, stops: bool) -> None:
    observed.observes(peer=OTHER)
    deliveries = await observed.begins(b"0", b"1")
    if stops:
        await observed.conversation.stop()
    else:
        observed.conversation.lost(PEER)
    assert [await delivery for delivery in deliveries] == [Delivery.TIMED_OUT] * 2
    others = await observed.notifies(b"2", to=Subscription(OTHER, TOKEN))
    assert others is (Delivery.RESET if stops else Delivery.DELIVERED)


async def test_a_peer_has_no_more_observations_than_the_limit() -> None:
    observed = Observed(limits=Limits(max_observations_per_client=2))
    accepted = [OBSERVE in observed.observes(bytes((n,))).outcome.options for n in range(3)]
    assert accepted == [True, True, False]
    assert OBSERVE in observed.observes(peer=OTHER).outcome.options
    assert OBSERVE in observed.observes(b"\0").outcome.options
    observed.observes(b"\0", observe=b"\x01")
    assert OBSERVE in observed.observes(b"\2").outcome.options


@pytest.mark.parametrize(
    ("room", "block2", "expected"),
    [
        (Room(1024, 6), b"", Block(0, True, 6)),
        (Room(64, 2), b"", Block(0, True, 2)),
        (Room(1024, 6), b"\x03", Block(0, True, 3)),
        (Room(1024, 6), b"\x13", Block(0, True, 3)),
        (Room(1400, 7), b"", Block(0, True, 7)),
    ],
    ids=["datagram", "small", "as asked", "in the middle", "BERT"],
)
async def test_a_large_one_begins_with_its_first_block_and_is_kept(room: Room, block2: bytes, expected: Block) -> None:
    observed = Observed(room)
    observed.body = bytes(300) if block2 else b"first"
    observed.observes(block2=block2)
    await observed.notifies(bytes(range(250)) * 10)
    packet = observed.last.packet
    assert Block.decode(packet.options[BLOCK2][0]) == expected
    assert len(packet.payload) == expected.size
    later = Block(1, False, expected.exponent).encode()
    incoming = FakeIncoming(Packet(Code.GET, b"t", {URI_PATH: (b"x",), BLOCK2: (later,)}))
    observed.conversation.serve(incoming)
    answer = incoming.outcome
    assert answer.options[ETAG] == packet.options[ETAG]
    assert answer.payload == (bytes(range(250)) * 10)[expected.size :][: len(answer.payload)]
    assert OBSERVE not in answer.options
