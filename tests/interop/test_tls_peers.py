"""CoAP over TLS with OpenSSL's and GnuTLS's own programs, with aiocoap, and with libcoap on both libraries, in both
roles; with good certificates and with others."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiocoap
import aiocoap.resource
import pytest

from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Code, Peer, Request
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.dtls.alerts import Alert
from lwm2m.security.pki import ServerCheck
from tests.authority import Issued
from tests.free_port import free_port
from tests.integration.test_tls import GET, Server, a_client, a_server
from tests.interop.peers import find_peer
from tests.interop.test_tcp_peers import (
    BODY,
    Greeting,
)
from tests.raw_connection import csm
from tests.tls_credentials import authority, client

pytestmark = pytest.mark.interop

OUR_CSM = csm(64 * 1024 + 1152)
GET_3 = b"\x21\x01\x07\xb13"
HERE = b"\x51\x45\x07\xffhere"
LIBCOAP = ["openssl", "gnutls"]
TIME = Request(Code.GET, ("time",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "ca.crt").write_bytes(authority().issued.pem)
    write(folder, "lamp", authority().holder("lamp"))
    write(folder, "server", authority().holder("localhost"))
    write(folder, "stranger", authority("Other CA").holder("lamp"))
    write(folder, "expired", authority().holder("lamp", since=-3, until=-1))
    return folder


def write(folder: Path, name: str, issued: Issued) -> None:
    (folder / f"{name}.crt").write_bytes(issued.pem)
    (folder / f"{name}.key").write_bytes(issued.key.pem())


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def heard(process: Process, wanted: bytes) -> bytes:
    """All that it printed until it printed this."""
    assert process.stdout is not None
    output = b""
    async with asyncio.timeout(15):
        while wanted not in output:
            part = await process.stdout.read(65_536)
            assert part, f"{wanted!r} is not in {output!r}"
            output += part
    return output


def say(process: Process, what: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(what)


def s_client(folder: Path, server: Server, shown: str | None, *more: str) -> tuple[str, ...]:
    openssl = find_peer("openssl", package="openssl")
    certificate = () if shown is None else ("-cert", f"{folder}/{shown}.crt", "-key", f"{folder}/{shown}.key")
    return (
        openssl, "s_client", "-connect", f"127.0.0.1:{server.endpoint.address[1]}", "-CAfile", f"{folder}/ca.crt",
        "-verify_return_error", *certificate, *more,
    )  # fmt: skip


# OpenSSL


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_as_a_client(folder: Path, version: str) -> None:
    async with (
        a_server() as server,
        program(*s_client(folder, server, "lamp", version, "-alpn", "coap", "-quiet")) as it,
    ):
        assert (await heard(it, OUR_CSM)).endswith(OUR_CSM)
        say(it, csm() + GET_3)
        assert (await heard(it, HERE)).endswith(HERE)
        assert server.peers[0].identity == "x509:lamp"


async def test_openssl_sees_that_coap_is_agreed_on(folder: Path) -> None:
    async with a_server() as server, program(*s_client(folder, server, "lamp", "-alpn", "coap")) as it:
        assert b"ALPN protocol: coap" in await heard(it, b"Verify return code: 0 (ok)")


async def test_openssl_without_alpn_is_let_in(folder: Path) -> None:
    async with a_server() as server, program(*s_client(folder, server, "lamp", "-quiet")) as it:
        await heard(it, OUR_CSM)


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-GCM-SHA256"])
async def test_openssl_with_the_suites_of_lwm2m(folder: Path, suite: str) -> None:
    more = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", "-alpn", "coap", "-quiet")
    async with a_server() as server, program(*s_client(folder, server, "lamp", *more)) as it:
        await heard(it, OUR_CSM)


@pytest.mark.parametrize(
    ("shown", "more", "number", "sentence"),
    [
        ("stranger", ("-alpn", "coap"), Alert.UNKNOWN_CA, "leads to nobody who is trusted"),
        ("expired", ("-alpn", "coap"), Alert.CERTIFICATE_EXPIRED, "has expired"),
        (None, ("-alpn", "coap"), Alert.CERTIFICATE_REQUIRED, "shows no certificate"),
        (None, ("-alpn", "coap", "-tls1_2"), Alert.HANDSHAKE_FAILURE, "shows no certificate"),
        ("lamp", ("-alpn", "h2"), Alert.NO_APPLICATION_PROTOCOL, "offers 'h2' and not 'coap'"),
        ("lamp", ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), Alert.PROTOCOL_VERSION, "neither TLS 1.2 nor TLS 1.3"),
    ],
)
async def test_openssl_is_refused(
    folder: Path, shown: str | None, more: tuple[str, ...], number: Alert, sentence: str
) -> None:
    async with a_server() as server, program(*s_client(folder, server, shown, *more)) as it:
        await heard(it, f"alert number {int(number)}".encode())
        assert sentence in (await server.refusal()).reason
        assert server.peers == []


@asynccontextmanager
async def s_server(folder: Path, *more: str) -> AsyncIterator[tuple[str, Process]]:
    openssl, port = find_peer("openssl", package="openssl"), free_port()
    async with program(
        openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", f"{folder}/server.crt",
        "-key", f"{folder}/server.key", "-CAfile", f"{folder}/ca.crt", "-Verify", "2", "-verify_return_error", *more,
    ) as it:  # fmt: skip
        yield f"coaps+tcp://127.0.0.1:{port}", it


async def reached(endpoint: TlsEndpoint, uri: str) -> Peer:
    """Once the program listens."""
    for _ in range(100):
        try:
            return await endpoint.peer(uri)
        except HandshakeFailed:
            raise
        except Unreachable:
            await asyncio.sleep(0.05)
    raise AssertionError("nothing listens there")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_as_a_server(folder: Path, version: str) -> None:
    async with s_server(folder, version, "-alpn", "coap", "-quiet") as (uri, it), a_client() as endpoint:
        reaching = asyncio.ensure_future(reached(endpoint, uri))
        assert (await heard(it, OUR_CSM)).endswith(OUR_CSM)
        say(it, csm())
        peer = await asyncio.wait_for(reaching, 5)
        assert peer.identity == "x509:localhost"
        asked = asyncio.ensure_future(endpoint.request(peer, GET, 5))
        message = await heard(it, b"\xb13")
        token = message[2 : 2 + (message[0] & 0x0F)]
        say(it, bytes((0x50 | len(token), Code.CONTENT)) + token + b"\xffhere")
        assert (await asked).payload == b"here"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_a_server_by_openssl_hears_why_it_is_not_trusted(folder: Path, version: str) -> None:
    stranger = client(check=ServerCheck(trust=authority("Other CA").trust))
    async with s_server(folder, version, "-alpn", "coap") as (uri, it), a_client(stranger) as endpoint:
        with pytest.raises(HandshakeFailed, match="is not trusted"):
            await reached(endpoint, uri)
        await heard(it, b"alert number 48")


async def test_a_server_by_openssl_refuses_us(folder: Path) -> None:
    stranger = client(authority("Other CA").holder("lamp"))
    async with s_server(folder, "-alpn", "coap", "-quiet") as (uri, _), a_client(stranger) as endpoint:
        with pytest.raises(HandshakeFailed, match="the peer says: unknown ca") as failed:
            await reached(endpoint, uri)
        assert (failed.value.alert, failed.value.by_peer) == (Alert.UNKNOWN_CA, True)


async def test_a_server_by_openssl_without_alpn_is_left(folder: Path) -> None:
    async with s_server(folder) as (uri, it), a_client() as endpoint:
        with pytest.raises(HandshakeFailed, match="does not agree by ALPN"):
            await reached(endpoint, uri)
        await heard(it, b"alert number 120")


# GnuTLS


def gnutls_cli(folder: Path, server: Server, shown: str, *more: str) -> tuple[str, ...]:
    cli = find_peer("gnutls-cli", package="gnutls-bin")
    return (
        cli, "--x509cafile", f"{folder}/ca.crt", "--x509certfile", f"{folder}/{shown}.crt",
        "--x509keyfile", f"{folder}/{shown}.key", "--verify-hostname", "localhost", "--no-ocsp", *more,
        "-p", str(server.endpoint.address[1]), "127.0.0.1",
    )  # fmt: skip


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_gnutls_as_a_client(folder: Path, version: str) -> None:
    more = ("--alpn", "coap", f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}", "--no-ca-verification")
    async with a_server() as server, program(*gnutls_cli(folder, server, "lamp", *more)) as it:
        printed = await heard(it, OUR_CSM)
        assert b"Application protocol: coap" in printed
        say(it, csm() + GET_3 + b"\n")
        await heard(it, HERE)


async def test_gnutls_is_refused(folder: Path) -> None:
    more = ("--alpn", "coap", "--no-ca-verification")
    async with a_server() as server, program(*gnutls_cli(folder, server, "stranger", *more)) as it:
        await heard(it, b"CA is unknown")
        assert (await server.refusal()).alert == Alert.UNKNOWN_CA


# aiocoap


def loaded(protocol: int, folder: Path, shown: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / "ca.crt")
    context.load_cert_chain(folder / f"{shown}.crt", folder / f"{shown}.key")
    return context


async def test_aiocoap_as_a_client_in_both_directions(folder: Path) -> None:
    site = aiocoap.resource.Site()
    site.add_resource(["3"], Greeting())
    context = await aiocoap.Context.create_client_context(transports=["tlsclient"])
    context.serversite = site
    own = loaded(ssl.PROTOCOL_TLS_CLIENT, folder, "lamp")
    context.client_credentials.ssl_client_context = lambda *_: own  # its own show no certificate
    try:
        async with a_server() as server, asyncio.timeout(10):
            request = aiocoap.Message(code=aiocoap.GET, uri=f"{server.endpoint.uri}/3")
            assert (await context.request(request).response).payload == b"here"
            (peer,) = server.peers
            assert peer.identity == "x509:lamp"
            assert (await server.endpoint.request(peer, GET, 5)).payload == BODY
    finally:
        await context.shutdown()


async def test_aiocoap_as_a_server(folder: Path) -> None:
    site = aiocoap.resource.Site()
    site.add_resource(["3"], Greeting())
    port = free_port()
    own = loaded(ssl.PROTOCOL_TLS_SERVER, folder, "server")
    own.set_alpn_protocols(["coap"])
    context = await aiocoap.Context.create_server_context(
        site, bind=("127.0.0.1", port), transports=["tlsserver"], _ssl_context=own
    )
    try:
        async with a_client() as endpoint:
            peer = await endpoint.peer(f"coaps+tcp://127.0.0.1:{port + 1}")
            response = await endpoint.request(peer, GET, 5)
            assert (response.code, response.payload) == (Code.CONTENT, BODY)
            response = await endpoint.request(peer, Request(Code.PUT, ("3",), payload=bytes(100_000)), 10)
            assert response.code is Code.CHANGED
    finally:
        await context.shutdown()


# libcoap


def with_certificates(folder: Path, shown: str) -> tuple[str, ...]:
    return ("-c", f"{folder}/{shown}.crt", "-j", f"{folder}/{shown}.key", "-C", f"{folder}/ca.crt")


@pytest.mark.parametrize("library", LIBCOAP)
async def test_libcoap_as_a_client(folder: Path, library: str) -> None:
    libcoap = find_peer(f"coap-client-{library}", package="libcoap3-bin")
    async with a_server() as server:
        uri = f"coaps+tcp://localhost:{server.endpoint.address[1]}/3"
        process = await asyncio.create_subprocess_exec(
            libcoap, "-v", "6", "-B", "5", *with_certificates(folder, "lamp"), uri,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(15):
            output, _ = await process.communicate()
        assert b"here" in output, output
        assert server.peers[0].identity == "x509:lamp"


async def test_libcoap_as_a_server(folder: Path) -> None:
    libcoap, port = find_peer("coap-server-openssl", package="libcoap3-bin"), free_port()
    arguments = ("-A", "127.0.0.1", "-p", str(port), *with_certificates(folder, "server"))
    async with program(libcoap, *arguments), a_client() as endpoint:
        peer = await reached(endpoint, f"coaps+tcp://127.0.0.1:{port + 1}")
        assert (await endpoint.request(peer, TIME, 5)).code is Code.CONTENT


async def test_libcoap_with_gnutls_as_a_server_at_the_usual_port_only(folder: Path) -> None:
    """It does no ALPN."""
    libcoap, port = find_peer("coap-server-gnutls", package="libcoap3-bin"), free_port()
    address = f"127.77.{port >> 8}.{port & 0xFF}"
    shown = with_certificates(folder, "server")
    async with program(libcoap, "-A", address, "-p", "5683", *shown), a_client() as endpoint:
        peer = await reached(endpoint, f"coaps+tcp://{address}")
        assert (await endpoint.request(peer, TIME, 5)).code is Code.CONTENT
    async with program(libcoap, "-A", "127.0.0.1", "-p", str(port), *shown), a_client() as endpoint:
        with pytest.raises(HandshakeFailed, match="does not agree by ALPN"):
            await reached(endpoint, f"coaps+tcp://127.0.0.1:{port + 1}")
