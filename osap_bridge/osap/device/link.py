"""A device's connections: one exchange with the LBS over TCP, and the MQTT link to the DAS. osap.md §§5, 6"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from osap_bridge.osap.device.handshake import DeviceHandshake, Malformed, Outcome
from osap_bridge.osap.lbs_messages import DasAddress
from osap_bridge.osap.packets import (
    Connack,
    Connect,
    Disconnect,
    MalformedPacket,
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

log = logging.getLogger(__name__)

MAX_INBOUND = 64
_MAX_PACKET_ID = 65535
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. osap.md §5"""

    connect: float = 5.0
    exchange: float = 5.0
    command: float = 6.0
    keep_alive: int = 30
    goodbye: float = 1.0


class Unreachable(Exception):
    """No TCP connection."""


class LinkBroken(Exception):
    """The link to the DAS is of no use any more; says why."""


async def open_stream(host: str, port: int, timeout: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises Unreachable."""
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.open_connection(host, port)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host}:{port} cannot be reached: {_plain(error)}") from None


def _plain(error: OSError | UnicodeError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    return str(error) or "no answer"


async def authenticate(
    handshake: DeviceHandshake, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timers: Timers
) -> Outcome:
    """One connection to the LBS, from the first message to the last; closes it."""
    try:
        writer.write(handshake.start())
        while True:
            async with asyncio.timeout(timers.exchange):
                await writer.drain()
            async with asyncio.timeout(timers.exchange):
                data = await reader.read(4096)
            if not data:
                return Malformed("the LBS closed the connection")
            step = handshake.receive(data)
            if step.outcome is not None:
                return step.outcome
            writer.write(step.request)
    except OSError as error:
        return Malformed(f"the connection to the LBS failed: {error or 'no answer in time'}")
    finally:
        writer.close()


_Awaited: TypeAlias = tuple[type[Packet], int]


class Link:
    """One MQTT connection to the DAS. Everything raises LinkBroken; after that only `close` is of use."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        timers: Timers,
        clock: Callable[[], float],
    ) -> None:
        self.inbound: asyncio.Queue[Publish] = asyncio.Queue(MAX_INBOUND)
        self.heard = clock()
        self._reader, self._writer = reader, writer
        self._timers = timers
        self._clock = clock
        self._packet_id = 0
        self._awaited: dict[_Awaited, asyncio.Future[Packet]] = {}
        self._one_outstanding = asyncio.Lock()
        self._broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(), name="OSAP device link")

    @classmethod
    async def open(cls, das: DasAddress, timers: Timers, clock: Callable[[], float]) -> Link:
        """Raises LinkBroken."""
        try:
            reader, writer = await open_stream(das.address, das.port, timers.connect)
        except Unreachable as error:
            raise LinkBroken(str(error)) from None
        return cls(reader, writer, timers, clock)

    async def register(self, connect: Connect) -> int:
        """The CONNACK code."""
        answer = await self._command(connect, (Connack, 0))
        if not isinstance(answer, Connack):
            raise LinkBroken("no CONNACK")
        return answer.code

    async def subscribe(self, filters: tuple[str, ...]) -> None:
        """One packet for each filter, as real devices do it: a DAS may know no other form."""
        for each in filters:
            packet_id = self._next_packet_id()
            answer = await self._command(Subscribe(packet_id, ((each, 1),)), (Suback, packet_id))
            if not isinstance(answer, Suback) or answer.codes not in ((0,), (1,)):
                raise LinkBroken("the DAS refused a subscription")

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Returns when it is confirmed (QoS 1) or written (QoS 0). One QoS 1 message is under way at a time."""
        if qos == 0:
            await self._send(Publish(topic, payload, None, retain=retain))
            return
        async with self._one_outstanding:
            packet_id = self._next_packet_id()
            for attempt in range(_ATTEMPTS):
                message = Publish(topic, payload, packet_id, duplicate=attempt > 0, retain=retain)
                if await self._confirmed(message, packet_id):
                    return
        self.break_off("a message was not confirmed")
        raise LinkBroken("a message was not confirmed")

    async def _confirmed(self, message: Publish, packet_id: int) -> bool:
        try:
            await self._command(message, (Puback, packet_id))
        except TimeoutError:
            return False
        return True

    async def ping(self) -> None:
        await self._send(Pingreq())

    async def leave(self, filters: tuple[str, ...]) -> None:
        """UNSUBSCRIBE and DISCONNECT: the orderly end."""
        try:
            async with asyncio.timeout(self._timers.goodbye):
                for each in filters:
                    packet_id = self._next_packet_id()
                    await self._command(Unsubscribe(packet_id, (each,)), (Unsuback, packet_id))
        except TimeoutError:
            log.info("the DAS did not confirm UNSUBSCRIBE")
        await self._send(Disconnect())

    async def lost(self) -> str:
        """Returns, with the reason, when the link is broken."""
        return await asyncio.shield(self._broken)

    def break_off(self, reason: str) -> None:
        if not self._broken.done():
            self._broken.set_result(reason)
        for waiting in self._awaited.values():
            if not waiting.done():
                waiting.set_exception(LinkBroken(reason))

    async def close(self) -> None:
        self.break_off("closed")
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._writer.close()

    async def _command(self, packet: Packet, awaited: _Awaited) -> Packet:
        """Raises TimeoutError for a QoS 1 message and UNSUBSCRIBE, LinkBroken for others that get no answer in time."""
        if self._broken.done():
            raise LinkBroken(self._broken.result())
        answer: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._awaited[awaited] = answer
        try:
            await self._send(packet)
            async with asyncio.timeout(self._timers.command):
                return await answer
        except TimeoutError:
            if awaited[0] in (Puback, Unsuback):
                raise
            raise LinkBroken(f"no {awaited[0].__name__.upper()} in time") from None
        finally:
            del self._awaited[awaited]

    async def _send(self, packet: Packet) -> None:
        if self._broken.done():
            raise LinkBroken(self._broken.result())
        try:
            self._writer.write(to_bytes(packet))
            async with asyncio.timeout(self._timers.command):
                await self._writer.drain()
        except OSError as error:
            self.break_off(f"the socket failed: {error or 'no room in time'}")
            raise LinkBroken(self._broken.result()) from None

    async def _read(self) -> None:
        try:
            while True:
                self._on_packet(await read_packet(self._reader))
        except EOFError:
            self.break_off("the DAS closed the connection")
        except (OSError, MalformedPacket) as error:
            self.break_off(str(error))

    def _on_packet(self, packet: Packet) -> None:
        match packet:
            case Publish():
                self.heard = self._clock()
                self._on_publish(packet)
            case Pingresp():
                self.heard = self._clock()
            case Connack():
                self._settle((Connack, 0), packet)
            case Puback() | Suback() | Unsuback():
                self._settle((type(packet), packet.packet_id), packet)
            case _:
                raise MalformedPacket(f"a {type(packet).__name__.upper()} from the DAS")

    def _on_publish(self, packet: Publish) -> None:
        """What does not fit is not confirmed, so the DAS may send it again."""
        try:
            self.inbound.put_nowait(packet)
        except asyncio.QueueFull:
            log.warning("more than %d messages of the DAS wait, one is dropped", MAX_INBOUND)
            return
        if packet.packet_id is not None:
            self._writer.write(to_bytes(Puback(packet.packet_id)))

    def _settle(self, awaited: _Awaited, packet: Packet) -> None:
        answer = self._awaited.get(awaited)
        if answer is not None and not answer.done():
            answer.set_result(packet)

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % _MAX_PACKET_ID + 1
        return self._packet_id
