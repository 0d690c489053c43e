"""Endpoints with DTLS: who the peer is, when it is lost, and how a handshake fails. What they have in common with every
other endpoint is in `test_endpoint_contract`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.endpoint import AssociationLost, Endpoint, Secured, Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.connection import Closed
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey

LAMP = PreSharedKey(b"lamp", b"a key of sixteen")
WRONG = PreSharedKey(b"lamp", b"another one of 16")
STRANGER = PreSharedKey(b"stranger", b"a key of sixteen")


def client_with(key: PreSharedKey) -> Endpoint:
    return open_endpoint(dtls=Dtls(client=lambda _host: ClientSettings(key), first_timeout=0.05))


class Answerer:
    """A server that knows the lamp, and remembers who asked and who was refused."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.refusals: list[Closed] = []
        dtls = Dtls(
            ServerSettings({LAMP.identity: LAMP.key}.get), refused=lambda _, closed: self.refusals.append(closed)
        )
        self.endpoint = open_endpoint(dtls=dtls)

    def handle(self, _request: Request, peer: Peer) -> Response:
        self.peers.append(peer)
        return Response(Code.CONTENT, b"here")


@contextlib.asynccontextmanager
async def started(answerer: Answerer, *clients: Endpoint) -> AsyncIterator[None]:
    await answerer.endpoint.start(answerer.handle)
    for client in clients:
        await client.start(answerer.handle)
    try:
        yield
    finally:
        for endpoint in (*clients, answerer.endpoint):
            await endpoint.stop()


async def test_the_handler_learns_what_the_peer_has_proved() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        peer = await client.peer(answerer.endpoint.uri)
        assert (await client.request(peer, Request(Code.GET), 5)).payload == b"here"
        (seen,) = answerer.peers
        assert (seen.identity, seen.address) == ("psk:lamp", client.address)
        assert seen.association is not None


async def test_a_peer_with_a_session_is_another_than_the_address_it_is_at() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        peer = await client.peer(answerer.endpoint.uri)
        await client.request(peer, Request(Code.GET), 5)
        (seen,) = answerer.peers
        assert seen != Peer(seen.local, seen.address)


async def test_whoever_listens_is_told_when_the_peer_says_good_bye() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        events = answerer.endpoint.events()
        lost = asyncio.ensure_future(anext(events))
        peer = await client.peer(answerer.endpoint.uri)
        await client.request(peer, Request(Code.GET), 5)
        await client.stop()
        assert await asyncio.wait_for(lost, 5) == AssociationLost(answerer.peers[0])


async def test_nothing_is_sent_to_a_peer_whose_session_has_ended() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        events = answerer.endpoint.events()
        lost = asyncio.ensure_future(anext(events))
        peer = await client.peer(answerer.endpoint.uri)
        await client.request(peer, Request(Code.GET), 5)
        await client.stop()
        await asyncio.wait_for(lost, 5)
        with pytest.raises(Unreachable):
            await answerer.endpoint.request(answerer.peers[0], Request(Code.GET), 5)


async def test_nothing_is_sent_in_the_clear_to_a_peer_that_was_known_by_a_session() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        kept = Peer(answerer.endpoint.address, client.address, identity="psk:lamp")
        with pytest.raises(Unreachable, match="no secure session"):
            await answerer.endpoint.request(kept, Request(Code.GET), 5)


@pytest.mark.parametrize(
    ("key", "alert", "sentence"),
    [
        (STRANGER, Alert.UNKNOWN_PSK_IDENTITY, "nobody knows the PSK identity 'stranger'"),
        (WRONG, Alert.BAD_RECORD_MAC, "the two keys are not the same"),
    ],
)
async def test_both_sides_are_told_why_a_handshake_failed(key: PreSharedKey, alert: int, sentence: str) -> None:
    answerer, client = Answerer(), client_with(key)
    async with started(answerer, client):
        with pytest.raises(HandshakeFailed, match="no secure session with") as failed:
            await client.peer(answerer.endpoint.uri)
        assert failed.value.alert == alert
        (refusal,) = answerer.refusals
        assert refusal.alert == alert
        assert sentence in refusal.reason
        assert answerer.peers == []


def test_only_our_own_stack_has_dtls() -> None:
    with pytest.raises(ValueError, match="'aiocoap' has no DTLS; the stack 'datagram' has"):
        open_endpoint(stack="aiocoap", dtls=Dtls(ServerSettings({b"lamp": b"key"}.get)))


async def test_whoever_is_expelled_has_to_show_again_who_it_is() -> None:
    answerer, client = Answerer(), client_with(LAMP)
    async with started(answerer, client):
        peer = await client.peer(answerer.endpoint.uri)
        await client.request(peer, Request(Code.GET), 5)
        lost = asyncio.ensure_future(anext(answerer.endpoint.events()))
        await asyncio.sleep(0)
        assert isinstance(answerer.endpoint, Secured)
        answerer.endpoint.expel("psk:lamp")
        assert await asyncio.wait_for(lost, 5) == AssociationLost(answerer.peers[0])
        with pytest.raises(Unreachable):
            await client.request(peer, Request(Code.GET), 5)
        again = await client.peer(answerer.endpoint.uri)
        assert (await client.request(again, Request(Code.GET), 5)).payload == b"here"
        assert answerer.peers[0] != answerer.peers[1]
