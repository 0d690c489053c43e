"""A NAT on this machine, over real UDP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast


class Nat(asyncio.DatagramProtocol):
    """Between one client and a server, which sees the client at an address that changes."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._client: tuple[str, int] | None = None
        self._outside: list[asyncio.DatagramTransport] = []
        self.port = 0

    async def open(self) -> Nat:
        loop = asyncio.get_running_loop()
        self._inside, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._inside.get_extra_info("sockname")[1]
        await self.rebind()
        return self

    async def rebind(self) -> int:
        """The port that the server sees from now on; what comes to the old one is lost."""
        for old in self._outside:
            old.close()
        nat = self

        class Outside(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
                nat._inside.sendto(data, nat._client)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Outside, local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", self._server)
        )
        self._outside = [transport]
        return cast(int, transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._client = addr
        self._outside[0].sendto(data)

    def close(self) -> None:
        for transport in (self._inside, *self._outside):
            transport.close()


@contextlib.asynccontextmanager
async def nat(server: int) -> AsyncIterator[Nat]:
    opened = await Nat(server).open()
    try:
        yield opened
    finally:
        opened.close()
