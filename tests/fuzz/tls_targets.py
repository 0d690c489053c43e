"""TLS as whoever connects can make it run: what is read of it in the clear, and whole connections in their states."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random

from lwm2m.coap.streams.tls import TlsConnection
from lwm2m.coap.streams.tls_errors import TlsFailed
from lwm2m.coap.streams.tls_records import (
    ALERT,
    CLIENT_KEY_EXCHANGE,
    HANDSHAKE,
    HEADER,
    first_record,
    hello_in,
    identity_in,
)
from lwm2m.coap.streams.tls_settings import Tls, accepting, reaching
from lwm2m.coap.streams.tls_stream import ClientMeans, ClientStream, TlsStream
from lwm2m.dtls.alerts import Fatal
from lwm2m.dtls.connection import Closed
from lwm2m.testing import run
from tests.fuzz import connection_targets
from tests.fuzz.connection_targets import CSM, PING, Peerless
from tests.fuzz.live import no_error_is_logged
from tests.fuzz.target import Target, Way
from tests.tls_credentials import asking, serving

LONGEST_RECORD = HEADER + (1 << 16) - 1
MOST_WRITTEN = 20_000
"""Bytes: hands are shaken with less, whatever the other side says."""
TO_CLIENT, WITH_TLS_1_2 = 0x80, 0x40


def in_the_clear(data: bytes) -> object:
    """A record is the beginning of what came, and what it offers lies in it."""
    record = first_record(bytearray(data))
    assert record is None or (data.startswith(record) and len(record) <= LONGEST_RECORD)
    hello = hello_in(data) if data else hello_in(b"\0")
    assert 2 * len(hello.suites) <= len(data)
    assert all(name in data for name in hello.protocols or ())
    identity = identity_in(data)
    assert identity in data
    return Way((str(record is None), str(len(hello.suites) > 0), str(hello.protocols is None), str(bool(identity))))


class Owner(connection_targets.Owner):
    """A pool of one connection; `refusals` are the handshakes that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Closed] = []
        self.tls = Tls(refused=lambda _peer, closed: self.refusals.append(closed))


async def at_the_server(data: bytes) -> Way:
    """The first byte says how far a true client has got before its bytes stop and the others come. Nobody is let in by
    them; the end is told once, and why hands were not shaken, too."""
    state, stranger = data[0] if data else 0, data[1:]
    owner, transport = Owner(), Peerless()
    connection = TlsConnection(owner, _accept()(), is_ours=False)  # type: ignore[arg-type]  # all it uses of a pool
    connection.connection_made(transport)
    client = _client(state)
    for _ in range(state & 3):
        connection.data_received(client.take())
        client.receive(bytes(transport.written))
        transport.written.clear()
    was_through = connection._stream.is_open
    for part in _parts(stranger):
        if not transport.is_closing():
            connection.data_received(part)
    assert len(transport.written) <= MOST_WRITTEN + len(stranger)
    assert connection._stream.is_open == was_through
    assert connection._stream._incoming.pending <= LONGEST_RECORD
    await asyncio.sleep(connection_targets.Owner.liveness.csm_within + 1)
    connection.connection_lost(None)
    assert sum(told.startswith("lost") for told in owner.told) == 1
    assert not any(told.startswith("received") for told in owner.told)
    assert len(owner.refusals) <= 1
    return Way((*dict.fromkeys(owner.told), *(f"{closed.alert} {closed.by_peer}" for closed in owner.refusals)))


def at_the_client(data: bytes) -> Way:
    """A client that has said hello takes nobody for its server."""
    state, stranger = data[0] if data else 0, data[1:]
    client, server = _client(state), _accept()()
    server.receive(client.take())
    flight = server.take()
    outcome = "waits"
    try:
        for part in (flight[: int(len(flight) * (state & 3) / 4)], *_parts(stranger)):
            client.receive(part)
    except TlsFailed as failed:
        outcome = f"{failed.closed.alert} {failed.closed.by_peer}"
    assert not client.is_open
    assert len(client.take()) <= MOST_WRITTEN
    return Way((str(state & 3), outcome))


def streams(data: bytes) -> Way:
    with no_error_is_logged():
        return at_the_client(data) if data[:1] >= bytes((TO_CLIENT,)) else run(at_the_server(data))


@cache
def _accept() -> Callable[[], TlsStream]:
    tls = serving()
    assert tls.server is not None
    return accepting(tls.server, tls.trust)


@cache
def _means(with_tls_1_2: bool) -> ClientMeans:
    """To make them anew takes more time than to shake hands."""
    settings = asking()("localhost")
    made = reaching(replace(settings, suites=(0xC02B,)) if with_tls_1_2 else settings, "localhost", 5684)
    return ClientMeans(made._tls.context, made._judge)


def _client(state: int) -> TlsStream:
    client = ClientStream(_means(bool(state & WITH_TLS_1_2)), None)
    client.start()
    return client


def _parts(data: bytes) -> list[bytes]:
    size = max(1, len(data) // 3)
    return [data[start : start + size] for start in range(0, len(data), size)]


# Seeds


def _record(kind: int, content: bytes, version: bytes = b"\3\3") -> bytes:
    return bytes((kind,)) + version + len(content).to_bytes(2, "big") + content


def _message(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + len(content).to_bytes(3, "big") + content


HELLO_1_2 = bytes.fromhex(
    "160301008e0100008a0303aa60ddd017ed0467642e25a9be99f272a3eb43a3f2964b7740e7cd0b42209977000004c02b00ff0100005d000b"
    "000403000102000a000c000a001d0017001e001900180023000000100007000504636f61700016000000170000000d002a00280403050306"
    "03080708080809080a080b080408050806040105010601030303010302040205020602"
)
HELLO_1_3 = bytes.fromhex(
    "16030100e7010000e3030350836b11258fa05498deb9e9de27de9026b925f07f13e448d0304ef310d666f020fabe486d349fd0159c0a257e"
    "d74efdbdd04f50e9a25cbcc9b47f858ad2f5030f000813021303130100ff01000092000b000403000102000a00160014001d0017001e0019"
    "0018010001010102010301040023000000100007000504636f61700016000000170000000d001e001c040305030603080708080809080a08"
    "0b080408050806040105010601002b0003020304002d00020101003300260024001d00205dfef7b1f37f4dacc4740cce96f8a4c1359d551b"
    "2b6650da2e0dfe879db8c52f"
)
"""What OpenSSL says first, to whoever speaks TLS 1.2 and 1.3, offering coap."""
IDENTITY = _record(HANDSHAKE, _message(CLIENT_KEY_EXCHANGE, b"\0\4lamp"))
NO_CERTIFICATE = _record(HANDSHAKE, _message(11, b"\0\0\0"))
SERVER_DONE, CHANGE, WARNING, FATAL_ALERT, GOODBYE = (
    _record(HANDSHAKE, _message(14, b"")),
    _record(20, b"\1"),
    _record(ALERT, b"\1\x5a"),
    _record(ALERT, b"\2\x28"),
    _record(ALERT, b"\1\0"),
)
PROTECTED = _record(23, bytes(40))
RECORDS = (
    HELLO_1_2,
    HELLO_1_3,
    IDENTITY,
    NO_CERTIFICATE,
    SERVER_DONE,
    CHANGE,
    WARNING,
    FATAL_ALERT,
    GOODBYE,
    PROTECTED,
)
STATES = tuple(bytes((state,)) for state in (0, WITH_TLS_1_2 | 1, 2, WITH_TLS_1_2 | 2, TO_CLIENT | 1, 0xC2))


def some_stream(random: Random) -> bytes:
    """Records in a row, at some moment of a handshake; plain CoAP and HTTP, too."""
    made = bytes((random.randrange(256),))
    for _ in range(random.choice((1, 1, 2, 5))):
        message = _message(random.randrange(25), random.randbytes(random.choice((0, 1, 40, 300))))
        any_record = _record(random.randrange(19, 25), random.choice((b"", message, message[:3], random.randbytes(40))))
        made += random.choice((any_record, random.choice(RECORDS), CSM + PING, b"GET / HTTP/1.1\r\n\r\n"))
    return made


WORDS = (
    b"\x16\3\1",
    b"\x16\3\3",
    b"\x17\3\3",
    b"\x15\3\3\0\2",
    b"\0\x10\0\7\0\5\4coap",
    b"\0\x2b\0\3\2\3\4",
    b"\x40\1",
)

TARGETS = (
    Target("TLS records in the clear", in_the_clear, (Fatal,), RECORDS[:4], WORDS, short=1000),
    Target(
        "TLS connections",
        streams,
        (),
        tuple(state + record for state in STATES for record in RECORDS),
        WORDS,
        some_stream,
        short=100,
        memory_is_measured=False,
    ),
)
