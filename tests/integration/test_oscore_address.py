"""What an address is sent before it has shown that it receives: with OSCORE it is asked by an Echo value that is
protected, since a challenge in the clear proves nothing to the peer, and many peers answer no pings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.messaging.datagram_format import ACK, CON, decode, encode
from lwm2m.coap.object_security.context import Context
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.packet import ECHO, OBSERVE, URI_PATH, Packet
from lwm2m.coap.stacks import open_endpoint
from lwm2m.security.sequence_numbers import MemoryNumbers
from tests.integration.test_oscore import OF_CLIENT, of_server

LARGE = bytes(900)
GET = Packet(Code.GET, b"t", {URI_PATH: (b"v",)})
OBSERVING = GET._replace(options={**GET.options, OBSERVE: (b"",)})
EXECUTE = Packet(Code.POST, b"t", {URI_PATH: (b"v",)})
REGISTER = Packet(Code.POST, b"t", {URI_PATH: (b"rd",)}, b"</3/0>")
PATIENCE = 10.0


class Silent(asyncio.DatagramProtocol):
    """A client on a bare socket, which answers neither pings nor anything else by itself."""

    def __init__(self) -> None:
        self.context = Context(OF_CLIENT, MemoryNumbers(), Freshness(b"secret"))
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self.sizes: list[int] = []
        """Of what was asked, and of the answer."""
        self._mids = count(1)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, _address: tuple[str, int]) -> None:
        self.arrived.put_nowait(data)

    async def ask(self, packet: Packet) -> Packet:
        """What the first acknowledgement says, which has to be protected."""
        protected, request = self.context.protect_request(packet)
        mid = next(self._mids)
        asked = encode(CON, mid, protected)
        self.transport.sendto(asked)
        async with asyncio.timeout(PATIENCE):
            datagram = await self.arrived.get()
        kind, answered, answer = decode(datagram)
        assert (kind, answered) == (ACK, mid)
        assert OSCORE in answer.options
        self.sizes = [len(asked), len(datagram)]
        return self.context.unprotect_response(answer, request).packet


class Served:
    def __init__(self) -> None:
        self.handled = 0

    def __call__(self, request: Request, _peer: Peer) -> Response:
        self.handled += 1
        if request.path == ("rd",):
            return Response(Code.CREATED, location=("rd", "1"))
        code = Code.CONTENT if request.method in (Code.GET, Code.FETCH) else Code.CHANGED
        return Response(code, LARGE, 0, observing=request.observe == 0)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Endpoint, Served]]:
    served = Served()
    endpoint = open_endpoint(oscore=of_server())
    await endpoint.start(served)
    yield endpoint, served
    await endpoint.stop()


@pytest.fixture
async def client(server: tuple[Endpoint, Served]) -> AsyncIterator[Silent]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Silent, remote_addr=server[0].address)
    yield protocol
    transport.close()


@pytest.mark.parametrize(("packet", "handled"), [(GET, 2), (OBSERVING, 2), (EXECUTE, 1)])
async def test_a_large_answer_follows_a_challenge_that_is_protected(
    client: Silent, server: tuple[Endpoint, Served], packet: Packet, handled: int
) -> None:
    """The challenge is small, and what must not be done twice is done once."""
    challenge = await client.ask(packet)
    assert (challenge.code, challenge.payload) == (Code.UNAUTHORIZED, b"")
    assert client.sizes[1] <= 3 * client.sizes[0]
    repeated = packet._replace(options={**packet.options, ECHO: challenge.options[ECHO]})
    answer = await client.ask(repeated)
    assert answer.payload == LARGE
    assert (OBSERVE in answer.options) == (OBSERVE in packet.options)
    assert server[1].handled == handled
    assert (await client.ask(GET)).payload == LARGE


async def test_whoever_has_registered_has_shown_its_address_by_that(client: Silent) -> None:
    challenge = await client.ask(REGISTER)
    repeated = REGISTER._replace(options={**REGISTER.options, ECHO: challenge.options[ECHO]})
    assert (await client.ask(repeated)).code == Code.CREATED
    assert (await client.ask(GET)).payload == LARGE


async def test_an_echo_value_that_went_elsewhere_shows_that_a_request_is_new_and_no_address(
    client: Silent, server: tuple[Endpoint, Served]
) -> None:
    """Whoever sees a request can send it from another address, and the answer would go there."""
    challenge = await client.ask(REGISTER)
    loop = asyncio.get_running_loop()
    transport, elsewhere = await loop.create_datagram_endpoint(Silent, remote_addr=server[0].address)
    elsewhere.context = client.context
    try:
        repeated = REGISTER._replace(options={**REGISTER.options, ECHO: challenge.options[ECHO]})
        assert (await elsewhere.ask(repeated)).code == Code.CREATED
        assert (await elsewhere.ask(GET)).code == Code.UNAUTHORIZED
    finally:
        transport.close()
