"""Ten thousand handshakes, broken off at every flight, leave nothing at the server, and the next one succeeds."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

from lwm2m.dtls.client import ClientHandshake
from lwm2m.dtls.connection import Connection
from lwm2m.dtls.settings import ClientSettings
from lwm2m.security.credentials import PreSharedKey
from lwm2m.testing import run
from tests.dtls_net import SERVER, Below, Host, Net
from tests.dtls_pair import IDENTITY, KEY, any_server, psk_client, rpk_client

HANDSHAKES = 10_000
ONE_IN = 50
"""So many have raw public keys: they cost more."""
STRANGER = ClientSettings(PreSharedKey(b"nobody", KEY))
OTHER_KEY = ClientSettings(PreSharedKey(IDENTITY, b"another"))


class Caller:
    """A client without a clock; it falls silent after so many datagrams, or spoils the last of them."""

    def __init__(self, settings: ClientSettings, net: Net, server: Below, port: int) -> None:
        self.address = ("198.51.100.1", port)
        self._handshake = ClientHandshake(settings)
        self._connection = Connection(self._handshake)
        self._server = server
        self._net = net

    def call(self, datagrams: int, *, spoiled: bool) -> bool:
        """Whether the association stood; then it ends with a good-bye."""
        loop = asyncio.get_running_loop()
        self._connection.start(self._handshake.start(), loop.time())
        out = self._connection.take()
        while out and datagrams:
            datagram = out.pop(0)
            datagrams -= 1
            if spoiled and not datagrams:
                datagram = datagram[:-1] + bytes((datagram[-1] ^ 1,))
            heard = len(self._net.sent)
            self._server.arrived(datagram, self.address)
            for answer in self._net.sent[heard:]:
                self._connection.receive(answer, loop.time())
            out += self._connection.take()
        stood = self._connection.is_connected
        if stood:
            self._connection.close()
            for datagram in self._connection.take():
                self._server.arrived(datagram, self.address)
        return stood


async def break_off() -> Counter[tuple[int, bool, bool]]:
    random, net, done = Random(11), Net(), Counter[tuple[int, bool, bool]]()
    host = await Host(net, SERVER, server=any_server(cid_length=4), max_handshakes=300).open()
    server, link = host.below, host.link
    for number in range(HANDSHAKES):
        settings = psk_client()
        if number % ONE_IN == 0:
            settings = rpk_client()
        elif number % 7 == 0:
            settings = random.choice((STRANGER, OTHER_KEY))
        datagrams, spoiled = random.randrange(1, 6), random.random() < 0.2
        stood = Caller(settings, net, server, number % 40_000 + 1).call(datagrams, spoiled=spoiled)
        done[datagrams, spoiled, stood] += 1
        assert len(link._shaking) <= 300
        if number % 100 == 0:
            net.sent.clear()
            await asyncio.sleep(0.5)
    await asyncio.sleep(64)
    left = (link._shaking, link._established, link._by_place, link._by_cid, link._deadlines)
    assert not any(left), left
    assert link._timer is None
    client = await Host(net, ("203.0.113.9", 40_000), client=lambda _: psk_client()).open()
    peer = await client.shake_hands()
    client.link.send(b"it goes on", peer)
    await asyncio.sleep(1)
    assert host.above.heard[-1][0] == b"it goes on"
    for end in (client, host):
        await end.link.close()
    return done


def test_ten_thousand_handshakes_leave_nothing() -> None:
    done = run(break_off())
    assert sum(done.values()) == HANDSHAKES
    for datagrams in (1, 2, 3):
        assert {(datagrams, spoiled) for spoiled in (False, True)} <= {key[:2] for key in done}
    assert sum(count for (_, _, stood), count in done.items() if stood) > 1000
