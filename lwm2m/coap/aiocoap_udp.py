"""A UDP socket as aiocoap's `MessageInterface`: one socket for all that comes and goes, IPv4 or IPv6.

aiocoap's own `udp6` cuts datagrams at 4096 bytes, raises into the event loop on text that is not UTF-8, blames a
failed send on whoever is sent to next, shares taken ports, and needs IPv6 even where only IPv4 is spoken."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias

from aiocoap import Message, interfaces
from aiocoap.error import UnparsableMessage
from aiocoap.message import Direction

from lwm2m.coap.blocks import LARGEST_EXPONENT
from lwm2m.coap.option_shape import misshapen_option

log = logging.getLogger("lwm2m.coap")

LARGEST_DATAGRAM = 0xFFFF
DATAGRAMS_A_TURN = 64
ANCILLARY_SPACE = 1024
SOURCES_KEPT = 10_000
"""Peers of which we know which of our addresses they use."""
CONFIRMABLE = 0x40
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


class UdpAddress(interfaces.EndpointAddress):  # type: ignore[misc]  # aiocoap is not typed
    """Where a datagram came from or goes to. `host` is what people read: plain IPv4 on a dual-stack socket too.
    `source` tells the kernel which of our addresses the peer knows, where the socket listens on all."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    maximum_block_size_exp = LARGEST_EXPONENT

    def __init__(self, sockaddr: SocketAddress, local: tuple[str, int], source: Ancillary) -> None:
        self.sockaddr = sockaddr
        self.source = source
        self.host = plain_host(sockaddr)
        self.port = sockaddr[1]
        self._local = local

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UdpAddress) and self.port == other.port and self.host == other.host

    def __hash__(self) -> int:
        return hash((self.host, self.port))

    def __repr__(self) -> str:
        return self.hostinfo

    @property
    def hostinfo(self) -> str:
        return host_port(self.host, self.port)

    @property
    def hostinfo_local(self) -> str:
        return host_port(*self._local)

    @property
    def uri_base(self) -> str:
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coap://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> tuple[str, int]:
        return self.host, self.port

    def as_response_address(self) -> UdpAddress:
        return self


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain_host(sockaddr: SocketAddress) -> str:
    host = sockaddr[0].removeprefix(IPV4_IN_IPV6)
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        return f"{host}%{sockaddr[3]}"
    return host


class Receiver(Protocol):
    """What aiocoap's `MessageManager` offers to a transport."""

    def dispatch_message(self, message: Any) -> None: ...

    def dispatch_error(self, error: OSError, remote: Any) -> None: ...


class UdpSocket(interfaces.MessageInterface):  # type: ignore[misc]  # aiocoap is not typed
    """Reads and writes one bound socket; what is no CoAP message is answered as RFC 7252 §4.2 asks."""

    def __init__(self, bound: DatagramSocket, receiver: Receiver) -> None:
        self._socket = bound
        self._receiver = receiver
        self.listening = True
        self._loop = asyncio.get_running_loop()
        self._local: tuple[str, int] = plain_host(bound.getsockname()), bound.getsockname()[1]
        self._listens_on_all = self._local[0] in ("0.0.0.0", "::")  # compared, not bound
        self._sources: OrderedDict[tuple[str, int], Ancillary] = OrderedDict()
        self._loop.add_reader(bound, self._read)

    @property
    def local(self) -> tuple[str, int]:
        return self._local

    @property
    def family(self) -> int:
        return self._socket.family

    def address(self, sockaddr: SocketAddress) -> UdpAddress:
        source = self._sources.get((plain_host(sockaddr), sockaddr[1]), [])
        return UdpAddress(sockaddr, self._local, source)

    def address_of(self, host: str, port: int) -> UdpAddress:
        """The address behind what people read."""
        in_ipv6 = self._socket.family == socket.AF_INET6 and ":" not in host
        return self.address((IPV4_IN_IPV6 + host if in_ipv6 else host, port))

    async def shutdown(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def recognize_remote(self, remote: object) -> bool:
        return isinstance(remote, UdpAddress)

    async def determine_remote(self, message: Message) -> None:  # noqa: ARG002  # aiocoap's interface
        """Every message we send has its remote already."""
        return

    def send(self, message: Message) -> None:
        self.send_datagram(message.encode(), message.remote)

    def send_datagram(self, datagram: bytes, remote: UdpAddress) -> None:
        if self._socket.fileno() < 0:
            return
        try:
            self._transmit(datagram, remote)
        except BlockingIOError:
            log.info("no room to send to %s: the datagram is lost", remote)
        except OSError as error:
            # Not at once: whoever sends is not ready for the news that it failed.
            self._loop.call_soon(self._report, error, remote)

    def _transmit(self, datagram: bytes, remote: UdpAddress) -> None:
        try:
            self._socket.sendmsg([datagram], remote.source, 0, remote.sockaddr)
        except BlockingIOError:
            raise
        except OSError:
            # An ICMP error to an earlier datagram, for any peer; it waits in the error queue, this send did not happen.
            self._read_errors()
            self._socket.sendmsg([datagram], remote.source, 0, remote.sockaddr)

    def _report(self, error: OSError, remote: UdpAddress) -> None:
        if self._socket.fileno() >= 0:
            self._receiver.dispatch_error(error, remote)

    def _read(self) -> None:
        self._read_errors()
        for _ in range(DATAGRAMS_A_TURN):
            if self._socket.fileno() < 0:
                return
            try:
                datagram, ancillary, _, sockaddr = self._socket.recvmsg(LARGEST_DATAGRAM, ANCILLARY_SPACE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._read_errors()
                continue
            if not self.listening:
                continue
            if self._listens_on_all:
                self._remember_source(sockaddr, ancillary)
            self._receive(datagram, self.address(sockaddr))

    def _remember_source(self, sockaddr: SocketAddress, ancillary: Ancillary) -> None:
        """The peer knows us by the address that it sent to; whatever we send it leaves from there."""
        key = plain_host(sockaddr), sockaddr[1]
        self._sources[key] = _answering(ancillary)
        self._sources.move_to_end(key)
        if len(self._sources) > SOURCES_KEPT:
            self._sources.popitem(last=False)

    def _read_errors(self) -> None:
        """Take the ICMP errors that the kernel kept for us; each names the peer that it is about."""
        for _ in range(DATAGRAMS_A_TURN if HAS_ERROR_QUEUE else 0):
            try:
                _, ancillary, _, sockaddr = self._socket.recvmsg(0, ANCILLARY_SPACE, MSG_ERRQUEUE)
            except OSError:
                return
            number = _error_number(ancillary)
            if sockaddr and number:
                self._loop.call_soon(self._report, OSError(number, os.strerror(number)), self.address(sockaddr))

    def _receive(self, datagram: bytes, remote: UdpAddress) -> None:
        misshapen = misshapen_option(datagram)
        if misshapen is not None:
            log.info("%s sent option %d with a length that it cannot have", remote, misshapen)
            self._refuse_option(datagram, remote)
            return
        try:
            message = _decode(datagram, remote)
        except UnicodeDecodeError:
            log.info("%s sent text that is not UTF-8", remote)
            self._refuse_option(datagram, remote)
            return
        except (UnparsableMessage, ValueError) as error:
            log.info("%s sent what is no CoAP message: %s", remote, error)
            self._reset(datagram, remote)
            return
        self._receiver.dispatch_message(message)

    def _refuse_option(self, datagram: bytes, remote: UdpAddress) -> None:
        """4.02 to a confirmable request, a Reset to another confirmable message. RFC 7252 §5.4.1, §5.4.3"""
        token_length = datagram[0] & 0x0F
        if len(datagram) < 4 + token_length or not 0 < datagram[1] < 0x20 or token_length > 8:
            self._reset(datagram, remote)
            return
        if datagram[0] & 0xF0 != CONFIRMABLE:
            return
        self.send_datagram(bytes((0x60 | token_length, 0x82)) + datagram[2 : 4 + token_length], remote)

    def _reset(self, datagram: bytes, remote: UdpAddress) -> None:
        if len(datagram) >= 4 and datagram[0] & 0xF0 == CONFIRMABLE:
            self.send_datagram(b"\x70\x00" + datagram[2:4], remote)


def _decode(datagram: bytes, remote: UdpAddress) -> Message:
    """Raises UnparsableMessage, ValueError."""
    message = Message.decode(datagram, remote)
    token_length = datagram[0] & 0x0F
    if token_length > 8 or len(message.token) < token_length:
        raise UnparsableMessage("the token is too long")
    if datagram[1] == 0 and len(datagram) > 4:
        raise UnparsableMessage("an empty message with content")
    message.direction = Direction.INCOMING
    return message


def _answering(ancillary: Ancillary) -> Ancillary:
    """From where a datagram went to, where the answer leaves from; which way it leaves is left to the routes."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) == 12:
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) == 20:
            interface = data[16:] if data[:2] == b"\xfe\x80" else bytes(4)
            return [(level, kind, data[:16] + interface)]
    return []


def _error_number(ancillary: Ancillary) -> int:
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
        raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {host_port(host, port)}: {error.strerror}") from error
    family, _, _, _, sockaddr = found[0]
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _configure(bound, family)
        bound.bind(sockaddr)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {host_port(host, port)}: {_reason(error)}") from error
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


def _reason(error: OSError) -> str:
    reasons: dict[int | None, str] = {
        errno.EADDRINUSE: "the port is taken",
        errno.EADDRNOTAVAIL: "this machine does not have that address",
        errno.EACCES: "not permitted",
    }
    return reasons.get(error.errno, error.strerror or str(error))


async def resolve(host: str, port: int, family: int) -> SocketAddress:
    """The first address of a host that a socket of this family reaches. Raises OSError."""
    loop = asyncio.get_running_loop()
    flags = socket.AI_V4MAPPED if family == socket.AF_INET6 else 0
    found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM, flags=flags)
    sockaddr: SocketAddress = found[0][4]  # type: ignore[assignment]  # typeshed allows for other families
    return sockaddr
