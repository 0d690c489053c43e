"""CoAP over TCP message by message, RFC 8323: the other end is written in bytes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from lwm2m.coap.endpoint import AssociationLost, Limits, Rejected, TimedOut, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.streams.aiocoap_connection import Liveness
from lwm2m.coap.streams.connected import ConnectedEndpoint, TcpEndpoint
from tests.raw_connection import ABORT, PING, PONG, RELEASE, RawPeer, csm

QUICK = Liveness(ping_after=0.05, pong_within=0.05, csm_within=0.05)
OUR_CSM = csm(64 * 1024 + 1152)
GET_X = b"\x21\x01\x07\xb1x"
CONTENT = b"\x31\x45\x07\xff21"


@asynccontextmanager
async def listening(
    answer: Callable[[Request, Peer], Response | Awaitable[Response]] = lambda *_: Response(Code.CONTENT, b"21"),
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    liveness: Liveness = Liveness(),  # noqa: B008  # immutable
) -> AsyncIterator[ConnectedEndpoint]:
    endpoint = TcpEndpoint(limits=limits, liveness=liveness)
    await endpoint.start(answer)
    try:
        yield endpoint
    finally:
        await endpoint.stop()


@pytest.fixture
async def endpoint() -> AsyncIterator[ConnectedEndpoint]:
    async with listening() as endpoint:
        yield endpoint


@asynccontextmanager
async def introduced(endpoint: ConnectedEndpoint, said: bytes = csm()) -> AsyncIterator[RawPeer]:
    """A peer that has exchanged CSMs."""
    async with RawPeer.connected(endpoint.address) as peer:
        assert await peer.receive() == OUR_CSM
        peer.send(said)
        yield peer


@asynccontextmanager
async def scripted_server() -> AsyncIterator[tuple[str, asyncio.Queue[RawPeer]]]:
    """Where it is, and who connected."""
    peers: asyncio.Queue[RawPeer] = asyncio.Queue()
    server = await asyncio.start_server(lambda *streams: peers.put_nowait(RawPeer(*streams)), "127.0.0.1", 0)
    try:
        yield f"coap+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", peers
    finally:
        server.close()


async def reached(endpoint: ConnectedEndpoint, uri: str, peers: asyncio.Queue[RawPeer]) -> tuple[Peer, RawPeer]:
    connecting = asyncio.create_task(endpoint.peer(uri))
    raw = await peers.get()
    assert await raw.receive() == OUR_CSM
    raw.send(csm())
    return await connecting, raw


# Capabilities


async def test_both_ends_begin_with_a_csm(endpoint: ConnectedEndpoint) -> None:
    async with RawPeer.connected(endpoint.address) as peer:
        assert await peer.receive() == bytes.fromhex("50 E1 23 01 04 80 20")
        peer.send(csm() + GET_X)
        assert await peer.receive() == CONTENT


async def test_a_message_before_the_csm_is_an_abort(endpoint: ConnectedEndpoint) -> None:
    async with RawPeer.connected(endpoint.address) as peer:
        await peer.receive()
        peer.send(GET_X)
        assert await peer.is_aborted()


async def test_a_peer_without_a_csm_is_let_go() -> None:
    async with listening(liveness=QUICK) as endpoint, RawPeer.connected(endpoint.address) as peer:
        await peer.receive()
        assert await peer.is_aborted()


async def test_an_unknown_critical_option_of_a_csm_is_named_in_the_abort(endpoint: ConnectedEndpoint) -> None:
    async with RawPeer.connected(endpoint.address) as peer:
        await peer.receive()
        peer.send(b"\x10\xe1\x10" + GET_X)
        abort = await peer.receive()
        assert abort[2 if abort[0] >> 4 == 13 else 1] == ABORT
        assert b"\x21\x01" in abort  # Bad-CSM-Option, and its number
        assert await peer.receive() == b""


async def test_an_unknown_elective_option_of_a_csm_means_nothing(endpoint: ConnectedEndpoint) -> None:
    async with introduced(endpoint, b"\x10\xe1\x60") as peer:
        peer.send(GET_X)
        assert await peer.receive() == CONTENT


async def test_what_a_peer_takes_is_what_it_gets() -> None:
    async with (
        listening(lambda *_: Response(Code.CONTENT, bytes(3000))) as endpoint,
        introduced(endpoint, csm(300)) as peer,
    ):
        peer.send(GET_X)
        first = await peer.receive()
        assert len(first) <= 300
        assert first.count(b"\xff" + bytes(128)) == 1


# Liveness


async def test_a_ping_is_answered_with_its_token(endpoint: ConnectedEndpoint) -> None:
    async with introduced(endpoint) as peer:
        peer.send(bytes((0x02, PING, 1, 2)))
        assert await peer.receive() == bytes((0x02, PONG, 1, 2))


async def test_a_silent_peer_is_asked_and_stays_when_it_answers() -> None:
    async with listening(liveness=QUICK) as endpoint, introduced(endpoint) as peer:
        for _ in range(3):
            assert await peer.receive() == bytes((0x00, PING))
            peer.send(bytes((0x00, PONG)))
        peer.send(GET_X)
        assert await peer.receive() == CONTENT


async def test_a_half_open_connection_is_noticed() -> None:
    async with listening(liveness=QUICK) as endpoint, introduced(endpoint) as peer:
        events = aiter(endpoint.events())
        lost = asyncio.ensure_future(anext(events))
        assert await peer.receive() == bytes((0x00, PING))
        assert await peer.receive() == b""
        assert isinstance(await asyncio.wait_for(lost, 5), AssociationLost)


# What is no CoAP


@pytest.mark.parametrize(
    "bytes_",
    [b"\xf0\xff\xff\xff\xff\x01", b"\xe0\xff\xff\x01", b"\x09\x01", b"\x10\x01\xff", b"\x10\x01\xf1", b"\x10\x21\x00"],
    ids=["length bomb", "longer than we said", "token", "empty payload", "option", "reserved class"],
)
async def test_what_cannot_be_is_an_abort(endpoint: ConnectedEndpoint, bytes_: bytes) -> None:
    async with listening(limits=Limits(max_body=1024)) as small, RawPeer.connected(small.address) as peer:
        await peer.receive()
        peer.send(csm() + bytes_)
        assert await peer.is_aborted()
    async with introduced(endpoint) as other:
        other.send(GET_X)
        assert await other.receive() == CONTENT


async def test_an_empty_message_means_nothing(endpoint: ConnectedEndpoint) -> None:
    async with introduced(endpoint) as peer:
        peer.send(b"\x00\x00" + GET_X)
        assert await peer.receive() == CONTENT


async def test_a_message_may_come_byte_by_byte_and_many_at_once(endpoint: ConnectedEndpoint) -> None:
    async with introduced(endpoint) as peer:
        for n in range(len(GET_X)):
            peer.send(GET_X[n : n + 1])
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await peer.receive() == CONTENT
        peer.send(GET_X * 200)
        assert {await peer.receive() for _ in range(200)} == {CONTENT}


@pytest.mark.parametrize("option", ["d1 f8 00", "b1 ff"], ids=["unknown critical", "text that is not UTF-8"])
async def test_a_bad_option_is_refused_and_the_connection_stays(endpoint: ConnectedEndpoint, option: str) -> None:
    async with introduced(endpoint) as peer:
        bad = bytes.fromhex(option)
        peer.send(bytes((len(bad) << 4 | 1, 1, 7)) + bad)
        refusal = await peer.receive()
        code = refusal[1 + {13: 1}.get(refusal[0] >> 4, 0)]
        assert code == Code.BAD_OPTION
        peer.send(GET_X)
        assert await peer.receive() == CONTENT


async def test_messages_of_no_use_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lwm2m.coap")
    async with listening() as endpoint, introduced(endpoint) as peer:
        peer.send(bytes.fromhex("2101 07b1ff") * 50 + GET_X)
        for _ in range(50):
            await peer.receive()
        assert await peer.receive() == CONTENT
    told = [message.split(": ")[0] for message in caplog.messages if "cannot be used" in message]
    assert told == [
        f"127.0.0.1:{peer.writer.get_extra_info('sockname')[1]} sent a message that cannot be used",
        "49 more times somebody sent a message that cannot be used",
    ]


# The end of connections


async def test_stopping_says_release() -> None:
    async with listening() as endpoint, introduced(endpoint) as peer:
        peer.send(GET_X)
        await peer.receive()
        await endpoint.stop()
        assert await peer.receive() == bytes((0x00, RELEASE))
        assert await peer.receive() == b""


async def test_where_nobody_listens_is_told(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, _):
        pass
    with pytest.raises(Unreachable, match=rf"^nobody listens at {uri.partition('//')[2]}$"):
        await endpoint.peer(uri)


@pytest.mark.parametrize("goodbye", [bytes((0x00, RELEASE)), bytes((0x00, ABORT)), b""])
async def test_what_waits_for_an_answer_fails_when_the_connection_ends(
    endpoint: ConnectedEndpoint, goodbye: bytes
) -> None:
    async with scripted_server() as (uri, peers):
        peer, raw = await reached(endpoint, uri, peers)
        events = aiter(endpoint.events())
        lost = asyncio.ensure_future(anext(events))
        asking = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("x",)), 5))
        await raw.receive()
        raw.send(goodbye)
        await raw.close()
        with pytest.raises(Unreachable, match=r"(closed|aborted) the connection"):
            await asking
        assert (await asyncio.wait_for(lost, 5)).peer == peer
        with pytest.raises(Unreachable):
            await endpoint.request(peer, Request(Code.GET), 5)


async def test_an_observation_ends_with_its_connection(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        peer, raw = await reached(endpoint, uri, peers)
        observing = asyncio.create_task(endpoint.observe(peer, Request(Code.GET, ("x",)), 5))
        asked = await raw.receive()
        token = asked[2 : 2 + (asked[0] & 0x0F)]
        raw.send(bytes((0x30 | len(token), 0x45)) + token + b"\x60\xff1")
        observation = await observing
        assert observation.first.observing
        raw.send(bytes((0x40 | len(token), 0x45)) + token + b"\x61\x01\xff2")
        assert (await anext(aiter(observation))).payload == b"2"
        await raw.close()
        assert [notification async for notification in observation] == []


async def test_silence_is_a_time_out_and_a_late_answer_nobodys(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        peer, raw = await reached(endpoint, uri, peers)
        with pytest.raises(TimedOut):
            await endpoint.request(peer, Request(Code.GET, ("x",)), 0.05)
        asked = await raw.receive()
        raw.send(bytes((asked[0] & 0x0F, 0x45)) + asked[2 : 2 + (asked[0] & 0x0F)])
        asking = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("y",)), 5))
        asked = await raw.receive()
        raw.send(bytes((asked[0] & 0x0F, 0x44)) + asked[2 : 2 + (asked[0] & 0x0F)])
        assert (await asking).code is Code.CHANGED


async def test_an_answer_with_a_bad_option_is_rejected(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        peer, raw = await reached(endpoint, uri, peers)
        asking = asyncio.create_task(endpoint.request(peer, Request(Code.GET, ("x",)), 5))
        asked = await raw.receive()
        token = asked[2 : 2 + (asked[0] & 0x0F)]
        raw.send(bytes((0x40 | len(token), 0x45)) + token + b"\x81\xff\x00\x00")  # Location-Path that is not UTF-8
        with pytest.raises(Rejected):
            await asking


async def test_one_connection_serves_both_ways_and_all_requests(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        peer, raw = await reached(endpoint, uri, peers)
        assert await endpoint.peer(uri) == peer
        raw.send(GET_X)
        assert await raw.receive() == CONTENT
        assert peers.empty()


async def test_a_lost_connection_is_opened_again_for_the_next_who_asks(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        first, raw = await reached(endpoint, uri, peers)
        lost = asyncio.ensure_future(anext(aiter(endpoint.events())))
        await asyncio.sleep(0)
        await raw.close()
        await asyncio.wait_for(lost, 5)
        second, _ = await reached(endpoint, uri, peers)
        assert second != first


# Limits


async def test_there_are_no_more_connections_than_the_limit() -> None:
    async with (
        listening(limits=Limits(max_connections=2)) as endpoint,
        introduced(endpoint) as first,
        introduced(endpoint),
        RawPeer.connected(endpoint.address) as third,
    ):
        assert await third.receive() == b""
        first.send(GET_X)
        assert await first.receive() == CONTENT


async def test_connections_that_are_refused_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lwm2m.coap")
    async with listening(limits=Limits(max_connections=0)) as endpoint:
        for _ in range(5):
            async with RawPeer.connected(endpoint.address) as refused:
                assert await refused.receive() == b""
    told = [message for message in caplog.messages if "refused" in message]
    assert len(told) == 2
    assert told[0].endswith(" was refused: there are too many connections")
    assert told[1] == "4 more times somebody was refused"


async def test_of_too_many_without_a_csm_the_first_goes() -> None:
    async with (
        listening(limits=Limits(max_peers_unverified=1)) as endpoint,
        RawPeer.connected(endpoint.address) as silent,
    ):
        assert await silent.receive() == OUR_CSM
        async with introduced(endpoint) as other:
            assert await silent.is_aborted()
            other.send(GET_X)
            assert await other.receive() == CONTENT


async def test_whoever_does_not_read_is_let_go() -> None:
    async with (
        listening(lambda *_: Response(Code.CONTENT, bytes(60_000))) as endpoint,
        introduced(endpoint, csm(70_000)) as peer,
    ):
        lost = asyncio.ensure_future(anext(aiter(endpoint.events())))
        await asyncio.sleep(0)
        peer.send(GET_X * 1000)
        assert isinstance(await asyncio.wait_for(lost, 5), AssociationLost)


async def test_what_is_no_coap_server_is_unreachable(endpoint: ConnectedEndpoint) -> None:
    async with scripted_server() as (uri, peers):
        connecting = asyncio.create_task(endpoint.peer(uri))
        raw = await peers.get()
        raw.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(Unreachable):
            await connecting
        await raw.close()
