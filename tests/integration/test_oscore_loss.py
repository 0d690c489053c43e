"""OSCORE over a network that loses, doubles, delays and damages datagrams, by seed."""

from __future__ import annotations

import asyncio

import pytest

from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.stacks import open_endpoint
from tests.integration.test_endpoint_loss import IMPATIENT, BadNetwork
from tests.integration.test_oscore import of_client, of_server

LARGE = bytes(range(256)) * 20


class WorseNetwork(BadNetwork):
    """One of ten datagrams gets a wrong last byte, after the true one or in place of it."""

    damaged = 0

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) > 20 and self._chance.random() < 0.1:
            self.damaged += 1
            super().datagram_received(data[:-1] + bytes((data[-1] ^ 1,)), addr)
            if self._chance.random() < 0.5:
                return
        super().datagram_received(data, addr)


@pytest.mark.parametrize("seed", range(4))
async def test_everything_arrives_once_and_whole(seed: int) -> None:
    handled: list[bytes] = []

    def handle(request: Request, _peer: Peer) -> Response:
        if request.method is Code.GET:
            return Response(Code.CONTENT, handled[-1])
        handled.append(request.payload)
        return Response(Code.CHANGED)

    there = open_endpoint(transmission=IMPATIENT, oscore=of_server())
    here = open_endpoint(transmission=IMPATIENT, oscore=of_client())
    await there.start(handle)
    await here.start(handle)
    loop = asyncio.get_running_loop()
    transport, network = await loop.create_datagram_endpoint(
        lambda: WorseNetwork(there.address, seed), local_addr=("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")
        peer = await here.peer(f"coap://{host}:{port}")
        bodies = [b"%d" % number for number in range(20)] + [LARGE]
        for body in bodies:
            response = await here.request(peer, Request(Code.PUT, ("value",), payload=body), 20)
            assert response.code is Code.CHANGED
            assert (await here.request(peer, Request(Code.GET, ("value",)), 20)).payload == body
        assert handled == bodies
        assert network.lost
        assert network.doubled
        assert network.damaged
    finally:
        transport.close()
        await here.stop()
        await there.stop()
