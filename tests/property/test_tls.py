"""What a stranger may send in place of a handshake of TLS: the connection ends with a reason, or waits for more."""

from __future__ import annotations

import ssl
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.streams.tls_errors import TlsFailed
from lwm2m.coap.streams.tls_records import hello_in
from lwm2m.coap.streams.tls_settings import accepting, reaching
from lwm2m.coap.streams.tls_stream import TlsStream
from tests.tls_credentials import asking, serving

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
