"""Hosts with DTLS links on a net of a few lines: addresses change, datagrams are lost, nothing takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lwm2m.coap.carrier import Room
from lwm2m.coap.link import Receiver
from lwm2m.coap.links.dtls_link import DtlsLink
from lwm2m.coap.message import Peer
from lwm2m.coap.uri import parse_uri as parse_plain
from lwm2m.dtls.connection import Closed

SERVER = ("192.0.2.1", 5684)
SERVER_URI = "coaps://192.0.2.1"
PATIENCE = 5.0


class Net:
    """Datagrams between addresses. `renamed` is what a NAT makes of a sender; `lost` says of which nothing arrives."""

    def __init__(self) -> None:
        self.links: dict[tuple[str, int], Below] = {}
        self.renamed: dict[tuple[str, int], tuple[str, int]] = {}
        self.lost: Callable[[bytes], bool] = lambda _: False
        self.sent: list[bytes] = []

    def carry(self, datagram: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        self.sent.append(datagram)
        if self.lost(datagram):
            return
        source = self.renamed.get(source, source)
        inside = next((inner for inner, outer in self.renamed.items() if outer == target), target)
        if inside in self.links:
            asyncio.get_running_loop().call_soon(self.links[inside].arrived, datagram, source)


class Below:
    """A link of the net."""

    def __init__(self, net: Net, address: tuple[str, int]) -> None:
        self._net = net
        self.address = address
        self.uri = f"coap://{address[0]}:{address[1]}"
        self._receiver: Receiver | None = None
        self._peers: dict[tuple[str, int], Peer] = {}

    async def open(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._net.links[self.address] = self

    async def close(self) -> None:
        self._receiver = None

    async def peer(self, uri: str) -> Peer:
        return self.at(parse_plain(uri))

    def at(self, address: tuple[str, int]) -> Peer:
        return self._peers.setdefault(address, Peer(self.address, address))

    def send(self, datagram: bytes, peer: Peer) -> None:
        self._net.carry(datagram, self.address, peer.address)

    def room(self, peer: Peer) -> Room:  # noqa: ARG002  # the same for all
        return Room(1024, 6)

    def listen(self, listening: bool) -> None: ...

    def arrived(self, datagram: bytes, source: tuple[str, int]) -> None:
        if self._receiver is not None:
            self._receiver.received(datagram, self.at(source))

    def unreachable(self, address: tuple[str, int]) -> None:
        assert self._receiver is not None
        self._receiver.failed(self.at(address), "Connection refused")


class Above:
    """What the link tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Peer]] = []
        self.failures: list[tuple[Peer, str]] = []
        self.moves: list[Peer] = []
        self.gone: list[Peer] = []

    def received(self, datagram: bytes, peer: Peer) -> None:
        self.heard.append((datagram, peer))

    def failed(self, peer: Peer, reason: str) -> None:
        self.failures.append((peer, reason))

    def moved(self, peer: Peer) -> None:
        self.moves.append(peer)

    def lost(self, peer: Peer) -> None:
        self.gone.append(peer)


class Host:
    """One link with what is below and above it."""

    def __init__(self, net: Net, address: tuple[str, int], **roles: object) -> None:
        self.below = Below(net, address)
        self.above = Above()
        self.refused: list[Closed] = []
        self.link = DtlsLink(
            self.below,
            refused=lambda _, closed: self.refused.append(closed),
            first_timeout=0.05,
            **roles,  # type: ignore[arg-type]
        )

    async def open(self) -> Host:
        await self.link.open(self.above)
        return self

    async def shake_hands(self) -> Peer:
        return await asyncio.wait_for(self.link.peer(SERVER_URI), PATIENCE)


async def settled() -> None:
    """Until everything that is on its way has arrived and was answered."""
    for _ in range(30):
        await asyncio.sleep(0)
