"""What a device has to tell the platform, whatever link it has: properties, events, sub-devices. osap.md §7"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn
from uuid import uuid4

from osap_bridge.osap import bodies
from osap_bridge.osap.bodies import ShadowValue
from osap_bridge.osap.device.link import Link, LinkBroken
from osap_bridge.osap.device.store import DeviceStorage
from osap_bridge.osap.device.thing import (
    PointKey,
    Thing,
    check_size,
    children_topic,
    event_body,
    report_topic,
    shadow_topic,
)
from osap_bridge.osap.message import Message, encode, next_seq
from osap_bridge.osap.profile import ResourceKey
from osap_bridge.osap.topic import Method, MsgType

log = logging.getLogger(__name__)


class Sequence:
    """The Seq of everything that a device starts, from 1, over all its links. osap.md §6.4"""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last = next_seq(self._last)
        return self._last


class Channel:
    """A link together with the key of its session. Everything raises LinkBroken."""

    def __init__(self, link: Link, session_key: bytes, sequence: Sequence, *, retain: bool) -> None:
        self.link = link
        self._session_key = session_key
        self._sequence = sequence
        self._retain = retain

    async def tell(self, topic: str, body: bytes) -> None:
        await self._send(topic, Message(self._sequence.next(), body), 1)

    def next_seq(self) -> int:
        return self._sequence.next()

    async def ask(self, topic: str, body: bytes, seq: int) -> None:
        """The reply will have the same Seq, and may come before this returns."""
        await self._send(topic, Message(seq, body), 1)

    async def reply(self, topic: str, body: bytes, seq: int, qos: int) -> None:
        await self._send(topic, Message(seq, body), qos)

    async def _send(self, topic: str, message: Message, qos: int) -> None:
        await self.link.publish(topic, encode(message, self._session_key), qos=qos, retain=self._retain)


class Reports:
    """Properties are reported once with their last value after an outage; events all, in order, until confirmed."""

    def __init__(self, thing: Thing, storage: DeviceStorage, *, shadow: bool) -> None:
        self._thing = thing
        self._storage = storage
        self._shadow = shadow
        self._unreported: dict[PointKey, None] = {}
        self._children_due = False
        self._versions: dict[PointKey, int] = {}
        self._something = asyncio.Event()

    def everything(self) -> None:
        """All that can be read has to be reported, as after every full registration."""
        self._unreported = dict.fromkeys(self._thing.readable())
        self.reconnected()

    def reconnected(self) -> None:
        """The list of sub-devices has to be reported, of a gateway that has some."""
        self._children_due = self._children_due or bool(self._thing.children)
        self._something.set()

    def children_changed(self) -> None:
        self._children_due = True
        self._something.set()

    def changed(self, key: PointKey) -> None:
        self._versions[key] = self._versions.get(key, -1) + 1
        prop = self._thing.property_of(key)
        if prop is not None and prop.readable:
            self._unreported[key] = None
            self._something.set()

    async def deliver(self, channel: Channel, key: PointKey) -> None:
        """Report one property now; one that could not be delivered stays on the list."""
        if key in self._unreported:
            with contextlib.suppress(LinkBroken):
                await self._deliver(channel, key)

    def emit(self, key: PointKey, content: Mapping[str, Any], now: datetime) -> None:
        """Into the cache, durable. Raises ValueError: not what the profile says, or too long."""
        event = self._thing.profile.event(key.resource.resource_type, *key.point)
        if event is not None and (reason := event.content.violation(dict(content), str(key.point))) is not None:
            raise ValueError(reason)
        body = event_body(content, now.astimezone().isoformat(timespec="milliseconds"), uuid4().hex)
        check_size(body)
        self._storage.append_event(str(report_topic(self._thing.serial, key, Method.EVENT)), body)
        self._something.set()

    async def drain(self, channel: Channel) -> NoReturn:
        """Send what there is and what comes, until the link breaks. Raises LinkBroken."""
        while True:
            self._something.clear()
            if self._children_due:
                await self._report_children(channel)
            for key in tuple(self._unreported):
                await self._deliver(channel, key)
            try:
                await self._replay(channel)
            except (OSError, sqlite3.Error) as error:
                log.error("device %s cannot use its event cache: %s", self._thing.serial, error)
            await self._something.wait()

    async def _replay(self, channel: Channel) -> None:
        """The cached events in order; one is removed when the platform has it."""
        while (event := self._storage.first_event()) is not None:
            await channel.tell(event.topic, event.body)
            self._storage.remove_event(event.number)

    async def _report_children(self, channel: Channel) -> None:
        self._children_due = False
        try:
            body = bodies.children_body(self._thing.children)
            await channel.tell(str(children_topic(self._thing.serial)), body)
        except LinkBroken:
            self._children_due = True
            raise

    async def _deliver(self, channel: Channel, key: PointKey) -> None:
        version = self._versions.get(key)
        await channel.tell(*self._report(key))
        if self._versions.get(key) == version:
            self._unreported.pop(key, None)

    def _report(self, key: PointKey) -> tuple[str, bytes]:
        value = self._thing.values[key]
        if not self._shadow:
            return str(report_topic(self._thing.serial, key, Method.ATTRIBUTE)), bodies.value_body(value)
        topic = shadow_topic(self._thing.serial, key.resource, MsgType.REPORT)
        reported = ShadowValue(*key.point, value)
        return str(topic), bodies.shadow_report_body(reported, self._versions.get(key, 0))

    def resources(self) -> tuple[ResourceKey, ...]:
        """Those that have something to report."""
        return tuple(dict.fromkeys(key.resource for key in self._thing.readable()))
