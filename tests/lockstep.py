"""A scripted peer: datagrams in, datagrams expected. It knows no CoAP beyond the bytes of one message."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

CON, NON, ACK, RST = range(4)
PATIENCE = 2.0


@dataclass(frozen=True)
class Datagram:
    """A CoAP message as its fields; `options` are (number, value) in order."""

    kind: int
    code: int
    mid: int
    token: bytes = b""
    options: tuple[tuple[int, bytes], ...] = ()
    payload: bytes = b""

    def encode(self) -> bytes:
        data = bytes((0x40 | self.kind << 4 | len(self.token), self.code)) + self.mid.to_bytes(2, "big") + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            delta, delta_more = _extended(number - last)
            length, length_more = _extended(len(value))
            data += bytes((delta << 4 | length,)) + delta_more + length_more + value
            last = number
        return data + (b"\xff" + self.payload if self.payload else b"")

    @classmethod
    def decode(cls, data: bytes) -> Datagram:
        length = data[0] & 0x0F
        options, payload = _options(data[4 + length :])
        mid = int.from_bytes(data[2:4], "big")
        return cls(data[0] >> 4 & 3, data[1], mid, data[4 : 4 + length], options, payload)

    def option(self, number: int) -> bytes | None:
        return dict(self.options).get(number)


def _extended(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    return (13, bytes((value - 13,))) if value < 269 else (14, (value - 269).to_bytes(2, "big"))


def _options(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], bytes]:
    options, number, at = [], 0, 0
    while at < len(data) and data[at] != 0xFF:
        delta, length = data[at] >> 4, data[at] & 0x0F
        at += 1
        fields = []
        for nibble in (delta, length):
            extra = {13: 1, 14: 2}.get(nibble, 0)
            base = {13: 13, 14: 269}.get(nibble, nibble)
            fields.append(base + int.from_bytes(data[at : at + extra], "big"))
            at += extra
        number += fields[0]
        options.append((number, data[at : at + fields[1]]))
        at += fields[1]
    return tuple(options), data[at + 1 :]


class ScriptedPeer:
    """A bare socket. `expect` waits for the next datagram, `expect_nothing` for silence."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.other: tuple[str, int] | None = None
        self._mid = 0x1000

    async def __aenter__(self) -> ScriptedPeer:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    @property
    def uri(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"coap://[{host}]:{port}" if ":" in host else f"coap://{host}:{port}"

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        self._socket.close()

    def next_mid(self) -> int:
        self._mid += 1
        return self._mid

    def send(self, datagram: Datagram | bytes) -> None:
        """To whoever was set as `other`, or sent to us last."""
        assert self.other is not None, "nobody to send to yet"
        self._socket.sendto(datagram if isinstance(datagram, bytes) else datagram.encode(), self.other)

    async def expect(self, timeout: float = PATIENCE) -> Datagram:
        return Datagram.decode(await self.expect_bytes(timeout))

    async def expect_bytes(self, timeout: float = PATIENCE) -> bytes:
        async with asyncio.timeout(timeout):
            data, sender = await asyncio.get_running_loop().sock_recvfrom(self._socket, 0xFFFF)
        self.other = sender[:2]
        return data

    async def expect_nothing(self, during: float = 0.15) -> None:
        try:
            data = await self.expect_bytes(during)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {Datagram.decode(data)}")
