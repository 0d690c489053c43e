"""Pre-shared keys over TLS with OpenSSL's and GnuTLS's own programs, and with libcoap on both libraries, in both roles;
with good keys and with others."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Code
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.dtls.alerts import Alert
from tests.free_port import free_port
from tests.integration.test_tls import GET, Server, a_client, a_server
from tests.interop.peers import find_peer
from tests.interop.test_tls_peers import GET_3, HERE, LIBCOAP, OUR_CSM, TIME, heard, program, reached, say
from tests.raw_connection import csm
from tests.tls_credentials import KEY, OTHER_KEY, knowing, with_key, with_psk

pytestmark = [pytest.mark.interop, with_psk]

SUITES = {0xC0A8: "PSK-AES128-CCM8", 0x00A8: "PSK-AES128-GCM-SHA256", 0x00AE: "PSK-AES128-CBC-SHA256"}
TEXT_KEY = b"a key of sixteen"
"""libcoap takes keys that are text."""


# OpenSSL


def keyed(identity: str = "lamp", key: bytes = KEY) -> tuple[str, ...]:
    return "-psk_identity", identity, "-psk", key.hex()


def s_client(server: Server, *more: str) -> tuple[str, ...]:
    openssl = find_peer("openssl", package="openssl")
    return openssl, "s_client", "-connect", f"127.0.0.1:{server.endpoint.address[1]}", "-alpn", "coap", *more


@pytest.mark.parametrize("suite", SUITES.values())
async def test_openssl_as_a_client(suite: str) -> None:
    more = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", "-quiet", *keyed())
    async with a_server(knowing()) as server, program(*s_client(server, *more)) as it:
        assert (await heard(it, OUR_CSM)).endswith(OUR_CSM)
        say(it, csm() + GET_3)
        assert (await heard(it, HERE)).endswith(HERE)
        assert server.peers[0].identity == "psk:lamp"


@pytest.mark.parametrize("certificates", [False, True])
async def test_openssl_that_would_rather_speak_tls_1_3(certificates: bool) -> None:
    async with (
        a_server(knowing(certificates=certificates)) as server,
        program(*s_client(server, "-quiet", *keyed())) as it,
    ):
        await heard(it, OUR_CSM)


@pytest.mark.parametrize(
    ("more", "number", "sentence"),
    [
        (keyed("nobody"), Alert.UNKNOWN_PSK_IDENTITY, "nobody knows the PSK identity 'nobody'"),
        (keyed("x" * 200), Alert.UNKNOWN_PSK_IDENTITY, "nobody knows the PSK identity 'xxx"),
        (keyed(key=OTHER_KEY), Alert.BAD_RECORD_MAC, "the two keys are not the same"),
        ((*keyed(), "-tls1_3"), Alert.PROTOCOL_VERSION, "neither TLS 1.2 nor TLS 1.3"),
        ((), Alert.HANDSHAKE_FAILURE, "no cipher suite for the credentials that are here"),
    ],
    ids=["unknown identity", "long identity", "wrong key", "TLS 1.3 only", "no key"],
)
async def test_openssl_is_refused(more: tuple[str, ...], number: Alert, sentence: str) -> None:
    async with a_server(knowing()) as server, program(*s_client(server, *more)) as it:
        await heard(it, f"alert number {int(number)}".encode())
        assert sentence in (await server.refusal()).reason
        assert server.peers == []


@asynccontextmanager
async def s_server(*more: str) -> AsyncIterator[tuple[str, Process]]:
    openssl, port = find_peer("openssl", package="openssl"), free_port()
    async with program(openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-nocert", "-alpn", "coap", *more) as it:
        yield f"coaps+tcp://127.0.0.1:{port}", it


async def answers(endpoint: TlsEndpoint, uri: str, it: Process) -> str | None:
    """Who it is, that answers as the server that is spoken to by hand here."""
    reaching = asyncio.ensure_future(reached(endpoint, uri))
    await heard(it, OUR_CSM)
    say(it, csm())
    peer = await asyncio.wait_for(reaching, 5)
    asked = asyncio.ensure_future(endpoint.request(peer, GET, 5))
    message = await heard(it, b"\xb13")
    token = message[2 : 2 + (message[0] & 0x0F)]
    say(it, bytes((0x50 | len(token), Code.CONTENT)) + token + b"\xffhere")
    assert (await asked).payload == b"here"
    return peer.identity


@pytest.mark.parametrize("suite", SUITES)
async def test_openssl_as_a_server(suite: int) -> None:
    more = ("-cipher", f"{SUITES[suite]}:@SECLEVEL=0", "-quiet", *keyed())
    async with s_server(*more) as (uri, it), a_client(with_key()) as endpoint:
        assert await answers(endpoint, uri, it) == "psk:lamp"


async def test_a_server_by_openssl_with_another_key_refuses_us() -> None:
    async with s_server(*keyed()) as (uri, it), a_client(with_key(key=OTHER_KEY)) as endpoint:
        with pytest.raises(HandshakeFailed, match="the peer says: bad record mac") as failed:
            await reached(endpoint, uri)
        assert (failed.value.alert, failed.value.by_peer) == (Alert.BAD_RECORD_MAC, True)
        await heard(it, b"bad record mac")


async def test_a_server_by_openssl_without_keys_refuses_us() -> None:
    async with s_server() as (uri, _), a_client(with_key()) as endpoint:
        with pytest.raises(HandshakeFailed, match="the peer says: handshake failure"):
            await reached(endpoint, uri)


# GnuTLS

PRIORITY = "--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+PSK"


def gnutls_cli(server: Server, identity: str = "lamp", key: bytes = KEY) -> tuple[str, ...]:
    cli = find_peer("gnutls-cli", package="gnutls-bin")
    return (
        cli, "--pskusername", identity, "--pskkey", key.hex(), PRIORITY, "--alpn", "coap",
        "-p", str(server.endpoint.address[1]), "127.0.0.1",
    )  # fmt: skip


async def test_gnutls_as_a_client() -> None:
    async with a_server(knowing()) as server, program(*gnutls_cli(server)) as it:
        await heard(it, OUR_CSM)
        say(it, csm() + GET_3 + b"\n")
        await heard(it, HERE)
        assert server.peers[0].identity == "psk:lamp"


async def test_gnutls_is_refused() -> None:
    async with a_server(knowing()) as server, program(*gnutls_cli(server, "nobody")) as it:
        await heard(it, b"alert [115]")
        assert (await server.refusal()).alert == Alert.UNKNOWN_PSK_IDENTITY
    async with a_server(knowing()) as server, program(*gnutls_cli(server, key=OTHER_KEY)) as it:
        await heard(it, b"alert [20]")
        assert (await server.refusal()).alert == Alert.BAD_RECORD_MAC


@asynccontextmanager
async def gnutls_serv(folder: Path) -> AsyncIterator[tuple[str, Process]]:
    serv, port = find_peer("gnutls-serv", package="gnutls-bin"), free_port()
    passwords = folder / "passwords"
    passwords.write_text(f"lamp:{KEY.hex()}\n")
    async with program(
        serv, "--echo", "--pskpasswd", str(passwords), PRIORITY, "--alpn", "coap", "-p", str(port)
    ) as it:
        yield f"coaps+tcp://127.0.0.1:{port}", it


async def test_gnutls_as_a_server_refuses_us(tmp_path: Path) -> None:
    """It knows no CoAP: that the handshake is through is seen by what it prints."""
    async with gnutls_serv(tmp_path) as (uri, it), a_client(with_key(b"nobody")) as endpoint:
        with pytest.raises(HandshakeFailed) as failed:
            await reached(endpoint, uri)
        assert failed.value.by_peer
    async with gnutls_serv(tmp_path) as (uri, it), a_client(with_key()) as endpoint:
        reaching = asyncio.ensure_future(reached(endpoint, uri))
        await heard(it, b"PSK authentication. Connected as 'lamp'")
        reaching.cancel()


# libcoap


@pytest.mark.parametrize("library", LIBCOAP)
async def test_libcoap_as_a_client(library: str) -> None:
    libcoap = find_peer(f"coap-client-{library}", package="libcoap3-bin")
    async with a_server(knowing({b"lamp": TEXT_KEY})) as server:
        uri = f"coaps+tcp://127.0.0.1:{server.endpoint.address[1]}/3"
        process = await asyncio.create_subprocess_exec(
            libcoap, "-v", "6", "-B", "5", "-u", "lamp", "-k", TEXT_KEY.decode(), uri,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(15):
            output, _ = await process.communicate()
        assert b"here" in output, output
        assert server.peers[0].identity == "psk:lamp"


@pytest.mark.parametrize("library", LIBCOAP)
async def test_libcoap_as_a_server_at_the_usual_port_only(library: str) -> None:
    """With a key it does no ALPN."""
    libcoap, port = find_peer(f"coap-server-{library}", package="libcoap3-bin"), free_port()
    address = f"127.78.{port >> 8}.{port & 0xFF}"
    async with (
        program(libcoap, "-A", address, "-p", "5683", "-k", TEXT_KEY.decode()),
        a_client(with_key(key=TEXT_KEY)) as endpoint,
    ):
        peer = await reached(endpoint, f"coaps+tcp://{address}")
        assert (await endpoint.request(peer, TIME, 5)).code is Code.CONTENT
    async with (
        program(libcoap, "-A", "127.0.0.1", "-p", str(port), "-k", TEXT_KEY.decode()),
        a_client(with_key(key=TEXT_KEY)) as endpoint,
    ):
        with pytest.raises(HandshakeFailed, match="does not agree by ALPN"):
            await reached(endpoint, f"coaps+tcp://127.0.0.1:{port + 1}")
