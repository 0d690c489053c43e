"""The storage service: product profiles over plain HTTP, as devices fetch them. osap.md §8."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from urllib.parse import quote, unquote

from osap_bridge.osap.address import reachable
from osap_bridge.osap.uplink import ProfileOffer

log = logging.getLogger(__name__)

_FOLDER = "/profile/"
_MAX_REQUEST = 8192
_TIMEOUT = 10.0
_EXPIRE = 3600
_MAX_CONNECTIONS = 64


class Storage:
    """`profiles` gives the JSON of a product, None for one that is not known. `advertise` is the host that devices
    are told; without it, the one that is listened on."""

    def __init__(
        self,
        profiles: Callable[[str], bytes | None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        advertise: str | None = None,
    ) -> None:
        self._profiles = profiles
        self._host, self._port = host, port
        self._advertise = advertise
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError: the address is taken or not ours."""
        self._server = await asyncio.start_server(self._on_connection, self._host, self._port, limit=_MAX_REQUEST)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the storage service is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def offer(self, product: str, met_at: str) -> ProfileOffer | None:
        """`met_at`: our own address on the connection on which the device asks."""
        profile = self._profiles(product)
        if profile is None:
            return None
        host, port = self.address
        host = self._advertise or reachable(host, met_at)
        bracketed = f"[{host}]" if ":" in host else host
        url = f"{bracketed}:{port}{_FOLDER}{quote(product, safe='')}"
        return ProfileOffer(url, _EXPIRE, hashlib.md5(profile, usedforsecurity=False).hexdigest())

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MAX_CONNECTIONS:
            log.warning("storage: a connection more than %d was not accepted", _MAX_CONNECTIONS)
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="OSAP storage connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._respond(request))
                await writer.drain()
        except (TimeoutError, EOFError, asyncio.LimitOverrunError, OSError) as error:
            log.info("storage: a request that did not end: %s", type(error).__name__)
        finally:
            writer.close()

    def _respond(self, request: bytes) -> bytes:
        method, path = _request_line(request)
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", b"", with_body=True)
        profile = self._profiles(unquote(path.removeprefix(_FOLDER))) if path.startswith(_FOLDER) else None
        status = "404 Not Found" if profile is None else "200 OK"
        return _response(status, profile or b"", with_body=method == "GET")


def _request_line(request: bytes) -> tuple[str, str]:
    """Method and path; empty for what is no request."""
    words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return (words[0], words[1].partition("?")[0]) if len(words) == 3 else ("", "")


def _response(status: str, body: bytes, *, with_body: bool) -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + (body if with_body else b"")
