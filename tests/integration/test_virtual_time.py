"""The loop whose time jumps, and the network in memory: application authors build on both."""

from __future__ import annotations

import asyncio
import time

import pytest

from lwm2m.client import Client
from lwm2m.client.registration import State
from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import Server
from lwm2m.testing import (
    Conditions,
    Datagram,
    Kind,
    Network,
    NothingWillHappen,
    ScriptedClient,
    ScriptedServer,
    clock,
    in_virtual_time,
    run,
)

SERVER = "10.0.0.1"
DEVICE = "10.0.0.2"
DAY = 86_400.0


def echo(request: Request, _peer: Peer) -> Response:
    return Response(Code.CONTENT, request.payload)


# Time


def test_a_day_takes_no_time() -> None:
    async def day() -> float:
        began = clock().time()
        await asyncio.sleep(DAY)
        return clock().time() - began

    began = time.monotonic()
    assert run(day()) == pytest.approx(DAY)
    assert time.monotonic() - began < 1


def test_a_timer_that_rounding_puts_a_hair_too_early_does_not_stop_time() -> None:
    async def waits_for_a_moment() -> None:
        deadline = clock().time() + 400 * DAY + 1e-9
        while clock().time() < deadline:  # noqa: ASYNC110  # as timers that compare with their own clock do
            await asyncio.sleep(deadline - clock().time())

    run(waits_for_a_moment())


def test_waiting_for_what_never_comes_is_told_with_its_place() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappen, match=r"test_virtual_time.py:[0-9]+ > locks.py"):
        run(waits_for_ever())


def test_a_thread_is_waited_for_while_time_stands_still() -> None:
    async def asks_a_thread() -> float:
        asyncio.get_running_loop().call_later(1, lambda: None)
        began = clock().time()
        assert await asyncio.to_thread(lambda: time.sleep(0.05) or "done") == "done"
        return clock().time() - began

    assert run(asks_a_thread()) < 0.01


def test_cancelling_from_within_is_no_deadlock() -> None:
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    with pytest.raises(asyncio.CancelledError):
        run(cancels_itself())


@in_virtual_time
async def test_names_are_those_of_the_loop() -> None:
    clock().hosts["server.example.com"] = SERVER
    network = Network()
    endpoint = network.endpoint(DEVICE)
    await endpoint.start(echo)
    peer = await endpoint.peer("coap://server.example.com")
    assert peer.address == (SERVER, 5683)
    with pytest.raises(OSError, match="not among the hosts"):
        await clock().getaddrinfo("elsewhere.example.com", 5683)
    await endpoint.stop()


# The network


async def exchanges(seed: int, conditions: Conditions) -> list[str]:
    """Twenty requests across the network; what was on it, without the random tokens."""
    network = Network(seed, conditions)
    asker, answerer = network.endpoint(DEVICE), network.endpoint(SERVER, 5683)
    await asker.start(echo)
    await answerer.start(echo)
    peer = await asker.peer(answerer.uri)
    for number in range(20):
        body = bytes((number,)) * 200
        assert (await asker.request(peer, Request(Code.PUT, ("x",), payload=body))).payload == body
    await asker.stop()
    await answerer.stop()
    return [f"{crossing.at:.6f} {crossing.copies} {crossing.message.code}" for crossing in network.crossings]


BAD = Conditions(loss=0.2, duplication=0.2, delay=(0.01, 0.5))


def test_the_same_seed_gives_the_same_network_and_another_seed_another() -> None:
    assert run(exchanges(1, BAD)) == run(exchanges(1, BAD)) != run(exchanges(2, BAD))


def test_datagrams_get_lost_and_doubled_and_late() -> None:
    seen = [line.split() for line in run(exchanges(3, BAD))]
    assert {copies for _, copies, _ in seen} == {"0", "1", "2"}
    assert len(seen) > 40


@in_virtual_time
async def test_a_host_that_is_cut_off_hears_nothing_until_it_is_mended() -> None:
    network = Network()
    asker, answerer = network.endpoint(DEVICE), network.endpoint(SERVER)
    await asker.start(echo)
    await answerer.start(echo)
    peer = await asker.peer(answerer.uri)
    network.cut(SERVER)
    began = clock().time()
    with pytest.raises(TimedOut):
        await asker.request(peer, Request(Code.GET))
    assert 62 <= clock().time() - began <= 93
    assert [crossing.copies for crossing in network.between(DEVICE, SERVER)] == [0] * 5
    network.mend(SERVER)
    assert (await asker.request(peer, Request(Code.GET))).code is Code.CONTENT
    await asker.stop()
    await answerer.stop()


@in_virtual_time
async def test_addresses_are_taken_once_and_free_again() -> None:
    network = Network()
    bound = await network.open_socket(SERVER, 5683)
    with pytest.raises(OSError, match="taken"):
        await network.open_socket(SERVER, 5683)
    with pytest.raises(OSError, match="literal"):
        await network.open_socket("server", 5683)
    with pytest.raises(OSError, match="name one"):
        await network.open_socket("0.0.0.0", 5683)
    bound.close()
    assert (await network.open_socket(SERVER, 5683)).getsockname() == (SERVER, 5683)


@in_virtual_time
async def test_a_nat_shows_another_port_after_rebinding_and_the_next_update_tells_the_server() -> None:
    network = Network()
    nat = network.nat(DEVICE, "198.51.100.7")
    async with (
        Server([network.endpoint(SERVER, 5683)], clock=clock().time, wall=clock().wall_time) as server,
        Client("behind", "coap://10.0.0.1", coap=network.endpoint(DEVICE), lifetime=60, clock=clock().time) as client,
    ):
        await client.registered(30)
        before = server.registration("behind").peer.address
        assert before[0] == "198.51.100.7"
        nat.rebind()
        with pytest.raises(TimedOut):
            await server.read("behind", "/3/0/0", timeout=5)
        await asyncio.sleep(60)
        assert server.registration("behind").peer.address[1] != before[1]
        assert await server.read("behind", "/1/0/1") == [Record(Path(1, 0, 1), 60)]


def test_conditions_are_checked() -> None:
    for wrong in ({"loss": 1.5}, {"duplication": -0.1}, {"delay": (2.0, 1.0)}):
        with pytest.raises(ValueError, match="is a"):
            Conditions(**wrong)  # type: ignore[arg-type]  # wrong on purpose


# Scripted peers


@in_virtual_time
async def test_a_scripted_client_tries_a_server() -> None:
    network = Network()
    async with (
        Server([network.endpoint(SERVER, 5683)], clock=clock().time, wall=clock().wall_time) as server,
        ScriptedClient(network.endpoint(DEVICE)) as client,
    ):
        location = await client.register("coap://10.0.0.1", "script", "b=U")
        assert location == f"/rd/{server.registration('script').id}"
        reading = asyncio.create_task(server.read("script", "/3/0/0"))
        asked = await client.expect(Code.GET, "/3/0/0")
        asked.answer(Code.CONTENT, b"Acme", content_format=0)
        assert await reading == [Record(Path(3, 0, 0), "Acme")]
        client.answers[Code.GET, "/3/0/1"] = Response(Code.CONTENT, b"Lamp", 0)
        assert await server.read("script", "/3/0/1") == [Record(Path(3, 0, 1), "Lamp")]


@in_virtual_time
async def test_a_scripted_server_tries_a_client() -> None:
    network = Network()
    async with ScriptedServer(network.endpoint(SERVER, 5683)) as server:
        client = Client("urn:dev:1", "coap://10.0.0.1", coap=network.endpoint(DEVICE), clock=clock().time)
        await client.start()
        asked = await server.registered()
        assert "ep=urn:dev:1" in asked.request.query
        await client.registered(5)
        answer = await server.ask(asked.peer, Request(Code.GET, ("1", "0", "0"), accept=0))
        assert (answer.code, answer.payload) == (Code.CONTENT, b"1")
        await server.expect_nothing(during=100)
        await client.stop()
        assert client.state is State.STOPPED


@in_virtual_time
async def test_a_scripted_peer_says_what_came_instead() -> None:
    network = Network()
    async with (
        ScriptedServer(network.endpoint(SERVER, 5683)) as server,
        Client("urn:dev:1", "coap://10.0.0.1", coap=network.endpoint(DEVICE), clock=clock().time),
    ):
        with pytest.raises(AssertionError, match="expected DELETE /rd/1, got POST /rd"):
            await server.expect(Code.DELETE, "/rd/1")


def test_a_datagram_is_the_bytes_it_came_from() -> None:
    options = ((6, b"\x01"), (11, b"rd"), (15, b"ep=" + b"x" * 300), (23, b"\x1e"), (2053, b"far"))
    datagram = Datagram(Kind.CON, Code.GET, 4711, b"\x01\x02", options, b"body")
    assert Datagram.decode(datagram.encode()) == datagram
    assert (datagram.path, datagram.observe) == ("/rd", 1)
    for broken in (b"", b"\x40\x01\x00", b"\x40\x01\x00\x01\xf0", b"\x40\x01\x00\x01\xb5rd", b"\x80\x01\x00\x01"):
        with pytest.raises(ValueError, match=r"message|option"):
            Datagram.decode(broken)
