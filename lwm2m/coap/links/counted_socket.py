"""A socket that tells how much passes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from lwm2m.coap.links.udp_socket import Ancillary, DatagramSocket, OpenSocket, SocketAddress

Count: TypeAlias = Callable[[int, int], None]
"""Bytes sent, bytes received; called once for each datagram."""


def counted(open_socket: OpenSocket, count: Count) -> OpenSocket:
    async def open_counted(host: str, port: int) -> DatagramSocket:
        return _CountedSocket(await open_socket(host, port), count)

    return open_counted


class _CountedSocket:
    def __init__(self, inner: DatagramSocket, count: Count) -> None:
        self._inner = inner
        self._count = count

    @property
    def family(self) -> int:
        return self._inner.family

    def getsockname(self) -> Any:
        return self._inner.getsockname()

    def fileno(self) -> int:
        return self._inner.fileno()

    def close(self) -> None:
        self._inner.close()

    def sendmsg(self, buffers: Iterable[bytes], ancillary: Ancillary, flags: int, address: SocketAddress, /) -> int:
        sent = self._inner.sendmsg(buffers, ancillary, flags, address)
        self._count(sent, 0)
        return sent

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0, /) -> tuple[bytes, Ancillary, int, Any]:
        received = self._inner.recvmsg(size, ancillary_size, flags)
        if received[0]:
            self._count(0, len(received[0]))
        return received
