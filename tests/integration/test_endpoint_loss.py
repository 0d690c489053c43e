"""Two endpoints with a bad network between them: datagrams are lost, doubled and overtake each other, by seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import cast

import pytest

from lwm2m.coap.endpoint import Delivery, Endpoint, Transmission
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import STACKS, Dtls, open_endpoint
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.security.credentials import PreSharedKey

IMPATIENT = Transmission(ack_timeout=0.03, ack_random_factor=1.2, max_retransmit=9)
LAMP = PreSharedKey(b"lamp", b"a key of sixteen")
DTLS = Dtls(ServerSettings({LAMP.identity: LAMP.key}.get), lambda _host: ClientSettings(LAMP), first_timeout=0.1)


class BadNetwork(asyncio.DatagramProtocol):
    """Sits between an asker and an answerer; both see it as the other."""

    def __init__(self, answerer: tuple[str, int], seed: int) -> None:
        self._answerer = answerer
        self._asker: tuple[str, int] | None = None
        self._chance = random.Random(seed)
        self.lost = self.doubled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr != self._answerer:
            self._asker = addr
        target = self._asker if addr == self._answerer else self._answerer
        fate = self._chance.random()
        self.lost += fate < 0.2
        self.doubled += fate > 0.9
        for _ in range(0 if fate < 0.2 else 2 if fate > 0.9 else 1):
            asyncio.get_running_loop().call_later(self._chance.uniform(0, 0.008), self._pass_on, data, target)

    def _pass_on(self, data: bytes, target: tuple[str, int] | None) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, target)


def an_endpoint(stack: str) -> Endpoint:
    if stack == "dtls":
        return open_endpoint(transmission=IMPATIENT, dtls=DTLS)
    return open_endpoint(stack=stack, transmission=IMPATIENT)


@contextlib.asynccontextmanager
async def bad_network(answerer: Endpoint, seed: int) -> AsyncIterator[tuple[BadNetwork, str]]:
    transport, network = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: BadNetwork(answerer.address, seed), local_addr=("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")
        yield network, f"{answerer.uri.partition(':')[0]}://{host}:{port}"
    finally:
        transport.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stack", [*sorted(STACKS), "dtls"])
async def test_everything_arrives_once_and_whole(stack: str, seed: int) -> None:
    handled: list[bytes] = []
    subscriptions: list[Subscription] = []

    def handle(request: Request, peer: Peer) -> Response:
        if request.observe == 0:
            subscriptions.append(Subscription(peer, request.token))
            return Response(Code.CONTENT, b"first", observing=True)
        if request.method is Code.PUT:
            handled.append(request.payload)
        return Response(Code.CONTENT, request.payload)

    asker, answerer = an_endpoint(stack), an_endpoint(stack)
    await asker.start(handle)
    await answerer.start(handle)
    try:
        async with bad_network(answerer, seed) as (network, uri):
            peer = await asker.peer(uri)
            bodies = [bytes((n,)) * (n * 700) for n in range(6)]
            for body in bodies:
                assert (await asker.request(peer, Request(Code.PUT, ("x",), payload=body), 20)).payload == body
            assert handled == bodies

            observation = await asker.observe(peer, Request(Code.GET, ("y",)), 20)
            notifications = aiter(observation)
            for n in range(10):
                sent = Response(Code.CONTENT, str(n).encode())
                assert await answerer.notify(subscriptions[-1], sent, confirmable=True) is Delivery.DELIVERED
                assert (await asyncio.wait_for(anext(notifications), 5)).payload == sent.payload
            assert await observation.cancel() == Response(Code.CONTENT)
            assert network.lost > 5
            assert network.doubled > 0
    finally:
        await asker.stop()
        await answerer.stop()
