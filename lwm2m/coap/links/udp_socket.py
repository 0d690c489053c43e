"""UDP sockets of this machine: binding, resolving, from which of our addresses an answer leaves, what ICMP says. Both
stacks that speak UDP stand on it."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias

LARGEST_DATAGRAM = 0xFFFF
DATAGRAMS_A_TURN = 64
ANCILLARY_SPACE = 1024
IPV4_IN_IPV6 = "::ffff:"
# Linux numbers that the socket module does not name.
IP_PKTINFO = 8
IP_RECVERR = 11
IPV6_RECVERR = 25
MSG_ERRQUEUE = 0x2000
HAS_ERROR_QUEUE = sys.platform == "linux"

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


Ancillary = list[tuple[int, int, bytes]]


class DatagramSocket(Protocol):
    """What is used of a bound, non-blocking `socket.socket`; the loop has to be able to watch it. The descriptor is
    negative once it is closed."""

    @property
    def family(self) -> int: ...

    def getsockname(self) -> Any: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...

    def sendmsg(self, buffers: Iterable[bytes], ancillary: Ancillary, flags: int, address: SocketAddress, /) -> int: ...

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0, /) -> tuple[bytes, Ancillary, int, Any]: ...


OpenSocket: TypeAlias = Callable[[str, int], Awaitable[DatagramSocket]]
"""Binds a host and a port. Raises OSError with a sentence when the address is taken or not ours."""


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain_host(sockaddr: SocketAddress) -> str:
    host = sockaddr[0].removeprefix(IPV4_IN_IPV6)
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        return f"{host}%{sockaddr[3]}"
    return host


def answering_from(ancillary: Ancillary) -> Ancillary:
    """From where a datagram went to, where the answer leaves from; which way it leaves is left to the routes."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) == 12:
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) == 20:
            interface = data[16:] if data[:2] == b"\xfe\x80" else bytes(4)
            return [(level, kind, data[:16] + interface)]
    return []


def error_number(ancillary: Ancillary) -> int:
    for level, kind, data in ancillary:
        if (level, kind) in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR)) and len(data) >= 4:
            return int.from_bytes(data[:4], sys.byteorder)
    return 0


async def bind(host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket. Raises OSError with a sentence when the address is taken or not ours."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise not_bound(error, host, port) from error
    family, _, _, _, sockaddr = found[0]
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _configure(bound, family)
        bound.bind(sockaddr)
    except OSError as error:
        bound.close()
        raise not_bound(error, host, port) from error
    return bound


def _configure(bound: socket.socket, family: int) -> None:
    bound.setblocking(False)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    if HAS_ERROR_QUEUE:
        if family == socket.AF_INET:
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)


def not_bound(error: OSError, host: str, port: int) -> OSError:
    """The same with a sentence, for a TCP socket too."""
    reasons: dict[int | None, str] = {
        errno.EADDRINUSE: "the port is taken",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EACCES: "not permitted",
    }
    number = errno.EADDRNOTAVAIL if isinstance(error, socket.gaierror) else error.errno
    reason = error.strerror or str(error) if isinstance(error, socket.gaierror) else reasons.get(number)
    return OSError(number, f"cannot listen on {host_port(host, port)}: {reason or error.strerror or error}")


async def resolve(host: str, port: int, family: int) -> SocketAddress:
    """The first address of a host that a socket of this family reaches. Raises OSError."""
    loop = asyncio.get_running_loop()
    flags = socket.AI_V4MAPPED if family == socket.AF_INET6 else 0
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM, flags=flags)
    sockaddr: SocketAddress = found[0][4]  # type: ignore[assignment]  # typeshed allows for other families
    return sockaddr
