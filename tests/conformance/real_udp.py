"""Real UDP on this machine, with a record of what was sent: the wire of `bench.py` outside memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from lwm2m.coap.endpoint import Endpoint, Limits
from lwm2m.coap.links.udp_socket import Ancillary, DatagramSocket, SocketAddress, bind
from lwm2m.coap.stacks import open_endpoint
from lwm2m.testing import Crossing


class RecordingSocket:
    """`host` is the name under which the case knows this end."""

    def __init__(self, bound: socket.socket, host: str, crossings: list[Crossing]) -> None:
        self._bound = bound
        self._known_as = host, bound.getsockname()[1]
        self._crossings = crossings
        self.family: int = bound.family

    def getsockname(self) -> Any:
        return self._bound.getsockname()

    def fileno(self) -> int:
        return self._bound.fileno()

    def close(self) -> None:
        self._bound.close()

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0, /) -> tuple[bytes, Ancillary, int, Any]:
        return self._bound.recvmsg(size, ancillary_size, flags)

    def sendmsg(self, buffers: Iterable[bytes], ancillary: Ancillary, flags: int, address: SocketAddress, /) -> int:
        data = b"".join(buffers)
        now = asyncio.get_running_loop().time()
        self._crossings.append(Crossing(now, self._known_as, (address[0], address[1]), data, 1))
        return self._bound.sendmsg([data], ancillary, flags, address)


class RealUdp:
    def __init__(self) -> None:
        self.crossings: list[Crossing] = []

    def endpoint(
        self,
        host: str,
        port: int = 0,  # noqa: ARG002  # a free one, whatever the case wants
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
    ) -> Endpoint:
        async def open_socket(address: str, free: int) -> DatagramSocket:
            return RecordingSocket(await bind(address, free), host, self.crossings)

        return open_endpoint("127.0.0.1", 0, limits=limits, open_socket=open_socket)
