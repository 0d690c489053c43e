"""CoAP over TLS: who the peer is, and how both ends learn that it is not let in. What it has in common with every
other endpoint is in `test_endpoint_contract`; other programs are met in `tests/interop/test_tls_peers.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lwm2m.coap.endpoint import AssociationLost, Limits, Secured, Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.streams.aiocoap_connection import Liveness
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls, Unfit
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.connection import Closed
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CertificateChain, RawPublicKey
from lwm2m.security.crl import RevocationList
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, MatchingType, Pin, ServerCheck
from tests.authority import Issued
from tests.raw_connection import csm
from tests.tls_credentials import authority, chain_of, client, serving

OTHER = "Other CA"
GET = Request(Code.GET, ("3",))


@dataclass
class Server:
    endpoint: TlsEndpoint
    peers: list[Peer] = field(default_factory=list)
    refusals: asyncio.Queue[Closed] = field(default_factory=asyncio.Queue)

    def handle(self, _request: Request, peer: Peer) -> Response:
        self.peers.append(peer)
        return Response(Code.CONTENT, b"here")

    async def refusal(self) -> Closed:
        return await asyncio.wait_for(self.refusals.get(), 5)


@contextlib.asynccontextmanager
async def a_server(tls: Tls | None = None, **settings: Any) -> AsyncIterator[Server]:
    tls = replace(tls or serving(), refused=lambda _, closed: server.refusals.put_nowait(closed))
    server = Server(TlsEndpoint(tls=tls, **settings))
    await server.endpoint.start(server.handle)
    try:
        yield server
    finally:
        await server.endpoint.stop()


@contextlib.asynccontextmanager
async def a_client(tls: Tls | None = None) -> AsyncIterator[TlsEndpoint]:
    endpoint = TlsEndpoint(port=None, tls=tls or client())
    await endpoint.start(lambda *_: Response(Code.NOT_FOUND))
    try:
        yield endpoint
    finally:
        await endpoint.stop()


async def refused(tls: Tls, server: Server) -> HandshakeFailed:
    async with a_client(tls) as endpoint:
        with pytest.raises(HandshakeFailed) as failed:
            await endpoint.peer(server.endpoint.uri)
    return failed.value


# Who it is


async def test_both_ends_learn_who_the_other_is() -> None:
    async with a_server() as server, a_client() as endpoint:
        peer = await endpoint.peer(server.endpoint.uri)
        assert peer.identity == "x509:server"
        assert (await endpoint.request(peer, GET, 5)).payload == b"here"
        assert [seen.identity for seen in server.peers] == ["x509:lamp"]


async def test_the_uri_says_that_it_is_secured() -> None:
    async with a_server() as server:
        assert server.endpoint.uri == f"coaps+tcp://127.0.0.1:{server.endpoint.address[1]}"


async def test_a_chain_leads_over_an_authority_between() -> None:
    between = authority().issued.issues("Between", (x509.BasicConstraints(True, None), True), **valid())
    lamp = between.issues("lamp", **valid())
    tls = Tls(client=lambda _: ClientSettings(chain_of(lamp, between), ServerCheck(trust=authority().trust)))
    async with a_server() as server, a_client(tls) as endpoint:
        await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        assert server.peers[0].identity == "x509:lamp"


def valid() -> dict[str, Any]:
    holder = authority().holder("anybody").certificate
    return {"begin": holder.not_valid_before_utc, "end": holder.not_valid_after_utc}


async def test_an_authority_that_is_not_its_own_root_may_be_trusted() -> None:
    between = authority().issued.issues("Between", (x509.BasicConstraints(True, None), True), **valid())
    lamp = between.issues("lamp", **valid())
    async with (
        a_server(serving(trust=TrustStore((between.certificate,)))) as server,
        a_client(client(lamp)) as endpoint,
    ):
        await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        assert server.peers[0].identity == "x509:lamp"


@pytest.mark.parametrize(
    "pin",
    [
        lambda server: ServerCheck(Pin(server.der), CertificateUsage.DOMAIN_ISSUED_CERTIFICATE),
        lambda server: ServerCheck(Pin(fingerprint(server), MatchingType.SHA256)),
        lambda _: ServerCheck(Pin(authority().issued.der), CertificateUsage.TRUST_ANCHOR_ASSERTION),
        lambda _: ServerCheck(Pin(authority().issued.der), CertificateUsage.CA_CONSTRAINT, authority().trust),
        lambda server: ServerCheck(Pin(server.der), CertificateUsage.SERVICE_CERTIFICATE_CONSTRAINT, authority().trust),
    ],
    ids=["its own", "the hash of its own", "its authority's", "constrained authority", "constrained certificate"],
)
async def test_a_server_is_the_one_that_object_0_asks_for(pin: Any) -> None:
    shown, wrong = authority().holder("server"), authority(OTHER).holder("server")
    async with a_server(serving(shown)) as server, a_client(client(check=pin(shown))) as endpoint:
        assert (await endpoint.peer(server.endpoint.uri)).identity == "x509:server"
    async with a_server(serving(wrong)) as server:
        failed = await refused(client(check=pin(shown)), server)
        assert failed.alert in (Alert.BAD_CERTIFICATE, Alert.UNKNOWN_CA)
        assert not failed.by_peer


def fingerprint(issued: Issued) -> bytes:
    return issued.certificate.fingerprint(hashes.SHA256())


# Who is not let in


@pytest.mark.parametrize(
    ("shown", "alert", "sentence"),
    [
        (lambda: authority(OTHER).holder("lamp"), Alert.UNKNOWN_CA, "leads to nobody who is trusted here"),
        (lambda: authority().holder("lamp", since=-3, until=-1), Alert.CERTIFICATE_EXPIRED, "has expired"),
        (lambda: authority().holder("lamp", since=1, until=3), Alert.BAD_CERTIFICATE, "is not valid yet"),
    ],
    ids=["another authority", "expired", "not valid yet"],
)
async def test_a_client_without_a_good_certificate_hears_why(shown: Any, alert: Alert, sentence: str) -> None:
    async with a_server() as server:
        failed = await refused(client(shown()), server)
        assert (failed.alert, failed.by_peer) == (alert, True)
        closed = await server.refusal()
        assert (closed.alert, closed.by_peer) == (alert, False)
        assert sentence in closed.reason
        assert server.peers == []


async def test_a_server_without_a_good_certificate_hears_why_and_nothing_else() -> None:
    async with a_server() as server:
        failed = await refused(client(check=ServerCheck(trust=authority(OTHER).trust)), server)
        assert (failed.alert, failed.by_peer) == (Alert.UNKNOWN_CA, False)
        assert "is not trusted" in str(failed)
        assert await server.refusal() == Closed(Alert.UNKNOWN_CA, "the peer says: unknown ca", by_peer=True)


async def test_a_certificate_of_another_host_is_refused() -> None:
    async with a_server() as server:
        failed = await refused(client(check=ServerCheck(trust=authority().trust, name="lamp.example")), server)
        assert failed.alert == Alert.BAD_CERTIFICATE
        assert "is for 'server', not for 'lamp.example'" in str(failed)


@pytest.mark.parametrize(("version", "heard"), [("TLSv1_2", Alert.BAD_CERTIFICATE), ("TLSv1_3", None)])
async def test_a_certificate_that_names_nobody_lets_nobody_in(version: str, heard: Alert | None) -> None:
    """OpenSSL has let it in; in TLS 1.3 nothing but a good-bye can be said any more."""
    async with a_server() as server:
        context = a_context(authority().holder(None))
        context.maximum_version = ssl.TLSVersion[version]
        assert await alert_after(server, context) == heard
        closed = await server.refusal()
        assert closed.alert == Alert.BAD_CERTIFICATE
        assert "names nobody" in closed.reason


async def test_a_revoked_certificate_lets_nobody_in() -> None:
    lamp = authority().holder("lamp")
    now = lamp.certificate.not_valid_before_utc
    revoked = authority().issued.revokes(lamp, begin=now, end=lamp.certificate.not_valid_after_utc)
    revocation = Revocation(
        RevocationPolicy.HARD, lambda: [RevocationList.read(revoked, [authority().issued.certificate])]
    )
    async with a_server(serving(revocation=revocation)) as server, a_client(client(lamp)) as endpoint:
        with pytest.raises(Unreachable, match=r"does not take our certificate .* its log says why"):
            await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        closed = await server.refusal()
        assert closed.alert == Alert.CERTIFICATE_REVOKED
        assert server.peers == []


# What is no TLS of ours


def a_context(*shown: Issued, protocols: tuple[str, ...] = ("coap",)) -> ssl.SSLContext:
    """Of a client that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if shown:
        load(context, *shown)
    return context


def load(context: ssl.SSLContext, shown: Issued, *others: Issued) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "both.pem").write_bytes(b"".join([shown.pem, *(other.pem for other in others), shown.key.pem()]))
        context.load_cert_chain(Path(folder, "both.pem"))


async def alert_after(server: Server, context: ssl.SSLContext) -> Alert | None:
    """The alert that the server sends to whoever connects so, None for a mere end."""
    tls, incoming, outgoing = a_side(context)
    reader, writer = await asyncio.open_connection(*server.endpoint.address)
    try:
        async with asyncio.timeout(5):
            while True:
                try:
                    tls.do_handshake()
                    tls.read()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return None
                except ssl.SSLError as error:
                    return alert_in(error)
                writer.write(outgoing.read())
                data = await reader.read(65_536)
                if not data:
                    return None
                incoming.write(data)
    finally:
        writer.close()


def a_side(context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing), incoming, outgoing


def alert_in(error: ssl.SSLError) -> Alert:
    return next(alert for alert in Alert if f"alert {alert.name.replace('_', ' ').lower()}" in str(error))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_client_without_a_certificate_is_refused(version: str) -> None:
    async with a_server() as server:
        context = a_context()
        context.maximum_version = ssl.TLSVersion[version]
        wanted = Alert.CERTIFICATE_REQUIRED if version == "TLSv1_3" else Alert.HANDSHAKE_FAILURE
        assert await alert_after(server, context) == wanted
        assert (await server.refusal()).reason == ("the client shows no certificate: give it one, with its private key")


async def test_a_client_that_wants_another_protocol_is_refused() -> None:
    async with a_server() as server:
        context = a_context(authority().holder("lamp"), protocols=("http/1.1", "h2"))
        assert await alert_after(server, context) == Alert.NO_APPLICATION_PROTOCOL
        assert "offers 'http/1.1', 'h2' and not 'coap'" in (await server.refusal()).reason


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_tls_1_1_is_refused() -> None:
    async with a_server() as server:
        context = a_context(authority().holder("lamp"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        assert await alert_after(server, context) == Alert.PROTOCOL_VERSION
        assert (await server.refusal()).reason == "the peer speaks neither TLS 1.2 nor TLS 1.3"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [(csm() + b"\x21\x01\x07\xb1x", "does not speak TLS"), (b"GET / HTTP/1.1\r\n\r\n", "not speak TLS but HTTP")],
)
async def test_who_speaks_no_tls_is_not_heard(said: bytes, sentence: str) -> None:
    async with a_server() as server:
        reader, writer = await asyncio.open_connection(*server.endpoint.address)
        writer.write(said)
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert sentence in (await server.refusal()).reason
        assert server.peers == []


async def test_a_hello_may_come_byte_by_byte() -> None:
    async with a_server() as server:
        tls, _, outgoing = a_side(a_context(protocols=("h2",)))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        reader, writer = await asyncio.open_connection(*server.endpoint.address)
        for byte in outgoing.read():
            writer.write(bytes((byte,)))
            await writer.drain()
        assert (await asyncio.wait_for(reader.read(), 5))[-1] == Alert.NO_APPLICATION_PROTOCOL
        writer.close()


async def test_who_says_nothing_does_not_stay() -> None:
    async with a_server(liveness=Liveness(csm_within=0.05)) as server:
        reader, writer = await asyncio.open_connection(*server.endpoint.address)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert "in time" in (await server.refusal()).reason


async def test_of_too_many_that_shake_hands_the_oldest_goes() -> None:
    async with a_server(limits=Limits(max_peers_unverified=1)) as server:
        first, writer = await asyncio.open_connection(*server.endpoint.address)
        _, other = await asyncio.open_connection(*server.endpoint.address)
        assert await asyncio.wait_for(first.read(), 5) == b""
        writer.close()
        other.close()


async def test_a_server_at_another_port_than_the_usual_has_to_agree_to_coap() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, authority().holder("server"))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    try:
        async with a_client() as endpoint:
            with pytest.raises(HandshakeFailed, match="does not agree by ALPN") as failed:
                await endpoint.peer(f"coaps+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            assert failed.value.alert == Alert.NO_APPLICATION_PROTOCOL
    finally:
        server.close()


# What becomes of it


async def test_who_is_valid_no_more_is_shown_out() -> None:
    async with a_server() as server, a_client() as endpoint:
        assert isinstance(server.endpoint, Secured)
        lost = asyncio.ensure_future(anext(endpoint.events()))
        peer = await endpoint.peer(server.endpoint.uri)
        await endpoint.request(peer, GET, 5)
        server.endpoint.expel("x509:somebody else")
        assert (await endpoint.request(peer, GET, 5)).code is Code.CONTENT
        server.endpoint.expel("x509:lamp")
        assert await asyncio.wait_for(lost, 5) == AssociationLost(peer)


async def test_a_client_that_comes_back_has_another_association() -> None:
    async with a_server() as server, a_client() as endpoint:
        await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        endpoint.listen(False)
        await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        before, after = server.peers
        assert before != after
        assert before.identity == after.identity


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_who_goes_on_with_a_session_is_judged_anew(version: str) -> None:
    between = authority().issued.issues("Between", (x509.BasicConstraints(True, None), True), **valid())
    lamp = between.issues("lamp", **valid())
    context = a_context(lamp, between)
    context.maximum_version = ssl.TLSVersion[version]
    lists: list[RevocationList] = []
    async with a_server(serving(revocation=Revocation(RevocationPolicy.SOFT, lambda: lists))) as server:
        first = await answered(server, context, None)
        again = await answered(server, context, first.session)
        assert (first.session_reused, again.session_reused) == (False, True)
        assert [peer.identity for peer in server.peers] == ["x509:lamp", "x509:lamp"]
        revoked = between.revokes(lamp, begin=valid()["begin"], end=valid()["end"])
        lists.append(RevocationList.read(revoked, [between.certificate, *authority().trust.anchors]))
        with pytest.raises(asyncio.IncompleteReadError):
            await answered(server, context, again.session)
        assert (await server.refusal()).alert == Alert.CERTIFICATE_REVOKED
        assert len(server.peers) == 2


async def answered(server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLObject:
    """The end of a connection over which a question was answered. Raises IncompleteReadError where none was."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, session=session)
    reader, writer = await asyncio.open_connection(*server.endpoint.address)
    said = b""
    is_through = False
    try:
        async with asyncio.timeout(5):
            while b"here" not in said:
                with contextlib.suppress(ssl.SSLWantReadError):
                    if not is_through:
                        tls.do_handshake()
                        is_through = True
                        tls.write(csm() + b"\x21\x01\x07\xb13")
                    said += tls.read()
                writer.write(outgoing.read())
                if b"here" not in said:
                    data = await reader.read(65_536)
                    if not data:
                        raise asyncio.IncompleteReadError(said, None)
                    incoming.write(data)
    except (ssl.SSLError, ConnectionError):
        raise asyncio.IncompleteReadError(said, None) from None
    finally:
        writer.close()
    return tls


# Credentials that do not do


async def test_a_raw_public_key_is_refused_with_what_to_do() -> None:
    key = RawPublicKey(authority().holder("lamp").key)
    check = ServerCheck(Pin(authority().holder("server").key.public_key))
    async with a_server() as server, a_client(Tls(client=lambda _: ClientSettings(key, check))) as endpoint:
        with pytest.raises(Unfit, match=r"raw public keys.*certificates.*coaps://"):
            await endpoint.peer(server.endpoint.uri)


def test_a_server_has_a_certificate_and_authorities() -> None:
    raw = ServerSettings(raw_public_key=RawPublicKey(authority().holder("server").key), verify=serving().server.verify)
    with pytest.raises(ValueError, match="raw public keys over TLS are not there"):
        TlsEndpoint(tls=Tls(server=raw, trust=authority().trust))
    with pytest.raises(ValueError, match="name the authorities"):
        TlsEndpoint(tls=replace(serving(), trust=TrustStore()))
    with pytest.raises(ValueError, match="nobody can be let in"):
        TlsEndpoint(tls=client())


class TokenKey:
    """One that nobody can read."""

    def __init__(self, key: FileKey) -> None:
        self._key = key

    @property
    def public_key(self) -> bytes:
        return self._key.public_key

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


async def test_a_key_that_cannot_be_read_is_refused_with_what_to_do() -> None:
    lamp = authority().holder("lamp")
    settings = ClientSettings(CertificateChain((lamp.der,), TokenKey(lamp.key)), lambda _: "x509:server")
    async with a_server() as server, a_client(Tls(client=lambda _: settings)) as endpoint:
        with pytest.raises(Unreachable, match="needs a private key in a file"):
            await endpoint.peer(server.endpoint.uri)


async def test_no_key_is_left_behind_or_told(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lamp = authority().holder("lamp")
    caplog.set_level(logging.DEBUG)
    async with a_server() as server, a_client(client(lamp)) as endpoint:
        await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        assert os.listdir(tmp_path) == []
        secret = lamp.key.pem().splitlines()[1].decode()
        assert secret not in caplog.text + repr(vars(server.endpoint)) + repr(vars(endpoint))


async def test_chosen_suites_are_the_only_ones() -> None:
    chain = chain_of(authority().holder("lamp"))
    chosen = ClientSettings(chain, ServerCheck(trust=authority().trust), suites=(0xC0AE,))
    other = replace(serving(), server=replace(server_settings(), suites=(0xC02B,)))
    async with a_server() as server, a_client(Tls(client=lambda _: chosen)) as endpoint:
        assert (await endpoint.peer(server.endpoint.uri)).identity == "x509:server"
    async with a_server(other) as server:
        assert (await refused(Tls(client=lambda _: chosen), server)).alert == Alert.HANDSHAKE_FAILURE
        assert "no cipher suite" in (await server.refusal()).reason


def server_settings() -> ServerSettings:
    settings = serving().server
    assert settings is not None
    return settings
