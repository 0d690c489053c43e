"""A device while it is online: answers the platform, keeps its link alive, sends its reports. osap.md §§6.4-7"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from osap_bridge.osap import bodies
from osap_bridge.osap.crypto import DecryptionFailed
from osap_bridge.osap.device.events import DeviceEvent, Operated, ValueSet
from osap_bridge.osap.device.link import LinkBroken
from osap_bridge.osap.device.reports import Channel, Reports
from osap_bridge.osap.device.session import Beat, Heartbeat, Outcome
from osap_bridge.osap.device.thing import PointKey, Thing, shadow_key, shadow_topic
from osap_bridge.osap.message import MalformedMessage, Message, Reply, decode, from_json
from osap_bridge.osap.packets import Publish
from osap_bridge.osap.profile import ResourceKey
from osap_bridge.osap.topic import CommandTopic, InvalidTopic, MsgType, Topic, parse_topic
from osap_bridge.protocol import FunctionPoint

log = logging.getLogger(__name__)

ACCESS_DOMAIN = 1000
_KEEP_ALIVE_COMMAND = 1
_FORCED_OFFLINE_COMMAND = 3
_SWITCH_OVER_COMMANDS = (13433, 18719)
_MAX_KEEP_ALIVE = 65535

_FIRST_QUERY_AFTER = 1.0
_QUERY_AGAIN_AFTER = 30.0
_QUERIES = 4
_REPORT_ALL_AFTER = 24 * 3600.0

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


class Ended(NamedTuple):
    """Why a device is not served any more; `lbs` is the name of the LBS it is sent to."""

    outcome: Outcome
    reason: str
    lbs: str = ""


@dataclass(slots=True)
class KeepAlive:
    """The platform may change it; it holds for the connections to come, too. Seconds."""

    interval: int


class Service:
    """Serves one session on one channel."""

    def __init__(
        self,
        thing: Thing,
        channel: Channel,
        reports: Reports,
        session_key: bytes,
        keep_alive: KeepAlive,
        lbs: str,
        tell: Callable[[DeviceEvent], None],
        clock: Callable[[], float],
        sleep: Sleep,
        unix_time: Callable[[], float],
    ) -> None:
        self._thing = thing
        self._channel = channel
        self._reports = reports
        self._session_key = session_key
        self._keep_alive = keep_alive
        self._lbs = lbs
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._unix_time = unix_time
        self._keep_alive_changed = asyncio.Event()
        self._queries: dict[int, asyncio.Future[bytes]] = {}

    async def run(self, stopping: asyncio.Event, *, shadow: bool) -> Ended | None:
        """Until the link breaks or the platform ends it; None: `stopping` was set. Leaves no task behind."""
        jobs = [self._answer(), self._beat(), self._drain(), self._lost()]
        if shadow:
            jobs.append(self._keep_shadow())
        tasks = [asyncio.create_task(job, name="OSAP device service") for job in jobs]
        stop = asyncio.create_task(stopping.wait(), name="OSAP device stop")
        try:
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            if stop in done:
                return None
            ends = [task.result() for task in tasks if task in done]
            return next((end for end in ends if end.outcome is not Outcome.LINK_LOST), ends[0])
        finally:
            for task in (stop, *tasks):
                task.cancel()
            await asyncio.gather(stop, *tasks, return_exceptions=True)

    async def _lost(self) -> Ended:
        return Ended(Outcome.LINK_LOST, await self._channel.link.lost())

    async def _drain(self) -> Ended:
        try:
            await self._reports.drain(self._channel)
        except LinkBroken as error:
            return Ended(Outcome.LINK_LOST, str(error))

    async def _beat(self) -> Ended:
        link = self._channel.link
        heartbeat = Heartbeat(self._keep_alive.interval, self._clock(), link.heard)
        try:
            while True:
                heartbeat.interval, heartbeat.heard = self._keep_alive.interval, link.heard
                match heartbeat.handle(self._clock()):
                    case Beat.DEAD:
                        return Ended(Outcome.LINK_LOST, "nothing was heard for two keep-alive intervals")
                    case Beat.PING:
                        await link.ping()
                await self._until_keep_alive_changes(heartbeat.deadline() - self._clock())
        except LinkBroken as error:
            return Ended(Outcome.LINK_LOST, str(error))

    async def _until_keep_alive_changes(self, seconds: float) -> None:
        """Or until they are over."""
        self._keep_alive_changed.clear()
        waits = {asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._keep_alive_changed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _answer(self) -> Ended:
        while True:
            packet = await self._channel.link.inbound.get()
            try:
                ended = await self._on_publish(packet)
            except (InvalidTopic, DecryptionFailed, MalformedMessage) as error:
                log.warning("device %s drops a message of the platform: %s", self._thing.serial, error)
            except LinkBroken as error:
                return Ended(Outcome.LINK_LOST, str(error))
            else:
                if ended is not None:
                    return ended

    async def _on_publish(self, packet: Publish) -> Ended | None:
        topic = parse_topic(packet.topic)
        if topic.serial != self._thing.serial:
            raise InvalidTopic("the topic is another device's")
        message = decode(packet.payload, self._session_key)
        match topic:
            case CommandTopic():
                return self._on_command(topic, message)
            case Topic() if topic.msg_type.is_reply:
                self._on_reply(message)
            case Topic():
                await self._on_request(topic, message)
            case _:
                raise InvalidTopic("the platform sends no batches")
        return None

    async def _on_request(self, topic: Topic, message: Message) -> None:
        answer = await self._thing.answer(topic, message.body, self._unix_time())
        if answer is None:
            log.info("device %s has no answer to %s", self._thing.serial, topic)
            return
        for key in answer.changed:
            self._tell(ValueSet(key, self._thing.values[key]))
        if topic.msg_type is MsgType.OPERATE:
            key = PointKey(
                ResourceKey(topic.resource_type, topic.resource_id), FunctionPoint(topic.domain, topic.identifier)
            )
            self._tell(Operated(key, Reply.from_body(answer.body).accepted))
        try:
            await self._channel.reply(str(answer.topic), answer.body, message.seq, answer.qos)
        finally:
            for key in answer.changed:
                self._reports.changed(key)

    def _on_reply(self, message: Message) -> None:
        query = self._queries.get(message.seq)
        if query is not None and not query.done():
            query.set_result(message.body)

    def _on_command(self, topic: CommandTopic, message: Message) -> Ended | None:
        if topic.domain == ACCESS_DOMAIN and topic.command == _KEEP_ALIVE_COMMAND:
            self._set_keep_alive(from_json(message.body))
        elif topic.domain == ACCESS_DOMAIN and topic.command == _FORCED_OFFLINE_COMMAND:
            return Ended(Outcome.FORCED_OFFLINE, "the platform ordered it")
        elif topic.domain == ACCESS_DOMAIN and topic.command in _SWITCH_OVER_COMMANDS:
            lbs = read_lbs_name(message.body)
            if lbs != self._lbs:
                return Ended(Outcome.SWITCH_OVER, "the platform ordered it", lbs)
        else:
            log.info("device %s does nothing at command %s", self._thing.serial, topic)
        return None

    def _set_keep_alive(self, content: Any) -> None:
        wanted = content.get("KeepAlive") if isinstance(content, dict) else None
        interval = wanted.get("Interval") if isinstance(wanted, dict) else None
        if isinstance(interval, bool) or not isinstance(interval, int) or not 0 < interval <= _MAX_KEEP_ALIVE:
            raise MalformedMessage("a keep-alive interval that is none")
        self._keep_alive.interval = interval
        self._keep_alive_changed.set()

    async def _keep_shadow(self) -> Ended:
        """Ask what is desired, then report everything once a day. osap.md §7.4"""
        try:
            await self._sleep(_FIRST_QUERY_AFTER)
            for resource in self._reports.resources():
                await self._query(resource)
            while True:
                await self._sleep(_REPORT_ALL_AFTER)
                self._reports.everything()
        except LinkBroken as error:
            return Ended(Outcome.LINK_LOST, str(error))

    async def _query(self, resource: ResourceKey) -> None:
        topic = shadow_topic(self._thing.serial, resource, MsgType.QUERY)
        for _ in range(_QUERIES):
            body = await self._asked(str(topic))
            if body is None:
                continue
            try:
                desired = bodies.read_shadow_query_reply(body)
            except MalformedMessage as error:
                log.warning("device %s: %s", self._thing.serial, error)
                await self._sleep(_QUERY_AGAIN_AFTER)
                continue
            for wanted in desired:
                await self._desire(shadow_key(topic, wanted), wanted.value)
            return
        log.warning("device %s got no desired values for %s", self._thing.serial, topic)

    async def _asked(self, topic: str) -> bytes | None:
        """The reply, if it comes before the next query is due."""
        seq = self._channel.next_seq()
        reply = self._queries[seq] = asyncio.get_running_loop().create_future()
        timer = asyncio.ensure_future(self._sleep(_QUERY_AGAIN_AFTER))
        try:
            await self._channel.ask(topic, bodies.shadow_query_body(), seq)
            await asyncio.wait({reply, timer}, return_when=asyncio.FIRST_COMPLETED)
            return reply.result() if reply.done() else None
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
            del self._queries[seq]

    async def _desire(self, key: PointKey, value: Any) -> None:
        reply = await self._thing.apply(key, value)
        if reply.accepted:
            self._reports.changed(key)
            self._tell(ValueSet(key, value))
        else:
            log.warning("device %s refuses a desired value of %s: %s", self._thing.serial, key.point, reply.error)


def read_lbs_name(body: bytes) -> str:
    """Of a switch-over. Raises MalformedMessage. osap.md §6.6"""
    try:
        name: str | None = fromstring(body).findtext("DomainName")
    except (ParseError, DefusedXmlException, ValueError):
        raise MalformedMessage("a switch-over that is not XML") from None
    if name is None or not name.strip() or len(name) > 255 or not name.strip().isprintable():
        raise MalformedMessage("a switch-over without a name")
    return name.strip()
