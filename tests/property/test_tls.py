"""What a stranger may send in place of a handshake of TLS: the connection ends with a reason, or waits for more."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.streams.tls_errors import TlsFailed
from lwm2m.coap.streams.tls_records import hello_in
from lwm2m.coap.streams.tls_settings import accepting, reaching
from lwm2m.coap.streams.tls_stream import TlsStream
from lwm2m.dtls.reading import vector
from tests.tls_credentials import asking, knowing, serving, with_key, with_psk

SERVER = serving()
assert SERVER.server is not None
ACCEPT = accepting(SERVER.server, SERVER.trust)
LAMP = asking()("localhost")


def a_client() -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "coap"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing), incoming, outgoing


def a_hello() -> bytes:
    tls, _, outgoing = a_client()
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def a_second_flight(server: TlsStream) -> bytes:
    """Of a client without a certificate."""
    tls, incoming, outgoing = a_client()
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    assert server.receive(outgoing.read()) == b""
    incoming.write(server.take())
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = a_hello()
changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6)


def changed(data: bytes, at: list[tuple[int, int]]) -> bytes:
    mutated = bytearray(data)
    for where, value in at:
        mutated[where % len(mutated)] = value
    return bytes(mutated)


def ends_or_goes_on(server: TlsStream, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        try:
            said = server.receive(data[at : at + size])
        except TlsFailed:
            return
        assert not server.is_open
        assert said == b""


def test_what_a_hello_offers_is_read() -> None:
    assert hello_in(HELLO).protocols == (b"h2", b"coap")


@given(changes, st.integers(0, len(HELLO)))
@settings(max_examples=200, deadline=None)
def test_a_changed_hello_offers_names_or_nothing(at: list[tuple[int, int]], end: int) -> None:
    offered = hello_in(changed(HELLO, at)[:end] or b"\x16").protocols
    assert offered is None or all(isinstance(name, bytes) for name in offered)


@given(changes, st.sampled_from([1, 7, 100, 5000]))
@settings(max_examples=150, deadline=None)
def test_a_changed_hello_is_refused_or_answered(at: list[tuple[int, int]], size: int) -> None:
    ends_or_goes_on(ACCEPT(), changed(HELLO, at), size)


@given(changes, st.sampled_from([7, 5000]))
@settings(max_examples=60, deadline=None)
def test_a_changed_second_flight_is_refused(at: list[tuple[int, int]], size: int) -> None:
    server = ACCEPT()
    ends_or_goes_on(server, changed(a_second_flight(server), at), size)


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=150, deadline=None)
def test_noise_is_refused_or_waits_for_more(noise: bytes) -> None:
    ends_or_goes_on(ACCEPT(), noise, 50)


@given(changes, st.sampled_from([7, 5000]))
@settings(max_examples=60, deadline=None)
def test_a_client_takes_no_changed_flight_for_a_server(at: list[tuple[int, int]], size: int) -> None:
    ours, server = reaching(LAMP, "localhost", 5684), ACCEPT()
    ours.start()
    server.receive(ours.take())
    flight = server.take()
    mutated = changed(flight, at)
    for begin in range(0, len(mutated), size):
        try:
            ours.receive(mutated[begin : begin + size])
        except TlsFailed:
            return
    assert not ours.is_open or ours.identity == "x509:server"


# With a pre-shared key


KEYED, KNOWING = with_key().client, knowing(certificates=True)
assert KEYED is not None
assert KNOWING.server is not None
OWN, ACCEPT_KEYED = KEYED("localhost"), accepting(KNOWING.server, KNOWING.trust)


def a_keyed_pair() -> tuple[TlsStream, TlsStream]:
    return reaching(OWN, "localhost", 5684), ACCEPT_KEYED()


@with_psk
@given(changes, st.sampled_from([1, 7, 5000]))
@settings(max_examples=100, deadline=None)
def test_a_changed_hello_with_a_key_is_refused_or_answered(at: list[tuple[int, int]], size: int) -> None:
    ours, server = a_keyed_pair()
    ours.start()
    ends_or_goes_on(server, changed(ours.take(), at), size)


@with_psk
@given(changes, st.sampled_from([1, 7, 5000]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_changed_second_flight_with_a_key_is_refused_or_the_one_that_was_sent(
    at: list[tuple[int, int]], size: int, begins_early: bool
) -> None:
    ours, server = a_keyed_pair()
    ours.start()
    server.receive(ours.take())
    ours.receive(server.take())
    flight = ours.take()
    early = [(where % 40 if begins_early else where, value) for where, value in at]
    mutated = changed(flight, early)
    try:
        for begin in range(0, len(mutated), size):
            server.receive(mutated[begin : begin + size])
    except TlsFailed:
        assert not server.is_open
        return
    assert not server.is_open or (mutated[5:] == flight[5:] and server.identity == "psk:lamp")


@with_psk
@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_whatever_a_client_calls_itself_is_refused_if_nobody_is_called_so(identity: bytes) -> None:
    """Nothing is printed by those who call OpenSSL's callbacks, either: pytest would fail."""
    ours, server = a_keyed_pair()
    ours.start()
    server.receive(ours.take())
    ours.receive(server.take())
    said = bytes((16,)) + vector(3, vector(2, identity))
    with pytest.raises(TlsFailed, match="nobody knows the PSK identity"):
        server.receive(bytes((22, 3, 3)) + vector(2, said))
    assert not server.is_open


@with_psk
@given(changes, st.sampled_from([7, 5000]))
@settings(max_examples=60, deadline=None)
def test_a_client_with_a_key_takes_no_changed_flight_for_a_server(at: list[tuple[int, int]], size: int) -> None:
    ours, server = a_keyed_pair()
    ours.start()
    server.receive(ours.take())
    ours.receive(server.take())
    server.receive(ours.take())
    flight = server.take()
    mutated = changed(flight, at)
    try:
        for begin in range(0, len(mutated), size):
            ours.receive(mutated[begin : begin + size])
    except TlsFailed:
        assert not ours.is_open
        return
    assert not ours.is_open or mutated[5:] == flight[5:]
