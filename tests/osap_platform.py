"""An LBS and a DAS that do what a test says, for devices; and a time that passes when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from osap_bridge.osap import lbs_messages as messages
from osap_bridge.osap.directory import SessionGrant
from osap_bridge.osap.frame import Frame, FrameReader
from osap_bridge.osap.handshake import LbsHandshake
from osap_bridge.osap.lbs_messages import DasAddress
from osap_bridge.osap.message import Kind, Message, decode, encode, from_json
from osap_bridge.osap.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    read_packet,
    to_bytes,
)
from tests.osap_directory import MemoryDirectory

PATIENCE = 5.0


class Time:
    """Stands still until a test lets it pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (seconds, self.now + seconds, waking)
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await waking
        finally:
            self._sleepers.remove(sleeper)

    async def pass_wait_of(self, seconds: float) -> None:
        """Somebody has to wait exactly that long; then it is over."""
        async with asyncio.timeout(PATIENCE):
            while not any(abs(asked - seconds) < 1e-6 and not waking.done() for asked, _, waking in self._sleepers):
                self._changed.clear()
                await self._changed.wait()
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for _, due, waking in self._sleepers:
            if due <= self.now + 1e-9 and not waking.done():
                waking.set_result(None)


class ScriptedLbs:
    """Every connection takes the next item of the script: a result for the first message, bytes, None to close at
    once, or OK to serve it as an LBS does, which is also what happens at the end of the script."""

    OK = "ok"

    def __init__(self, directory: MemoryDirectory, das: DasAddress, *script: object) -> None:
        self.script = deque(script)
        self.first_messages: list[bytes] = []
        self.grants: list[SessionGrant] = []
        self._directory, self._das = directory, das
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedLbs]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        item = self.script.popleft() if self.script else self.OK
        handshake = LbsHandshake(self._directory, lambda: self._das)
        frames = FrameReader()
        try:
            while data := await reader.read(4096):
                frames.feed(data)
                while item != self.OK and (frame := frames.next()) is not None:
                    self.first_messages.append(bytes(frame))
                    writer.write(self._refusal(frame, item))
                    return
                if item == self.OK:
                    if not handshake.serial:
                        self.first_messages.append(data)
                    for step in handshake.receive(data, 0.0):
                        if step.grant is not None:
                            self.grants.append(step.grant)
                        writer.write(step.answer)
        finally:
            writer.close()

    @staticmethod
    def _refusal(frame: Frame, item: object) -> bytes:
        if item is None:
            return b""
        if isinstance(item, bytes):
            return item
        assert isinstance(item, int)
        return messages.ecdh_refusal(1, item) if frame.type == 1 else messages.refusal(frame.control + 0x10, item)


@dataclass
class Said:
    """A message of the device, opened."""

    topic: str
    message: Message
    packet: Publish
    connection: Connection

    @property
    def content(self) -> Any:
        return from_json(self.message.body)


@dataclass(eq=False)
class Connection:
    connect: Connect
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    subscribed: list[str] = field(default_factory=list)
    unsubscribed: list[str] = field(default_factory=list)
    disconnected: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, packet: Packet) -> None:
        self.writer.write(to_bytes(packet))


class ScriptedDas:
    """CONNACKs by script, 0 at its end (None: no answer). Confirms and pongs unless it is told not to."""

    def __init__(self, *connacks: int | None) -> None:
        self.connacks = deque(connacks)
        self.connections: list[Connection] = []
        self.said: asyncio.Queue[Said] = asyncio.Queue()
        self.grants: list[SessionGrant] = []
        self.pings: asyncio.Queue[Connection] = asyncio.Queue()
        self.confirming = True
        self.ponging = True
        self._server: asyncio.Server | None = None
        self._arrived = asyncio.Condition()
        self._writers: set[asyncio.StreamWriter] = set()
        self._seq = 0

    @property
    def session_key(self) -> bytes:
        return self.grants[-1].session_key

    @property
    def address(self) -> DasAddress:
        assert self._server is not None
        return DasAddress("127.0.0.1", self._server.sockets[0].getsockname()[1], 0, "das.local", "das-1")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedDas]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for writer in self._writers:
                writer.close()

    async def connection(self, number: int) -> Connection:
        """The n-th CONNECT, counted from 1, when it has come."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.connections) >= number)
            return self.connections[number - 1]

    async def next(self, part: str) -> Said:
        """The next message whose topic holds that; those before it are dropped."""
        async with asyncio.timeout(PATIENCE):
            while True:
                said = await self.said.get()
                if part in said.topic:
                    return said

    def ask(self, topic: str, body: bytes, *, qos: int = 1, command: bool = False) -> int:
        """The Seq of the request."""
        self._seq += 1
        message = Message(self._seq, body, "v2.0.0" if command else None, Kind.REQUEST)
        payload = encode(message, self.session_key)
        self.connections[-1].send(Publish(topic, payload, self._seq if qos else None))
        return self._seq

    def reply(self, said: Said, body: bytes) -> None:
        payload = encode(Message(said.message.seq, body), self.session_key)
        self.connections[-1].send(Publish(f"{said.topic}_reply", payload))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            connect = await read_packet(reader)
            assert isinstance(connect, Connect)
            connection = Connection(connect, reader, writer)
            async with self._arrived:
                self.connections.append(connection)
                self._arrived.notify_all()
            code = self.connacks.popleft() if self.connacks else 0
            if code is not None:
                connection.send(Connack(code))
            while code == 0 and not connection.disconnected:
                self._on_packet(connection, await read_packet(reader))
            if code is None:
                await reader.read()
        except (EOFError, OSError):
            return
        finally:
            writer.close()
            self._writers.discard(writer)
            for connection in self.connections:
                if connection.writer is writer:
                    connection.closed.set()

    def _on_packet(self, connection: Connection, packet: Packet) -> None:
        match packet:
            case Subscribe():
                connection.subscribed += [name for name, _ in packet.filters]
                connection.send(Suback(packet.packet_id, tuple(qos for _, qos in packet.filters)))
            case Unsubscribe():
                connection.unsubscribed += packet.filters
                connection.send(Unsuback(packet.packet_id))
            case Publish():
                if self.confirming and packet.packet_id is not None:
                    connection.send(Puback(packet.packet_id))
                message = decode(packet.payload, self.session_key)
                self.said.put_nowait(Said(packet.topic, message, packet, connection))
            case Pingreq():
                self.pings.put_nowait(connection)
                if self.ponging:
                    connection.send(Pingresp())
            case Disconnect():
                connection.disconnected = True
            case Puback():
                pass
            case _:
                raise AssertionError(f"a device does not send {packet}")
