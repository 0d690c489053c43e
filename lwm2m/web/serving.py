"""Serve an application with uvicorn in the running loop, signals left to the program."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from lwm2m.web.same_site import SameSite

STOPS_WITHIN = 1.0


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """Serve while inside; yields the address with the real port. Raises OSError when it is taken or not ours.
    Pages of other sites are kept out. On leaving, event streams end first, and requests still running get a second."""
    listener = listening_socket(host, port)
    config = uvicorn.Config(
        SameSite(app, host),
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=int(STOPS_WITHIN),
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve([listener]), name="http")
    try:
        await _up(server, task)
        yield listener.getsockname()[:2]
    finally:
        app.state.event_log.close()
        server.should_exit = True
        await task


async def _up(server: _Uvicorn, task: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(server.is_up.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket; port 0 picks a free one. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
