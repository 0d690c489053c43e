"""Pre-shared keys over TLS: who is let in, what both ends learn, and what is said where Python has none."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import replace

import pytest

from lwm2m.coap.endpoint import AssociationLost, Unreachable
from lwm2m.coap.message import Code
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls, Unfit
from lwm2m.dtls.alerts import Alert
from lwm2m.dtls.settings import DEFAULT_SUITES
from tests.integration.test_tls import GET, Server, a_client, a_server, refused
from tests.tls_credentials import (
    KEY,
    OTHER_KEY,
    client,
    knowing,
    with_key,
    with_psk,
    without_psk,
)

CCM8, GCM, CBC = 0xC0A8, 0x00A8, 0x00AE


async def answered(tls: Tls, server: Server) -> str | None:
    """Who the server took the client for, that was answered."""
    async with a_client(tls) as endpoint:
        response = await endpoint.request(await endpoint.peer(server.endpoint.uri), GET, 5)
        assert response.payload == b"here"
    return server.peers[-1].identity


@with_psk
@pytest.mark.parametrize("suites", [DEFAULT_SUITES, (CCM8,), (GCM,), (CBC,)], ids=["all", "CCM8", "GCM", "CBC"])
async def test_both_ends_learn_who_the_client_is(suites: tuple[int, ...]) -> None:
    async with a_server(knowing()) as server:
        assert await answered(with_key(suites=suites), server) == "psk:lamp"


@with_psk
@pytest.mark.parametrize(
    ("shown", "alert", "sentence"),
    [
        (with_key(b"nobody"), Alert.UNKNOWN_PSK_IDENTITY, "nobody knows the PSK identity 'nobody'"),
        (with_key(key=OTHER_KEY), Alert.BAD_RECORD_MAC, "the two keys are not the same"),
        (with_key(key=OTHER_KEY, suites=(GCM,)), Alert.BAD_RECORD_MAC, "the two keys are not the same"),
        (with_key(key=OTHER_KEY, suites=(CBC,)), Alert.BAD_RECORD_MAC, "the two keys are not the same"),
    ],
    ids=["unknown identity", "wrong key", "wrong key, GCM", "wrong key, CBC"],
)
async def test_who_is_not_let_in_hears_why(shown: Tls, alert: Alert, sentence: str) -> None:
    async with a_server(knowing()) as server:
        failed = await refused(shown, server)
        assert (failed.alert, failed.by_peer) == (alert, True)
        closed = await server.refusal()
        assert (closed.alert, closed.by_peer) == (alert, False)
        assert sentence in closed.reason
        assert server.peers == []


@with_psk
@pytest.mark.parametrize(("shown", "identity"), [(with_key(), "psk:lamp"), (client(), "x509:lamp")])
async def test_a_server_may_have_keys_and_certificates(shown: Tls, identity: str) -> None:
    async with a_server(knowing(certificates=True)) as server:
        assert await answered(shown, server) == identity


@with_psk
async def test_without_a_suite_in_common_nobody_is_let_in() -> None:
    async with a_server(knowing()) as server:
        failed = await refused(client(), server)
        assert (failed.alert, failed.by_peer) == (Alert.HANDSHAKE_FAILURE, True)
        assert "no cipher suite" in (await server.refusal()).reason
    async with a_server() as server:
        assert (await refused(with_key(), server)).alert == Alert.HANDSHAKE_FAILURE


@with_psk
async def test_chosen_suites_are_kept_to() -> None:
    tls = knowing()
    assert tls.server is not None
    async with a_server(replace(tls, server=replace(tls.server, suites=(GCM,)))) as server:
        assert await answered(with_key(), server) == "psk:lamp"
        assert (await refused(with_key(suites=(CCM8,)), server)).alert == Alert.HANDSHAKE_FAILURE
    both = knowing(certificates=True)
    assert both.server is not None
    async with a_server(replace(both, server=replace(both.server, suites=(GCM,)))) as server:
        assert await answered(with_key(), server) == "psk:lamp"
        assert (await refused(client(), server)).alert == Alert.HANDSHAKE_FAILURE


@with_psk
async def test_a_look_up_that_fails_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    def breaks(_identity: bytes) -> bytes | None:
        raise RuntimeError("the database is away")

    tls = knowing()
    assert tls.server is not None
    async with a_server(replace(tls, server=replace(tls.server, find_key=breaks))) as server:
        assert (await refused(with_key(), server)).alert == Alert.INTERNAL_ERROR
        assert (await server.refusal()).alert == Alert.INTERNAL_ERROR
    assert "the database is away" in caplog.text


@with_psk
async def test_a_key_that_is_taken_back_in_the_middle_lets_nobody_in() -> None:
    keys = {b"lamp": KEY}
    asked: list[bytes] = []

    def find(identity: bytes) -> bytes | None:
        asked.append(identity)
        return keys.pop(identity, None)

    tls = knowing()
    assert tls.server is not None
    async with a_server(replace(tls, server=replace(tls.server, find_key=find))) as server:
        assert (await refused(with_key(), server)).alert == Alert.UNKNOWN_PSK_IDENTITY
        assert "was taken back" in (await server.refusal()).reason
        assert asked == [b"lamp", b"lamp"]
        assert server.peers == []


@with_psk
async def test_who_is_valid_no_more_is_shown_out() -> None:
    async with a_server(knowing()) as server, a_client(with_key()) as endpoint:
        lost = asyncio.ensure_future(anext(endpoint.events()))
        peer = await endpoint.peer(server.endpoint.uri)
        assert (await endpoint.request(peer, GET, 5)).code is Code.CONTENT
        server.endpoint.expel("psk:lamp")
        assert await asyncio.wait_for(lost, 5) == AssociationLost(peer)


@with_psk
async def test_a_server_at_another_port_than_the_usual_has_to_agree_to_coap() -> None:
    context = psk_context(ssl.PROTOCOL_TLS_SERVER)
    context.set_psk_server_callback(lambda _identity: KEY)
    gone: asyncio.Queue[bytes] = asyncio.Queue()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ssl.SSLError, ConnectionError):
            gone.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=context)
    try:
        async with a_client(with_key()) as endpoint:
            with pytest.raises(Unreachable, match="does not agree by ALPN"):
                await endpoint.peer(f"coaps+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert gone.empty()  # the handshake never came to its end there
    finally:
        server.close()


def psk_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    return context


@with_psk
async def test_nobody_goes_on_with_a_session_of_a_key() -> None:
    """It would not be known whose."""
    context = psk_context(ssl.PROTOCOL_TLS_CLIENT)
    asked: list[str | None] = []

    def show(hint: str | None) -> tuple[str, bytes]:
        asked.append(hint)
        return "lamp", KEY

    context.set_psk_client_callback(show)
    async with a_server(knowing()) as server:
        session: ssl.SSLSession | None = None
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*server.endpoint.address)
            tls, incoming, outgoing = a_side(context, session)
            await asyncio.wait_for(shake(tls, incoming, outgoing, reader, writer), 5)
            assert not tls.session_reused
            session = tls.session
            writer.close()
        assert len(asked) == 2


def a_side(
    context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing, session=session), incoming, outgoing


async def shake(
    tls: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65_536))
        else:
            return


@with_psk
async def test_keys_are_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tls = with_key(key=OTHER_KEY)
    async with a_server(knowing()) as server:
        failed = await refused(tls, server)
        told = "".join((repr(failed), repr(tls), repr(server.endpoint), caplog.text, repr(failed.__traceback__)))
    for key in (KEY, OTHER_KEY):
        assert repr(key) not in told
        assert key.hex() not in told


# Where there are none


@without_psk
async def test_a_client_is_told_at_once_what_to_do() -> None:
    async with a_server() as server, a_client(with_key()) as endpoint:
        with pytest.raises(Unfit, match=r"need Python 3\.13, and this is 3\.1[12]: use .*certificates, or DTLS"):
            await endpoint.peer(server.endpoint.uri)


@without_psk
def test_a_server_is_not_made() -> None:
    with pytest.raises(ValueError, match=r"need Python 3\.13"):
        TlsEndpoint(tls=knowing())


@without_psk
async def test_a_server_with_certificates_as_well_goes_by_those() -> None:
    async with a_server(knowing(certificates=True)) as server:
        assert await answered(client(), server) == "x509:lamp"
