"""What every CoAP stack must keep, over real sockets: those for datagrams, each one name in `STACKS`, ours once more
with DTLS, and the endpoints on connections, by the scheme of their URIs, TCP once more with TLS. What is about
datagrams, a peer that nobody connects to, retransmission, Reset, bytes after a UDP header, is asked of the former only;
`test_tcp` asks the latter message by message."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lwm2m.coap.endpoint import (
    AnswerTooLarge,
    Delivery,
    Endpoint,
    Limits,
    TimedOut,
    TooBusy,
    Traced,
    Transmission,
    Unreachable,
)
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import CONNECTED, STACKS, Dtls, open_endpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.errors import NotFound
from lwm2m.security.credentials import PreSharedKey
from tests.lockstep import NON, Datagram, ScriptedPeer
from tests.tls_credentials import both

tls = functools.cache(both)
"""A server and a client of one authority in one."""

QUICK = Transmission(ack_timeout=0.05, ack_random_factor=1.0, max_retransmit=2)
LAMP = PreSharedKey(b"lamp", b"a key of sixteen")
SECURED = {"dtls": "coaps", "tls": "coaps+tcp"}
DTLS = Dtls(ServerSettings({LAMP.identity: LAMP.key}.get), lambda _host: ClientSettings(LAMP))


@pytest.fixture(params=[*sorted(STACKS), "dtls", *CONNECTED, "tls"])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(STACKS))
def datagram_stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def an_endpoint(stack: str, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> Endpoint:
    if stack in CONNECTED:
        return CONNECTED[stack](host, port, **settings)
    if stack == "dtls":
        return open_endpoint(host, port, dtls=DTLS, **settings)
    if stack == "tls":
        return TlsEndpoint(host, port, tls=tls(), **settings)
    return open_endpoint(host, port, stack=stack, **settings)


def scheme_of(stack: str) -> str:
    return stack if stack in CONNECTED else SECURED.get(stack, "coap")


@dataclass
class Device:
    """A handler that remembers what it was asked, and answers by path."""

    seen: list[tuple[Request, Peer]] = field(default_factory=list)
    answers: dict[tuple[str, ...], Callable[[Request], Response | Awaitable[Response]]] = field(default_factory=dict)
    value: Response = field(default_factory=lambda: Response(Code.CONTENT, b"21.5", 0))

    def __call__(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        self.seen.append((request, peer))
        if request.path in self.answers:
            return self.answers[request.path](request)
        if request.observe == 0:
            return Response(Code.CONTENT, b"first", 0, observing=True)
        return self.value

    @property
    def subscription(self) -> Subscription:
        """Of whoever asked last."""
        request, peer = self.seen[-1]
        return Subscription(peer, request.token)


@dataclass
class Pair:
    """Two endpoints; `asker` asks `answerer`, whose handler is `device`."""

    asker: Endpoint
    answerer: Endpoint
    device: Device
    peer: Peer

    async def ask(self, request: Request, timeout: float | None = 5) -> Response:
        return await self.asker.request(self.peer, request, timeout)


def refuse_all(_request: Request, _peer: Peer) -> Response:
    return Response(Code.NOT_FOUND)


@contextlib.asynccontextmanager
async def running(*endpoints: Endpoint) -> AsyncIterator[None]:
    try:
        for endpoint in endpoints:
            await endpoint.start(refuse_all)
        yield
    finally:
        for endpoint in endpoints:
            await endpoint.stop()


@contextlib.asynccontextmanager
async def a_pair(stack: str, host: str = "127.0.0.1", limits: Limits | None = None) -> AsyncIterator[Pair]:
    limits = limits or Limits()
    asker = an_endpoint(stack, host, limits=limits)
    answerer = an_endpoint(stack, host, limits=limits)
    device = Device()
    await asker.start(refuse_all)
    await answerer.start(device)
    try:
        yield Pair(asker, answerer, device, await asker.peer(answerer.uri.replace("[::]", "[::1]")))
    finally:
        await asker.stop()
        await answerer.stop()


@pytest.fixture
async def pair(stack: str) -> AsyncIterator[Pair]:
    async with a_pair(stack) as pair:
        yield pair


@pytest.fixture
async def datagram_pair(datagram_stack: str) -> AsyncIterator[Pair]:
    async with a_pair(datagram_stack) as pair:
        yield pair


# Asking and answering


async def test_a_request_is_answered(pair: Pair) -> None:
    response = await pair.ask(Request(Code.GET, ("3303", "0", "5700"), accept=0))
    assert response == Response(Code.CONTENT, b"21.5", 0)
    request, peer = pair.device.seen[0]
    assert (request.method, request.path, request.accept, request.observe) == (
        Code.GET,
        ("3303", "0", "5700"),
        0,
        None,
    )
    assert peer.local == pair.answerer.address
    assert peer.address[0] == pair.asker.address[0]
    assert (peer.address == pair.asker.address) == ("+" not in pair.asker.uri)


async def test_everything_in_a_request_arrives(pair: Pair) -> None:
    sent = Request(
        Code.POST,
        ("rd", "ü/ö", ""),
        ("ep=a&b=c", "lt=60", "b=U"),
        b"</1/0>,</3/0>",
        content_format=40,
        accept=11542,
        confirmable=False,
    )
    await pair.ask(sent)
    seen, _ = pair.device.seen[0]
    assert len(seen.token) > 0
    reliable = "+" in pair.asker.uri  # a connection knows no other messages
    assert seen == Request(
        sent.method, sent.path, sent.query, sent.payload, 40, 11542, None, confirmable=reliable, token=seen.token
    )


async def test_everything_in_a_response_arrives(pair: Pair) -> None:
    pair.device.value = Response(Code.CREATED, b"", location=("rd", "5a3f"), max_age=7)
    assert await pair.ask(Request(Code.POST, ("rd",))) == pair.device.value


@pytest.mark.parametrize("method", [Code.FETCH, Code.PATCH, Code.IPATCH, Code.POST, Code.PUT, Code.DELETE])
async def test_every_method_works_without_a_path(pair: Pair, method: Code) -> None:
    await pair.ask(Request(method, (), payload=b"\x81", content_format=112))
    assert (pair.device.seen[0][0].method, pair.device.seen[0][0].path) == (method, ())


async def test_a_handler_may_take_its_time(pair: Pair) -> None:
    async def slowly(_request: Request) -> Response:
        await asyncio.sleep(0.2)
        return Response(Code.CHANGED)

    pair.device.answers["slow",] = slowly
    assert (await pair.ask(Request(Code.PUT, ("slow",)))).code is Code.CHANGED
    assert len(pair.device.seen) == 1


async def test_a_refusal_carries_its_code_and_text(pair: Pair) -> None:
    def refuse(_request: Request) -> Response:
        raise NotFound("no such instance")

    async def refuse_later(_request: Request) -> Response:
        raise NotFound("no such instance")

    pair.device.answers["a",] = refuse
    pair.device.answers["b",] = refuse_later
    for path in "ab":
        response = await pair.ask(Request(Code.GET, (path,)))
        assert (response.code, response.diagnostic) == (Code.NOT_FOUND, "no such instance")


async def test_a_failing_handler_is_logged_once_and_tells_nothing(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request) -> Response:
        raise RuntimeError("the secret is 1234")

    async def fail_later(request: Request) -> Response:
        return fail(request)

    pair.device.answers["a",] = fail
    pair.device.answers["b",] = fail_later
    for path in "ab":
        caplog.clear()
        assert await pair.ask(Request(Code.GET, (path,))) == Response(Code.INTERNAL_SERVER_ERROR)
        failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert [record.exc_info is not None for record in failures] == [True]


async def test_a_handler_that_is_cancelled_from_within_still_answers(pair: Pair) -> None:
    async def give_up(_request: Request) -> Response:
        raise asyncio.CancelledError

    pair.device.answers["x",] = give_up
    assert (await pair.ask(Request(Code.GET, ("x",)))).code is Code.INTERNAL_SERVER_ERROR


async def test_a_peer_that_keeps_all_handlers_busy_is_told_so(datagram_stack: str) -> None:
    async with a_pair(datagram_stack, limits=Limits(max_pending_per_peer=2)) as pair, ScriptedPeer() as scripted:
        scripted.other = pair.answerer.address
        busy = asyncio.Event()

        async def slowly(_request: Request) -> Response:
            await busy.wait()
            return Response(Code.CONTENT)

        pair.device.answers["slow",] = slowly
        for mid in range(3):
            scripted.send(Datagram(NON, Code.GET, mid, bytes((mid,)), ((11, b"slow"),)))
        refusal = await scripted.expect()
        assert (refusal.code, refusal.token) == (Code.SERVICE_UNAVAILABLE, b"\2")
        busy.set()
        assert {(await scripted.expect()).code for _ in range(2)} == {Code.CONTENT}
        assert (await pair.ask(Request(Code.GET))).code is Code.CONTENT


async def test_both_ends_ask_from_the_socket_they_are_known_by(datagram_pair: Pair) -> None:
    await datagram_pair.ask(Request(Code.POST, ("rd",)))
    registered = datagram_pair.device.seen[0][1]
    response = await datagram_pair.answerer.request(registered, Request(Code.GET, ("3", "0")), 5)
    assert response.code is Code.NOT_FOUND
    assert registered.address == datagram_pair.asker.address


async def test_many_requests_at_once_are_all_answered(pair: Pair) -> None:
    pair.device.answers = {
        (str(n),): lambda request: Response(Code.CONTENT, request.path[0].encode()) for n in range(50)
    }
    responses = await asyncio.gather(*(pair.ask(Request(Code.GET, (str(n),))) for n in range(50)))
    assert [response.payload for response in responses] == [str(n).encode() for n in range(50)]


async def test_a_code_we_have_no_name_for_is_passed_on(pair: Pair) -> None:
    pair.device.value = Response(Code(0x9D))
    assert (await pair.ask(Request(Code.GET))).code.dotted == "4.29"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "::"])
async def test_ipv4_and_ipv6(stack: str, host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with a_pair(stack, host) as pair:
        port = pair.answerer.address[1]
        reachable = {"::": ["127.0.0.1", "[::1]"], "::1": ["[::1]"]}.get(host, ["127.0.0.1", "localhost"])
        if host == "localhost":
            reachable = ["localhost"]
        for target in reachable:
            peer = await pair.asker.peer(f"{scheme_of(stack)}://{target}:{port}")
            assert (await pair.asker.request(peer, Request(Code.GET), 5)).payload == b"21.5"
            if target == "127.0.0.1":
                assert pair.device.seen[-1][1].address[0] == "127.0.0.1"


# Bytes: lwm2m.md §8.9

REGISTER = bytes.fromhex(
    "41 02 10 01 01 B2 72 64 11 28 37 65 70 3D 64 65 76 31 05 6C 74 3D 36 30 09 6C 77 6D 32 6D 3D 31 2E 31"
    "03 62 3D 55 FF 3C 2F 31 2F 30 3E 2C 3C 2F 33 2F 30 3E"
)
REGISTERED = bytes.fromhex("61 41 10 01 01 82 72 64 04 35 61 33 66")


async def test_a_register_is_read_and_answered_byte_for_byte(datagram_pair: Pair) -> None:
    datagram_pair.device.value = Response(Code.CREATED, location=("rd", "5a3f"))
    async with ScriptedPeer() as scripted:
        scripted.other = datagram_pair.answerer.address
        scripted.send(REGISTER)
        assert await scripted.expect_bytes() == REGISTERED
        address = scripted.address
    request, peer = datagram_pair.device.seen[0]
    assert request == Request(
        Code.POST, ("rd",), ("ep=dev1", "lt=60", "lwm2m=1.1", "b=U"), b"</1/0>,</3/0>", 40, token=b"\x01"
    )
    assert peer == Peer(datagram_pair.answerer.address, address)


@pytest.mark.parametrize(
    ("request_", "code", "rest"),
    [
        (Request(Code.GET, ("3", "0"), accept=11542), 1, "B1 33 01 30 62 2D 16"),
        (
            Request(Code.FETCH, (), (), b"\x81\xa1\x00\x67/3/0/16", 112, 112),
            5,
            "C1 70 51 70 FF 81 A1 00 67 2F 33 2F 30 2F 31 36",
        ),
        (
            Request(Code.IPATCH, (), (), b"\x81\xa2\x00\x66/1/0/1\x02\x18\x3d", 112),
            7,
            "C1 70 FF 81 A2 00 66 2F 31 2F 30 2F 31 02 18 3D",
        ),
        (Request(Code.GET, ("x",), observe=1), 1, "61 01 51 78"),
        (Request(Code.GET, ("x",), observe=0), 1, "60 51 78"),
    ],
    ids=["GET", "FETCH", "iPATCH", "Observe=1", "Observe=0"],
)
async def test_requests_are_sent_byte_for_byte(datagram_pair: Pair, request_: Request, code: int, rest: str) -> None:
    async with ScriptedPeer() as scripted:
        with pytest.raises(TimedOut):
            await datagram_pair.asker.request(await datagram_pair.asker.peer(scripted.uri), request_, 0.02)
        data = await scripted.expect_bytes()
    assert (data[0] & 0xF0, data[1]) == (0x40, code)
    assert data[4 + (data[0] & 0x0F) :] == bytes.fromhex(rest)


# Bodies


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 2048, 5000, 65536])
async def test_bodies_of_any_size_go_both_ways(pair: Pair, size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    pair.device.answers["echo",] = lambda request: Response(Code.CHANGED, request.payload, 42)
    response = await pair.ask(Request(Code.POST, ("echo",), payload=body, content_format=42))
    assert response == Response(Code.CHANGED, body, 42)
    assert len(pair.device.seen) == 1


async def test_a_body_over_the_limit_is_refused_before_the_handler_sees_it(stack: str) -> None:
    async with a_pair(stack, limits=Limits(max_body=3000)) as pair:
        assert (await pair.ask(Request(Code.PUT, ("x",), payload=bytes(3000)))).code is Code.CONTENT
        assert (await pair.ask(Request(Code.PUT, ("x",), payload=bytes(3001)))).code is Code.REQUEST_ENTITY_TOO_LARGE
        assert len(pair.device.seen) == 1


async def test_an_answer_over_the_limit_is_not_taken(stack: str) -> None:
    async with a_pair(stack, limits=Limits(max_body=3000)) as pair:
        pair.device.value = Response(Code.CONTENT, bytes(3001))
        with pytest.raises(AnswerTooLarge, match="larger"):
            await pair.ask(Request(Code.GET))


@pytest.mark.parametrize("path", [("5", "0", "0"), ("9", "7", "2")])
async def test_a_package_has_a_limit_of_its_own(stack: str, path: tuple[str, ...]) -> None:
    async with a_pair(stack, limits=Limits(max_body=3000, max_package=9000)) as pair:
        assert (await pair.ask(Request(Code.PUT, path, payload=bytes(9000)))).code is Code.CONTENT
        assert (await pair.ask(Request(Code.PUT, path, payload=bytes(9001)))).code is Code.REQUEST_ENTITY_TOO_LARGE
        beside = Request(Code.PUT, (*path, "0"), payload=bytes(3001))
        assert (await pair.ask(beside)).code is Code.REQUEST_ENTITY_TOO_LARGE
        assert len(pair.device.seen) == 1


async def test_an_answer_that_changes_while_it_is_fetched_is_fetched_again(pair: Pair) -> None:
    bodies = iter([b"a" * 2000, b"b" * 2000])
    pair.device.answers["x",] = lambda _: Response(Code.CONTENT, next(bodies, b"c" * 2000))
    first, second = await asyncio.gather(pair.ask(Request(Code.GET, ("x",))), pair.ask(Request(Code.GET, ("x",))))
    for response in first, second:
        assert len(set(response.payload)) == 1
        assert len(response.payload) == 2000


# When no answer comes


async def test_silence_is_a_time_out_at_the_deadline(datagram_pair: Pair) -> None:
    async with ScriptedPeer() as silent:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await datagram_pair.asker.request(await datagram_pair.asker.peer(silent.uri), Request(Code.GET), 0.1)
        assert asyncio.get_running_loop().time() - began < 1


async def test_silence_is_a_time_out_after_the_last_retransmission(datagram_stack: str) -> None:
    asker = an_endpoint(datagram_stack, transmission=QUICK)
    async with running(asker), ScriptedPeer() as silent:
        with pytest.raises(TimedOut):
            await asker.request(await asker.peer(silent.uri), Request(Code.GET))
        copies = {await silent.expect() for _ in range(3)}
        assert len(copies) == 1
        await silent.expect_nothing()


async def test_a_closed_port_is_unreachable_at_once(datagram_pair: Pair) -> None:
    gone = ScriptedPeer()
    peer = await datagram_pair.asker.peer(gone.uri)
    gone.close()
    with pytest.raises(Unreachable):
        await datagram_pair.asker.request(peer, Request(Code.GET), 5)
    assert (await datagram_pair.ask(Request(Code.GET))).code is Code.CONTENT


async def test_too_many_requests_to_one_peer_are_refused(datagram_stack: str) -> None:
    asker = an_endpoint(datagram_stack, limits=Limits(max_pending_per_peer=2))
    async with running(asker), ScriptedPeer() as silent, ScriptedPeer() as other:
        peer = await asker.peer(silent.uri)
        waiting = [asyncio.create_task(asker.request(peer, Request(Code.GET), 5)) for _ in range(2)]
        await silent.expect()
        with pytest.raises(TooBusy):
            await asker.request(peer, Request(Code.GET), 5)
        with pytest.raises(TimedOut):
            await asker.request(await asker.peer(other.uri), Request(Code.GET), 0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(TimedOut):
            await asker.request(peer, Request(Code.GET), 0.05)


async def test_a_stopped_endpoint_ends_what_waits(datagram_stack: str) -> None:
    asker = an_endpoint(datagram_stack)
    async with running(asker), ScriptedPeer() as silent:
        peer = await asker.peer(silent.uri)
        waiting = asyncio.create_task(asker.request(peer, Request(Code.GET)))
        await silent.expect()
        await asker.stop()
        with pytest.raises(Unreachable):
            await waiting
        with pytest.raises(Unreachable):
            await asker.request(peer, Request(Code.GET))
        await asker.stop()


# Addresses


@pytest.mark.parametrize(
    "uri",
    [
        "coaps+x://127.0.0.1",
        "http://127.0.0.1",
        "127.0.0.1:5683",
        "coap://",
        "coap://h:0",
        "coap://h:70000",
        "coap://h/x",
    ],
)
async def test_a_uri_that_is_no_coap_peer_is_refused_with_a_sentence(pair: Pair, uri: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        await pair.asker.peer(uri)


async def test_the_port_of_a_uri_is_5683_unless_given(datagram_pair: Pair) -> None:
    assert (await datagram_pair.asker.peer("coap://127.0.0.1")).address == ("127.0.0.1", 5683)
    assert (await datagram_pair.asker.peer("coap://127.0.0.1:1/")).address == ("127.0.0.1", 1)


async def test_a_name_nobody_knows_is_unreachable(pair: Pair) -> None:
    with pytest.raises(Unreachable):
        await pair.asker.peer(f"{pair.asker.uri.partition(':')[0]}://no-such-host.invalid")


async def test_a_taken_port_is_an_error_with_a_sentence(stack: str) -> None:
    first = an_endpoint(stack)
    async with running(first):
        second = an_endpoint(stack, "127.0.0.1", first.address[1])
        with pytest.raises(OSError, match="the port is taken"):
            await second.start(refuse_all)
        await second.stop()


async def test_an_address_that_is_not_ours_is_an_error_with_a_sentence(stack: str) -> None:
    with pytest.raises(OSError, match="does not have that address"):
        await an_endpoint(stack, "192.0.2.1").start(refuse_all)


async def test_two_hundred_endpoints_live_in_one_process(stack: str) -> None:
    tasks = len(asyncio.all_tasks())
    server, clients = an_endpoint(stack), [an_endpoint(stack) for _ in range(200)]
    async with running(server, *clients):
        assert len({client.address for client in clients}) == 200
        responses = await asyncio.gather(
            *[client.request(await client.peer(server.uri), Request(Code.GET), 10) for client in clients]
        )
        assert {response.code for response in responses} == {Code.NOT_FOUND}
    assert len(asyncio.all_tasks()) == tasks


async def test_an_endpoint_starts_again_after_it_stopped(stack: str) -> None:
    endpoint = an_endpoint(stack)
    for _ in range(2):
        async with running(endpoint):
            assert endpoint.uri == f"{scheme_of(stack)}://127.0.0.1:{endpoint.address[1]}"


async def test_events_end_when_the_endpoint_stops(stack: str) -> None:
    endpoint = an_endpoint(stack)

    async def all_events() -> list[object]:
        return [event async for event in endpoint.events()]

    async with running(endpoint):
        events = asyncio.create_task(all_events())
        await asyncio.sleep(0)
    assert await asyncio.wait_for(events, 1) == []


# Observations


async def test_notifications_arrive_in_order(pair: Pair) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("3303", "0")), 5)
    assert observation.first == Response(Code.CONTENT, b"first", 0, observing=True)
    for n, confirmable in enumerate([True, False, False, True]):
        sent = Response(Code.CONTENT, str(n).encode(), 0)
        assert await pair.answerer.notify(pair.device.subscription, sent, confirmable=confirmable) is Delivery.DELIVERED
    notifications = aiter(observation)
    assert [(await anext(notifications)).payload for _ in range(4)] == [b"0", b"1", b"2", b"3"]


async def test_a_peer_may_answer_without_accepting(pair: Pair) -> None:
    pair.device.answers["x",] = lambda _: Response(Code.CONTENT, b"1")
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
    assert not observation.first.observing
    assert [notification async for notification in observation] == []
    assert await observation.cancel() is None


async def test_cancelling_actively_asks_with_the_same_token(pair: Pair) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("3303", "0"), accept=110), 5)
    subscription = pair.device.subscription
    assert await observation.cancel() == pair.device.value
    request = pair.device.seen[-1][0]
    assert (request.observe, request.token, request.path, request.accept) == (1, subscription.token, ("3303", "0"), 110)
    assert await pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.RESET
    assert [notification async for notification in observation] == []


async def test_cancelling_passively_resets_the_next_confirmable_notification(datagram_pair: Pair) -> None:
    observation = await datagram_pair.asker.observe(datagram_pair.peer, Request(Code.GET, ("x",)), 5)
    assert await observation.cancel(active=False) is None
    subscription = datagram_pair.device.subscription
    assert await datagram_pair.answerer.notify(subscription, Response(Code.CONTENT), confirmable=True) is Delivery.RESET
    assert await datagram_pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.RESET


async def test_cancelling_passively_resets_the_next_non_confirmable_notification(datagram_pair: Pair) -> None:
    observation = await datagram_pair.asker.observe(datagram_pair.peer, Request(Code.GET, ("x",)), 5)
    await observation.cancel(active=False)
    subscription = datagram_pair.device.subscription
    assert await datagram_pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.DELIVERED
    await datagram_pair.ask(Request(Code.GET))
    assert await datagram_pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.RESET


async def test_a_large_notification_arrives_whole(pair: Pair) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
    body = bytes(range(256)) * 20
    await pair.answerer.notify(pair.device.subscription, Response(Code.CONTENT, body, 42))
    assert (await anext(aiter(observation))).payload == body


async def test_a_composite_is_observed_and_cancelled_with_its_body(pair: Pair) -> None:
    request = Request(Code.FETCH, (), payload=b"\x81\xa1\x00\x67/3/0/16", content_format=112, accept=112)
    observation = await pair.asker.observe(pair.peer, request, 5)
    assert observation.first.observing
    await observation.cancel()
    asked = pair.device.seen[-1][0]
    assert (asked.method, asked.payload, asked.observe) == (Code.FETCH, request.payload, 1)


async def test_a_notification_that_is_no_success_is_the_last(pair: Pair) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
    subscription = pair.device.subscription
    gone = Response(Code.NOT_FOUND)
    assert await pair.answerer.notify(subscription, gone, confirmable=True) is Delivery.DELIVERED
    assert [notification async for notification in observation] == [gone]
    assert await pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.RESET


async def test_a_forgotten_observation_gets_no_notification(pair: Pair) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
    pair.answerer.forget(pair.device.subscription)
    assert await pair.answerer.notify(pair.device.subscription, Response(Code.CONTENT)) is Delivery.RESET
    await observation.cancel(active=False)


async def test_a_peer_gets_no_more_observations_than_the_limit(stack: str) -> None:
    async with a_pair(stack, limits=Limits(max_observations_per_client=2)) as pair:
        observations = [await pair.asker.observe(pair.peer, Request(Code.GET, (str(n),)), 5) for n in range(3)]
        assert [observation.first.observing for observation in observations] == [True, True, False]
        await observations[0].cancel()
        assert (await pair.asker.observe(pair.peer, Request(Code.GET, ("4",)), 5)).first.observing


async def test_a_slow_consumer_loses_the_oldest_and_is_told_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
    for n in range(70):
        sent = Response(Code.CONTENT, str(n).encode())
        await pair.answerer.notify(pair.device.subscription, sent, confirmable=True)
    notifications = aiter(observation)
    assert [(await anext(notifications)).payload for _ in range(64)] == [str(n).encode() for n in range(6, 70)]
    assert len([record for record in caplog.records if "faster than we read" in record.message]) == 1


async def test_stopping_ends_the_observations(stack: str) -> None:
    async with a_pair(stack) as pair:
        observation = await pair.asker.observe(pair.peer, Request(Code.GET, ("x",)), 5)
        subscription = pair.device.subscription

        async def consume() -> int:
            return len([notification async for notification in observation])

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(0)
        await pair.asker.stop()
        assert await asyncio.wait_for(consumer, 1) == 0
        await pair.answerer.stop()
        assert await pair.answerer.notify(subscription, Response(Code.CONTENT)) is Delivery.TIMED_OUT
        assert await observation.cancel() is None


# Tracing


async def test_every_message_is_traced_whole_on_both_sides(stack: str) -> None:
    traced: dict[str, list[Traced]] = {"asker": [], "answerer": []}
    asker = an_endpoint(stack, tracer=traced["asker"].append)
    answerer = an_endpoint(stack, tracer=traced["answerer"].append)
    device = Device()
    async with running(asker):
        await answerer.start(device)
        peer = await asker.peer(answerer.uri)
        body = bytes(2000)
        await asker.request(peer, Request(Code.PUT, ("x",), payload=body), 5)
        observation = await asker.observe(peer, Request(Code.GET, ("x",)), 5)
        await answerer.notify(device.subscription, Response(Code.CONTENT, body), confirmable=True)
        await anext(aiter(observation))
        await answerer.stop()

    def told(side: str) -> list[tuple[bool, Code, int]]:
        messages = [(entry.incoming, entry.message) for entry in traced[side]]
        return [
            (incoming, message.method if isinstance(message, Request) else message.code, len(message.payload))
            for incoming, message in messages
        ]

    story = [(Code.PUT, 2000), (Code.CONTENT, 4), (Code.GET, 0), (Code.CONTENT, 5), (Code.CONTENT, 2000)]
    directions = [False, True, False, True, True]
    assert told("asker") == [(incoming, *entry) for incoming, entry in zip(directions, story, strict=True)]
    assert told("answerer") == [(not incoming, *entry) for incoming, entry in zip(directions, story, strict=True)]
    assert traced["asker"][2].token == traced["asker"][4].token == traced["answerer"][4].token != b""
