"""The other end of a TCP connection, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CSM, PING, PONG, RELEASE, ABORT = 0xE1, 0xE2, 0xE3, 0xE4, 0xE5


def csm(max_message_size: int | None = None, *, block_wise: bool = True) -> bytes:
    """Max-Message-Size is option 2, Block-Wise-Transfer option 4. RFC 8323 §5.3"""
    options = b""
    if max_message_size is not None:
        value = max_message_size.to_bytes((max_message_size.bit_length() + 7) // 8, "big")
        options += bytes((0x20 | len(value),)) + value
    if block_wise:
        options += b"\x20" if max_message_size is not None else b"\x40"
    return bytes((len(options) << 4, CSM)) + options


class RawPeer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @staticmethod
    @asynccontextmanager
    async def connected(address: tuple[str, int]) -> AsyncIterator[RawPeer]:
        peer = RawPeer(*await asyncio.open_connection(*address))
        try:
            yield peer
        finally:
            await peer.close()

    def send(self, message: bytes) -> None:
        self.writer.write(message)

    async def receive(self) -> bytes:
        """The next message; b"" when there are no more."""
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                head = await self.reader.read(1)
                if head:
                    return head + await self._rest(head[0])
        return b""

    async def _rest(self, head: int) -> bytes:
        width, base = {13: (1, 13), 14: (2, 269), 15: (4, 65805)}.get(head >> 4, (0, head >> 4))
        extended = await self.reader.readexactly(width)
        length = base + int.from_bytes(extended, "big")
        return extended + await self.reader.readexactly(1 + (head & 0x0F) + length)

    async def is_aborted(self) -> bool:
        """Whether the next message is an Abort, and the last."""
        last = await self.receive()
        return last[1 + {13: 1, 14: 2, 15: 4}.get(last[0] >> 4, 0)] == ABORT and await self.receive() == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
