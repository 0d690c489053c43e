"""The DTLS link: many associations over one address, where they are, and what becomes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.links.dtls_link import DtlsLink, HandshakeFailed, parse_uri
from lwm2m.coap.message import Peer
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.record import Kind, Writer
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey
from lwm2m.testing import run
from tests.dtls_net import SERVER, SERVER_URI, Above, Below, Host, Net, settled
from tests.dtls_pair import IDENTITY, KEY, any_server, psk_client, rpk_client

Make: TypeAlias = Callable[..., Awaitable[Host]]


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
async def opened() -> AsyncIterator[list[Host]]:
    hosts: list[Host] = []
    yield hosts
    for host in hosts:
        await host.link.close()


@pytest.fixture
def serve(net: Net, opened: list[Host]) -> Make:
    async def make(settings: ServerSettings | None = None, **more: object) -> Host:
        host = await Host(net, SERVER, server=settings or any_server(cid_length=4), **more).open()
        opened.append(host)
        return host

    return make


@pytest.fixture
def join(net: Net, opened: list[Host]) -> Make:
    async def make(number: int = 1, settings: ClientSettings | None = None, **more: object) -> Host:
        chosen = settings or psk_client()
        host = await Host(net, ("198.51.100.1", 40_000 + number), client=lambda _: chosen, **more).open()
        opened.append(host)
        return host

    return make


PLAIN = any_server(cid_length=0)


async def says(host: Host, peer: Peer, data: bytes, to: Host) -> Peer:
    """The peer that the other host heard it from."""
    host.link.send(data, peer)
    await settled()
    heard, sender = to.above.heard[-1]
    assert heard == data
    return sender


async def test_both_ends_of_an_association_are_peers_with_an_identity(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    assert (peer.address, peer.identity) == (SERVER, "psk:lamp")
    sender = await says(client, peer, b"hello", server)
    assert (sender.identity, sender.address) == ("psk:lamp", client.below.address)
    assert await says(server, sender, b"yes", client) is peer
    assert await client.shake_hands() is peer
    assert (server.link.uri, server.link.address) == ("coaps://192.0.2.1:5684", SERVER)


async def test_those_who_ask_for_the_same_server_share_one_handshake(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    first, second = await asyncio.gather(client.shake_hands(), client.shake_hands())
    assert first is second
    assert len(server.link._established) == 1


async def test_the_client_hears_why_it_is_refused_and_so_does_the_server(
    serve: Make, join: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server, client = await serve(), await join(settings=ClientSettings(PreSharedKey(b"nobody", KEY)))
    with pytest.raises(HandshakeFailed, match="unknown psk identity") as failed:
        await client.shake_hands()
    assert failed.value.alert == Alert.UNKNOWN_PSK_IDENTITY
    assert [closed.alert for closed in server.refused] == [Alert.UNKNOWN_PSK_IDENTITY]
    assert "nobody knows the PSK identity 'nobody'" in caplog.text
    assert not server.link._shaking


async def test_another_key_of_the_same_identity(serve: Make, join: Make) -> None:
    await serve()
    client = await join(settings=ClientSettings(PreSharedKey(IDENTITY, b"another")))
    with pytest.raises(HandshakeFailed) as failed:
        await client.shake_hands()
    assert failed.value.alert == Alert.BAD_RECORD_MAC


async def test_a_silent_server_and_one_that_is_not_there(join: Make) -> None:
    client = await join()
    trying = asyncio.create_task(client.shake_hands())
    await settled()
    client.below.unreachable(SERVER)
    with pytest.raises(HandshakeFailed, match="Connection refused") as failed:
        await trying
    assert failed.value.alert is None
    client.link._first_timeout = 0.002
    with pytest.raises(HandshakeFailed, match="does not answer"):
        await client.shake_hands()
    assert not client.link._shaking


async def test_icmp_ends_no_handshake_at_the_server(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    net.lost = lambda datagram: datagram[0] == Kind.HANDSHAKE and datagram[13] == 16
    trying = asyncio.create_task(client.shake_hands())
    await settled()
    assert len(server.link._shaking) == 1
    server.below.unreachable(client.below.address)
    assert len(server.link._shaking) == 1
    net.lost = lambda _: False
    await trying


async def test_icmp_about_an_association_is_told_and_ends_nothing(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    client.below.unreachable(SERVER)
    assert client.above.failures == [(peer, "Connection refused")]
    await says(client, peer, b"still there", server)


async def test_a_forged_alert_ends_nothing(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    for host in (server, client):
        other = client if host is server else server
        host.below.arrived(Writer(0, first=9).write(Kind.ALERT, b"\2\x28"), other.below.address)
    await says(client, peer, b"still there", server)


# Who moves


async def test_a_client_that_moves_stays_the_same_peer(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    before = await says(client, peer, b"1", server)
    net.renamed[client.below.address] = ("203.0.113.7", 7)
    after = await says(client, peer, b"2", server)
    assert after == before
    assert (before.address, after.address) == (client.below.address, ("203.0.113.7", 7))
    assert server.above.moves == [after]
    await says(server, before, b"3", client)
    assert not server.above.gone


async def test_without_connection_ids_nobody_moves(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(PLAIN), await join()
    peer = await client.shake_hands()
    await says(client, peer, b"1", server)
    net.renamed[client.below.address] = ("203.0.113.7", 7)
    client.link.send(b"2", peer)
    await settled()
    assert [data for data, _ in server.above.heard] == [b"1"]


async def test_only_the_newest_authentic_record_moves_a_peer(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    net.lost = lambda datagram: datagram[0] == 25
    client.link.send(b"older", peer)
    client.link.send(b"newer", peer)
    net.lost = lambda _: False
    older, newer = net.sent[-2:]
    elsewhere = ("203.0.113.7", 7)
    server.below.arrived(newer[:-1] + bytes((newer[-1] ^ 1,)), elsewhere)
    assert not server.above.heard
    server.below.arrived(newer, client.below.address)
    server.below.arrived(older, elsewhere)
    assert [sender.address for _, sender in server.above.heard] == [client.below.address] * 2
    server.below.arrived(newer, elsewhere)
    assert len(server.above.heard) == 2
    assert not server.above.moves
    await says(server, server.above.heard[0][1], b"where are you", client)


async def test_two_clients_that_a_nat_gives_the_same_address_one_after_the_other(
    net: Net, serve: Make, join: Make
) -> None:
    shared = ("203.0.113.7", 7)
    keys = {b"one": KEY, b"two": KEY}
    server = await serve(any_server(find_key=keys.get, cid_length=4))
    first = await join(1, ClientSettings(PreSharedKey(b"one", KEY)))
    second = await join(2, ClientSettings(PreSharedKey(b"two", KEY)))
    net.renamed[first.below.address] = shared
    to_first = await first.shake_hands()
    net.renamed = {second.below.address: shared}
    to_second = await second.shake_hands()
    assert (await says(second, to_second, b"2", server)).identity == "psk:two"
    net.renamed[first.below.address] = ("203.0.113.7", 8)
    assert (await says(first, to_first, b"1", server)).identity == "psk:one"
    assert not server.above.gone


async def test_nobody_is_pushed_out_by_one_who_moves_to_its_address(net: Net, serve: Make, join: Make) -> None:
    keys = {b"one": KEY, b"two": KEY}
    server = await serve(any_server(find_key=keys.get, cid_length=4))
    without = await join(1, ClientSettings(PreSharedKey(b"one", KEY), connection_id=None))
    moving = await join(2, ClientSettings(PreSharedKey(b"two", KEY)))
    to_one, to_two = await without.shake_hands(), await moving.shake_hands()
    net.renamed[moving.below.address] = without.below.address
    assert (await says(moving, to_two, b"2", server)).identity == "psk:two"
    assert (await says(without, to_one, b"1", server)).identity == "psk:one"
    assert not server.above.gone


# Who begins anew


@pytest.mark.parametrize("settings", [None, PLAIN], ids=["with ids", "without"])
async def test_a_client_that_lost_its_state_takes_its_own_place(
    serve: Make, join: Make, settings: ServerSettings | None
) -> None:
    server, client = await serve(settings), await join()
    before = await says(client, await client.shake_hands(), b"1", server)
    restarted = await join()
    peer = await restarted.shake_hands()
    after = await says(restarted, peer, b"2", server)
    assert after != before
    assert server.above.gone == [before]
    assert len(server.link._established) == len(server.link._by_place) == 1
    assert len(server.link._by_cid) == (1 if settings is None else 0)


async def test_an_association_stands_until_the_new_handshake_is_through(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(PLAIN), await join()
    peer = await client.shake_hands()
    forged = await join(settings=ClientSettings(PreSharedKey(b"nobody", KEY)))
    with pytest.raises(HandshakeFailed):
        await forged.shake_hands()
    net.links[client.below.address] = client.below
    await says(client, peer, b"still there", server)
    assert not server.above.gone


async def test_a_client_that_restarts_in_the_middle_is_not_kept_waiting(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    net.lost = lambda datagram: datagram[0] == Kind.HANDSHAKE and datagram[13] == 2
    trying = asyncio.create_task(client.shake_hands())
    await settled()
    assert len(server.link._shaking) == 1
    net.lost = lambda _: False
    restarted = await join()
    await restarted.shake_hands()
    trying.cancel()
    assert not server.link._shaking


async def test_a_hello_that_comes_again_later_begins_nothing(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    hello = net.sent[2]
    for _ in range(3):
        server.below.arrived(hello, client.below.address)
    assert not server.link._shaking
    await says(client, peer, b"x", server)


# Resumption, ends, limits


async def test_the_next_handshake_resumes_with_the_same_settings_only(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    (session,) = server.link._sessions._kept
    client.link.forget("psk:lamp")
    await settled()
    assert client.above.gone == [peer]
    net.sent.clear()
    await client.shake_hands()
    assert any(session in datagram and datagram[13] == 2 for datagram in net.sent)
    client.link.forget("psk:lamp")
    await settled()
    client.link._client = lambda _: psk_client(server_name="other.example")
    net.sent.clear()
    await client.shake_hands()
    assert not any(session in datagram for datagram in net.sent)
    assert len(server.link._sessions) == 2


async def test_a_fatal_alert_takes_the_session_with_it(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    assert isinstance(peer.association, Association)
    peer.association.connection.abort(Alert.INTERNAL_ERROR)
    client.link._flush(peer.association)
    await settled()
    assert len(server.link._sessions) == 0
    assert len(server.above.gone) == 1


async def test_credentials_that_were_taken_back_end_what_they_began(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    server.link.forget("psk:other")
    await settled()
    assert not client.above.gone
    server.link.forget("psk:lamp")
    await settled()
    assert client.above.gone == [peer]
    assert not server.link._established
    assert len(server.link._sessions) == 0
    client.link.send(b"x", peer)
    assert client.above.failures[-1][0] is peer


async def test_a_peer_that_was_revoked_is_told_and_neither_side_resumes(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    client.link.forget("psk:lamp", Alert.CERTIFICATE_REVOKED)
    await settled()
    (gone,) = server.above.gone
    assert isinstance(gone.association, Association)
    assert gone.association.closed == (Alert.CERTIFICATE_REVOKED, "the peer says: certificate revoked", True)
    assert client.above.gone == [peer]
    assert not server.link._sessions._kept
    assert not client.link._own_sessions


async def test_a_handshake_with_a_key_that_is_taken_back_meanwhile_ends(net: Net, serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    carry = net.carry

    def without_finished(datagram: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """The client's last flight arrives without its Finished."""
        if datagram[0] == Kind.HANDSHAKE and datagram[13] == 16:
            datagram = datagram[: 13 + int.from_bytes(datagram[11:13], "big")]
        carry(datagram, source, target)

    net.carry = without_finished  # type: ignore[method-assign]
    trying = asyncio.create_task(client.shake_hands())
    await settled()
    assert len(server.link._shaking) == 1
    server.link.forget("psk:other")
    assert len(server.link._shaking) == 1
    server.link.forget("psk:lamp")
    assert not server.link._shaking
    with pytest.raises(HandshakeFailed):
        await trying


async def test_everybody_hears_when_an_endpoint_stops(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    peer = await client.shake_hands()
    await server.link.close()
    await settled()
    assert client.above.gone == [peer]


async def test_of_too_many_associations_the_one_that_was_silent_longest_goes(serve: Make, join: Make) -> None:
    server = await serve(max_associations=2)
    first, second, third = [await join(number) for number in (1, 2, 3)]
    to_first, to_second = await first.shake_hands(), await second.shake_hands()
    await says(first, to_first, b"I am there", server)
    await third.shake_hands()
    await settled()
    assert second.above.gone == [to_second]
    assert not first.above.gone
    assert len(server.link._established) == len(server.link._by_place) == len(server.link._by_cid) == 2


def test_an_association_in_which_nothing_was_heard_for_long_ends() -> None:
    async def pass_time() -> None:
        net = Net()
        server = await Host(net, SERVER, server=any_server(cid_length=4), max_idle=86_400.0).open()
        clients = [
            await Host(net, ("198.51.100.1", 40_000 + number), client=lambda _: psk_client()).open()
            for number in range(3)
        ]
        peers = [await client.shake_hands() for client in clients]
        await asyncio.sleep(40_000)
        await says(clients[0], peers[0], b"I am there", server)
        await asyncio.sleep(40_000)
        server.link.send(b"are you there?", server.above.heard[0][1])
        await asyncio.sleep(10_000)
        assert [client.above.gone for client in clients] == [[], [peers[1]], [peers[2]]]
        assert len(server.link._established) == len(server.link._by_place) == len(server.link._by_cid) == 1
        await asyncio.sleep(40_000)
        assert clients[0].above.gone == [peers[0]]
        assert not server.link._established
        assert server.link._idle_timer is None
        await clients[1].shake_hands()
        await asyncio.sleep(86_401)
        assert not server.link._established
        for host in (*clients, server):
            await host.link.close()

    run(pass_time())


async def test_who_only_asks_ends_nothing_for_silence(serve: Make, join: Make) -> None:
    await serve()
    client = await join(max_idle=0.0)
    peer = await client.shake_hands()
    assert client.link._idle_timer is None
    assert await client.shake_hands() is peer


async def test_of_too_many_handshakes_the_oldest_goes_and_says_nothing_more(net: Net, serve: Make, join: Make) -> None:
    server = await serve(max_handshakes=3)
    net.lost = lambda datagram: datagram[0] == Kind.HANDSHAKE and datagram[13] == 16
    trying = [asyncio.create_task((await join(number)).shake_hands()) for number in range(5)]
    await settled()
    assert len(server.link._shaking) == 3
    assert [closed.reason for closed in server.refused] == ["too many handshakes at a time"] * 2
    for task in trying:
        task.cancel()


async def test_small_records_make_small_blocks(serve: Make, join: Make) -> None:
    server, client = await serve(), await join(settings=rpk_client(fragment_length=512))
    peer = await client.shake_hands()
    sender = await says(client, peer, b"x", server)
    for host, other in ((client, peer), (server, sender)):
        assert host.link.room(other) == Room(256, 4)
        host.link.send(bytes(513), other)
        assert "more than the peer takes" in host.above.failures[-1][1]


async def test_who_only_serves_reaches_nobody_and_who_only_asks_answers_nobody(serve: Make, join: Make) -> None:
    server, client = await serve(), await join()
    with pytest.raises(Unreachable, match="waits for its peers"):
        await server.link.peer("coaps://198.51.100.1:40001")
    other = await join(2)
    other.link._first_timeout = 0.002
    with pytest.raises(HandshakeFailed, match="does not answer"):
        await other.link.peer("coaps://198.51.100.1:40001")
    assert not client.link._shaking


@pytest.mark.parametrize(
    ("uri", "place"),
    [("coaps://h", ("h", 5684)), ("coaps://[::1]:9/", ("::1", 9)), ("coaps://1.2.3.4:65535", ("1.2.3.4", 65535))],
)
def test_uris(uri: str, place: tuple[str, int]) -> None:
    assert parse_uri(uri) == place


@pytest.mark.parametrize("uri", ["coap://h", "coaps://", "coaps://h:0", "coaps://h:x", "coaps://a@h", "coaps://h/x"])
def test_what_is_no_uri_of_a_server(uri: str) -> None:
    with pytest.raises(ValueError, match=r"coaps|port|host"):
        parse_uri(uri)


async def test_hellos_from_everywhere_leave_nothing_behind(serve: Make) -> None:
    server = await serve()
    other = DtlsLink(Below(Net(), ("198.51.100.1", 1)), client=lambda _: psk_client())
    await other.open(Above())
    trying = asyncio.create_task(other.peer(SERVER_URI))
    await settled()
    hello = other._inner._net.sent[0]  # type: ignore[attr-defined]
    for number in range(2000):
        server.below.arrived(hello, ("198.51.100.2", number))
    link = server.link
    assert not any((link._shaking, link._established, link._deadlines, link._by_cid, link._by_place))
    trying.cancel()
    await other.close()
