"""The device access service: MQTT with the session rules of OSAP. osap.md §§6-8.

A message with the serial of another device is dropped with a line in the log and the connection stays, since its sender
is authenticated. A payload that does not decrypt is dropped without its PUBACK. Malformed MQTT closes the connection it
came on, and only that. CONNACK 12 is never sent, since a new connection always wins."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Container, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from osap_bridge.osap import packets
from osap_bridge.osap.actions import (
    Action,
    Answered,
    Close,
    Dropped,
    Failure,
    Keep,
    ListedChildren,
    Noted,
    Reported,
    Send,
)
from osap_bridge.osap.address import listen, of_peer
from osap_bridge.osap.admission import Admission, Admitted, Refused
from osap_bridge.osap.bodies import data_body, value_body, value_of
from osap_bridge.osap.das_happenings import DasHappening, DeviceState, Offline, Online
from osap_bridge.osap.directory import EventLog, SessionGrant
from osap_bridge.osap.errors import DeviceBusy, DeviceOffline, DeviceRefused, DeviceSilent
from osap_bridge.osap.lbs_messages import DasAddress
from osap_bridge.osap.message import MalformedMessage, Reply
from osap_bridge.osap.session import QueueFull, Session
from osap_bridge.osap.storage import Storage
from osap_bridge.osap.topic import MODEL, Method, MsgType, Topic
from osap_bridge.osap.uplink import ProfileOffer
from osap_bridge.protocol import Entity, FunctionPoint

log = logging.getLogger(__name__)

SESSION_LIFE = 86_400.0


@dataclass(frozen=True, slots=True)
class DasLimits:
    """Seconds, bytes and counts."""

    connections: int = 4096
    connect_timeout: float = 10.0
    packet: int = packets.MAX_PACKET
    unsent: int = 1 << 18
    happenings: int = 1024
    request_deadline: float = 10.0


DEFAULT_LIMITS = DasLimits()


class _Link:
    """A connection, and why it ends."""

    def __init__(self, writer: asyncio.StreamWriter, unsent: int) -> None:
        self._writer = writer
        self._unsent = unsent
        self.peer = of_peer(writer)
        self.met_at: str = (writer.get_extra_info("sockname") or ("",))[0]
        self.serial = ""
        self.end: Close | None = None

    def send(self, packet: packets.Packet) -> None:
        if self.end is not None:
            return
        self._writer.write(packets.to_bytes(packet))
        if self._writer.transport.get_write_buffer_size() > self._unsent:
            self.close(Close("it does not read what it is sent"))

    def close(self, end: Close) -> None:
        """The first reason counts."""
        if self.end is None:
            self.end = end
            self._writer.transport.abort()

    def finish(self) -> None:
        self._writer.close()


class Das:
    """`profiles` gives a product's JSON; devices fetch it from a storage service of the DAS's own. `advertise` is
    the address that devices are told where it is not the one listened on. `clock` is monotonic, `wall` Unix seconds;
    a `session_life` of 0 is for ever. Devices of the `black_list` are told never to come back."""

    def __init__(
        self,
        events: EventLog,
        profiles: Callable[[str], bytes | None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        storage_port: int = 0,
        advertise: tuple[str, int] | None = None,
        session_life: float = SESSION_LIFE,
        black_list: Container[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        limits: DasLimits = DasLimits(),
    ) -> None:
        self._events = events
        self._host, self._port = host, port
        self._advertise = advertise
        self._clock, self._wall = clock, wall
        self._limits = limits
        self._storage = Storage(
            profiles, host=host, port=storage_port, advertise=advertise[0] if advertise is not None else None
        )
        self._admission = Admission(session_life, black_list)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, _Link] = {}
        self._waiting: dict[tuple[str, int], asyncio.Future[Reply | Failure]] = {}
        self._timers: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._happenings: asyncio.Queue[DasHappening | None] = asyncio.Queue(limits.happenings)
        self._last_seen: dict[str, float] = {}
        self._last_error: dict[str, str] = {}

    async def start(self) -> None:
        """Raises OSError: an address is taken or not ours."""
        await self._storage.start()
        try:
            self._server = await listen("DAS", self._on_connection, self._host, self._port)
        except OSError:
            await self._storage.stop()
            raise

    async def stop(self) -> None:
        """Devices see their connections close; what still waits for an answer hears that they are offline."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(Failure.OFFLINE)
        await self._server.wait_closed()
        await self._storage.stop()
        self._server = None
        self._end_happenings()

    def _end_happenings(self) -> None:
        if self._happenings.full():
            self._happenings.get_nowait()
        self._happenings.put_nowait(None)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the DAS is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def storage_address(self) -> tuple[str, int]:
        return self._storage.address

    def advertised(self) -> DasAddress:
        """What the LBS tells devices."""
        host, port = self._advertise or self.address
        return DasAddress(host, port)

    def grant(self, grant: SessionGrant) -> None:
        """The device of that serial may connect with this key from now on, and no longer with an older one."""
        self._admission.grant(grant)

    def remove(self, serial: str) -> None:
        """Forget the device: its connection closes and its key is void."""
        self._admission.revoke(serial)
        if (link := self._links.get(serial)) is not None:
            link.close(Close("it was removed"))
        else:
            self._forget(serial)

    def _forget(self, serial: str) -> None:
        for known in (self._sessions, self._last_seen, self._last_error):
            known.pop(serial, None)
        if (armed := self._timers.pop(serial, None)) is not None:
            armed[1].cancel()

    def online(self) -> tuple[str, ...]:
        return tuple(self._links)

    def states(self) -> tuple[DeviceState, ...]:
        """Of every device that was heard of since the start."""
        return tuple(self._state(serial) for serial in sorted({*self._sessions, *self._last_error}))

    def _state(self, serial: str) -> DeviceState:
        session = self._sessions.get(serial)
        product = session.information.device_type if session is not None else ""
        last_seen, last_error = self._last_seen.get(serial), self._last_error.get(serial, "")
        return DeviceState(serial, product, serial in self._links, last_seen, last_error)

    async def happenings(self) -> AsyncIterator[DasHappening]:
        """Ends when the DAS stops. Devices are read no faster than this is."""
        while (happening := await self._happenings.get()) is not None:
            yield happening

    # What devices are asked. All raise DeviceError, and ValueError for what no topic can name.

    async def set(self, entity: Entity, point: FunctionPoint, value: Any) -> None:
        await self._ask(entity, point, Method.ATTRIBUTE, MsgType.SET, value_body(value))

    async def get(self, entity: Entity, point: FunctionPoint) -> Any:
        """What the device answers; of one that knows no get, what it reported last."""
        reply = await self._ask(entity, point, Method.ATTRIBUTE, MsgType.GET, value_body({}))
        try:
            return value_of(reply.data)
        except MalformedMessage as error:
            raise DeviceRefused(reply.code, f"the device answered with {error}") from None

    async def operate(self, entity: Entity, point: FunctionPoint, arguments: Any) -> Any:
        """The output, None where the device answers without any."""
        reply = await self._ask(entity, point, Method.SERVICE, MsgType.OPERATE, data_body(arguments))
        return reply.data

    async def _ask(self, entity: Entity, point: FunctionPoint, method: Method, kind: MsgType, body: bytes) -> Reply:
        serial = entity.serial
        topic = Topic(serial, entity.child, entity.resource_id, entity.resource_type, MODEL, method, kind, *point)
        session = self._sessions.get(serial)
        if session is None or not session.online:
            raise DeviceOffline(serial)
        try:
            seq, actions = session.request(topic, body, self._clock())
        except QueueFull:
            raise DeviceBusy(serial) from None
        answer: asyncio.Future[Reply | Failure] = asyncio.get_running_loop().create_future()
        self._waiting[serial, seq] = answer
        try:
            self._apply(session, actions)
            return _accepted(serial, await answer)
        finally:
            if self._waiting.get((serial, seq)) is answer:  # Seqs start again when the device registers again
                del self._waiting[serial, seq]
                session.abandon(seq)

    # Connections

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._limits.connections:
            log.warning("DAS: a connection more than %d was not accepted", self._limits.connections)
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="DAS connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, self._limits.unsent)
        try:
            await self._converse(reader, link)
        except packets.MalformedPacket as error:
            link.close(Close(f"malformed MQTT: {error}", malformed=True))
        except Exception:  # a fault of ours or of the store must not reach the other devices
            log.exception("DAS: serving %r failed", link.serial)
            link.close(Close("serving it failed"))
        finally:
            link.finish()
            end = link.end or Close("the DAS stops")
            last = self._leave(link, end)
        for happening in last:
            await self._happenings.put(happening)

    async def _converse(self, reader: asyncio.StreamReader, link: _Link) -> None:
        session = await self._admit(reader, link)
        while session is not None and link.end is None:
            packet = await self._next_packet(reader, link)
            if packet is None or link.end is not None:
                return
            self._last_seen[session.serial] = wall = self._wall()
            told: list[DasHappening] = []
            try:
                self._apply(session, session.receive(packet, self._clock(), wall), told)
            finally:  # what is durable must be told, also when the next event of the batch cannot be kept
                for happening in told:
                    await self._happenings.put(happening)

    async def _next_packet(self, reader: asyncio.StreamReader, link: _Link) -> packets.Packet | None:
        """None: there is none any more."""
        try:
            return await packets.read_packet(reader, self._limits.packet)
        except (EOFError, OSError):
            link.close(Close("the connection broke"))
            return None

    async def _admit(self, reader: asyncio.StreamReader, link: _Link) -> Session | None:
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                packet = await self._next_packet(reader, link)
        except TimeoutError:
            link.close(Close("it did not register in time"))
            return None
        except packets.UnknownProtocolLevel as error:
            self._refuse(link, "", Refused(packets.ConnackCode.UNACCEPTABLE_PROTOCOL_LEVEL, str(error)))
            return None
        if packet is None:
            return None
        if not isinstance(packet, packets.Connect):
            raise packets.MalformedPacket(f"a {type(packet).__name__.upper()} before CONNECT")
        verdict = self._admission.judge(packet, packet.user_name in self._sessions, self._clock())
        if isinstance(verdict, Refused):
            self._refuse(link, packet.user_name, verdict)
            return None
        return await self._welcome(link, verdict)

    def _refuse(self, link: _Link, serial: str, verdict: Refused) -> None:
        log.warning("DAS refused %r at %s: %s (%d)", serial, link.peer, verdict.reason, verdict.code)
        if self._admission.knows(serial):
            self._last_error[serial] = verdict.reason
        link.send(packets.Connack(verdict.code))

    async def _welcome(self, link: _Link, verdict: Admitted) -> Session:
        """The new connection wins over one that is still there."""
        serial, now, wall = verdict.serial, self._clock(), self._wall()
        if (old := self._links.get(serial)) is not None:
            old.close(Close("a new connection took its place"))
        self._links[serial] = link
        link.serial = serial
        self._last_seen[serial] = wall
        resumed = verdict.information is None
        link.send(packets.Connack(packets.ConnackCode.ACCEPTED, session_present=resumed))
        session = self._registered(verdict, now, wall)
        log.info("DAS: %r is online from %s", serial, link.peer)
        await self._happenings.put(Online(serial, session.information, session.children))
        return session

    def _registered(self, verdict: Admitted, now: float, wall: float) -> Session:
        serial, information = verdict.serial, verdict.information
        if information is None:
            session = self._sessions[serial]
            actions = session.resume(verdict.binding, now)
        else:
            offer = partial(self._offer, serial)
            new = Session(information, offer, request_deadline=self._limits.request_deadline)
            session = self._sessions.setdefault(serial, new)
            actions = session.register(information, verdict.binding, now, wall)
        self._apply(session, actions)
        return session

    def _offer(self, serial: str, product: str) -> ProfileOffer | None:
        link = self._links.get(serial)
        return self._storage.offer(product, link.met_at if link is not None else "")

    def _leave(self, link: _Link, end: Close) -> list[DasHappening]:
        if link.end is not None:
            level = logging.WARNING if end.malformed else logging.INFO
            log.log(level, "DAS: closed %r at %s: %s", link.serial, link.peer, end.reason)
        if self._links.get(link.serial) is not link:
            return []
        del self._links[link.serial]
        if not end.orderly:
            self._last_error[link.serial] = end.reason
        session = self._sessions[link.serial]
        self._apply(session, session.disconnected(end.orderly))
        if not self._admission.knows(link.serial):
            self._forget(link.serial)
        return [Offline(link.serial, end.orderly)]

    # What a session asks for

    def _apply(self, session: Session, actions: Iterable[Action], told: list[DasHappening] | None = None) -> None:
        """In their order: an event is durable before its PUBACK is sent. What there is to tell goes into `told`; only
        what a device sends gives rise to any."""
        for action in actions:
            happening = self._do(session, action)
            if happening is not None and told is not None:
                told.append(happening)
        self._arm(session)

    def _do(self, session: Session, action: Action) -> DasHappening | None:
        serial = session.serial
        link = self._links.get(serial)
        match action:
            case Send() if link is not None:
                link.send(action.packet)
            case Close() if link is not None:
                link.close(action)
            case Keep():
                return action.event if self._events.keep(action.event, self._wall()) else None
            case Reported():
                return action.report
            case ListedChildren():
                return Online(serial, session.information, session.children)
            case Answered():
                answer = self._waiting.get((serial, action.seq))
                if answer is not None and not answer.done():
                    answer.set_result(action.outcome)
            case Dropped():
                self._last_error[serial] = action.reason
                log.warning("DAS: %r: %s", serial, action.reason)
            case Noted():
                log.info("DAS: %r: %s", serial, action.text)
        return None

    def _arm(self, session: Session) -> None:
        """A timer that is armed for an earlier moment looks again when it fires."""
        deadline = session.deadline()
        armed = self._timers.get(session.serial)
        if deadline is None or self._server is None or (armed is not None and armed[0] <= deadline):
            return
        if armed is not None:
            armed[1].cancel()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0.0, deadline - self._clock()), self._on_time, session)
        self._timers[session.serial] = deadline, timer

    def _on_time(self, session: Session) -> None:
        del self._timers[session.serial]
        self._apply(session, session.expire(self._clock()))


def _accepted(serial: str, outcome: Reply | Failure) -> Reply:
    if outcome is Failure.OFFLINE:
        raise DeviceOffline(serial)
    if outcome is Failure.SILENT:
        raise DeviceSilent(serial)
    if not outcome.accepted:
        raise DeviceRefused(outcome.code, outcome.error)
    return outcome
