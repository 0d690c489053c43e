"""Each limit of CoAP: so much is taken, and one more is not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import fields, replace

import pytest

from lwm2m.coap.complaints import Complaints
from lwm2m.coap.endpoint import Delivery, Limits, TooBusy
from lwm2m.coap.guard import Guard
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.messaging.datagram_format import CON, RST
from lwm2m.coap.packet import ECHO, MAX_AGE, OBSERVE, URI_PATH, Packet
from lwm2m.coap.stacks import Dtls
from lwm2m.coap.streams.connected import TcpEndpoint
from lwm2m.dtls.messages import MessageType
from lwm2m.dtls.record import Kind
from tests.dtls_net import SERVER, Host, Net, settled
from tests.dtls_pair import any_server, psk_client
from tests.raw_connection import RawPeer
from tests.unit.fake_carrier import PEER, FakeCarrier, a_conversation
from tests.unit.test_coap_exchange import PEER as KNOWN
from tests.unit.test_coap_exchange import Script
from tests.unit.test_coap_serving import PACKAGE, a_desk, block1, block2

PLACE = ((URI_PATH, b"x"),)


def peers(n: int) -> list[Peer]:
    return [Peer(PEER.local, (f"198.51.100.{number}", 5683)) for number in range(n)]


def paths(n: int) -> list[tuple[int, bytes]]:
    return [(URI_PATH, str(number).encode()) for number in range(n)]


async def never() -> Response:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


# Bodies


def sizes(n: int, limits: Limits, place: tuple[tuple[int, bytes], ...]) -> bool:
    """Whether a body of `n` bytes is taken, as a whole and in blocks."""
    desk, blocks = a_desk(limits=limits), range((n + 15) // 16)
    answers = [
        desk.asks(Code.PUT, *place, block1(number, number < blocks[-1]), payload=bytes(min(16, n - 16 * number)))
        for number in blocks
    ]
    whole = desk.asks(Code.PUT, *place, payload=bytes(n))
    assert answers[-1].code == whole.code
    return whole.code == Code.CHANGED


async def max_body(n: int, limits: Limits) -> bool:
    return sizes(n, limits, PLACE)


async def max_package(n: int, limits: Limits) -> bool:
    return sizes(n, replace(limits, max_body=16), PACKAGE)


async def max_packages(n: int, limits: Limits) -> bool:
    desk = a_desk(limits=limits)
    answers = [desk.asks(Code.PUT, *PACKAGE, block1(0, True), payload=bytes(16), peer=peer) for peer in peers(n)]
    return all(answer.code == Code.CONTINUE for answer in answers)


async def max_uploads(n: int, limits: Limits) -> bool:
    desk, senders = a_desk(limits=limits), peers(n)
    for sender in senders:
        desk.asks(Code.PUT, *PLACE, block1(0, True), payload=bytes(16), peer=sender)
    return desk.asks(Code.PUT, *PLACE, block1(1, False), peer=senders[0]).code == Code.CHANGED


async def max_large_answers(n: int, limits: Limits) -> bool:
    desk = a_desk(limits=limits)
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(2000))
    for path in paths(n):
        desk.asks(Code.FETCH, path)
    return desk.asks(Code.FETCH, paths(1)[0], block2(1, 6)).code == Code.CONTENT


async def max_withheld(n: int, limits: Limits) -> bool:
    desk = a_desk(limits=limits, guard=Guard(Limits(max_peers_unverified=0), b"secret"))
    desk.device.answer = lambda _: Response(Code.CONTENT, bytes(200))
    echoes = [desk.asks(Code.PUT, path).options[ECHO][0] for path in paths(n)]
    desk.asks(Code.PUT, paths(1)[0], (ECHO, echoes[0]))
    return len(desk.device.seen) == n


# Requests and observations


async def max_running(n: int, limits: Limits) -> bool:
    return await running(peers(n), limits)


async def max_pending_per_peer(n: int, limits: Limits) -> bool:
    served = await running([PEER] * n, limits)
    conversation = a_conversation(FakeCarrier(), limits=limits)
    asking = [asyncio.ensure_future(conversation.request(PEER, Request(Code.GET))) for _ in range(n)]
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert served == (TooBusy not in map(type, ends))
    return served


async def running(senders: list[Peer], limits: Limits) -> bool:
    desk = a_desk(limits=limits)
    desk.device.answer = lambda _: never()
    incoming = [desk.hands(Code.PUT, *PLACE, peer=sender, token=bytes((n,))) for n, sender in enumerate(senders)]
    refused = [each.outcome for each in incoming if each.answered is not None]
    await desk.conversation.stop()
    assert all((answer.code, answer.options[MAX_AGE]) == (Code.SERVICE_UNAVAILABLE, (b"\x3c",)) for answer in refused)
    return not refused


async def max_observations_per_client(n: int, limits: Limits) -> bool:
    desk = a_desk(limits=limits)
    desk.device.answer = lambda _: Response(Code.CONTENT, observing=True)
    answers = [desk.hands(Code.GET, *PLACE, (OBSERVE, b""), token=bytes((number,))).outcome for number in range(n)]
    return all(OBSERVE in answer.options for answer in answers)


async def max_unread_notifications(n: int, limits: Limits) -> bool:
    """Of those that come before the observation has begun, and of those that come later."""
    firsts = []
    for before in (n, 0):
        carrier = FakeCarrier()
        conversation = a_conversation(carrier, limits=limits)
        observing = asyncio.ensure_future(conversation.observe(PEER, Request(Code.GET, ("x",)), 5))
        await asyncio.sleep(0)
        for number in range(before + 1):
            carrier.asked[0].answer(Code.CONTENT, {OBSERVE: (bytes((number,)),)}, bytes((number,)))
        observation = await observing
        for number in range(before + 1, n + 1):
            carrier.asked[0].answer(Code.CONTENT, {OBSERVE: (bytes((number,)),)}, bytes((number,)))
        firsts.append((await anext(aiter(observation))).payload)
        await conversation.stop()
    assert firsts[0] == firsts[1]
    return firsts[0] == b"\1"


async def max_sent_once(n: int, limits: Limits) -> bool:
    script, verdicts = Script(limits), list[Delivery]()
    for _ in range(n):
        script.exchanges.notify(KNOWN, Packet(Code.CONTENT, b"t", {OBSERVE: (b"\1",)}), False, verdicts.append)
    script.hears(RST, script.left()[0][1])
    return verdicts == [Delivery.RESET]


# Strangers


async def max_peers(n: int, limits: Limits) -> bool:
    guard, (first, *others) = Guard(limits, b"secret"), peers(n)
    for peer in (first, *others):
        guard.verified(peer)
    return guard.is_verified(first)


async def max_peers_unverified(n: int, limits: Limits) -> bool:
    """Of whom large notifications wait for the answer to a ping."""
    script = Script(limits)
    for peer in peers(n):
        script.exchanges.notify(peer, Packet(Code.CONTENT, b"t", {}, bytes(200)), True, lambda _: None)
    return len(script.left()) == n


async def max_duplicates(n: int, limits: Limits) -> bool:
    """Half of them are surely recognised, and of more than that the first is not."""
    script = Script(limits, reply=Packet(Code.CONTENT))
    for mid in (*range(n), 0 if n > limits.max_duplicates else n // 2):
        script.hears(CON, mid, Packet(Code.GET, b"t"))
    return len(script.incoming) == n


async def max_connections(n: int, limits: Limits) -> bool:
    endpoint = TcpEndpoint(limits=limits)
    await endpoint.start(lambda *_: Response(Code.CONTENT))
    async with AsyncExitStack() as connections:
        connections.push_async_callback(endpoint.stop)
        heard = []
        for _ in range(n):
            raw = await connections.enter_async_context(RawPeer.connected(endpoint.address))
            heard.append(await raw.receive())
    return b"" not in heard


def dtls_server(net: Net, limits: Limits) -> Host:
    host = Host(net, SERVER)
    host.link = Dtls(any_server(), refused=lambda _, closed: host.refused.append(closed)).over(host.below, limits)
    return host


def dtls_client(net: Net, number: int) -> Host:
    return Host(net, ("198.51.100.1", 40_000 + number), client=lambda _: psk_client())


async def max_handshakes(n: int, limits: Limits) -> bool:
    """Those whose second half is lost on the way."""
    net = Net()
    net.lost = lambda datagram: datagram[0] == Kind.HANDSHAKE and datagram[13] == MessageType.CLIENT_KEY_EXCHANGE
    async with AsyncExitStack() as hosts:
        server = await opened(hosts, dtls_server(net, limits))
        trying = [asyncio.create_task((await opened(hosts, dtls_client(net, k))).shake_hands()) for k in range(n)]
        await settled()
        refused = [closed.reason for closed in server.refused]
        for task in trying:
            task.cancel()
        await asyncio.wait(trying)
    assert refused == ["too many handshakes at a time"] * len(refused)
    return not refused


async def max_associations(n: int, limits: Limits) -> bool:
    net = Net()
    async with AsyncExitStack() as hosts:
        await opened(hosts, dtls_server(net, limits))
        clients = [await opened(hosts, dtls_client(net, k)) for k in range(n)]
        for client in clients:
            await client.shake_hands()
        await settled()
        return not clients[0].above.gone


async def opened(hosts: AsyncExitStack, host: Host) -> Host:
    await host.open()
    hosts.push_async_callback(host.link.close)
    return host


async def amplification(n: int, limits: Limits) -> bool:
    return Guard(limits, b"secret").may_answer(PEER, 1, n)


async def max_complaints(n: int, limits: Limits) -> bool:
    told: list[logging.LogRecord] = []
    log = logging.Logger("nowhere")
    log.addFilter(lambda record: told.append(record) is not None)
    complaints = Complaints(log, "sent nonsense", limits.max_complaints)
    for peer in peers(n):
        complaints.tell(peer, peer.address[0], "no", 0)
    return len(told) == n


TAKES = {
    limit.__name__: limit
    for limit in (
        max_body,
        max_package,
        max_packages,
        max_uploads,
        max_large_answers,
        max_withheld,
        max_running,
        max_pending_per_peer,
        max_observations_per_client,
        max_unread_notifications,
        max_peers,
        max_peers_unverified,
        max_duplicates,
        max_sent_once,
        max_connections,
        max_handshakes,
        max_associations,
        amplification,
        max_complaints,
    )
}
"""Whether so much is taken under these limits."""


def test_no_limit_is_left_out() -> None:
    assert TAKES.keys() == {field.name for field in fields(Limits)} - {"package_paths"}


@pytest.mark.parametrize("name", TAKES)
async def test_so_much_is_taken_and_one_more_is_not(name: str) -> None:
    most = 48 if name in ("max_body", "max_package") else 4
    limits = replace(Limits(), **{name: most})
    assert [await TAKES[name](n, limits) for n in (most, most + 1)] == [True, False]
