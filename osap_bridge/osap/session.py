"""The session of one serial with the DAS: keys, subscriptions, Seqs, requests and their deadlines. osap.md §§6, 7.

A session outlives its connections: a light registration goes on where the last one broke. Times are monotonic seconds
but for `wall`. A request that waits when the connection breaks stays until its deadline, since the device may be back
before; what waits then is sent again, with its duplicate flag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
    Reported,
    Respond,
    Send,
)
from osap_bridge.osap.bodies import Child
from osap_bridge.osap.crypto import DecryptionFailed
from osap_bridge.osap.message import UNKNOWN_POINT, MalformedMessage, Message, Reply, decode, encode, next_seq
from osap_bridge.osap.registration import DeviceInformation
from osap_bridge.osap.topic import MODEL, AnyTopic, CommandTopic, InvalidTopic, MsgType, Topic, matches, parse_topic
from osap_bridge.osap.uplink import Context, ProfileOffer, interpret
from osap_bridge.protocol import Entity, FunctionPoint

QUEUE_LENGTH = 64
REQUEST_DEADLINE = 10.0
KEEP_ALIVE_FACTOR = 1.5
MAX_SHADOW = 1024
MAX_SUBSCRIPTIONS = 16
MAX_PACKET_ID = 65_535


class QueueFull(Exception):
    """So many requests wait for this device that no more are taken."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a connection is bound to from its CONNECT on. `expires_at` None: the key does not expire."""

    session_key: bytes = field(repr=False)
    keep_alive: int
    expires_at: float | None


@dataclass(slots=True)
class _Request:
    topic: Topic
    message: Message
    deadline: float
    sent: bool = False
    packet_id: int | None = None
    acknowledged: bool = False


class Session:
    def __init__(
        self,
        information: DeviceInformation,
        offer: Callable[[str], ProfileOffer | None],
        *,
        request_deadline: float = REQUEST_DEADLINE,
    ) -> None:
        self.serial = information.serial
        self.information = information
        self.children: tuple[Child, ...] = ()
        self._offer = offer
        self._request_deadline = request_deadline
        self._since = 0.0
        self._binding: Binding | None = None
        self._heard_at = 0.0
        self._subscriptions: dict[str, int] = {}
        self._requests: dict[int, _Request] = {}
        self._shadow: dict[tuple[Entity, FunctionPoint], Any] = {}
        self._seq = 0
        self._packet_id = 0

    @property
    def online(self) -> bool:
        return self._binding is not None

    def register(self, information: DeviceInformation, binding: Binding, now: float, wall: float) -> list[Action]:
        """A full registration: nothing of an earlier session stays."""
        abandoned: list[Action] = [Answered(seq, Failure.OFFLINE) for seq in self._requests]
        self.information, self._binding = information, binding
        self._heard_at, self._since = now, wall
        self.children = ()
        self._seq = self._packet_id = 0
        for forgotten in (self._subscriptions, self._requests, self._shadow):
            forgotten.clear()
        return abandoned

    def resume(self, binding: Binding, now: float) -> list[Action]:
        """A light registration: subscriptions and what waits are still there."""
        self._binding, self._heard_at = binding, now
        return list(self._send_waiting(again=True))

    def disconnected(self, orderly: bool) -> list[Action]:
        self._binding = None
        if not orderly:
            return []
        abandoned: list[Action] = [Answered(seq, Failure.OFFLINE) for seq in self._requests]
        self._requests.clear()
        return abandoned

    def request(self, topic: Topic, body: bytes, now: float) -> tuple[int, list[Action]]:
        """Its Seq, which `Answered` will bear. Raises QueueFull, and MalformedMessage for too large a body.
        What the device has not subscribed to yet waits until it has."""
        if len(self._requests) >= QUEUE_LENGTH:
            raise QueueFull
        seq = next_seq(self._seq)
        message = Message(seq, body)
        self._seq = seq
        self._requests[seq] = _Request(topic, message, now + self._request_deadline)
        return seq, list(self._send_waiting())

    def abandon(self, seq: int) -> None:
        """Nobody waits for the answer any more."""
        self._requests.pop(seq, None)

    def deadline(self) -> float | None:
        """When `expire` has something to do, if nothing happens before."""
        moments = [request.deadline for request in self._requests.values()]
        if self._binding is not None:
            if self._binding.keep_alive:
                moments.append(self._heard_at + KEEP_ALIVE_FACTOR * self._binding.keep_alive)
            if self._binding.expires_at is not None:
                moments.append(self._binding.expires_at)
        return min(moments, default=None)

    def expire(self, now: float) -> list[Action]:
        """What the passing of time brings. With `Close` the device is offline already."""
        failure = Failure.SILENT if self.online else Failure.OFFLINE
        over = [seq for seq, request in self._requests.items() if request.deadline <= now]
        for seq in over:
            del self._requests[seq]
        actions: list[Action] = [Answered(seq, failure) for seq in over]
        if (reason := self._ended(now)) is not None:
            self._binding = None
            actions.append(Close(reason))
        return actions

    def _ended(self, now: float) -> str | None:
        binding = self._binding
        if binding is None:
            return None
        if binding.expires_at is not None and binding.expires_at <= now:
            return "its session key expired"
        if binding.keep_alive and self._heard_at + KEEP_ALIVE_FACTOR * binding.keep_alive <= now:
            return f"silent for {KEEP_ALIVE_FACTOR * binding.keep_alive:g} s"
        return None

    def receive(self, packet: packets.Packet, now: float, wall: float) -> list[Action]:
        """A packet behind the CONNECT. Events are kept before their PUBACK; anything else is acknowledged at once."""
        self._heard_at = now
        match packet:
            case packets.Publish():
                return list(self._take(packet, wall))
            case packets.Puback():
                self._acknowledge(packet.packet_id)
                return []
            case packets.Pingreq():
                return [Send(packets.Pingresp())]
            case packets.Subscribe():
                return [Send(self._subscribe(packet)), *self._send_waiting()]
            case packets.Unsubscribe():
                for topic_filter in packet.filters:
                    self._subscriptions.pop(topic_filter, None)
                return [Send(packets.Unsuback(packet.packet_id))]
            case packets.Disconnect():
                return [Close("it said goodbye", orderly=True)]
        return [Close(f"a {type(packet).__name__.upper()} from a device", malformed=True)]

    # Messages of the device

    def _take(self, packet: packets.Publish, wall: float) -> Iterator[Action]:
        """A message that the key opens is acknowledged, whatever it says: sent again it would say the same. One that
        it does not open is not, so the device learns that its key is of no use."""
        assert self._binding is not None
        acknowledgement = [Send(packets.Puback(packet.packet_id))] if packet.packet_id is not None else []
        try:
            message = decode(packet.payload, self._binding.session_key)
            topic = self._own_topic(packet.topic)
            actions = self._answer(topic, message) or list(interpret(topic, message, self._context(wall)))
        except DecryptionFailed:
            yield Dropped(f"a payload on {packet.topic!r} does not decrypt")
            return
        except (MalformedMessage, InvalidTopic) as error:
            yield from acknowledgement
            yield Dropped(f"a message on {packet.topic!r}: {error}")
            return
        yield from (action for action in actions if isinstance(action, Keep))
        yield from acknowledgement
        for action in actions:
            if not isinstance(action, Keep):
                yield from self._digest(action)

    def _own_topic(self, text: str) -> AnyTopic:
        topic = parse_topic(text)
        if isinstance(topic, CommandTopic):
            if topic.serial:
                raise InvalidTopic("a command topic to the platform names no serial")
        elif topic.serial != self.serial:
            raise InvalidTopic(f"the serial is not that of the connection, {self.serial!r}")
        return topic

    def _context(self, wall: float) -> Context:
        return Context(self.serial, wall, self._since, self._offer)

    def _digest(self, action: Action) -> Iterator[Action]:
        match action:
            case Reported(report=report):
                if len(self._shadow) < MAX_SHADOW or (report.entity, report.point) in self._shadow:
                    self._shadow[report.entity, report.point] = report.value
                yield action
            case Respond():
                yield from self._publish(action.topic, action.message)
            case ListedChildren():
                self.children = action.children
                yield action
            case _:
                yield action

    def _answer(self, topic: AnyTopic, message: Message) -> list[Action]:
        """Of a reply to one of our requests; empty for any other message."""
        if not isinstance(topic, Topic) or topic.module != MODEL or not topic.msg_type.is_reply:
            return []
        request = self._requests.get(message.seq)
        if request is None:
            return [Dropped(f"a reply on {topic} to no request that waits")]
        if topic == request.topic.reply:
            reply = Reply.from_body(message.body)
        elif topic == replace(request.topic, msg_type=MsgType.SET).reply:
            reply = self._from_shadow(request.topic)
        else:
            return [Dropped(f"a reply on {topic} with the Seq of a request on {request.topic}")]
        del self._requests[message.seq]
        return [Answered(message.seq, reply)]

    def _from_shadow(self, topic: Topic) -> Reply:
        """A `set_reply` to a `get`: the device knows no get, and what it reported last is all there is."""
        entity = Entity(topic.serial, topic.child, topic.resource_type, topic.resource_id)
        key = entity, FunctionPoint(topic.domain, topic.identifier)
        if key not in self._shadow:
            return Reply(UNKNOWN_POINT, "the device answers no get and has not reported this")
        return Reply(data={"Value": self._shadow[key]})

    # Messages to the device

    def _subscribe(self, packet: packets.Subscribe) -> packets.Suback:
        codes = []
        for topic_filter, qos in packet.filters:
            own = topic_filter.startswith((f"/iot/{self.serial}/", f"/{self.serial}/"))
            known = topic_filter in self._subscriptions
            if own and (known or len(self._subscriptions) < MAX_SUBSCRIPTIONS):
                self._subscriptions[topic_filter] = min(qos, 1)
                codes.append(min(qos, 1))
            else:
                codes.append(packets.REFUSED_SUBSCRIPTION)
        return packets.Suback(packet.packet_id, tuple(codes))

    def _granted_qos(self, topic: str) -> int | None:
        """None: the device has not subscribed to it."""
        granted = (qos for topic_filter, qos in self._subscriptions.items() if matches(topic_filter, topic))
        return max(granted, default=None)

    def _publish(self, topic: Topic | CommandTopic, message: Message) -> Iterator[Send]:
        """QoS 0: a device that misses an answer asks again."""
        if self._binding is not None and self._granted_qos(str(topic)) is not None:
            yield Send(packets.Publish(str(topic), encode(message, self._binding.session_key)))

    def _send_waiting(self, again: bool = False) -> Iterator[Send]:
        if self._binding is None:
            return
        for request in self._requests.values():
            qos = self._granted_qos(str(request.topic))
            repeated = again and request.packet_id is not None and not request.acknowledged
            if qos is None or (request.sent and not repeated):
                continue
            if qos and request.packet_id is None:
                self._packet_id = self._packet_id % MAX_PACKET_ID + 1
                request.packet_id = self._packet_id
            request.sent = True
            payload = encode(request.message, self._binding.session_key)
            yield Send(packets.Publish(str(request.topic), payload, request.packet_id, duplicate=repeated))

    def _acknowledge(self, packet_id: int) -> None:
        for request in self._requests.values():
            if request.packet_id == packet_id:
                request.acknowledged = True
