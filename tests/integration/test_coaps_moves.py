"""A client with a session that comes from another address: it goes on as who it was, and whoever is at that address
gets little until it has shown that it is the client. RFC 9146 §6"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import TimedOut, Transmission
from lwm2m.coap.links.dtls_link import DtlsLink
from lwm2m.coap.message import Code, Peer, Request, Response
from tests.dtls_net import SERVER, SERVER_URI, Below, Net, settled
from tests.dtls_pair import any_server, psk_client

CLIENT, ELSEWHERE = ("198.51.100.1", 40_000), ("203.0.113.7", 7)
QUICK = Transmission(ack_timeout=0.02, ack_random_factor=1.0)
LARGE = bytes(900)


@dataclass
class Sides:
    """A server and its client; what went to and came from each address is counted. What is sent to the `dead` is
    lost."""

    net: Net
    server: DatagramEndpoint
    client: DatagramEndpoint
    there: Peer
    asked: list[tuple[Request, Peer]] = field(default_factory=list)
    told: list[Request] = field(default_factory=list)
    went: dict[tuple[str, int], int] = field(default_factory=dict)
    came: dict[tuple[str, int], int] = field(default_factory=dict)
    dead: set[tuple[str, int]] = field(default_factory=set)

    @property
    def here(self) -> Peer:
        """The client, as the server knows it."""
        return self.asked[-1][1]

    def answer_client(self, request: Request, peer: Peer) -> Response:
        self.asked.append((request, peer))
        return Response(Code.CONTENT, LARGE if request.path == ("large",) else b"")

    def answer_server(self, request: Request, _peer: Peer) -> Response:
        self.told.append(request)
        return Response(Code.CHANGED)

    def count(self, carry: Callable[[bytes, tuple[str, int], tuple[str, int]], None]) -> None:
        def counted(datagram: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
            source = self.net.renamed.get(source, source)
            self.came[source] = self.came.get(source, 0) + len(datagram)
            self.went[target] = self.went.get(target, 0) + len(datagram)
            if target not in self.dead:
                carry(datagram, source, target)

        self.net.carry = counted  # type: ignore[method-assign]

    async def update(self) -> None:
        """As a device does once it is somewhere else."""
        await self.client.request(self.there, Request(Code.POST, ("rd", "1")), 5)


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    net = Net()
    server = DatagramEndpoint(DtlsLink(Below(net, SERVER), server=any_server(cid_length=4)), transmission=QUICK)
    client = DatagramEndpoint(DtlsLink(Below(net, CLIENT), client=lambda _: psk_client()), transmission=QUICK)
    both = Sides(net, server, client, Peer(CLIENT, SERVER))
    await server.start(both.answer_client)
    await client.start(both.answer_server)
    try:
        async with asyncio.timeout(20):
            both.there = await client.peer(SERVER_URI)
            await both.update()
            both.count(net.carry)
            yield both
    finally:
        await client.stop()
        await server.stop()


WRITE = Request(Code.PUT, ("5", "0", "1"), payload=LARGE)


async def test_who_has_moved_gets_what_it_asks_for_once_it_has_answered_a_ping(sides: Sides) -> None:
    sides.net.renamed[CLIENT] = ELSEWHERE
    answer = await sides.client.request(sides.there, Request(Code.GET, ("large",)), 5)
    assert answer.payload == LARGE
    assert sides.here.address == ELSEWHERE
    assert sides.here == sides.asked[0][1]


async def test_who_has_moved_is_asked_for_little_at_once_and_for_much_after_a_ping(sides: Sides) -> None:
    sides.net.renamed[CLIENT] = ELSEWHERE
    await sides.update()
    assert (await sides.server.request(sides.here, WRITE, 5)).code is Code.CHANGED
    assert [request.payload for request in sides.told] == [LARGE]
    before = sides.went[ELSEWHERE]
    await sides.server.request(sides.here, WRITE, 5)
    assert sides.went[ELSEWHERE] - before < len(LARGE) + 150, "another ping"


async def test_what_was_under_way_when_the_client_moved_arrives(sides: Sides) -> None:
    sides.dead.add(CLIENT)
    asking = asyncio.ensure_future(sides.server.request(sides.here, WRITE, 5))
    await asyncio.sleep(0)
    sides.net.renamed[CLIENT] = ELSEWHERE
    await sides.update()
    assert not sides.told
    assert (await asking).code is Code.CHANGED
    assert [request.payload for request in sides.told] == [LARGE]


async def test_an_address_that_is_not_the_clients_gets_little_of_an_answer(sides: Sides) -> None:
    """Somebody on the way has written it on authentic datagrams of the client."""
    sides.net.renamed[CLIENT] = ELSEWHERE
    sides.dead.add(ELSEWHERE)
    with pytest.raises(TimedOut):
        await sides.client.request(sides.there, Request(Code.GET, ("large",)), 2)
    assert sides.here.address == ELSEWHERE
    assert 0 < sides.went[ELSEWHERE] <= 3 * sides.came[ELSEWHERE]


@pytest.mark.parametrize("requests", [1, 5])
async def test_an_address_that_is_not_the_clients_gets_little_of_what_the_server_asks(
    sides: Sides, requests: int
) -> None:
    sides.net.renamed[CLIENT] = ELSEWHERE
    sides.dead.add(ELSEWHERE)
    asking = asyncio.ensure_future(sides.update())
    await settled()
    assert sides.here.address == ELSEWHERE
    for _ in range(requests):
        with pytest.raises(TimedOut):
            await sides.server.request(sides.here, WRITE, 1)
    with pytest.raises(TimedOut):
        await asking
    assert 0 < sides.went[ELSEWHERE] <= 3 * sides.came[ELSEWHERE]


async def test_who_comes_back_has_to_show_that_it_is_there_again(sides: Sides) -> None:
    sides.net.renamed[CLIENT] = ELSEWHERE
    await sides.client.request(sides.there, Request(Code.GET, ("large",)), 5)
    sides.net.renamed.clear()
    await sides.update()
    assert sides.here.address == CLIENT
    assert (await sides.server.request(sides.here, WRITE, 5)).code is Code.CHANGED
