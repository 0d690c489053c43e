"""CoAP over WebSockets: connections by the package `websockets`, RFC 8323 by `aiocoap_connection`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection as Socket
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from lwm2m.coap.links.udp_socket import host_port, plain_host
from lwm2m.coap.messaging.datagram_format import NotCoap
from lwm2m.coap.streams.aiocoap_connection import Connection
from lwm2m.coap.streams.connection_pool import LINGER, ConnectionPool
from lwm2m.coap.streams.stream_format import from_frame, to_frame
from lwm2m.coap.streams.tcp import MAX_UNSENT, bind, leaving_from

PATH = "/.well-known/coap"
COAP = Subprotocol("coap")

quiet = logging.getLogger("lwm2m.coap.streams.web_socket")
"""Of the package: it tells each failed handshake with a traceback, and those are a stranger's to make."""
quiet.setLevel(logging.CRITICAL)


class WebSocketConnection(Connection):
    def __init__(self, pool: WebSocketPool, web_socket: Socket) -> None:
        super().__init__(pool, pool.max_message, pool.liveness)
        self._pool = pool
        self._socket = web_socket
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._to_do = asyncio.Event()

    def write(self, message: bytes) -> None:
        frame = to_frame(message)
        self._unsent.append(frame)
        self._unsent_bytes += len(frame)
        self._to_do.set()
        if self._unsent_bytes > MAX_UNSENT:
            self._loop.call_soon(self.end, "the peer does not read what we send")

    def hang_up(self) -> None:
        self._to_do.set()
        self._loop.call_later(LINGER, self._socket.transport.abort)

    async def run(self) -> None:
        """Until it has ended."""
        self._pool.begun(self)
        self.begin(_address(self._socket.local_address), _address(self._socket.remote_address), None)
        sending = self._loop.create_task(self._send(), name="coap-ws-sending")
        try:
            await self._receive()
        finally:
            self.end("the peer closed the connection")
            await sending
            self._pool.closed(self)

    async def _receive(self) -> None:
        try:
            async for frame in self._socket:
                if self.has_ended:
                    return
                if isinstance(frame, str):
                    self.abort("a text frame")
                else:
                    self.receive(from_frame(frame))
        except NotCoap as error:
            self.abort(f"this is no CoAP message: {error}")
        except ConnectionClosed as closed:
            self.end(str(closed))

    async def _send(self) -> None:
        try:
            while self._unsent or not self.has_ended:
                while self._unsent:
                    frame = self._unsent.popleft()
                    await self._socket.send(frame)
                    self._unsent_bytes -= len(frame)
                self._to_do.clear()
                if not self.has_ended:
                    await self._to_do.wait()
            await self._socket.close()
        except ConnectionClosed as closed:
            self.end(str(closed))


def _address(found: Any) -> tuple[str, int]:
    return (plain_host(found), found[1]) if found else ("", 0)


class WebSocketPool(ConnectionPool):
    _server: Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        bound = await bind(host, port)
        self._server = await serve(
            self._accepted,
            sock=bound,
            process_request=self._opening,
            open_timeout=self.liveness.csm_within,
            **self._manners(),
        )
        return plain_host(bound.getsockname()), bound.getsockname()[1]

    async def close(self) -> None:
        server = self._server
        await super().close()
        if server is not None:
            await server.wait_closed()

    async def refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close(close_connections=False)

    async def connect(self, host: str, port: int) -> Connection:
        uri = f"ws://{host_port(host, port)}{PATH}"
        try:
            web_socket = await connect(uri, proxy=None, local_addr=leaving_from(self.host), **self._manners())
        except WebSocketException as error:
            raise OSError(f"{host} does not speak CoAP over WebSockets: {error}") from error
        connection = WebSocketConnection(self, web_socket)
        running = asyncio.get_running_loop().create_task(connection.run(), name="coap-ws")
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return connection

    def _manners(self) -> dict[str, Any]:
        """CoAP has its own keep-alive, and what a peer compresses it need not send. RFC 8323 §4.4"""
        return {
            "subprotocols": [COAP],
            "compression": None,
            "ping_interval": None,
            "max_size": self.max_message,
            "close_timeout": LINGER,
            "logger": quiet,
        }

    def _opening(self, web_socket: ServerConnection, request: Request) -> Response | None:
        if request.path != PATH:
            return web_socket.respond(HTTPStatus.NOT_FOUND, f"CoAP is at {PATH}\n")
        return web_socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n") if self.is_full else None

    async def _accepted(self, web_socket: ServerConnection) -> None:
        await WebSocketConnection(self, web_socket).run()
