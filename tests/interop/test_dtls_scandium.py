"""Our DTLS against Scandium, the one of Californium and Leshan, in both roles: the judge of connection ids."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization

from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.dtls.suites import SUITES
from lwm2m.security.credentials import PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.keys import FileKey
from tests.interop.dtls_judges import (
    ECDHE,
    IDENTITY,
    KEY,
    PATIENCE,
    PSK,
    End,
    asking,
    authority,
    client_expecting,
    holder,
    server_admitting,
    serving,
    verify,
)
from tests.interop.leshan_peer import LeshanPeer, Line, running
from tests.udp_nat import nat

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

SETTINGS = ServerSettings(
    {IDENTITY.encode(): KEY}.get,
    raw_public_key=RawPublicKey(FileKey(holder("server").private)),
    chain=holder("server").chain,
    verify=verify,
    cid_length=6,
)
MODES = [(suite, "psk") for suite in PSK] + [(suite, kind) for suite in ECDHE for kind in ("rpk", "x509")]
each_mode = pytest.mark.parametrize(
    ("suite", "kind"), MODES, ids=lambda value: value if isinstance(value, str) else SUITES[value].name
)
NOT_TRUSTED = (Alert.BAD_CERTIFICATE, Alert.UNKNOWN_CA, Alert.CERTIFICATE_UNKNOWN)
"""What Scandium says of a certificate or key that it does not take."""


@pytest.fixture
def scandium() -> Iterator[LeshanPeer]:
    with running("scandium", "DtlsPeer") as peer:
        yield peer


def shown(kind: str, name: str, key: bytes = KEY) -> dict[str, str]:
    """What Scandium is told to be."""
    if kind == "psk":
        return {"identity": IDENTITY, "key": key.hex()}
    private = holder(name).private
    pkcs8 = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    told = {"private": pkcs8.hex(), "public": FileKey(private).public_key.hex()}
    if kind == "x509":
        told["certificate"] = holder(name).chain.certificates[0].hex()
        told["trusted"] = authority().chain.certificates[0].hex()
    return told


def knowing(name: str) -> dict[str, str]:
    """The one raw public key that Scandium takes."""
    return {"known": holder(name).spki.hex()}


def client(kind: str, suite: int, **changed: object) -> ClientSettings:
    credentials = {
        "psk": PreSharedKey(IDENTITY.encode(), KEY),
        "rpk": RawPublicKey(FileKey(holder("client").private)),
        "x509": holder("client").chain,
    }[kind]
    return ClientSettings(credentials, verify, suites=(suite,), **changed)  # type: ignore[arg-type]


def identity(kind: str, name: str) -> str:
    if kind == "psk":
        return f"psk:{IDENTITY}"
    return f"x509:{name}" if kind == "x509" else rpk_identity(FileKey(holder(name).private).public_key)


def used(event: Line, way: str) -> bytes:
    """A connection id, as Scandium writes it."""
    return bytes.fromhex(event[way].removeprefix("CID="))


async def asks(end: End, port: int, text: str) -> bytes:
    peer = await asyncio.wait_for(end.link.peer(f"coaps://127.0.0.1:{port}"), PATIENCE)
    count = len(end.heard)
    end.link.send(text.encode(), peer)
    await end.has(end.heard, count + 1)  # type: ignore[arg-type]
    return end.heard[-1][0]


# Scandium asks


@each_mode
async def test_scandium_asks(scandium: LeshanPeer, suite: int, kind: str) -> None:
    async with serving(SETTINGS) as server:
        await scandium.ask("open", role="client", suite=SUITES[suite].name, cid=4, **shown(kind, "client"))
        await scandium.ask("send", text="a question", port=server.port)
        event = await scandium.event("received", text="A QUESTION")
        assert server.heard[0][1].identity == identity(kind, "client")
        assert [len(used(event, way)) for way in ("reads", "writes")] == [4, 6]


async def test_scandium_moves_and_stays_who_it_was(scandium: LeshanPeer) -> None:
    async with serving(SETTINGS) as server, nat(server.port) as between:
        await scandium.ask("open", role="client", suite=SUITES[PSK[0]].name, cid=4, **shown("psk", "client"))
        for text in ("one", "two", "three"):
            port = await between.rebind()
            await scandium.ask("send", text=text, port=between.port)
            await scandium.event("received", text=text.upper())
            assert server.heard[-1][1].address == ("127.0.0.1", port)
        assert len({peer for _, peer in server.heard}) == 1
        assert not server.gone


async def test_scandium_resumes_its_session(scandium: LeshanPeer) -> None:
    async with serving(SETTINGS) as server:
        await scandium.ask("open", role="client", suite=SUITES[PSK[0]].name, cid=4, **shown("psk", "client"))
        sessions = []
        for text in ("one", "two"):
            await scandium.ask("send", text=text, port=server.port)
            sessions.append((await scandium.event("received", text=text.upper()))["session"])
            await scandium.ask("resume")
        assert sessions[0] == sessions[1]
        assert len({peer for _, peer in server.heard}) == 2


async def test_scandium_wants_small_records(scandium: LeshanPeer) -> None:
    async with serving(SETTINGS) as server:
        told = {**shown("x509", "client"), "fragments": 512}
        await scandium.ask("open", role="client", suite=SUITES[ECDHE[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await scandium.event("received", text="A QUESTION")
        assert server.heard[0][1].association.connection.fragment_length == 512  # type: ignore[union-attr]


async def test_scandium_with_a_wrong_key(scandium: LeshanPeer) -> None:
    async with serving(SETTINGS) as server:
        told = shown("psk", "client", b"another")
        await scandium.ask("open", role="client", suite=SUITES[PSK[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await server.has(server.refused)  # type: ignore[arg-type]
        assert server.refused[0].alert == Alert.BAD_RECORD_MAC
        assert "BAD_RECORD_MAC" in (await scandium.event("failed"))["reason"]


async def test_scandium_with_the_raw_public_key_that_is_known(scandium: LeshanPeer) -> None:
    async with serving(server_admitting("client")) as server:
        told = shown("rpk", "client") | knowing("server")
        await scandium.ask("open", role="client", suite=SUITES[ECDHE[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await scandium.event("received", text="A QUESTION")
        assert server.heard[0][1].identity == identity("rpk", "client")


async def test_scandium_with_a_raw_public_key_that_nobody_knows(scandium: LeshanPeer) -> None:
    async with serving(server_admitting("client")) as server:
        told = shown("rpk", "stranger") | knowing("server")
        await scandium.ask("open", role="client", suite=SUITES[ECDHE[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await server.has(server.refused)  # type: ignore[arg-type]
        assert (server.refused[0].alert, server.refused[0].by_peer) == (Alert.CERTIFICATE_UNKNOWN, False)
        assert "CERTIFICATE_UNKNOWN" in (await scandium.event("failed"))["reason"]
        assert not server.heard


async def test_scandium_does_not_know_our_servers_raw_public_key(scandium: LeshanPeer) -> None:
    async with serving(server_admitting("client")) as server:
        told = shown("rpk", "client") | knowing("stranger")
        await scandium.ask("open", role="client", suite=SUITES[ECDHE[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await server.has(server.refused)  # type: ignore[arg-type]
        assert server.refused[0].by_peer
        assert server.refused[0].alert in NOT_TRUSTED
        assert not server.heard


async def test_scandium_with_an_identity_that_nobody_knows(scandium: LeshanPeer) -> None:
    async with serving(SETTINGS) as server:
        told = shown("psk", "client") | {"identity": "nobody"}
        await scandium.ask("open", role="client", suite=SUITES[PSK[0]].name, **told)
        await scandium.ask("send", text="a question", port=server.port)
        await server.has(server.refused)  # type: ignore[arg-type]
        assert server.refused[0].alert == Alert.UNKNOWN_PSK_IDENTITY
        assert "UNKNOWN_PSK_IDENTITY" in (await scandium.event("failed"))["reason"]


# Scandium serves


@each_mode
async def test_scandium_answers(scandium: LeshanPeer, suite: int, kind: str) -> None:
    told = shown(kind, "server")
    port = (await scandium.ask("open", role="server", suite=SUITES[suite].name, cid=6, **told))["port"]
    async with asking(client(kind, suite, connection_id=b"ours")) as end:
        assert await asks(end, port, "a question") == b"A QUESTION"
        assert end.heard[0][1].identity == identity(kind, "server")
        event = await scandium.event("received")
        assert (len(used(event, "reads")), used(event, "writes")) == (6, b"ours")


async def test_we_move_and_stay_who_we_were(scandium: LeshanPeer) -> None:
    told = shown("psk", "server")
    port = (await scandium.ask("open", role="server", suite=SUITES[PSK[0]].name, cid=6, **told))["port"]
    async with nat(port) as between, asking(client("psk", PSK[0])) as end:
        sessions = []
        for text in ("one", "two", "three"):
            seen = await between.rebind()
            assert await asks(end, between.port, text) == text.upper().encode()
            event = await scandium.event("received")
            assert event["port"] == seen
            sessions.append(event["session"])
        assert len(set(sessions)) == 1


async def test_we_resume_our_session_with_scandium(scandium: LeshanPeer) -> None:
    told = shown("psk", "server")
    port = (await scandium.ask("open", role="server", suite=SUITES[PSK[0]].name, cid=6, **told))["port"]
    async with asking(client("psk", PSK[0])) as end:
        sessions = []
        for text in ("one", "two"):
            await asks(end, port, text)
            sessions.append((await scandium.event("received"))["session"])
            end.link.forget(f"psk:{IDENTITY}")
        assert sessions[0] == sessions[1]


async def test_scandium_does_not_trust_our_certificate(scandium: LeshanPeer) -> None:
    told = shown("x509", "server")
    port = (await scandium.ask("open", role="server", suite=SUITES[ECDHE[0]].name, cid=6, **told))["port"]
    stranger = ClientSettings(holder("stranger", trusted=False).chain, verify)
    async with asking(stranger) as end:
        with pytest.raises(HandshakeFailed) as failed:
            await asks(end, port, "a question")
        assert failed.value.by_peer
        assert failed.value.alert in NOT_TRUSTED


async def test_scandium_and_we_know_each_others_raw_public_keys(scandium: LeshanPeer) -> None:
    told = shown("rpk", "server") | knowing("client")
    port = (await scandium.ask("open", role="server", suite=SUITES[ECDHE[0]].name, **told))["port"]
    async with asking(client_expecting("server")) as end:
        assert await asks(end, port, "a question") == b"A QUESTION"


async def test_scandium_does_not_know_our_raw_public_key(scandium: LeshanPeer) -> None:
    told = shown("rpk", "server") | knowing("stranger")
    port = (await scandium.ask("open", role="server", suite=SUITES[ECDHE[0]].name, **told))["port"]
    async with asking(client_expecting("server")) as end:
        with pytest.raises(HandshakeFailed) as failed:
            await asks(end, port, "a question")
        assert failed.value.by_peer
        assert failed.value.alert in NOT_TRUSTED


async def test_scandium_serves_with_a_raw_public_key_that_we_do_not_expect(scandium: LeshanPeer) -> None:
    told = shown("rpk", "stranger") | knowing("client")
    port = (await scandium.ask("open", role="server", suite=SUITES[ECDHE[0]].name, **told))["port"]
    async with asking(client_expecting("server")) as end:
        with pytest.raises(HandshakeFailed, match="is not the one that /0/x/4 asks for") as failed:
            await asks(end, port, "a question")
        assert (failed.value.alert, failed.value.by_peer) == (Alert.BAD_CERTIFICATE, False)


async def test_scandium_does_not_know_our_identity(scandium: LeshanPeer) -> None:
    """It says nothing then."""
    told = shown("psk", "server")
    port = (await scandium.ask("open", role="server", suite=SUITES[PSK[0]].name, **told))["port"]
    settings = ClientSettings(PreSharedKey(b"nobody", KEY), suites=(PSK[0],))
    async with asking(settings, first_timeout=0.02) as end:
        with pytest.raises(HandshakeFailed, match="the two keys may not be the same"):
            await asks(end, port, "a question")
