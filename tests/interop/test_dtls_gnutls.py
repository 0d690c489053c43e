"""Our DTLS against `gnutls-cli` and `gnutls-serv`, in both roles: the judge of raw public keys."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.keys import FileKey
from tests.free_port import free_port
from tests.interop.dtls_judges import (
    ECDHE,
    IDENTITY,
    KEY,
    PATIENCE,
    PSK,
    SUITES,
    End,
    Program,
    asking,
    authority,
    client_expecting,
    holder,
    running,
    server_admitting,
    serving,
    verify,
)
from tests.interop.peers import find_peer

pytestmark = pytest.mark.interop

named = {"ids": lambda number: SUITES[number]}
CIPHERS = dict(zip(SUITES, ["AES-128-CCM-8:+AEAD", "AES-128-GCM:+AEAD", "AES-128-CBC:+SHA256"] * 2, strict=True))
RAW = ":+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"
SETTINGS = ServerSettings(
    {IDENTITY.encode(): KEY}.get,
    raw_public_key=RawPublicKey(FileKey(holder("server").private)),
    chain=holder("server").chain,
    verify=verify,
)


def priority(suite: int, types: str = ":+CTYPE-X509") -> str:
    exchange = "PSK" if suite in PSK else "ECDHE-ECDSA"
    return f"NONE:+VERS-DTLS1.2:+{exchange}:+{CIPHERS[suite]}:+SIGN-ALL:+COMP-NULL:+GROUP-SECP256R1{types}"


def raw_key(folder: Path, name: str) -> tuple[str, ...]:
    _, key = holder(name).write(folder, name)
    public = folder / f"{name}.pub"
    public.write_bytes(
        holder(name)
        .private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return "--rawpkkeyfile", key, "--rawpkfile", str(public)


def certificate(folder: Path, name: str, *, trusted: bool = True, large: bool = False) -> tuple[str, ...]:
    trust = folder / "trust.crt"
    trust.write_bytes(authority().certificate_pem)
    chain, key = holder(name, trusted=trusted, large=large).write(folder, name)
    return "--x509certfile", chain, "--x509keyfile", key, "--x509cafile", str(trust)


def fingerprint(name: str) -> str:
    return rpk_identity(FileKey(holder(name).private).public_key)


@contextlib.asynccontextmanager
async def gnutls_cli(server: End, order: str, *more: str) -> AsyncIterator[Program]:
    program = find_peer("gnutls-cli", package="gnutls-bin")
    command = (program, "--udp", "--port", str(server.port), "--priority", order, *more, "127.0.0.1")
    async with running(*command) as client:
        yield client


async def talks(client: Program) -> None:
    await client.prints("Handshake was completed")
    client.say("a question\n")
    await client.prints("A QUESTION")


def with_key(identity: str = IDENTITY, key: bytes = KEY) -> tuple[str, ...]:
    return "--pskusername", identity, "--pskkey", key.hex()


# gnutls-cli


@pytest.mark.parametrize("suite", PSK, **named)
async def test_gnutls_cli_with_a_pre_shared_key(suite: int) -> None:
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(suite), *with_key()) as client:
        await talks(client)
        assert server.heard[0][1].identity == f"psk:{IDENTITY}"
        assert "extended master secret" in client.output


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_gnutls_cli_with_a_raw_public_key(suite: int, tmp_path: Path) -> None:
    more = (*raw_key(tmp_path, "client"), "--insecure")
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(suite, RAW), *more) as client:
        await talks(client)
        assert server.heard[0][1].identity == fingerprint("client")


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_gnutls_cli_with_a_certificate(suite: int, tmp_path: Path) -> None:
    more = (*certificate(tmp_path, "client", large=True), "--verify-hostname", "server", "--mtu", "400")
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(suite), *more) as client:
        await talks(client)
        assert server.heard[0][1].identity == "x509:client"
        assert "The certificate is trusted" in client.output


async def test_gnutls_cli_resumes_its_session() -> None:
    more = (*with_key(), "--resume")
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(PSK[1]), *more) as client:
        await client.prints("This is a resumed session")
        client.say("a question\n")
        await client.prints("A QUESTION")


@pytest.mark.parametrize(
    ("identity", "key", "alert"),
    [("nobody", KEY, Alert.UNKNOWN_PSK_IDENTITY), (IDENTITY, b"another", Alert.BAD_RECORD_MAC)],
)
async def test_gnutls_cli_with_a_wrong_key(identity: str, key: bytes, alert: int) -> None:
    more = with_key(identity, key)
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(PSK[0]), *more) as client:
        await server.has(server.refused)
        assert server.refused[0].alert == alert
        await client.prints(rf"Received alert \[{int(alert)}\]")


async def test_gnutls_cli_with_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    more = (*certificate(tmp_path, "client", trusted=False), "--insecure")
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(ECDHE[0]), *more) as client:
        await client.prints(r"Received alert \[48\]")
        assert server.refused[0].alert == Alert.UNKNOWN_CA


async def test_gnutls_cli_with_the_raw_public_key_that_is_known(tmp_path: Path) -> None:
    more = (*raw_key(tmp_path, "client"), "--insecure")
    settings = server_admitting("client")
    async with serving(settings) as server, gnutls_cli(server, priority(ECDHE[0], RAW), *more) as client:
        await talks(client)


async def test_gnutls_cli_with_a_raw_public_key_that_nobody_knows(tmp_path: Path) -> None:
    more = (*raw_key(tmp_path, "stranger"), "--insecure")
    settings = server_admitting("client")
    async with serving(settings) as server, gnutls_cli(server, priority(ECDHE[0], RAW), *more) as client:
        await client.prints(r"Received alert \[46\]")
        assert server.refused[0].alert == Alert.CERTIFICATE_UNKNOWN
        assert not server.heard


async def test_gnutls_cli_takes_no_raw_public_key_of_which_nobody_told_it(tmp_path: Path) -> None:
    """It cannot be told, so it takes none."""
    more = raw_key(tmp_path, "client")
    settings = server_admitting("client")
    async with serving(settings) as server, gnutls_cli(server, priority(ECDHE[0], RAW), *more):
        await server.has(server.refused)
        assert (server.refused[0].alert, server.refused[0].by_peer) == (Alert.BAD_CERTIFICATE, True)


async def test_gnutls_cli_says_good_bye() -> None:
    async with serving(SETTINGS) as server, gnutls_cli(server, priority(PSK[0]), *with_key()) as client:
        await talks(client)
        client.close_input()
        await server.has(server.gone)


# gnutls-serv


@contextlib.asynccontextmanager
async def gnutls_serv(order: str, *more: str) -> AsyncIterator[str]:
    """It answers what it hears with the same."""
    port = free_port()
    program = find_peer("gnutls-serv", package="gnutls-bin")
    async with running(program, "--udp", "--echo", "--port", str(port), "--priority", order, *more) as server:
        await server.prints("...done")
        yield f"coaps://127.0.0.1:{port}"


def keys(folder: Path) -> tuple[str, ...]:
    file = folder / "keys"
    file.write_text(f"{IDENTITY}:{KEY.hex()}\n")
    return "--pskpasswd", str(file)


def psk_client(key: bytes = KEY) -> ClientSettings:
    return ClientSettings(PreSharedKey(IDENTITY.encode(), key))


async def echoes(client: End, uri: str) -> str | None:
    """The identity of the server."""
    peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
    client.link.send(b"a question\n", peer)
    await client.has(client.heard)
    assert client.heard == [(b"a question\n", peer)]
    return peer.identity


@pytest.mark.parametrize("suite", PSK, **named)
async def test_gnutls_serv_with_a_pre_shared_key(suite: int, tmp_path: Path) -> None:
    async with gnutls_serv(priority(suite), *keys(tmp_path)) as uri, asking(psk_client()) as client:
        assert await echoes(client, uri) == f"psk:{IDENTITY}"


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_gnutls_serv_with_raw_public_keys(suite: int, tmp_path: Path) -> None:
    settings = ClientSettings(RawPublicKey(FileKey(holder("client").private)), verify)
    more = (*raw_key(tmp_path, "server"), "--require-client-cert")
    async with gnutls_serv(priority(suite, RAW), *more) as uri, asking(settings) as client:
        assert await echoes(client, uri) == fingerprint("server")


@pytest.mark.parametrize("length", [None, 512])
@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_gnutls_serv_with_certificates(suite: int, length: int | None, tmp_path: Path) -> None:
    settings = ClientSettings(holder("client", large=True).chain, verify, "server", fragment_length=length)
    more = (*certificate(tmp_path, "server", large=True), "--require-client-cert", "--verify-client-cert")
    async with gnutls_serv(priority(suite), *more, "--mtu", "400") as uri, asking(settings) as client:
        assert await echoes(client, uri) == "x509:server"


async def test_gnutls_serv_does_not_trust_us(tmp_path: Path) -> None:
    settings = ClientSettings(holder("client", trusted=False).chain, verify)
    more = (*certificate(tmp_path, "server"), "--require-client-cert", "--verify-client-cert")
    async with gnutls_serv(priority(ECDHE[0]), *more) as uri, asking(settings) as client:
        with pytest.raises(HandshakeFailed) as failed:
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        assert failed.value.alert in (Alert.BAD_CERTIFICATE, Alert.UNKNOWN_CA, Alert.ACCESS_DENIED)


async def test_gnutls_serv_shows_what_we_do_not_trust(tmp_path: Path) -> None:
    settings = ClientSettings(holder("client").chain, verify)
    more = certificate(tmp_path, "server", trusted=False)
    async with gnutls_serv(priority(ECDHE[0]), *more) as uri, asking(settings) as client:
        with pytest.raises(HandshakeFailed, match="nobody knows who signed it"):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)


async def test_gnutls_serv_shows_the_raw_public_key_that_we_expect(tmp_path: Path) -> None:
    more = (*raw_key(tmp_path, "server"), "--require-client-cert")
    async with (
        gnutls_serv(priority(ECDHE[0], RAW), *more) as uri,
        asking(client_expecting("server")) as client,
    ):
        assert await echoes(client, uri) == fingerprint("server")


async def test_gnutls_serv_shows_a_raw_public_key_that_we_do_not_expect(tmp_path: Path) -> None:
    more = (*raw_key(tmp_path, "stranger"), "--require-client-cert")
    async with (
        gnutls_serv(priority(ECDHE[0], RAW), *more) as uri,
        asking(client_expecting("server")) as client,
    ):
        with pytest.raises(HandshakeFailed, match="is not the one that /0/x/4 asks for") as failed:
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        assert (failed.value.alert, failed.value.by_peer) == (Alert.BAD_CERTIFICATE, False)


async def test_gnutls_serv_does_not_know_our_identity(tmp_path: Path) -> None:
    settings = ClientSettings(PreSharedKey(b"nobody", KEY))
    async with (
        gnutls_serv(priority(PSK[0]), *keys(tmp_path)) as uri,
        asking(settings, first_timeout=0.02) as client,
    ):
        with pytest.raises(HandshakeFailed):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)


async def test_gnutls_serv_knows_another_key(tmp_path: Path) -> None:
    settings = psk_client(b"another")
    async with (
        gnutls_serv(priority(PSK[0]), *keys(tmp_path)) as uri,
        asking(settings, first_timeout=0.02) as client,
    ):
        with pytest.raises(HandshakeFailed):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
