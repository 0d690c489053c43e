"""CoAP over a serial line: the link by itself, then a client and a server at its two ends."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Any

import pytest

from lwm2m.client import Client, State
from lwm2m.client.alerts import reason
from lwm2m.coap.endpoint import RequestFailed, Unreachable
from lwm2m.coap.links.line import Line
from lwm2m.coap.links.serial_frame import Deframer, framed
from lwm2m.coap.links.serial_line import MOST_WAITING, SerialLine, serial_endpoint
from lwm2m.coap.message import Peer
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import Notified, Server
from lwm2m.server.store.sqlite import SqliteStore
from tests.serial_cable import Cable


class Heard:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.failures: asyncio.Queue[str] = asyncio.Queue()
        self.peers: list[Peer] = []

    def received(self, datagram: bytes, peer: Peer) -> None:
        self.peers.append(peer)
        self.datagrams.put_nowait(datagram)

    def failed(self, peer: Peer, reason: str) -> None:
        self.peers.append(peer)
        self.failures.put_nowait(reason)

    def moved(self, peer: Peer) -> None: ...

    def lost(self, peer: Peer) -> None:
        raise AssertionError(f"{peer} may come back")


@pytest.fixture
async def cable(tmp_path: FilePath) -> AsyncIterator[Cable]:
    async with Cable(tmp_path) as cable:
        yield cable


class Ends:
    def __init__(self, cable: Cable, **more: int) -> None:
        self.left, self.right = SerialLine(Line(cable.left, **more)), SerialLine(Line(cable.right, **more))
        self.at_left, self.at_right = Heard(), Heard()

    async def __aenter__(self) -> Ends:
        await self.left.open(self.at_left)
        await self.right.open(self.at_right)
        self.to_right = await self.left.peer(self.left.uri)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.left.close()
        await self.right.close()


async def soon(queue: asyncio.Queue[bytes] | asyncio.Queue[str]) -> bytes | str:
    async with asyncio.timeout(10):
        return await queue.get()


async def test_datagrams_arrive_as_they_were_in_their_order(cable: Cable) -> None:
    async with Ends(cable) as ends:
        sent = [bytes([number]) * (40 * number + 1) for number in range(30)] + [b"\xc0\xdb" * 640]
        for datagram in sent:
            ends.left.send(datagram, ends.to_right)
        assert [await soon(ends.at_right.datagrams) for _ in sent] == sent


async def test_the_peer_has_the_name_of_the_line_and_is_one_object(cable: Cable) -> None:
    async with Ends(cable) as ends:
        assert ends.to_right.address == (cable.left, 0) == ends.left.address
        ends.left.send(b"one", ends.to_right)
        ends.left.send(b"two", ends.to_right)
        await soon(ends.at_right.datagrams)
        await soon(ends.at_right.datagrams)
        first, second = ends.at_right.peers
        assert first is second is await ends.right.peer(ends.right.uri)


async def test_noise_costs_the_frame_it_falls_into_and_no_other(cable: Cable) -> None:
    async with Ends(cable) as ends:
        cable.noise(cable.right, b"\x00\xff\xdb\x17" * 10)
        ends.left.send(b"first", ends.to_right)
        assert await soon(ends.at_right.datagrams) == b"first"
        damaged = bytearray(framed(b"second"))
        damaged[3] ^= 0x10
        cable.noise(cable.right, bytes(damaged))
        ends.left.send(b"third", ends.to_right)
        assert await soon(ends.at_right.datagrams) == b"third"


async def test_what_arrives_while_nobody_listens_is_lost(cable: Cable) -> None:
    async with Ends(cable) as ends:
        ends.right.listen(False)
        ends.left.send(b"unheard", ends.to_right)
        ends.right.send(b"heard", await ends.right.peer(ends.right.uri))
        assert await soon(ends.at_left.datagrams) == b"heard"
        await asyncio.sleep(0.05)
        ends.right.listen(True)
        ends.left.send(b"heard again", ends.to_right)
        assert await soon(ends.at_right.datagrams) == b"heard again"


async def test_an_unplugged_line_is_a_failure_of_the_peer_and_works_again_when_it_is_back(cable: Cable) -> None:
    async with Ends(cable) as ends:
        cable.unplug()
        ends.left.send(b"the first to notice", ends.to_right)
        assert await soon(ends.at_left.failures) == f"{cable.left} was unplugged: Input/output error"
        assert await soon(ends.at_right.failures) == f"{cable.right} was unplugged: it hung up"
        ends.left.send(b"nobody is there", ends.to_right)
        assert await soon(ends.at_left.failures) == f"{cable.left} is not there"
        assert ends.at_left.peers == [ends.to_right] * 2
        cable.plug_in()
        async with asyncio.timeout(20):
            while ends.at_right.datagrams.empty():
                ends.left.send(b"back", ends.to_right)
                await asyncio.sleep(0.1)


async def test_a_datagram_over_the_mtu_is_told_and_not_sent(cable: Cable) -> None:
    async with Ends(cable, mtu=128) as ends:
        ends.left.send(bytes(129), ends.to_right)
        assert await soon(ends.at_left.failures) == f"{cable.left} carries 128 bytes at once, and 129 were to go"
        ends.left.send(bytes(128), ends.to_right)
        assert await soon(ends.at_right.datagrams) == bytes(128)


async def test_a_line_that_takes_nothing_keeps_a_bounded_number_of_frames(tmp_path: FilePath) -> None:
    async with Cable(tmp_path) as cable:
        asyncio.get_running_loop().remove_reader(cable._ends[cable.left][0])
        async with Ends(cable) as ends:
            for _ in range(4 * MOST_WAITING):
                ends.left.send(bytes(1280), ends.to_right)
            assert len(ends.left._waiting) == MOST_WAITING


@pytest.mark.parametrize(("mtu", "block"), [(112, 16), (128, 32), (160, 64), (1280, 1024), (65535, 1024)])
def test_blocks_fit_the_line(mtu: int, block: int) -> None:
    line = SerialLine(Line("/dev/ttyUSB0", mtu=mtu))
    room = line.room(Peer(line.address, line.address))
    assert 2 ** (room.exponent + 4) == block <= room.payload < mtu


def test_a_uri_says_the_line_its_speed_and_its_mtu() -> None:
    assert Line.parse("coap+serial:///dev/ttyUSB0") == Line("/dev/ttyUSB0", 115_200, 1280)
    assert Line.parse("coap+serial:///dev/ttyUSB0?speed=9600&mtu=128") == Line("/dev/ttyUSB0", 9600, 128)


@pytest.mark.parametrize(
    "uri",
    [
        "coap://127.0.0.1",
        "coap+serial://host/dev/ttyUSB0",
        "coap+serial:dev/ttyUSB0",
        "coap+serial://",
        "coap+serial:///dev/ttyUSB0?speed=fast",
        "coap+serial:///dev/ttyUSB0?speed=12345",
        "coap+serial:///dev/ttyUSB0?mtu=111",
        "coap+serial:///dev/ttyUSB0?mtu=65536",
        "coap+serial:///dev/ttyUSB0?parity=1",
        "coap+serial:///dev/ttyUSB0#1",
    ],
)
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r".{20}"):
        Line.parse(uri)


def test_a_slow_line_waits_longer_for_an_acknowledgement() -> None:
    assert 2 < Line("/dev/ttyUSB0").transmission.ack_timeout < 2.5
    assert Line("/dev/ttyUSB0", speed=1200).transmission.ack_timeout > 20


async def test_a_line_in_use_or_none_at_all_is_an_error_with_a_sentence(cable: Cable, tmp_path: FilePath) -> None:
    async with Ends(cable):
        with pytest.raises(OSError, match="in use"):
            await SerialLine(Line(cable.left)).open(Heard())
    with pytest.raises(OSError, match="No such file") as refused:
        await SerialLine(Line(str(tmp_path / "missing"))).open(Heard())
    assert reason(refused.value) == f"cannot open {tmp_path / 'missing'}: No such file or directory"
    (tmp_path / "text").write_text("no terminal")
    with pytest.raises(OSError, match="is no serial line"):
        await SerialLine(Line(str(tmp_path / "text"))).open(Heard())


async def test_a_line_that_cannot_be_locked_is_closed_again(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def lock(descriptor: int, _how: int) -> None:
        tried.append(descriptor)
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(OSError, match=f"cannot open {cable.left}: No locks available"):
        await SerialLine(Line(cable.left)).open(Heard())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tried[0])


MTUS = pytest.mark.parametrize("mtu", [1280, 128])
DOCUMENT = Path(19, 0, 0, 0)
TEMPERATURE = Record(Path(3303, 0, 5700), 21.5)


@asynccontextmanager
async def registered(cable: Cable, mtu: int, **more: Any) -> AsyncIterator[tuple[Server, Client]]:
    """A server at the left end, a client at the right one."""
    server = Server([serial_endpoint(Line(cable.left, mtu=mtu))])
    uri = f"coap+serial://{cable.right}?mtu={mtu}"
    client = Client("dev1", uri, [TEMPERATURE, Record(DOCUMENT, b"")], **more)
    async with server, client:
        await client.registered(10)
        yield server, client


@MTUS
async def test_a_client_registers_is_read_and_written_over_the_line(cable: Cable, mtu: int) -> None:
    async with registered(cable, mtu) as (server, client):
        (registration,) = server.registrations()
        assert (registration.binding, registration.peer.address) == ("N", (cable.left, 0))
        assert await server.read("dev1", TEMPERATURE.path) == [TEMPERATURE]
        await server.write("dev1", DOCUMENT, b"short")
        assert client.data_model.value(DOCUMENT) == b"short"
        client.update_registration()


@MTUS
async def test_a_body_of_many_blocks_passes_both_ways_in_frames_of_the_mtu(cable: Cable, mtu: int) -> None:
    body = bytes(range(256)) * 20
    deframers = Deframer(mtu), Deframer(mtu)
    async with registered(cable, mtu) as (server, client):
        await server.write("dev1", DOCUMENT, body)
        assert client.data_model.value(DOCUMENT) == body
        assert await server.read("dev1", DOCUMENT) == [Record(DOCUMENT, body)]
    sizes = [len(datagram) for side in (0, 1) for datagram in deframers[side].feed(b"".join(cable.crossed[side]))]
    assert max(sizes) <= mtu
    assert len(sizes) > 4 * len(body) // mtu


@MTUS
async def test_what_is_observed_is_told_over_the_line(cable: Cable, mtu: int) -> None:
    async with registered(cable, mtu) as (server, client):
        events = server.events()
        assert (await server.observe("dev1", TEMPERATURE.path)).observing
        client.update([TEMPERATURE._replace(value=22.5)])
        async with asyncio.timeout(10):
            told = [event async for event in until(events, Notified)]
        assert [record.value for record in told[-1].records] == [22.5]


async def until(events: AsyncIterator[Any], kind: type) -> AsyncIterator[Any]:
    async for event in events:
        if isinstance(event, kind):
            yield event
            return


async def test_noise_between_the_frames_delays_nothing(cable: Cable) -> None:
    async with registered(cable, 1280) as (server, _client):
        for number in range(20):
            cable.noise((cable.left, cable.right)[number % 2], bytes([number, 0xDB, 0xFF]) * number)
            assert await server.read("dev1", TEMPERATURE.path, timeout=10) == [TEMPERATURE]


async def test_pulling_the_plug_ends_what_waits_and_the_client_is_there_again_afterwards(cable: Cable) -> None:
    async with registered(cable, 1280) as (server, client):
        cable.unplug()
        with pytest.raises(Unreachable, match=r"was unplugged|is not there"):
            await server.read("dev1", TEMPERATURE.path)
        cable.plug_in()
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await server.read("dev1", TEMPERATURE.path) == [TEMPERATURE]
                    break
                except RequestFailed:
                    await asyncio.sleep(0.1)
        assert client.state is State.REGISTERED


async def test_a_client_in_queue_mode_sleeps_on_a_line_too(cable: Cable) -> None:
    async with registered(cable, 1280, queue_mode=True) as (server, client):
        (registration,) = server.registrations()
        assert (registration.binding, registration.queue_mode) == ("N", True)
        client.sleep()
        waiting = asyncio.create_task(server.read("dev1", TEMPERATURE.path, timeout=30))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        client.wake()
        assert await waiting == [TEMPERATURE]


async def test_after_a_restart_the_server_asks_on_the_line_that_the_client_came_by(tmp_path: FilePath) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    async with Cable(folders[0]) as other, Cable(folders[1]) as cable:

        def server() -> Server:
            lines = [serial_endpoint(Line(path)) for path in (other.left, cable.left)]
            return Server(lines, store=SqliteStore(tmp_path))

        async with Client("dev1", f"coap+serial://{cable.right}", [TEMPERATURE]) as client:
            async with server():
                await client.registered(10)
            async with server() as again:
                assert await again.read("dev1", TEMPERATURE.path, timeout=10) == [TEMPERATURE]


async def test_a_uri_of_a_line_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="speed of 12345"):
        Client("dev1", "coap+serial:///dev/ttyUSB0?speed=12345")
