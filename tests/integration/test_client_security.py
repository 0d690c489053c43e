"""A client and its servers over DTLS: what each mode shows, what a lost session leads to, and what alerts do.
lwm2m.md §5.7, §9"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lwm2m.client import (
    BootstrapFailed,
    Client,
    ClientEvent,
    Registered,
    RegistrationFailed,
    State,
    Updated,
    UpdateFailed,
)
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Endpoint, RequestFailed, Transmission
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.links.dtls_link import ClientSecurity, OwnSessions
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.security.credentials import CertificateChain, RawPublicKey, rpk_identity
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.testing import ScriptedServer
from tests.authority import DAY, TODAY, Issued, hosts, new_key, root
from tests.tls_credentials import without_psk

SECONDS = 10
ALERT = Path(1, 0, 11)
BEGIN, END = TODAY - 400 * DAY, TODAY + 40_000 * DAY
ROOT = root("Fleet CA", begin=BEGIN, end=END)
STRANGER = root("Stranger CA", begin=BEGIN, end=END)
DEVICE = ROOT.issues("dev1", begin=BEGIN, end=END)
SERVER = ROOT.issues("localhost", hosts("localhost", "127.0.0.1"), begin=BEGIN, end=END)
DEVICE_KEY, SERVER_KEY = new_key(), FileKey.generate()
Kind = TypeVar("Kind")


def pkcs8(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def certified(issued: Issued) -> AccountSecurity:
    return AccountSecurity(Mode.CERTIFICATE, issued.der, SERVER.der, pkcs8(issued.private))


PSK = AccountSecurity(Mode.PSK, b"dev1", secret_key=b"sixteen bytes of")
RPK = AccountSecurity(Mode.RPK, FileKey(DEVICE_KEY).public_key, SERVER_KEY.public_key, pkcs8(DEVICE_KEY))
X509 = certified(DEVICE)


def serving(psk: bytes = PSK.secret_key) -> ServerSettings:
    """A server that knows the device in every mode."""
    device = rpk_identity(RPK.identity)
    check = ClientCheck(TrustStore((ROOT.certificate,)), wall=lambda: None, admits=lambda identity: identity == device)
    chain = CertificateChain((SERVER.der,), SERVER.key)
    return ServerSettings({PSK.identity: psk}.get, RawPublicKey(SERVER_KEY), chain, check, cid_length=6)


def endpoint(port: int = 0, settings: ServerSettings | None = None) -> Endpoint:
    return open_endpoint("127.0.0.1", port, stack="datagram", dtls=Dtls(server=settings or serving()))


def account(uri: str, security: AccountSecurity, **more: Value) -> list[Record]:
    """Of one server; `more` are resources of object 1, as _17=3."""
    values = {0: 1, 1: 300, 6: True, 7: "U", **{int(name[1:]): value for name, value in more.items()}}
    server = [Record(Path(1, 0, number), value) for number, value in values.items()]
    head = [Record(Path(0, 0, 0), uri), Record(Path(0, 0, 1), False), Record(Path(0, 0, 10), 1)]
    return [*head, *security.records(Path(0, 0)), *server]


async def happened(events: AsyncIterator[ClientEvent], kind: type[Kind], within: float = SECONDS) -> Kind:
    async with asyncio.timeout(within):
        return await anext(event async for event in events if isinstance(event, kind))


@asynccontextmanager
async def registered(
    server: ScriptedServer, security: AccountSecurity, **options: object
) -> AsyncIterator[tuple[Client, Peer]]:
    """A client, and what the server knows it as."""
    async with Client("dev1", server.coap.uri, security=security, **options) as client:  # type: ignore[arg-type]
        asked = await server.registered(SECONDS)
        await client.registered(SECONDS)
        yield client, asked.peer


@pytest.mark.parametrize(
    ("security", "identity"),
    [(PSK, "psk:dev1"), (RPK, rpk_identity(RPK.identity)), (X509, "x509:dev1")],
    ids=["PSK", "RPK", "X.509"],
)
async def test_each_mode_shows_who_the_device_is(security: AccountSecurity, identity: str) -> None:
    async with ScriptedServer(endpoint()) as server, registered(server, security) as (_, peer):
        assert peer.identity == identity
        assert isinstance(peer.association, Association)
        assert len(peer.association.connection.cid_in) == 6
        answer = await server.ask(peer, Request(Code.GET, ("3", "0", "0"), accept=0), SECONDS)
        assert answer.code is Code.CONTENT
        assert (await server.ask(peer, Request(Code.GET, ("0",)), SECONDS)).code is Code.UNAUTHORIZED


async def test_a_certificate_may_come_from_an_authority_instead_of_being_pinned() -> None:
    trusting = replace(X509, server_key=b"", server_name="localhost")
    async with (
        ScriptedServer(endpoint()) as server,
        registered(server, trusting, trust=TrustStore((ROOT.certificate,))) as (_, peer),
    ):
        assert peer.identity == "x509:dev1"


async def test_the_private_key_may_be_the_device_s_own() -> None:
    without = replace(RPK, secret_key=b"")
    async with (
        ScriptedServer(endpoint()) as server,
        registered(server, without, signing_key=FileKey(DEVICE_KEY)) as (_, peer),
    ):
        assert peer.identity == rpk_identity(RPK.identity)


async def test_a_stranger_is_not_answered_as_the_server() -> None:
    async with ScriptedServer(endpoint()) as server, registered(server, PSK) as (client, peer):
        assert client.state is State.REGISTERED
        async with ScriptedServer(open_endpoint()) as stranger:
            with pytest.raises(RequestFailed):
                await stranger.ask(f"coap://127.0.0.1:{peer.address[1]}", Request(Code.GET, ("3",)), 1)


async def test_a_good_bye_is_followed_by_an_update_where_the_session_is_resumed() -> None:
    async with ScriptedServer(endpoint()) as server, registered(server, PSK) as (client, peer):
        events = client.events()
        assert isinstance(peer.association, Association)
        server.coap._dtls._end(peer.association, "for the test")  # type: ignore[attr-defined]  # nothing else says it
        await happened(events, Updated)
        assert client.state is State.REGISTERED
        assert (
            await server.ask(peer_of(server), Request(Code.GET, ("3", "0", "0"), accept=0), SECONDS)
        ).code.is_success


def peer_of(server: ScriptedServer) -> Peer:
    (association,) = server.coap._dtls._established  # type: ignore[attr-defined]  # the only client there is
    peer: Peer = association.peer
    return peer


async def test_a_server_that_forgot_every_session_gets_a_register() -> None:
    async with ScriptedServer(endpoint()) as server:
        port = server.coap.address[1]
        async with registered(server, PSK) as (client, _):
            events = client.events()
            await server.coap.stop()
            async with ScriptedServer(endpoint(port)) as again:
                asked = await again.registered(SECONDS)
                assert asked.peer.identity == "psk:dev1"
                assert (await happened(events, Registered)).location == "/rd/1"


@pytest.mark.parametrize(
    ("security", "alert", "words"),
    [
        (replace(PSK, identity=b"dev2"), 115, "it does not know our PSK identity: add it at the server"),
        (certified(STRANGER.issues("dev1", begin=BEGIN, end=END)), 48, "it does not trust who signed our certificate"),
        (replace(RPK, identity=FileKey(STRANGER.private).public_key, secret_key=pkcs8(STRANGER.private)), 46, "add it"),
    ],
    ids=["unknown identity", "unknown authority", "unknown key"],
)
async def test_a_final_alert_ends_all_tries_and_is_shown_in_object_1(
    security: AccountSecurity, alert: int, words: str
) -> None:
    async with ScriptedServer(endpoint()) as server:
        records = account(server.coap.uri, security, _17=5, _18=1)
        async with Client("dev1", records=records) as client:
            events = client.events()
            failed = await happened(events, RegistrationFailed)
            assert failed.retry_in is None
            assert words in failed.reason
            assert client.state is State.FAILED
            assert client.data_model.value(ALERT) == alert


async def test_a_final_alert_leads_to_the_bootstrap_server() -> None:
    async with ScriptedServer(endpoint()) as server, ScriptedServer(open_endpoint()) as bootstrap:
        records = account(server.coap.uri, replace(PSK, identity=b"dev2"), _17=5, _18=60)
        async with Client("dev1", records=records, bootstrap=bootstrap.coap.uri):
            asked = await bootstrap.expect(Code.POST, "/bs", SECONDS)
            asked.answer(Code.CHANGED)


async def test_a_wrong_key_is_tried_again() -> None:
    async with ScriptedServer(endpoint(settings=serving(b"another sixteen!"))) as server:
        client = Client("dev1", records=account(server.coap.uri, PSK, _17=5, _18=60))
        events = client.events()
        async with client:
            failed = await happened(events, RegistrationFailed)
            assert failed.retry_in is not None
            assert "compare the pre-shared key here with the server's" in failed.reason


async def test_a_server_that_is_another_one_is_refused_by_us_and_not_written_into_object_1() -> None:
    async with ScriptedServer(endpoint()) as server:
        pinned = replace(X509, server_key=STRANGER.der)
        async with Client("dev1", records=account(server.coap.uri, pinned)) as client:
            failed = await happened(client.events(), RegistrationFailed)
            assert "is not the one that /0/x/4 asks for" in failed.reason
            assert failed.retry_in is None
            assert not client.data_model.has(ALERT)


@pytest.mark.parametrize(
    ("scheme", "security", "words"),
    [
        ("coap", PSK, "has keys, and a coap:// URI which would not use them"),
        ("coaps", AccountSecurity(), "has a coaps:// URI and the security mode NoSec"),
        ("coaps", AccountSecurity(Mode.EST), "EST (4), which is not done here"),
        ("coaps+tcp", RPK, "raw public keys over TLS are not there in Python"),
        pytest.param("coaps+tcp", PSK, "pre-shared keys over TLS need Python 3.13", marks=without_psk),
    ],
)
async def test_what_does_not_fit_together_is_a_failed_registration(
    scheme: str, security: AccountSecurity, words: str
) -> None:
    async with Client("dev1", records=account(f"{scheme}://127.0.0.1:9", security)) as client:
        failed = await happened(client.events(), RegistrationFailed)
        assert words in failed.reason
        assert failed.retry_in is None


async def test_a_bootstrap_server_that_refuses_us_for_good_is_left_alone_for_a_day() -> None:
    async with ScriptedServer(endpoint()) as server:
        stranger = replace(PSK, identity=b"dev2")
        async with Client("dev1", bootstrap=server.coap.uri, security=stranger) as client:
            failed = await happened(client.events(), BootstrapFailed)
            assert failed.retry_in is not None
            assert failed.retry_in > 86_000


async def test_a_bootstrap_over_one_mode_gives_an_account_of_another() -> None:
    async with ScriptedServer(endpoint()) as bootstrap, ScriptedServer(endpoint()) as server:
        client = Client("dev1", bootstrap=bootstrap.coap.uri, security=PSK)
        async with client:
            asked = await bootstrap.expect(Code.POST, "/bs", SECONDS)
            assert asked.peer.identity == "psk:dev1"
            asked.answer(Code.CHANGED)
            await wrote(bootstrap, asked.peer, account(server.coap.uri, X509), security_at=1)
            assert (await bootstrap.ask(asked.peer, Request(Code.POST, ("bs",)), SECONDS)).code is Code.CHANGED
            came = await server.registered(SECONDS)
            assert came.peer.identity == "x509:dev1"
            await client.registered(SECONDS)


async def wrote(server: ScriptedServer, peer: Peer, records: list[Record], security_at: int) -> None:
    """Resource by resource; the Security instance goes to `security_at`."""
    for path, value, _ in records:
        number = security_at if path[0] == 0 else path[1]
        payload, form = (value, 42) if isinstance(value, bytes) else (spelt(value).encode(), 0)
        place = str(path[0]), str(number), str(path[2])
        answer = await server.ask(peer, Request(Code.PUT, place, payload=payload, content_format=form), SECONDS)
        assert answer.code is Code.CHANGED, f"{path}: {answer}"


def spelt(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


async def test_new_keys_take_effect_with_the_next_register() -> None:
    """A bootstrap that changes keys only leaves the account what it is."""
    async with ScriptedServer(endpoint()) as server, registered(server, PSK) as (client, _):
        client.data_model.update(X509.records(Path(0, 0)))
        client.restart()
        assert (await server.registered(SECONDS)).peer.identity == "x509:dev1"


async def test_asleep_the_session_is_kept() -> None:
    async with ScriptedServer(endpoint()) as server, registered(server, PSK, queue_mode=True) as (client, peer):
        server.answers[Code.POST, "/rd/1"] = Response(Code.CHANGED)
        client.sleep()
        events = client.events()
        client.wake()
        await happened(events, Updated)
        assert peer_of(server) == peer


async def test_a_session_that_only_we_know_of_is_given_up_and_a_register_follows() -> None:
    """As after a server that lost its power: it is silent, and says no good-bye."""
    quick = Transmission(ack_timeout=0.05, ack_random_factor=1.0, max_retransmit=1)

    def connect(scheme: str, where: str, show: ClientSecurity, sessions: OwnSessions) -> Endpoint:
        assert scheme == "coaps"
        return open_endpoint(where, transmission=quick, dtls=Dtls(client=show, own_sessions=sessions))

    async with (
        ScriptedServer(endpoint()) as server,
        registered(server, PSK, connect_securely=connect) as (client, peer),
    ):
        assert isinstance(peer.association, Association)
        server.coap._dtls._remove(peer.association)  # type: ignore[attr-defined]  # nobody is told
        events = client.events()
        client.update_registration()
        again = await server.registered(SECONDS)
        assert again.peer.identity == "psk:dev1"
        assert (await happened(events, UpdateFailed)).reason == "no answer in time"
        assert (await happened(events, Registered)).location == "/rd/1"


async def test_keys_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with ScriptedServer(endpoint()) as bootstrap, ScriptedServer(endpoint()) as server:
            client = Client("dev1", bootstrap=bootstrap.coap.uri, security=PSK)
            events = client.events()
            async with client:
                asked = await bootstrap.expect(Code.POST, "/bs", SECONDS)
                asked.answer(Code.CHANGED)
                await wrote(bootstrap, asked.peer, account(server.coap.uri, X509), security_at=1)
                await bootstrap.ask(asked.peer, Request(Code.POST, ("bs",)), SECONDS)
                await server.registered(SECONDS)
            said = [repr(event) async for event in events]
    shown = "\n".join([*said, caplog.text, repr(client), repr(PSK), repr(X509), repr(client.own)])
    assert "BootstrapServed" in shown
    for key in (PSK.secret_key, X509.secret_key):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown
