"""The least that a Python server does: receive a datagram, send one. It answers every request with the same 2.01."""

from __future__ import annotations

import asyncio
import socket

from benchmarks.measured import HOST
from benchmarks.programs.commands import obey

AT_ONCE = 64
ACKNOWLEDGED_CREATED = bytes([0x68, 0x41])
"""With a token of 8 bytes, as the generator has them."""
LOCATION = b"\x82rd\x011"


def answer(socket: socket.socket) -> None:
    """What has arrived, as far as it fits in one turn of the loop."""
    try:
        for _ in range(AT_ONCE):
            datagram, sender = socket.recvfrom(2048)
            socket.sendto(ACKNOWLEDGED_CREATED + datagram[2:12] + LOCATION, sender)
    except BlockingIOError:
        return


async def serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((HOST, 0))
        bound.setblocking(False)
        asyncio.get_running_loop().add_reader(bound, answer, bound)
        await obey(bound.getsockname()[1], {})
        asyncio.get_running_loop().remove_reader(bound)


if __name__ == "__main__":
    asyncio.run(serve())
