"""CoAP over our DTLS against libcoap's programs, as Debian builds them on OpenSSL and on GnuTLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.dtls_link import DtlsLink, HandshakeFailed
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.keys import FileKey
from tests.free_port import free_port
from tests.interop.dtls_judges import (
    IDENTITY,
    PATIENCE,
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

KEY = "sixteen letters."
LIBRARIES = ("openssl", "gnutls")
each_library = pytest.mark.parametrize("library", LIBRARIES)
SETTINGS = ServerSettings(
    {IDENTITY.encode(): KEY.encode()}.get,
    raw_public_key=RawPublicKey(FileKey(holder("server").private)),
    chain=holder("server").chain,
    verify=verify,
    cid_length=4,
)
BODY = bytes(ord("a") + n % 26 for n in range(3000))


def program(name: str, library: str) -> str:
    return find_peer(f"{name}-{library}", package="libcoap3-bin")


def with_certificate(folder: Path, name: str) -> tuple[str, ...]:
    trust = folder / "trust.crt"
    trust.write_bytes(authority().certificate_pem)
    certificate, key = holder(name).write(folder, name)
    return "-c", certificate, "-j", key, "-C", str(trust)


def with_raw_key(folder: Path, name: str) -> tuple[str, ...]:
    file = folder / f"{name}.rpk"
    private = holder(name).private
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    file.write_bytes(
        public
        + private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return "-M", str(file)


def credentials(kind: str, folder: Path, name: str) -> tuple[str, ...]:
    if kind == "psk":
        return ("-k", KEY, "-u", IDENTITY) if name == "client" else ("-k", KEY)
    return with_certificate(folder, name) if kind == "x509" else with_raw_key(folder, name)


def identity(kind: str, name: str) -> str:
    if kind == "psk":
        return f"psk:{IDENTITY}"
    return f"x509:{name}" if kind == "x509" else rpk_identity(FileKey(holder(name).private).public_key)


KINDS = [
    ("openssl", "psk"),
    ("openssl", "x509"),
    ("gnutls", "psk"),
    ("gnutls", "x509"),
    ("gnutls", "rpk"),
]
"""libcoap on OpenSSL 3.0 has no raw public keys."""
each_kind = pytest.mark.parametrize(("library", "kind"), KINDS)


@contextlib.asynccontextmanager
async def endpoint(kind: str, seen: list[tuple[Request, Peer]]) -> AsyncIterator[Endpoint]:
    """Its program prefers certificates where it has the choice."""
    settings = replace(SETTINGS, chain=None) if kind == "rpk" else SETTINGS

    def handle(request: Request, peer: Peer) -> Response:
        seen.append((request, peer))
        return Response(Code.CHANGED) if request.payload else Response(Code.CONTENT, BODY, 0)

    made = DatagramEndpoint(DtlsLink(UdpLink(), server=settings))
    await made.start(handle)
    try:
        yield made
    finally:
        await made.stop()


@each_kind
async def test_coap_client_reads_and_writes_in_blocks(library: str, kind: str, tmp_path: Path) -> None:
    seen: list[tuple[Request, Peer]] = []
    sent = tmp_path / "sent"
    sent.write_bytes(BODY)
    async with endpoint(kind, seen) as server:
        common = (program("coap-client", library), "-B", "5", *credentials(kind, tmp_path, "client"))
        async with running(*common, "-m", "get", f"{server.uri}/x") as client:
            assert BODY.decode() in await client.ends()
        async with running(*common, "-m", "put", "-b", "256", "-f", str(sent), f"{server.uri}/x") as client:
            await client.ends()
    assert {peer.identity for _, peer in seen} == {identity(kind, "client")}
    assert seen[-1][0].payload == BODY


@each_library
async def test_coap_client_with_a_wrong_key(library: str) -> None:
    async with serving(SETTINGS) as server:
        uri = f"coaps://127.0.0.1:{server.port}/x"
        command = (program("coap-client", library), "-B", "5", "-u", IDENTITY, "-k", "another", "-m", "get", uri)
        async with running(*command):
            await server.has(server.refused)
        assert not server.heard


@each_library
async def test_coap_client_with_an_identity_that_nobody_knows(library: str) -> None:
    async with serving(SETTINGS) as server:
        uri = f"coaps://127.0.0.1:{server.port}/x"
        command = (program("coap-client", library), "-B", "5", "-u", "nobody", "-k", KEY, "-m", "get", uri)
        async with running(*command):
            await server.has(server.refused)
        assert server.refused[0].alert == Alert.UNKNOWN_PSK_IDENTITY
        assert not server.heard


async def test_coap_client_with_a_raw_public_key_that_nobody_knows(tmp_path: Path) -> None:
    async with serving(server_admitting("client")) as server:
        uri = f"coaps://127.0.0.1:{server.port}/x"
        shown = with_raw_key(tmp_path, "stranger")
        async with running(program("coap-client", "gnutls"), "-B", "5", *shown, "-m", "get", uri):
            await server.has(server.refused)
        assert server.refused[0].alert == Alert.CERTIFICATE_UNKNOWN
        assert not server.heard


@contextlib.asynccontextmanager
async def coap_server(library: str, *more: str) -> AsyncIterator[str]:
    port = free_port()
    command = (program("coap-server", library), "-A", "127.0.0.1", "-p", str(port), "-v", "7", *more)
    async with running(*command) as server:
        await server.prints("created DTLS endpoint")
        yield f"coaps://127.0.0.1:{port + 1}"


@contextlib.asynccontextmanager
async def asker(kind: str) -> AsyncIterator[Endpoint]:
    shown = {
        "psk": PreSharedKey(IDENTITY.encode(), KEY.encode()),
        "x509": holder("client").chain,
        "rpk": RawPublicKey(FileKey(holder("client").private)),
    }[kind]
    settings = ClientSettings(shown, verify)
    made = DatagramEndpoint(DtlsLink(UdpLink(), client=lambda _: settings))
    await made.start(lambda _request, _peer: Response(Code.NOT_FOUND))
    try:
        yield made
    finally:
        await made.stop()


@each_kind
async def test_we_read_write_and_observe_what_libcoap_serves(library: str, kind: str, tmp_path: Path) -> None:
    async with coap_server(library, "-d", "8", *credentials(kind, tmp_path, "server")) as uri, asker(kind) as client:
        peer = await client.peer(uri)
        assert peer.identity == identity(kind, "server")
        response = await client.request(peer, Request(Code.GET, (".well-known", "core")), 5)
        assert b"</time>" in response.payload
        written = await client.request(peer, Request(Code.PUT, ("data",), payload=BODY, content_format=0), 5)
        assert written.code.is_success
        assert (await client.request(peer, Request(Code.GET, ("data",)), 5)).payload == BODY
        observation = await client.observe(peer, Request(Code.GET, ("time",)), 5)
        async with asyncio.timeout(PATIENCE):
            assert (await anext(aiter(observation))).code is Code.CONTENT
        await observation.cancel()


async def test_a_server_of_libcoap_with_another_key() -> None:
    settings = ClientSettings(PreSharedKey(IDENTITY.encode(), b"another"))
    async with coap_server("gnutls", "-k", KEY) as uri, asking(settings, first_timeout=0.02) as client:
        with pytest.raises(HandshakeFailed):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)


@pytest.mark.parametrize(("shown", "is_known"), [(IDENTITY, True), ("nobody", False)])
async def test_a_server_of_libcoap_that_has_a_key_for_one_identity(shown: str, is_known: bool, tmp_path: Path) -> None:
    """All others have to have another key."""
    identities = tmp_path / "identities"
    identities.write_text(f"CoAP,{IDENTITY},{KEY}\n")
    settings = ClientSettings(PreSharedKey(shown.encode(), KEY.encode()))
    async with (
        coap_server("gnutls", "-k", "another", "-i", str(identities)) as uri,
        asking(settings, first_timeout=0.02) as client,
    ):
        if is_known:
            peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
            assert peer.identity == f"psk:{IDENTITY}"
        else:
            with pytest.raises(HandshakeFailed):
                await asyncio.wait_for(client.link.peer(uri), PATIENCE)


async def test_a_server_of_libcoap_with_a_raw_public_key_that_we_do_not_expect(tmp_path: Path) -> None:
    settings = client_expecting("server")
    async with coap_server("gnutls", *with_raw_key(tmp_path, "stranger")) as uri, asking(settings) as client:
        with pytest.raises(HandshakeFailed, match="is not the one that /0/x/4 asks for"):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)
