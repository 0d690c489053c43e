"""OSCORE through a proxy that means harm: it cannot read, change, replay, reorder or delay without being noticed,
neither what the client asks the server nor what the server asks the client, over UDP and over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from lwm2m.coap.blocks import Block
from lwm2m.coap.endpoint import Endpoint, RequestFailed, TimedOut
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.packet import BLOCK1, ECHO, OBSERVE, Packet
from tests.coap_proxy import Proxy, as_it_is
from tests.integration.test_oscore import endpoint, of_client, of_server

PATIENCE = 10.0
LARGE = bytes(range(256)) * 20
VALUE = ("3303", "0", "5700")
GET = Request(Code.GET, VALUE)


@dataclass
class Lamp:
    values: list[bytes] = field(default_factory=lambda: [b"first"])
    heard: list[tuple[Request, Peer]] = field(default_factory=list)

    def handle(self, request: Request, peer: Peer) -> Response:
        self.heard.append((request, peer))
        if request.method is not Code.GET:
            self.values.append(request.payload)
            return Response(Code.CHANGED)
        return Response(Code.CONTENT, self.values[-1], 0, observing=request.observe == 0)


@dataclass
class Way:
    """One end asks the other through the proxy; `lamp` is what the other has."""

    asker: Endpoint
    asked: Endpoint
    proxy: Proxy
    to: Peer
    lamp: Lamp
    recipient_id: bytes
    """Of the one who is asked: what the asker calls itself."""
    asks_client: bool

    async def ask(self, request: Request, timeout: float = PATIENCE) -> Response:
        return await self.asker.request(self.to, request, timeout)

    async def put(self, value: bytes, timeout: float = PATIENCE) -> Response:
        return await self.ask(Request(Code.PUT, VALUE, payload=value), timeout)

    def say(self, packet: Packet, listen: Callable[[Packet], None] = lambda _packet: None) -> None:
        """What the proxy says in the asker's place."""
        self.proxy.say(packet, listen, to_client=self.asks_client)

    async def said(self, packet: Packet) -> Packet:
        """The same, and what is answered."""
        answers: asyncio.Queue[Packet] = asyncio.Queue()
        self.say(packet, answers.put_nowait)
        async with asyncio.timeout(PATIENCE):
            return await answers.get()

    async def held_back(self, request: Request) -> Packet:
        """As the asker sent it; nothing of it goes on."""
        held: list[Packet] = []
        self.proxy.request = lambda packet: held.append(packet) or None
        with pytest.raises(TimedOut):
            await self.ask(request, timeout=0.3)
        self.proxy.request = as_it_is
        return held[0]


@pytest.fixture(
    params=[(scheme, asker) for scheme in ("coap", "coap+tcp") for asker in ("client", "server")], ids=" ".join
)
async def way(request: pytest.FixtureRequest) -> AsyncIterator[Way]:
    scheme, asker = request.param
    client, server, proxy = endpoint(scheme, of_client()), endpoint(scheme, of_server()), Proxy(scheme)
    at_server, at_client = Lamp(), Lamp()
    await server.start(at_server.handle)
    await client.start(at_client.handle)
    to_server = await client.peer(await proxy.start(server.uri))
    if asker == "client":
        yield Way(client, server, proxy, to_server, at_server, b"client", asks_client=False)
    else:
        await client.request(to_server, GET, PATIENCE)
        proxy.seen.clear()
        yield Way(server, client, proxy, at_server.heard[0][1], at_client, b"server", asks_client=True)
    await client.stop()
    await proxy.stop()
    await server.stop()


def damaged(packet: Packet) -> Packet:
    return packet._replace(payload=packet.payload[:-1] + bytes((packet.payload[-1] ^ 1,)))


async def test_what_passes_is_whole_and_says_nothing(way: Way) -> None:
    await way.put(b"a secret value")
    await way.put(LARGE)
    assert (await way.ask(GET)).payload == LARGE
    assert way.lamp.values[1:] == [b"a secret value", LARGE]
    assert {peer.identity for _, peer in way.lamp.heard} == {f"oscore:{way.recipient_id.hex()}"}
    assert (await way.asked.request(way.lamp.heard[0][1], GET, PATIENCE)).payload == b"first"
    for packet in way.proxy.seen:
        assert set(packet.options) <= {OSCORE, OBSERVE}
        assert packet.code in (Code.POST, Code.FETCH, Code.CHANGED, Code.CONTENT)
        assert b"secret" not in packet.payload
        assert b"3303" not in packet.payload
    assert len({packet.payload for packet in way.proxy.seen}) == len(way.proxy.seen)


async def test_a_changed_request_is_refused_and_nothing_happens(way: Way) -> None:
    way.proxy.request = damaged
    with pytest.raises(RequestFailed):
        await way.put(b"evil", timeout=0.3)
    assert way.lamp.heard == []


async def test_a_forged_block_is_dropped_and_the_upload_goes_on(way: Way) -> None:
    def with_a_forgery(packet: Packet) -> Packet:
        way.say(damaged(packet))
        return packet

    way.proxy.request = with_a_forgery
    assert (await way.put(LARGE)).code is Code.CHANGED
    assert way.lamp.values[-1] == LARGE


@pytest.mark.parametrize("code", [Code.CONTENT, Code.NOT_FOUND, Code.UNAUTHORIZED])
async def test_an_answer_of_the_proxy_itself_is_no_answer(way: Way, code: Code) -> None:
    way.proxy.response = lambda _packet: Packet(code, payload=b"evil")
    with pytest.raises(TimedOut):
        await way.ask(GET, timeout=0.3)


async def test_a_changed_answer_is_no_answer(way: Way) -> None:
    way.proxy.response = damaged
    with pytest.raises(TimedOut):
        await way.ask(GET, timeout=0.3)


async def test_a_request_that_is_sent_again_is_done_once(way: Way) -> None:
    await way.put(b"second")
    for packet in [packet for packet in way.proxy.seen if packet.is_request]:
        assert (await way.said(packet)).code == Code.UNAUTHORIZED
    assert way.lamp.values == [b"first", b"second"]


async def test_an_old_answer_is_no_answer_to_another_request(way: Way) -> None:
    await way.ask(GET)
    old = way.proxy.seen[-1]
    await way.put(b"second")
    way.proxy.response = lambda _packet: old
    with pytest.raises(TimedOut):
        await way.ask(GET, timeout=0.3)


async def test_an_answer_that_was_held_back_is_none_to_what_was_asked_since(way: Way) -> None:
    way.proxy.response = lambda _packet: None
    with pytest.raises(TimedOut):
        await way.ask(GET, timeout=0.3)
    way.proxy.response = as_it_is
    await way.put(b"second")
    way.proxy.let_go()
    assert (await way.ask(GET)).payload == b"second"


async def test_the_answer_to_another_request_is_none(way: Way) -> None:
    """The proxy has the client's answers exchanged."""
    kept: list[Packet] = []
    way.proxy.response = lambda packet: kept.append(packet) or None
    with pytest.raises(TimedOut):
        await way.ask(GET, timeout=0.3)
    await asyncio.sleep(0)
    way.proxy.response = lambda _packet: kept[0]
    with pytest.raises(TimedOut):
        await way.put(b"second", timeout=0.3)


async def test_a_request_that_was_held_back_is_not_done_once_others_were(way: Way) -> None:
    held = await way.held_back(Request(Code.PUT, VALUE, payload=b"open the door"))
    await way.put(b"close the door")
    await way.said(held)
    assert way.lamp.values == [b"first", b"close the door"]


async def test_a_registration_that_was_held_back_is_not_done_at_all(way: Way) -> None:
    answer = await way.said(await way.held_back(Request(Code.POST, ("rd",), ("ep=lamp",), payload=b"</3/0>")))
    assert ECHO not in answer.options
    assert way.lamp.heard == []


async def test_notifications_are_passed_on_once_and_in_order(way: Way) -> None:
    observation = await way.asker.observe(way.to, GET, PATIENCE)
    request, peer = way.lamp.heard[-1]
    told: list[bytes] = []
    ended = asyncio.Event()
    last = asyncio.Event()

    def tell(response: Response | None) -> None:
        if response is None:
            ended.set()
            return
        told.append(response.payload)
        if response.payload == b"4":
            last.set()

    observation.follow(tell)
    passed: list[Packet] = []

    def mixed(packet: Packet) -> Packet:
        """Each second one in place of the newest: what came before it."""
        passed.append(packet)
        return passed[-2] if len(passed) % 2 == 0 and len(passed) < 4 else packet

    way.proxy.response = mixed
    for value in (b"1", b"2", b"3", b"4"):
        await way.asked.notify(Subscription(peer, request.token), Response(Code.CONTENT, value, 0), confirmable=True)
    async with asyncio.timeout(PATIENCE):
        await last.wait()
    assert told == [b"1", b"3", b"4"]
    assert not ended.is_set()
    await observation.cancel(active=False)


async def test_what_the_proxy_cuts_into_blocks_of_its_own_is_joined(way: Way) -> None:
    way.proxy.cut = 2
    await way.put(LARGE)
    assert (await way.ask(GET)).payload == LARGE
    assert (await way.asked.request(way.lamp.heard[0][1], Request(Code.PUT, VALUE, payload=LARGE), PATIENCE)).code
    observation = await way.asker.observe(way.to, GET, PATIENCE)
    assert observation.first.payload == LARGE
    request, peer = way.lamp.heard[-1]
    for value in (b"a" * 500, b"b" * 500):
        told = Response(Code.CONTENT, value, 0)
        await way.asked.notify(Subscription(peer, request.token), told, confirmable=True)
        async with asyncio.timeout(PATIENCE):
            assert (await anext(aiter(observation))).payload == value
    await observation.cancel(active=False)


async def test_a_forged_piece_of_a_message_spoils_that_one_at_most(way: Way) -> None:
    way.proxy.cut = 4
    way.proxy.forge = damaged
    assert (await way.put(LARGE)).code is Code.CHANGED
    assert way.lamp.values[-1] == LARGE


async def test_more_pieces_than_a_message_may_have_are_refused(way: Way) -> None:
    answers: asyncio.Queue[Packet] = asyncio.Queue()
    option = {OSCORE: (b"\x09\x00" + way.recipient_id,)}
    for number in range(17):
        block = {BLOCK1: (Block(number, True, 6).encode(),)}
        way.say(Packet(Code.POST, b"", {**option, **block}, bytes(1024)), answers.put_nowait)
    async with asyncio.timeout(PATIENCE):
        codes = [(await answers.get()).code for _ in range(17)]
    assert codes == [Code.CONTINUE] * 16 + [Code.REQUEST_ENTITY_TOO_LARGE]
