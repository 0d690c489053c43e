"""A UDP socket as aiocoap's `MessageInterface`: one socket for all that comes and goes, IPv4 or IPv6.

aiocoap's own `udp6` cuts datagrams at 4096 bytes, raises into the event loop on text that is not UTF-8, blames a
failed send on whoever is sent to next, shares taken ports, and needs IPv6 even where only IPv4 is spoken."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import OrderedDict
from typing import Any, Protocol

from aiocoap import Message, interfaces

from lwm2m.coap.aiocoap_udp.messages import read
from lwm2m.coap.blocks import LARGEST_EXPONENT
from lwm2m.coap.complaints import Complaints
from lwm2m.coap.links.udp_socket import (
    ANCILLARY_SPACE,
    DATAGRAMS_A_TURN,
    HAS_ERROR_QUEUE,
    IPV4_IN_IPV6,
    LARGEST_DATAGRAM,
    MSG_ERRQUEUE,
    Ancillary,
    DatagramSocket,
    SocketAddress,
    answering_from,
    error_number,
    host_port,
    plain_host,
)
from lwm2m.coap.messaging.datagram_format import NotCoap, WrongOption, refusal

log = logging.getLogger("lwm2m.coap")

SOURCES_KEPT = 10_000
"""Peers of which we know which of our addresses they use."""


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


class Receiver(Protocol):
    """What aiocoap's `MessageManager` offers to a transport."""

    def dispatch_message(self, message: Any) -> None: ...

    def dispatch_error(self, error: OSError, remote: Any) -> None: ...


class UdpSocket(interfaces.MessageInterface):  # type: ignore[misc]  # aiocoap is not typed
    """Reads and writes one bound socket; what is no CoAP message is answered as RFC 7252 §4.2 asks."""

    def __init__(self, bound: DatagramSocket, receiver: Receiver, max_complaints: int) -> None:
        self._socket = bound
        self._receiver = receiver
        self.listening = True
        self._loop = asyncio.get_running_loop()
        self._local: tuple[str, int] = plain_host(bound.getsockname()), bound.getsockname()[1]
        self._listens_on_all = self._local[0] in ("0.0.0.0", "::")  # compared, not bound
        self._sources: OrderedDict[tuple[str, int], Ancillary] = OrderedDict()
        self._complaints = Complaints(log, "sent what is no CoAP message", max_complaints)
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
            self._complaints.end()

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
        self._sources[key] = answering_from(ancillary)
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
            number = error_number(ancillary)
            if sockaddr and number:
                self._loop.call_soon(self._report, OSError(number, os.strerror(number)), self.address(sockaddr))

    def _receive(self, datagram: bytes, remote: UdpAddress) -> None:
        try:
            message = read(datagram, remote)
        except (NotCoap, WrongOption) as error:
            self._complaints.tell(remote, remote.host, error, self._loop.time())
            refused = refusal(datagram, error)
            if refused is not None:
                self.send_datagram(refused, remote)
        else:
            self._receiver.dispatch_message(message)
