"""Observations of a peer: notifications in, to whoever iterates or follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.endpoint import Observation, Traced, Unreachable
from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.packet import BLOCK2, ECHO, ETAG, OBSERVE, URI_PATH
from lwm2m.coap.requests.conversation import Conversation
from tests.unit.fake_carrier import PEER, Asked, FakeCarrier, a_conversation

GET_X = Request(Code.GET, ("x",), accept=110)


class Watch:
    """A conversation with one observation that runs, and what its follower received."""

    def __init__(self) -> None:
        self.traced: list[Traced] = []
        self.carrier = FakeCarrier()
        self.conversation: Conversation = a_conversation(self.carrier, tracer=self.traced.append)
        self.received: list[bytes | None] = []

    async def begins(self, *, accepted: bool = True) -> Observation:
        observing = asyncio.ensure_future(self.conversation.observe(PEER, GET_X, 5))
        await asyncio.sleep(0)
        self.asked.answer(Code.CONTENT, {OBSERVE: (b"\x01",)} if accepted else {}, b"first")
        return await observing

    async def begins_to_follow(self) -> Observation:
        observation = await self.begins()
        observation.follow(self.receive)
        return observation

    def receive(self, response: Response | None) -> None:
        self.received.append(None if response is None else response.payload)

    @property
    def asked(self) -> Asked:
        return self.carrier.asked[0]

    def notifies(self, number: int | None, payload: bytes = b"", code: Code = Code.CONTENT, more: bool = False) -> bool:
        options: dict[int, tuple[bytes, ...]] = {} if number is None else {OBSERVE: (bytes((number,)),)}
        if more:
            options.update({BLOCK2: (b"\x08",), ETAG: (bytes((number or 0,)),)})
            payload = payload.ljust(16)
        return self.asked.answer(code, options, payload, in_acknowledgement=False)

    async def fetches(self) -> Asked:
        """What is asked next for the rest of something large."""
        known = len(self.carrier.asked)
        for _ in range(10):
            if len(self.carrier.asked) > known:
                break
            await asyncio.sleep(0)
        return self.carrier.asked[-1]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    watch = Watch()
    yield watch
    await watch.conversation.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# Beginning and ending


async def test_an_observation_begins_with_its_first_response(watch: Watch) -> None:
    observation = await watch.begins()
    assert observation.first == Response(Code.CONTENT, b"first", observing=True)
    assert watch.asked.packet.options[OBSERVE] == (b"",)
    assert not watch.asked.withdrawn


async def test_a_peer_that_does_not_accept_ends_it_at_once(watch: Watch) -> None:
    observation = await watch.begins(accepted=False)
    assert (observation.first.observing, watch.asked.withdrawn) == (False, True)
    observation.follow(watch.receive)
    assert watch.received == [None]
    assert await observation.cancel() is None


async def test_a_refusal_is_the_first_response_and_the_last(watch: Watch) -> None:
    observing = asyncio.ensure_future(watch.conversation.observe(PEER, GET_X, 5))
    await asyncio.sleep(0)
    watch.asked.answer(Code.NOT_FOUND, {OBSERVE: (b"",)})
    assert (await observing).first == Response(Code.NOT_FOUND)
    assert watch.asked.withdrawn


async def test_an_observation_whose_first_response_does_not_come_whole_is_given_up(watch: Watch) -> None:
    observing = asyncio.ensure_future(watch.conversation.observe(PEER, GET_X, 5))
    await asyncio.sleep(0)
    watch.asked.answer(Code.CONTENT, {OBSERVE: (b"\x01",), BLOCK2: (b"\x08",)}, bytes(16))
    (await watch.fetches()).listener.failed(Unreachable("no route"))
    with pytest.raises(Unreachable):
        await observing
    assert watch.asked.withdrawn


@pytest.mark.parametrize(("notifications", "lost"), [(64, 0), (65, 1)])
async def test_what_comes_while_a_large_first_response_is_fetched_waits_in_a_bounded_space(
    watch: Watch, caplog: pytest.LogCaptureFixture, notifications: int, lost: int
) -> None:
    observing = asyncio.ensure_future(watch.conversation.observe(PEER, GET_X, 5))
    await asyncio.sleep(0)
    watch.asked.answer(Code.CONTENT, {OBSERVE: (b"\x01",), BLOCK2: (b"\x08",)}, bytes(16))
    rest = await watch.fetches()
    sent = [b"%d" % number for number in range(2, 2 + notifications)]
    for number, payload in enumerate(sent, 2):
        assert watch.notifies(number, payload)
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",)}, b"end")
    (await observing).follow(watch.receive)
    assert watch.received == sent[lost:]
    assert caplog.text.count("notifies faster than we read") == lost


async def test_an_echo_is_repeated_to_begin(watch: Watch) -> None:
    observing = asyncio.ensure_future(watch.conversation.observe(PEER, GET_X, 5))
    await asyncio.sleep(0)
    watch.asked.answer(Code.UNAUTHORIZED, {ECHO: (b"?",)})
    await turns()
    again = watch.carrier.asked[1]
    assert (again.packet.options[ECHO], again.packet.options[OBSERVE]) == ((b"?",), (b"",))
    again.answer(Code.CONTENT, {OBSERVE: (b"\x01",)})
    assert (await observing).first.observing
    assert (watch.asked.withdrawn, again.withdrawn) == (True, False)


async def test_cancelling_actively_asks_with_the_same_token(watch: Watch) -> None:
    observation = await watch.begins_to_follow()
    cancelling = asyncio.ensure_future(observation.cancel())
    await asyncio.sleep(0)
    assert watch.asked.withdrawn
    assert watch.received == [None]
    cancellation = watch.carrier.asked[1]
    options = {**watch.asked.packet.options, OBSERVE: (b"\x01",)}
    assert cancellation.packet == watch.asked.packet._replace(options=options)
    assert cancellation.answer(Code.CONTENT, {OBSERVE: (b"\x09",)}, b"under way", in_acknowledgement=False)
    assert not cancelling.done()
    cancellation.answer(Code.CONTENT, {}, b"answer")
    assert await cancelling == Response(Code.CONTENT, b"answer")


async def test_cancelling_passively_rejects_what_comes(watch: Watch) -> None:
    observation = await watch.begins_to_follow()
    assert await observation.cancel(active=False) is None
    assert (watch.asked.withdrawn, watch.received) == (True, [None])
    assert not watch.notifies(2)


async def test_a_notification_that_is_no_success_is_the_last(watch: Watch) -> None:
    await watch.begins_to_follow()
    watch.notifies(None, b"gone", Code.NOT_FOUND)
    assert watch.received == [b"gone", None]
    assert watch.asked.withdrawn


async def test_an_observation_ends_with_its_association(watch: Watch) -> None:
    await watch.begins_to_follow()
    watch.asked.listener.failed(Unreachable("the connection is gone"))
    watch.asked.listener.failed(Unreachable("the connection is gone"))
    assert watch.received == [None]


# Order


@pytest.mark.parametrize("follows", [True, False])
async def test_notifications_are_passed_on_in_order(watch: Watch, follows: bool) -> None:
    observation = await watch.begins()
    if follows:
        observation.follow(watch.receive)
    for number in (5, 4, 5, 6):
        assert watch.notifies(number, bytes((number,)))
    if not follows:
        notifications = aiter(observation)
        watch.received = [(await anext(notifications)).payload for _ in range(2)]
    assert watch.received == [b"\5", b"\6"]


async def test_a_follower_receives_what_had_come_already(watch: Watch) -> None:
    observing = asyncio.ensure_future(watch.conversation.observe(PEER, GET_X, 5))
    await asyncio.sleep(0)
    watch.asked.answer(Code.CONTENT, {OBSERVE: (b"\x01",)})
    watch.notifies(2, b"2")
    watch.notifies(3, b"3")
    observation = await observing
    watch.notifies(4, b"4")
    observation.follow(watch.receive)
    assert watch.received == [b"2", b"3", b"4"]
    watch.notifies(5, b"5")
    assert watch.received == [b"2", b"3", b"4", b"5"]


async def test_following_costs_no_task(watch: Watch) -> None:
    tasks = asyncio.all_tasks()
    await watch.begins_to_follow()
    watch.notifies(2, b"2")
    assert asyncio.all_tasks() == tasks
    assert [each.message for each in watch.traced][-1] == Response(Code.CONTENT, b"2", observing=True)


async def test_an_iterator_waits_for_the_next(watch: Watch) -> None:
    observation = await watch.begins()
    consuming = asyncio.ensure_future(_all(observation))
    await turns()
    watch.notifies(2, b"2")
    await turns()
    watch.notifies(3, b"3")
    watch.notifies(None, b"", Code.NOT_FOUND)
    assert [response.payload for response in await consuming] == [b"2", b"3", b""]


async def _all(observation: Observation) -> list[Response]:
    return [notification async for notification in observation]


async def test_a_slow_consumer_loses_the_oldest_and_is_told_once(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    observation = await watch.begins()
    for number in range(2, 70):
        watch.notifies(number, bytes((number,)))
    observation.follow(watch.receive)
    assert watch.received == [bytes((number,)) for number in range(6, 70)]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_a_follower_that_raises_is_logged_and_goes_on(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    observation = await watch.begins()

    def receive(response: Response | None) -> None:
        watch.receive(response)
        raise RuntimeError("a fault of the consumer")

    observation.follow(receive)
    watch.notifies(2, b"2")
    watch.notifies(3, b"3")
    assert watch.received == [b"2", b"3"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_a_notification_with_an_unknown_critical_option_is_rejected(watch: Watch) -> None:
    await watch.begins_to_follow()
    options: dict[int, tuple[bytes, ...]] = {OBSERVE: (b"\x02",), 9999: (b"?",)}
    assert not watch.asked.answer(Code.CONTENT, options, in_acknowledgement=False)
    watch.notifies(3, b"3")
    assert watch.received == [b"3"]


# Notifications that are larger than a message


async def test_the_rest_of_a_large_one_is_fetched_and_the_order_kept(watch: Watch) -> None:
    await watch.begins_to_follow()
    watch.notifies(2, b"a large one", more=True)
    rest = await watch.fetches()
    watch.notifies(3, b"3")
    assert watch.received == []
    assert rest.packet.options == {URI_PATH: (b"x",), 17: (b"\x6e",), BLOCK2: (b"\x10",)}
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",), ETAG: (b"\x02",)}, b"rest")
    await turns()
    assert watch.received == [b"a large one     rest", b"3"]
    assert [each.message.payload for each in watch.traced if each.incoming] == [b"first", *watch.received]


async def test_of_large_ones_that_wait_only_the_newest_is_fetched(watch: Watch) -> None:
    await watch.begins_to_follow()
    for number in range(2, 6):
        watch.notifies(number, bytes((48 + number,)), more=True)
    watch.notifies(6, b"6")
    rest = await watch.fetches()
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",), ETAG: (b"\x02",)})
    rest = await watch.fetches()
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",), ETAG: (b"\x05",)})
    await turns()
    assert watch.received == [b"2".ljust(16), b"5".ljust(16), b"6"]
    assert len(watch.carrier.asked) == 3


@pytest.mark.parametrize("fails", [True, False])
async def test_a_large_one_whose_rest_does_not_come_is_left_out(
    watch: Watch, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await watch.begins_to_follow()
    watch.notifies(2, b"a large one", more=True)
    rest = await watch.fetches()
    watch.notifies(3, b"3")
    if fails:
        rest.listener.failed(Unreachable("no route"))
    else:
        rest.answer(Code.NOT_FOUND)
    await turns()
    assert watch.received == [b"3"]
    assert "the rest" in caplog.text


async def test_an_end_comes_after_what_is_fetched(watch: Watch) -> None:
    await watch.begins_to_follow()
    watch.notifies(2, b"a large one", more=True)
    rest = await watch.fetches()
    watch.notifies(None, b"gone", Code.NOT_FOUND)
    assert watch.received == []
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",), ETAG: (b"\x02",)})
    await turns()
    assert watch.received == [b"a large one".ljust(16), b"gone", None]


@pytest.mark.parametrize("how", ["cancelled", "lost", "stopped"])
async def test_nothing_is_fetched_once_it_is_over(watch: Watch, how: str) -> None:
    observation = await watch.begins_to_follow()
    watch.notifies(2, b"a large one", more=True)
    rest = await watch.fetches()
    watch.notifies(3, b"another", more=True)
    if how == "cancelled":
        await observation.cancel(active=False)
    elif how == "stopped":
        await watch.conversation.stop()
    watch.asked.listener.failed(Unreachable("the endpoint has stopped"))
    await turns()
    assert watch.received == [None]
    assert rest.withdrawn
    assert len(watch.carrier.asked) == 2


async def test_an_iterator_fetches_too(watch: Watch) -> None:
    observation = await watch.begins()
    watch.notifies(2, b"a large one", more=True)
    reading = asyncio.ensure_future(_next(observation))
    rest = await watch.fetches()
    rest.answer(Code.CONTENT, {BLOCK2: (b"\x10",), ETAG: (b"\x02",)})
    assert (await reading) == Response(Code.CONTENT, b"a large one".ljust(16), observing=True)


async def _next(observation: Observation) -> Response:
    return await anext(aiter(observation))
