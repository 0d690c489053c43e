"""Our DTLS against `openssl s_client` and `openssl s_server`, in both roles."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PeerChain, PeerProof, PreSharedKey
from tests.free_port import free_port
from tests.interop.dtls_judges import (
    ECDHE,
    IDENTITY,
    KEY,
    PATIENCE,
    PSK,
    SUITES,
    Program,
    asking,
    authority,
    holder,
    ocsp_response,
    running,
    serving,
    verify,
)
from tests.interop.peers import find_peer

pytestmark = pytest.mark.interop

PSK_SERVER = ServerSettings({IDENTITY.encode(): KEY}.get)
named = {"ids": lambda number: SUITES[number]}


def openssl() -> str:
    return find_peer("openssl", package="openssl")


def psk_client(**changed: object) -> ClientSettings:
    return ClientSettings(PreSharedKey(IDENTITY.encode(), KEY), **changed)  # type: ignore[arg-type]


def chain_server(**changed: object) -> ServerSettings:
    return ServerSettings(chain=holder("server").chain, verify=verify, **changed)  # type: ignore[arg-type]


def chain_client(name: str = "client", **changed: object) -> ClientSettings:
    return ClientSettings(holder(name).chain, verify, **changed)  # type: ignore[arg-type]


def s_client(port: int, suite: int, *more: str) -> contextlib.AbstractAsyncContextManager[Program]:
    cipher = f"{SUITES[suite]}:@SECLEVEL=0"
    return running(openssl(), "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cipher", cipher, *more)


def with_key(identity: str = IDENTITY, key: bytes = KEY) -> tuple[str, ...]:
    return "-psk_identity", identity, "-psk", key.hex()


def with_chain(folder: Path, name: str = "client", *, trusted: bool = True, large: bool = False) -> tuple[str, ...]:
    trust = folder / "trust.crt"
    trust.write_bytes(authority().certificate_pem)
    certificate, key = holder(name, trusted=trusted, large=large).write(folder, name)
    return "-cert", certificate, "-key", key, "-CAfile", str(trust)


async def talks(client: Program) -> None:
    client.say("a question\n")
    await client.prints("A QUESTION")


# s_client


@pytest.mark.parametrize("suite", PSK, **named)
async def test_s_client_with_a_pre_shared_key(suite: int) -> None:
    async with serving(PSK_SERVER) as server, s_client(server.port, suite, *with_key()) as client:
        await talks(client)
        assert f"Cipher is {SUITES[suite]}" in client.output
        assert "Extended master secret: yes" in (await client.prints("Extended master secret: yes")).string
        assert server.heard[0][1].identity == f"psk:{IDENTITY}"


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_s_client_with_a_certificate(suite: int, tmp_path: Path) -> None:
    more = (*with_chain(tmp_path), "-verify_return_error")
    async with serving(chain_server()) as server, s_client(server.port, suite, *more) as client:
        await talks(client)
        assert "Verification: OK" in client.output
        assert server.heard[0][1].identity == "x509:client"


async def test_s_client_gets_the_ocsp_response_that_we_staple(tmp_path: Path) -> None:
    settings, more = chain_server(ocsp=ocsp_response), with_chain(tmp_path)
    async with serving(settings) as server, s_client(server.port, ECDHE[0], *more, "-status") as client:
        await client.prints(r"OCSP Response Status: successful \(0x0\)")
        await talks(client)


async def test_s_client_with_large_certificates_and_small_datagrams(tmp_path: Path) -> None:
    settings = ServerSettings(chain=holder("server", large=True).chain, verify=verify)
    more = (*with_chain(tmp_path, large=True), "-mtu", "300", "-verify_return_error")
    async with serving(settings) as server, s_client(server.port, ECDHE[0], *more) as client:
        await talks(client)


@pytest.mark.parametrize("length", ["512", "1024", "2048", "4096"])
async def test_s_client_that_wants_small_records(length: str, tmp_path: Path) -> None:
    more = (*with_chain(tmp_path), "-maxfraglen", length)
    async with serving(chain_server()) as server, s_client(server.port, ECDHE[1], *more) as client:
        await talks(client)
        association = server.heard[0][1].association
        assert association.connection.fragment_length == int(length)  # type: ignore[union-attr]


@pytest.mark.parametrize("suite", [PSK[1], PSK[2]], **named)
async def test_s_client_resumes_its_session(suite: int, tmp_path: Path) -> None:
    session = str(tmp_path / "session")
    async with serving(PSK_SERVER) as server:
        async with s_client(server.port, suite, *with_key(), "-sess_out", session) as client:
            await talks(client)
            client.say("Q\n")
            await client.ends()
        async with s_client(server.port, suite, *with_key(), "-sess_in", session) as client:
            await talks(client)
            assert "\nReused, " in client.output


@pytest.mark.parametrize(
    ("identity", "key", "alert"),
    [("nobody", KEY, Alert.UNKNOWN_PSK_IDENTITY), (IDENTITY, b"another", Alert.BAD_RECORD_MAC)],
)
async def test_s_client_with_a_wrong_key(identity: str, key: bytes, alert: int) -> None:
    async with (
        serving(PSK_SERVER) as server,
        s_client(server.port, PSK[0], *with_key(identity, key)) as client,
    ):
        await server.has(server.refused)
        assert server.refused[0].alert == alert
        await client.prints(f"SSL alert number {int(alert)}")


async def test_s_client_with_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    more = with_chain(tmp_path, trusted=False)
    async with serving(chain_server()) as server, s_client(server.port, ECDHE[0], *more) as client:
        await server.has(server.refused)
        assert (server.refused[0].alert, server.refused[0].reason) == (Alert.UNKNOWN_CA, "nobody knows who signed it")
        await client.prints("SSL alert number 48")


async def test_s_client_without_a_certificate(tmp_path: Path) -> None:
    more = with_chain(tmp_path)[4:]
    async with serving(chain_server()) as server, s_client(server.port, ECDHE[0], *more) as client:
        await client.prints("SSL alert number 40")
        assert server.refused[0].reason == "the client shows no certificate"


async def test_s_client_that_does_not_trust_us(tmp_path: Path) -> None:
    settings = ServerSettings(chain=holder("stranger", trusted=False).chain, verify=verify)
    more = (*with_chain(tmp_path), "-verify_return_error")
    async with serving(settings) as server, s_client(server.port, ECDHE[0], *more) as client:
        await server.has(server.refused)
        assert server.refused[0].by_peer
        await client.prints("verify error")


async def test_s_client_with_no_suite_of_ours() -> None:
    async with (
        serving(ServerSettings({IDENTITY.encode(): KEY}.get, suites=(PSK[0],))) as server,
        s_client(server.port, PSK[1], *with_key()) as client,
    ):
        await client.prints("SSL alert number 40")
        assert "no cipher suite in common" in server.refused[0].reason


async def test_s_client_of_dtls_1_0() -> None:
    command = (openssl(), "s_client", "-dtls1", "-connect")
    async with serving(PSK_SERVER) as server:
        more = ("-cipher", "PSK:@SECLEVEL=0", *with_key())
        async with running(*command, f"127.0.0.1:{server.port}", *more) as client:
            await client.prints("SSL alert number 70|unsupported protocol|wrong version|no protocols available")


async def test_s_client_that_wants_to_renegotiate() -> None:
    async with serving(PSK_SERVER) as server, s_client(server.port, PSK[1], *with_key()) as client:
        await talks(client)
        client.say("R\n")
        await client.prints("RENEGOTIATING")
        await client.prints("no renegotiation|handshake failure")
        assert len(server.heard) == 1


async def test_s_client_that_says_good_bye() -> None:
    async with serving(PSK_SERVER) as server, s_client(server.port, PSK[0], *with_key()) as client:
        await talks(client)
        client.say("Q\n")
        await server.has(server.gone)


# s_server


@contextlib.asynccontextmanager
async def s_server(suite: int, *more: str, cookies: bool = True) -> AsyncIterator[tuple[str, Program]]:
    port = free_port()
    cipher = f"{SUITES[suite]}:@SECLEVEL=0"
    listen = ("-listen",) if cookies else ()
    command = (openssl(), "s_server", "-dtls1_2", *listen, "-accept", f"127.0.0.1:{port}", "-cipher", cipher, *more)
    async with running(*command) as program:
        await program.prints("ACCEPT")
        yield f"coaps://127.0.0.1:{port}", program


@pytest.mark.parametrize("cookies", [True, False], ids=["with cookies", "without"])
@pytest.mark.parametrize("suite", PSK, **named)
async def test_s_server_with_a_pre_shared_key(suite: int, cookies: bool) -> None:
    more = ("-nocert", "-psk", KEY.hex(), "-psk_identity", IDENTITY)
    async with s_server(suite, *more, cookies=cookies) as (uri, server), asking(psk_client()) as client:
        peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        client.link.send(b"a question\n", peer)
        await server.prints("a question")
        server.say("an answer\n")
        await client.has(client.heard)
        assert client.heard == [(b"an answer\n", peer)]
        assert f"CIPHER is {SUITES[suite]}" in server.output


@pytest.mark.parametrize("suite", ECDHE, **named)
async def test_s_server_with_certificates(suite: int, tmp_path: Path) -> None:
    more = (*with_chain(tmp_path, "server"), "-Verify", "1", "-verify_return_error")
    async with s_server(suite, *more) as (uri, server), asking(chain_client(server_name="server")) as client:
        peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        assert peer.identity == "x509:server"
        client.link.send(b"a question\n", peer)
        await server.prints("a question")
        assert "CN = client" in server.output


@pytest.mark.parametrize("length", [None, 512, 1024])
async def test_s_server_with_large_certificates_and_small_datagrams(length: int | None, tmp_path: Path) -> None:
    more = (*with_chain(tmp_path, "server", large=True), "-Verify", "1", "-mtu", "400")
    settings = ClientSettings(holder("client", large=True).chain, verify, fragment_length=length)
    async with s_server(ECDHE[0], *more) as (uri, server), asking(settings) as client:
        peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        client.link.send(b"a question\n", peer)
        await server.prints("a question")


async def test_s_server_asks_for_no_certificate(tmp_path: Path) -> None:
    async with s_server(ECDHE[0], *with_chain(tmp_path, "server")) as (uri, server), asking(chain_client()) as client:
        peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
        client.link.send(b"a question\n", peer)
        await server.prints("a question")


async def test_our_client_resumes_its_session_with_s_server() -> None:
    more = ("-nocert", "-psk", KEY.hex(), "-psk_identity", IDENTITY, "-no_ticket")
    async with s_server(PSK[1], *more, cookies=False) as (uri, server), asking(psk_client()) as client:
        for round_ in range(2):
            peer = await asyncio.wait_for(client.link.peer(uri), PATIENCE)
            client.link.send(f"question {round_}\n".encode(), peer)
            await server.prints(f"question {round_}")
            client.link.forget(f"psk:{IDENTITY}")
            await server.prints("(?s)" + "DONE.*" * (round_ + 1))
        assert "Reused session-id" in server.output


async def test_s_server_staples_an_ocsp_response(tmp_path: Path) -> None:
    response = tmp_path / "ocsp"
    response.write_bytes(ocsp_response())
    stapled: list[bytes | None] = []

    def look(proof: PeerProof) -> str:
        assert isinstance(proof, PeerChain)
        stapled.append(proof.ocsp)
        return verify(proof)

    settings = ClientSettings(holder("client").chain, look, wants_ocsp=True)
    more = (*with_chain(tmp_path, "server"), "-status_file", str(response))
    async with s_server(ECDHE[0], *more) as (uri, _), asking(settings) as client:
        await asyncio.wait_for(client.link.peer(uri), PATIENCE)
    assert stapled == [response.read_bytes()]


async def test_a_server_that_we_do_not_trust_hears_it(tmp_path: Path) -> None:
    more = with_chain(tmp_path, "server", trusted=False)
    async with s_server(ECDHE[0], *more) as (uri, server), asking(chain_client()) as client:
        with pytest.raises(HandshakeFailed, match="nobody knows who signed it") as failed:
            await client.link.peer(uri)
        assert failed.value.alert == Alert.UNKNOWN_CA
        await server.prints("alert unknown ca")


async def test_s_server_knows_another_key() -> None:
    more = ("-nocert", "-psk", b"another".hex(), "-psk_identity", IDENTITY)
    async with s_server(PSK[0], *more) as (uri, _), asking(psk_client(), first_timeout=0.02) as client:
        with pytest.raises(HandshakeFailed, match="keys may not be the same"):
            await asyncio.wait_for(client.link.peer(uri), PATIENCE)


async def test_s_server_does_none_of_our_suites() -> None:
    more = ("-nocert", "-psk", KEY.hex(), "-psk_identity", IDENTITY)
    async with s_server(PSK[1], *more) as (uri, _), asking(psk_client(suites=(PSK[0],))) as client:
        with pytest.raises(HandshakeFailed, match="handshake failure") as failed:
            await client.link.peer(uri)
        assert failed.value.alert == Alert.HANDSHAKE_FAILURE
