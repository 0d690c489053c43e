"""CoAP connections as whoever connects can make them run: signalling, messages, and streams that are neither."""

from __future__ import annotations

import asyncio
from typing import Any

from lwm2m.coap.messaging.datagram_format import WrongOption
from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.aiocoap_connection import Connection, Liveness
from lwm2m.coap.streams.tcp import TcpConnection
from lwm2m.testing import run
from tests.fuzz.coap_targets import STREAM_SEEDS, WORDS, stream_of_messages
from tests.fuzz.live import no_error_is_logged
from tests.fuzz.target import Target, Way

CSM, CSM_WITH_OPTIONS = b"\x00\xe1", b"\x40\xe1\x22\x04\x00\x20"
PING, PING_WITH_CUSTODY, PONG, RELEASE, ABORT = (
    b"\x01\xe2t",
    b"\x11\xe2t\x20",
    b"\x00\xe3",
    b"\x00\xe4",
    b"\x40\xe5\xffbye",
)


class Peerless(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("10.0.0.1", 5683), "peername": ("10.0.9.1", 40_000)}.get(name, default)

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self._closing = True

    abort = close


class Owner:
    """A pool of one connection."""

    max_message = 2048
    liveness = Liveness()

    def __init__(self) -> None:
        self.told: list[str] = []

    def begun(self, _connection: Connection) -> None:
        self.told.append("begun")

    def opened(self, _connection: Connection) -> None:
        self.told.append("opened")

    def received(self, connection: Connection, packet: Packet, size: int) -> None:
        assert size <= self.max_message
        self.told.append(f"received {packet.code >> 5}")
        if packet.is_request:
            connection.send(Packet(0x45, packet.token))

    def misshapen(self, _connection: Connection, code: int, _token: bytes, _why: WrongOption, /) -> None:
        self.told.append(f"misshapen {code >> 5}")

    def lost(self, _connection: Connection, reason: str) -> None:
        self.told.append(f"lost {reason[:11]}")

    def closed(self, _connection: Connection) -> None:
        self.told.append("closed")


async def accepted(data: bytes) -> Way:
    """One connection to us, which the other side closes at the end. Its end is told once."""
    owner, transport = Owner(), Peerless()
    connection = TcpConnection(owner)  # type: ignore[arg-type]  # all that a connection uses of a pool
    connection.connection_made(transport)
    for start in range(0, len(data), max(1, len(data) // 3)):
        if not transport.is_closing():
            connection.data_received(data[start : start + max(1, len(data) // 3)])
    await asyncio.sleep(5.0)
    connection.connection_lost(None)
    assert sum(told.startswith("lost") for told in owner.told) == 1
    received = [at for at, told in enumerate(owner.told) if told.startswith(("received", "misshapen"))]
    assert not received or owner.told.index("opened") < received[0]
    return Way(dict.fromkeys(owner.told))


def connection(data: bytes) -> Way:
    with no_error_is_logged():
        return run(accepted(data))


_SIGNALS = (CSM, CSM_WITH_OPTIONS, PING, PING_WITH_CUSTODY, PONG, RELEASE, ABORT)

TARGETS = (
    Target(
        "connection over TCP",
        connection,
        (),
        (
            *(CSM + seed for seed in (*STREAM_SEEDS, *_SIGNALS)),
            CSM_WITH_OPTIONS + PING + b"".join(STREAM_SEEDS),
            *_SIGNALS,
        ),
        (*_SIGNALS, *WORDS),
        lambda random: random.choice((*_SIGNALS, b"")) + random.choice((*_SIGNALS, b"")) + stream_of_messages(random),
        short=1000,
        memory_is_measured=False,
    ),
)
