"""CoAP over TCP: connections by asyncio, RFC 8323 by `aiocoap_connection`."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from lwm2m.coap.links.udp_socket import not_bound, plain_host
from lwm2m.coap.messaging.datagram_format import NotCoap
from lwm2m.coap.streams.aiocoap_connection import Connection
from lwm2m.coap.streams.connection_pool import LINGER, ConnectionPool
from lwm2m.coap.streams.stream_format import extent

MAX_UNSENT = 4 * 1024 * 1024
"""Bytes that wait for a peer which does not read; then the connection ends."""
BACKLOG = 1024
EVERYWHERE = ("0.0.0.0", "::")  # compared, not bound


class TcpConnection(Connection, asyncio.Protocol):
    def __init__(self, pool: TcpPool) -> None:
        super().__init__(pool, pool.max_message, pool.liveness)
        self._pool = pool
        self._arrived = bytearray()
        self._transport: asyncio.Transport

    def write(self, message: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(message)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._loop.call_soon(self.end, "the peer does not read what we send")

    def hang_up(self) -> None:
        self._transport.close()
        self._loop.call_later(LINGER, self._transport.abort)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._pool.begun(self)
        self.there(transport)

    def there(self, transport: asyncio.Transport) -> None:
        """The network is there."""
        self.begin(address_of(transport, "sockname"), address_of(transport, "peername"), None)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        start = 0
        try:
            while not self.has_ended and (where := extent(self._arrived, start)) is not None:
                if where.end - start > self._pool.max_message:
                    self.abort(f"a message of more than {self._pool.max_message} bytes")
                elif where.end > len(self._arrived):
                    break
                else:
                    self.receive(bytes(self._arrived[start : where.end]))
                start = where.end
        except NotCoap as error:
            self.abort(f"this is no CoAP message: {error}")
        if self.has_ended:
            self._arrived.clear()
        del self._arrived[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("the peer closed the connection" if exc is None else _sentence(exc))
        self._pool.closed(self)


def address_of(transport: asyncio.BaseTransport, which: str) -> tuple[str, int]:
    """("", 0) where the peer was gone before we looked."""
    found: Any = transport.get_extra_info(which)
    return (plain_host(found), found[1]) if found else ("", 0)


def _sentence(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class _Refused(asyncio.Protocol):
    """A connection beyond the limit."""

    def __init__(self, pool: TcpPool) -> None:
        self._pool = pool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._pool.refused(address_of(transport, "peername"))
        transport.abort()


class TcpPool(ConnectionPool):
    _server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        bound = await bind(host, port)
        self._server = await asyncio.get_running_loop().create_server(self._accepted, sock=bound, backlog=BACKLOG)
        return plain_host(bound.getsockname()), bound.getsockname()[1]

    async def refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def connect(self, host: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(self._made, host, port, local_addr=leaving_from(self.host))
        return connection

    def _made(self) -> TcpConnection:
        return TcpConnection(self)

    def _accepted(self) -> asyncio.Protocol:
        return _Refused(self) if self.is_full else self._made()


def leaving_from(host: str) -> tuple[str, int] | None:
    """What to bind a socket to that connects."""
    return None if host in EVERYWHERE else (host, 0)


async def bind(host: str, port: int) -> socket.socket:
    """A bound, non-blocking TCP socket. "::" takes IPv4 too. Raises OSError with a sentence when the address is taken
    or not ours."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise not_bound(error, host, port) from error
    family, _, _, _, sockaddr = found[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(sockaddr)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise not_bound(error, host, port) from error
    return bound
