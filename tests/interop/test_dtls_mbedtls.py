"""Our DTLS against Mbed TLS, in both roles: what many devices have inside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey
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
    holder,
    running,
    serving,
    verify,
)

IS_THERE = find_spec("mbedtls") is not None
assert IS_THERE or sys.version_info >= (3, 13) or os.environ.get("LWM2M_REQUIRE_PEERS") != "1"
pytestmark = [pytest.mark.interop, pytest.mark.skipif(not IS_THERE, reason="python-mbedtls is not installed")]

named = {"ids": lambda number: SUITES[number]}
NAMES = dict(
    zip(
        SUITES,
        [
            f"TLS-{exchange}-WITH-AES-128-{cipher}"
            for exchange in ("PSK", "ECDHE-ECDSA")
            for cipher in ("CCM-8", "GCM-SHA256", "CBC-SHA256")
        ],
        strict=True,
    )
)
SETTINGS = ServerSettings({IDENTITY.encode(): KEY}.get, chain=holder("server").chain, verify=verify)


def mbedtls(role: str, port: int, suite: int, *more: str) -> contextlib.AbstractAsyncContextManager[Program]:
    program = str(Path(__file__).with_name("mbedtls_peer.py"))
    return running(sys.executable, program, role, str(port), "--suite", NAMES[suite], *more)


def with_key(identity: str = IDENTITY, key: bytes = KEY) -> tuple[str, ...]:
    return "--identity", identity, "--key", key.hex()


def certificate(folder: Path, name: str, *, trusted: bool = True) -> tuple[str, ...]:
    trust = folder / "trust.crt"
    trust.write_bytes(authority().certificate_pem)
    chain, key = holder(name, trusted=trusted).write(folder, name)
    return "--certificate", chain, "--private", key, "--trust", str(trust)


# A client of Mbed TLS


@pytest.mark.parametrize("suite", PSK, **named)
async def test_a_client_with_a_pre_shared_key(suite: int) -> None:
    async with serving(SETTINGS) as server, mbedtls("client", server.port, suite, *with_key()) as client:
        await client.prints("heard A QUESTION")
        assert NAMES[suite] in client.output
        assert server.heard[0][1].identity == f"psk:{IDENTITY}"


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_a_client_with_a_certificate(suite: int, tmp_path: Path) -> None:
    more = (*certificate(tmp_path, "client"), "--name", "server")
    async with serving(SETTINGS) as server, mbedtls("client", server.port, suite, *more) as client:
        await client.prints("heard A QUESTION")
        assert server.heard[0][1].identity == "x509:client"


async def test_a_client_with_an_identity_that_nobody_knows() -> None:
    async with serving(SETTINGS) as server, mbedtls("client", server.port, PSK[0], *with_key("nobody")) as client:
        await server.has(server.refused)
        assert server.refused[0].alert == Alert.UNKNOWN_PSK_IDENTITY
        assert "shaken" not in await client.ends()


async def test_a_client_with_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    more = (*certificate(tmp_path, "client", trusted=False), "--name", "server")
    async with serving(SETTINGS) as server, mbedtls("client", server.port, ECDHE[0], *more) as client:
        await server.has(server.refused)
        assert server.refused[0].alert == Alert.UNKNOWN_CA
        assert "shaken" not in await client.ends()


async def test_a_client_that_does_not_know_who_signed_ours(tmp_path: Path) -> None:
    settings = ServerSettings(chain=holder("server", trusted=False).chain, verify=verify)
    more = (*certificate(tmp_path, "client"), "--name", "server")
    async with serving(settings) as server, mbedtls("client", server.port, ECDHE[0], *more) as client:
        assert "shaken" not in await client.ends()
        assert "X509 - Certificate verification failed" in client.output
        assert not server.heard


# A server of Mbed TLS


@contextlib.asynccontextmanager
async def mbedtls_server(suite: int, *more: str) -> AsyncIterator[tuple[str, Program]]:
    port = free_port()
    async with mbedtls("server", port, suite, *more) as server:
        await server.prints("listening")
        yield f"coaps://127.0.0.1:{port}", server


def psk_client(key: bytes = KEY) -> ClientSettings:
    return ClientSettings(PreSharedKey(IDENTITY.encode(), key))


async def answers(client: End, uri: str) -> str | None:
    """The identity of the server."""
    peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
    client.link.send(b"a question", peer)
    await client.has(client.heard)
    assert client.heard == [(b"A QUESTION", peer)]
    return peer.identity


@pytest.mark.parametrize("suite", PSK, **named)
async def test_a_server_with_a_pre_shared_key(suite: int) -> None:
    async with mbedtls_server(suite, *with_key()) as (uri, server), asking(psk_client()) as client:
        assert await answers(client, uri) == f"psk:{IDENTITY}"
        await server.prints(NAMES[suite])


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_a_server_with_certificates(suite: int, tmp_path: Path) -> None:
    settings = ClientSettings(holder("client").chain, verify, "server")
    async with mbedtls_server(suite, *certificate(tmp_path, "server")) as (uri, _), asking(settings) as client:
        assert await answers(client, uri) == "x509:server"


async def test_a_server_that_does_not_know_our_authority(tmp_path: Path) -> None:
    settings = ClientSettings(holder("client", trusted=False).chain, verify, "server")
    more = certificate(tmp_path, "server")
    async with mbedtls_server(ECDHE[0], *more) as (uri, server), asking(settings) as client:
        with pytest.raises(HandshakeFailed):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        assert "X509 - Certificate verification failed" in await server.ends()


async def test_a_server_that_shows_what_we_do_not_trust(tmp_path: Path) -> None:
    settings = ClientSettings(holder("client").chain, verify, "server")
    more = certificate(tmp_path, "server", trusted=False)
    async with mbedtls_server(ECDHE[0], *more) as (uri, _), asking(settings) as client:
        with pytest.raises(HandshakeFailed, match="nobody knows who signed it"):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
