"""Addresses of peers, and where devices find a server that listens on every address."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TypeAlias

ConnectionHandler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


def of_peer(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end, as people write it: "127.0.0.1:40000", "[::1]:40000"."""
    peer = writer.get_extra_info("peername")
    if not peer:
        return "an unknown address"
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def listen(name: str, handler: ConnectionHandler, host: str, port: int) -> asyncio.Server:
    """Raises OSError, whose text names what is wrong with which address."""
    try:
        return await asyncio.start_server(handler, host, port)
    except OSError as error:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise OSError(error.errno, f"the {name} address {address} {reason}") from None


def reachable(listening: str, met_at: str) -> str:
    """The host to tell a device. `met_at` is our own address on a connection of that device, empty if not known: it
    stands in for an address such as 0.0.0.0, to which nobody can connect."""
    return met_at if met_at and _is_every_address(listening) else listening


def _is_every_address(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
