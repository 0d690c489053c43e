"""Revocation lists and OCSP answers over HTTP and from files, and what becomes of handshakes and associations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from lwm2m.coap.links.dtls_link import DtlsLink, HandshakeFailed
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.message import Peer
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CertificateChain, CredentialsRefused, PeerChain
from lwm2m.security.fetching import NotFetched, Wanted, fetch
from lwm2m.security.ocsp_answers import PAUSE, OcspAnswers
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, ServerCheck
from lwm2m.security.revocation import LOOK_AFTER, RevocationLists, end_revoked
from tests.authority import DAY, TODAY, WALL, Issued, responder_at, root

CA = root("Device CA")
DEVICE, OTHER, SERVER = (CA.issues(name) for name in ("device", "other", "server"))
TRUST = TrustStore((CA.certificate,))
HARD, SOFT = RevocationPolicy.HARD, RevocationPolicy.SOFT


class Clock:
    """Of the day; a test moves it."""

    def __init__(self) -> None:
        self.at = WALL

    def __call__(self) -> float:
        return self.at


class Place:
    """An HTTP server with one thing in it. `asked` is what came with the requests."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.content = b""
        self.status = "200 OK"
        self.asked: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.asked.append(await reader.readexactly(length))
        lines = (
            f"HTTP/1.1 {self.status}\r\ncontent-length: {len(self.content)}\r\nlocation: /\r\nconnection: close\r\n\r\n"
        )
        writer.write(lines.encode() + self.content)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def http_place() -> AsyncIterator[Place]:
    place = Place("")
    server = await asyncio.start_server(place.answer, "127.0.0.1", 0)
    place.uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/here"
    async with server:
        yield place


class Ends:
    """A server and clients on loopback."""

    def __init__(self, check: ClientCheck) -> None:
        settings = ServerSettings(chain=CertificateChain((SERVER.der,), SERVER.key), verify=check)
        self.server = DtlsLink(UdpLink(), server=settings)
        self.clients: list[DtlsLink] = []

    async def comes(self, device: Issued) -> Peer:
        settings = ClientSettings(
            CertificateChain((device.der,), device.key), ServerCheck(trust=TRUST, wall=lambda: WALL)
        )
        client = DtlsLink(UdpLink(), client=lambda _: settings)
        self.clients.append(client)
        await client.open(Deaf())
        return await client.peer(self.server.uri)


class Deaf:
    """Hears nothing but that an association has ended."""

    def __init__(self) -> None:
        self.gone: asyncio.Queue[str | None] = asyncio.Queue()

    def received(self, datagram: bytes, peer: Peer) -> None: ...

    def failed(self, peer: Peer, reason: str) -> None: ...

    def moved(self, peer: Peer) -> None: ...

    def lost(self, peer: Peer) -> None:
        self.gone.put_nowait(peer.identity)


@asynccontextmanager
async def ends(check: ClientCheck) -> AsyncIterator[tuple[Ends, Deaf]]:
    both, below = Ends(check), Deaf()
    await both.server.open(below)
    try:
        async with asyncio.timeout(20):
            yield both, below
    finally:
        for link in [*both.clients, both.server]:
            await link.close()


def lists_from(*places: str, clock: Clock | None = None) -> RevocationLists:
    return RevocationLists(places, [CA.certificate], wall=clock or Clock())


async def test_a_revoked_client_is_refused_in_the_handshake_and_another_is_not() -> None:
    async with http_place() as place:
        place.content = CA.revokes(DEVICE)
        async with lists_from(place.uri) as lists:
            check = ClientCheck(TRUST, wall=lambda: WALL, revocation=Revocation(HARD, lists.lists))
            async with ends(check) as (both, _):
                with pytest.raises(HandshakeFailed) as caught:
                    await both.comes(DEVICE)
                assert caught.value.alert == 44
                assert (await both.comes(OTHER)).identity == "x509:server"


async def test_a_client_that_is_revoked_later_loses_its_association_at_the_next_refresh() -> None:
    clock = Clock()
    async with http_place() as place:
        place.content = CA.revokes()
        async with lists_from(place.uri, clock=clock) as lists:
            check = ClientCheck(TRUST, wall=clock, revocation=Revocation(HARD, lists.lists))
            async with ends(check) as (both, below):

                async def revoke(identities: frozenset[str]) -> None:
                    for identity in identities:
                        both.server.forget(identity)

                lists.when_refreshed(end_revoked(check, revoke))
                await both.comes(DEVICE)
                await both.comes(OTHER)
                place.content = CA.revokes(DEVICE, number=2)
                clock.at += 3600
                await lists.refresh()
                assert await below.gone.get() == "x509:device"
                assert below.gone.empty()
                with pytest.raises(HandshakeFailed):
                    await both.comes(DEVICE)


async def test_lists_are_read_on_when_what_follows_from_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lwm2m.security.revocation.LOOK_AFTER", 0.0)
    file, told = tmp_path / "list.crl", asyncio.Event()
    file.write_bytes(CA.revokes())
    async with asyncio.timeout(20), lists_from(str(file)) as lists:

        async def fails() -> None:
            lists.when_refreshed(succeeds)
            file.write_bytes(CA.revokes(OTHER, SERVER, number=3))
            raise OSError("the disk is full")

        async def succeeds() -> None:
            told.set()

        lists.when_refreshed(fails)
        file.write_bytes(CA.revokes(OTHER, number=2))
        await told.wait()
        assert "the disk is full" in caplog.text


async def test_a_list_in_a_file_is_read_again_when_it_was_changed(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "list.crl"
    path.write_bytes(CA.revokes())
    lists = lists_from(str(path), clock=clock)
    await lists.refresh()
    first = lists.lists()
    path.write_bytes(CA.revokes(DEVICE, number=2))
    await lists.refresh()
    assert lists.lists() == first, "it is not looked at all the time"
    clock.at += LOOK_AFTER
    await lists.refresh()
    assert [found.serials for found in lists.lists()] == [{DEVICE.certificate.serial_number}]


BAD_PLACES: dict[str, Callable[[Place], None]] = {
    "nothing there": lambda place: setattr(place, "status", "404 Not Found"),
    "elsewhere": lambda place: setattr(place, "status", "302 Found"),
    "no list": lambda place: setattr(place, "content", b"<html>"),
    "older": lambda place: setattr(place, "content", CA.revokes(number=1, begin=TODAY - 2 * DAY)),
    "of a stranger": lambda place: setattr(place, "content", root("Device CA").revokes(number=9)),
}


@pytest.mark.parametrize("bad", BAD_PLACES)
async def test_what_cannot_be_used_leaves_the_list_at_hand_where_it_is(
    bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with http_place() as place:
        place.content = CA.revokes(DEVICE, number=2)
        lists = lists_from(place.uri, clock=clock)
        await lists.refresh()
        at_hand = lists.lists()
        assert len(at_hand) == 1
        BAD_PLACES[bad](place)
        clock.at += 2 * 86_400
        await lists.refresh()
        assert len(place.asked) == 2
        assert lists.lists() == at_hand
        assert place.uri in caplog.text


async def test_a_list_is_fetched_again_after_an_hour_or_when_it_ends() -> None:
    clock = Clock()
    async with http_place() as place:
        place.content = CA.revokes(end=datetime.fromtimestamp(WALL + 600, TODAY.tzinfo))
        lists = lists_from(place.uri, clock=clock)
        await lists.refresh()
        clock.at += 599
        await lists.refresh()
        assert len(place.asked) == 1
        clock.at += 1
        place.content = CA.revokes()
        await lists.refresh()
        assert len(place.asked) == 2
        clock.at += 3599
        await lists.refresh()
        assert len(place.asked) == 2


async def test_what_is_too_long_is_not_taken() -> None:
    async with http_place() as place:
        place.content = bytes(2000)
        with pytest.raises(NotFetched, match="has more than 1999 bytes"):
            await fetch(Wanted(place.uri, 1999))
        assert await fetch(Wanted(place.uri, 2000)) == place.content


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/", "http://[/", "ftp://127.0.0.1/"])
async def test_what_cannot_be_reached_is_said_in_a_sentence(uri: str) -> None:
    with pytest.raises(NotFetched, match="cannot be fetched"):
        await fetch(Wanted(uri, 10))


# OCSP


def taken(check: ServerCheck, server: Issued) -> int | str:
    """The identity, or the alert."""
    try:
        return check(PeerChain((server.der,)))
    except CredentialsRefused as refused:
        return refused.alert


async def fetched(answers: OcspAnswers) -> None:
    """What was begun is done."""
    await asyncio.sleep(0)
    while answers.fetching:
        await asyncio.wait(answers.fetching)


async def test_an_answer_is_fetched_for_the_next_handshake() -> None:
    clock, told = Clock(), asyncio.Event()
    async with http_place() as place:
        server = CA.issues("server", responder_at(place.uri))
        async with OcspAnswers(wall=clock) as answers:

            async def tell() -> None:
                told.set()

            answers.when_revoked(tell)
            check = ServerCheck(trust=TRUST, wall=clock, revocation=Revocation(HARD, find_answer=answers.find))
            place.content = CA.answers(server, end=TODAY + DAY)
            assert taken(check, server) == 40
            await fetched(answers)
            assert taken(check, server) == "x509:server"
            assert taken(check, server) == "x509:server"
            await fetched(answers)
            assert len(place.asked) == 1, "it counts for a day"

            place.content = CA.answers(server, revoked=True)
            clock.at += 43_200
            assert taken(check, server) == "x509:server", "what is at hand still counts"
            await fetched(answers)
            assert taken(check, server) == 44
            assert told.is_set()
            clock.at += 10 * 86_400
            assert taken(check, server) == 44


@pytest.mark.parametrize("bad", [b"nothing", CA.answers(OTHER), root("Device CA").answers(DEVICE, issuer=CA)])
async def test_a_bad_answer_is_as_none_and_asked_for_again_after_a_pause(bad: bytes) -> None:
    clock = Clock()
    async with http_place() as place:
        server = CA.issues("server", responder_at(place.uri))
        async with OcspAnswers(wall=clock) as answers:
            check = ServerCheck(trust=TRUST, wall=clock, revocation=Revocation(SOFT, find_answer=answers.find))
            place.content = bad
            for _ in range(3):
                assert taken(check, server) == "x509:server"
                await fetched(answers)
            assert len(place.asked) == 1
            place.content = CA.answers(server, revoked=True)
            clock.at += PAUSE
            assert taken(check, server) == "x509:server"
            await fetched(answers)
            assert taken(check, server) == 44


async def test_a_good_answer_of_the_peer_starts_no_fetch_and_hides_no_fetched_revocation() -> None:
    clock = Clock()
    async with http_place() as place:
        server = CA.issues("server", responder_at(place.uri))
        async with OcspAnswers(wall=clock) as answers:
            revocation = Revocation(HARD, find_answer=answers.find, kept_answer=answers.kept)
            check = ServerCheck(trust=TRUST, wall=clock, revocation=revocation)
            stapling = PeerChain((server.der,), CA.answers(server))
            place.content = CA.answers(server, revoked=True)
            assert check(stapling) == "x509:server"
            await fetched(answers)
            assert not place.asked
            assert taken(check, server) == 40
            await fetched(answers)
            with pytest.raises(CredentialsRefused, match="was revoked"):
                check(stapling)


async def test_a_certificate_without_a_responder_is_never_asked_about() -> None:
    async with OcspAnswers(wall=Clock()) as answers:
        assert answers.find(SERVER.certificate, CA.certificate) is None
        await fetched(answers)
        assert answers.find(SERVER.certificate, CA.certificate) is None


async def test_a_server_staples_its_own_answer_and_a_strict_client_takes_it() -> None:
    async with http_place() as place:
        server = CA.issues("server", responder_at(place.uri))
        place.content = CA.answers(server)
        async with OcspAnswers(wall=Clock()) as answers:
            stapled = answers.stapled(server.certificate, CA.certificate)
            assert stapled() is None
            await fetched(answers)
            below = DtlsLink(
                UdpLink(),
                server=ServerSettings(
                    chain=CertificateChain((server.der,), server.key),
                    verify=ClientCheck(TRUST, wall=lambda: WALL),
                    ocsp=stapled,
                ),
            )
            strict = ServerCheck(trust=TRUST, wall=lambda: WALL, revocation=Revocation(HARD))
            chain = CertificateChain((DEVICE.der,), DEVICE.key)
            await below.open(Deaf())
            for wants, is_taken in ((True, True), (False, False)):
                settings = ClientSettings(chain, strict, wants_ocsp=wants)
                above = DtlsLink(UdpLink(), client=lambda _, settings=settings: settings)
                await above.open(Deaf())
                if is_taken:
                    assert (await above.peer(below.uri)).identity == "x509:server"
                else:
                    with pytest.raises(HandshakeFailed, match="it is not known whether the certificate of 'server'"):
                        await above.peer(below.uri)
                await above.close()
            await below.close()
