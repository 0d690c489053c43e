"""UDP as a `Link`: one socket for all that comes and goes, IPv4 or IPv6."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import OrderedDict

from lwm2m.coap.blocks import LARGEST_EXPONENT
from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.link import Receiver
from lwm2m.coap.links.udp_socket import (
    ANCILLARY_SPACE,
    DATAGRAMS_A_TURN,
    HAS_ERROR_QUEUE,
    IPV4_IN_IPV6,
    LARGEST_DATAGRAM,
    MSG_ERRQUEUE,
    Ancillary,
    DatagramSocket,
    OpenSocket,
    SocketAddress,
    answering_from,
    bind,
    error_number,
    host_port,
    plain_host,
    resolve,
)
from lwm2m.coap.message import Peer
from lwm2m.coap.uri import parse_uri

log = logging.getLogger("lwm2m.coap")

ROOM = Room(1 << (LARGEST_EXPONENT + 4), LARGEST_EXPONENT)
PEERS_KEPT = 1 << 17
"""Addresses whose `Peer` is handed out again; those not seen for longest go."""
SOURCES_KEPT = 10_000
"""Peers of which we know which of our addresses they use."""
RESOLVING_TIME = 10.0
"""Seconds that the name service gets."""


class UdpLink:
    """Port 0 takes a free one; host "::" speaks IPv4 too. `open_socket` gives another network than the machine's own,
    see `lwm2m.testing`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, open_socket: OpenSocket = bind) -> None:
        self._host = host
        self._port = port
        self._open_socket = open_socket
        self._open: _Open | None = None
        self._listening = True

    @property
    def address(self) -> tuple[str, int]:
        return self._live().local

    @property
    def uri(self) -> str:
        return f"coap://{host_port(*self.address)}"

    async def open(self, receiver: Receiver) -> None:
        if self._open is not None:
            raise RuntimeError("the socket has been opened already")
        bound = await self._open_socket(self._host, self._port)
        self._open = _opened(bound, receiver)
        self._open.listening = self._listening

    async def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    async def peer(self, uri: str) -> Peer:
        host, port = parse_uri(uri)
        opened = self._live()
        try:
            async with asyncio.timeout(RESOLVING_TIME):
                sockaddr = await resolve(host, port, opened.family)
        except TimeoutError:
            raise Unreachable(f"cannot find {host}: the name service does not answer") from None
        except OSError as error:
            raise Unreachable(f"cannot find {host}: {error.strerror or error}") from error
        return opened.peer_at(sockaddr)

    def send(self, datagram: bytes, peer: Peer) -> None:
        if self._open is not None:
            self._open.send(datagram, peer)

    def room(self, peer: Peer) -> Room:  # noqa: ARG002  # the same for all
        return ROOM

    def listen(self, listening: bool) -> None:
        self._listening = listening
        if self._open is not None:
            self._open.listening = listening

    def _live(self) -> _Open:
        if self._open is None:
            raise Unreachable("the endpoint is not running")
        return self._open


class _Open:
    """A bound socket. Where it listens on all addresses of the machine, a peer knows us by the one that it sent to, and
    whatever we send it leaves from there."""

    def __init__(self, bound: DatagramSocket, receiver: Receiver) -> None:
        self._bound = bound
        self._receiver = receiver
        self.listening = True
        self.family = bound.family
        self.local: tuple[str, int] = plain_host(bound.getsockname()), bound.getsockname()[1]
        self._is_ipv4 = bound.family == socket.AF_INET
        self._young: dict[SocketAddress, Peer] = {}
        self._old: dict[SocketAddress, Peer] = {}
        self._sources: OrderedDict[Peer, Ancillary] = OrderedDict()
        self._read_before: tuple[Ancillary, Ancillary] = [], []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._read)

    def close(self) -> None:
        if self._bound.fileno() >= 0:
            self._loop.remove_reader(self._bound)
            self._bound.close()

    # Peers

    def peer_at(self, sockaddr: SocketAddress) -> Peer:
        return self._young.get(sockaddr) or self._meet(sockaddr)

    def _meet(self, sockaddr: SocketAddress) -> Peer:
        peer = self._old.get(sockaddr) or Peer(self.local, (plain_host(sockaddr), sockaddr[1]))
        if len(self._young) >= PEERS_KEPT // 2:
            self._old, self._young = self._young, {}
        self._young[sockaddr] = peer
        return peer

    def _sockaddr_of(self, peer: Peer) -> tuple[str, int]:
        host, port = peer.address
        return peer.address if self._is_ipv4 or ":" in host else (IPV4_IN_IPV6 + host, port)

    # Sending

    def send(self, datagram: bytes, peer: Peer) -> None:
        try:
            self._transmit(datagram, peer)
        except BlockingIOError:
            log.info("no room to send to %s: the datagram is lost", peer)
        except OSError:
            self._send_again(datagram, peer)

    def _send_again(self, datagram: bytes, peer: Peer) -> None:
        """An ICMP error to an earlier datagram, for any peer, kept this one back; it waits in the error queue."""
        if self._bound.fileno() < 0:
            return
        self._read_errors()
        try:
            self._transmit(datagram, peer)
        except BlockingIOError:
            log.info("no room to send to %s: the datagram is lost", peer)
        except OSError as error:
            # Not at once: whoever sends is not ready for the news that it failed.
            self._loop.call_soon(self._report, error.strerror or str(error), peer)

    def _transmit(self, datagram: bytes, peer: Peer) -> None:
        self._bound.sendmsg([datagram], self._sources.get(peer, []), 0, self._sockaddr_of(peer))

    def _report(self, reason: str, peer: Peer) -> None:
        if self._bound.fileno() >= 0:
            self._receiver.failed(peer, reason)

    # Receiving

    def _read(self) -> None:
        receive, received = self._receive, self._receiver.received
        for count in range(DATAGRAMS_A_TURN):
            try:
                datagram, peer = receive()
            except (BlockingIOError, InterruptedError):
                if not count:
                    self._read_errors()
                return
            except OSError:
                if self._bound.fileno() < 0:
                    return
                self._read_errors()
                continue
            if self.listening:
                received(datagram, peer)

    def _receive(self) -> tuple[bytes, Peer]:
        datagram, ancillary, _, sockaddr = self._bound.recvmsg(LARGEST_DATAGRAM, ANCILLARY_SPACE)
        peer = self._young.get(sockaddr) or self._meet(sockaddr)
        if ancillary:
            self._remember_source(peer, ancillary)
        return datagram, peer

    def _remember_source(self, peer: Peer, ancillary: Ancillary) -> None:
        if ancillary != self._read_before[0]:
            self._read_before = ancillary, answering_from(ancillary)
        source = self._read_before[1]
        if self._sources.get(peer) != source:
            self._sources[peer] = source
            if len(self._sources) > SOURCES_KEPT:
                self._sources.popitem(last=False)

    def _read_errors(self) -> None:
        """Take the ICMP errors that the kernel kept for us; each names the peer that it is about."""
        for _ in range(DATAGRAMS_A_TURN if HAS_ERROR_QUEUE else 0):
            try:
                _, ancillary, _, sockaddr = self._bound.recvmsg(0, ANCILLARY_SPACE, MSG_ERRQUEUE)
            except OSError:
                return
            number = error_number(ancillary)
            if sockaddr and number:
                self._loop.call_soon(self._report, os.strerror(number), self.peer_at(sockaddr))


class _OpenAtOne(_Open):
    """A socket of the machine that is bound to one address: what is asked of the kernel is less, and costs less."""

    def __init__(self, bound: socket.socket, receiver: Receiver) -> None:
        super().__init__(bound, receiver)
        self._plain = bound

    def _transmit(self, datagram: bytes, peer: Peer) -> None:
        self._plain.sendto(datagram, peer.address if self._is_ipv4 else self._sockaddr_of(peer))

    def _receive(self) -> tuple[bytes, Peer]:
        datagram, sockaddr = self._plain.recvfrom(LARGEST_DATAGRAM)
        return datagram, self._young.get(sockaddr) or self._meet(sockaddr)


def _opened(bound: DatagramSocket, receiver: Receiver) -> _Open:
    listens_on_all = plain_host(bound.getsockname()) in ("0.0.0.0", "::")  # compared, not bound
    if isinstance(bound, socket.socket) and not listens_on_all:
        return _OpenAtOne(bound, receiver)
    return _Open(bound, receiver)
