"""A device as a thing: its values, and what it answers when the platform asks. No IO of its own. osap.md §7"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from osap_bridge.osap import bodies
from osap_bridge.osap.bodies import Child, ShadowValue
from osap_bridge.osap.message import (
    ACTION_FAILED,
    MAX_BODY,
    UNKNOWN_POINT,
    VALUE_REFUSED,
    MalformedMessage,
    Reply,
    to_json,
)
from osap_bridge.osap.profile import Action, Profile, Property, ResourceKey
from osap_bridge.osap.schema import Schema, Type
from osap_bridge.osap.topic import GLOBAL, MODEL, Method, MsgType, Topic
from osap_bridge.protocol import FunctionPoint

log = logging.getLogger(__name__)

DEVICE_WIDE = ResourceKey(GLOBAL, "0")
SHADOW = ("basic", "shadow")
CHILDREN = "childmanage"

DEVICE_DESCRIPTION = FunctionPoint("InfoMgr", "DeviceDescription")
GET_DOMAINS = FunctionPoint("DynamicCapability", "GetDomains")
GET_CHANNELS = FunctionPoint("Video", "GetChannelList")
SUBSCRIBE_EVENTS = FunctionPoint("EventSubscription", "AddEventSubscribeCfg")


class Refusal(Exception):
    """A behaviour raises it to refuse what the platform asks; the text goes into errorMsg."""


class PointKey(NamedTuple):
    """Where a value lives."""

    resource: ResourceKey
    point: FunctionPoint


OnSet: TypeAlias = Callable[[PointKey, Any], Awaitable[None] | None]
OnOperate: TypeAlias = Callable[[PointKey, Any], Any]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens in the device. Both may be coroutine functions and may raise Refusal.

    `on_set` runs before the value is taken over. `on_operate` returns the output.
    """

    on_set: OnSet | None = None
    on_operate: OnOperate | None = None


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device says of itself. `device_type` is the product; `sdk_versions` are by v2 domain number."""

    device_type: str
    firmware: str = ""
    display_type: str = ""
    mac: str = ""
    name: str = ""
    description: str = ""
    location: str = ""
    sdk_versions: Mapping[str, str] = field(default_factory=lambda: {"1000": "V3.0.0", "1100": "v2.0.0"})


class Answer(NamedTuple):
    """A reply to send; `changed` are properties whose value is new since the request, to be reported behind it."""

    topic: Topic
    body: bytes
    changed: tuple[PointKey, ...] = ()
    qos: int = 1


class Thing:
    """`values` holds the readable properties that have a value; at first the least value that the schema allows."""

    def __init__(
        self,
        serial: str,
        profile: Profile,
        info: DeviceInfo,
        behaviour: Behaviour,
        children: tuple[Child, ...] = (),
        values: Mapping[PointKey, Any] | None = None,
    ) -> None:
        self.serial = serial
        self.profile = profile
        self.info = info
        self.behaviour = behaviour
        self.children = children
        self.values: dict[PointKey, Any] = {}
        for key, prop in self.properties():
            if _has_start_value(prop.schema):
                self.values[key] = _start_value(prop.schema)
        for key, value in (values or {}).items():
            self.store(key, value)

    def properties(self) -> Iterator[tuple[PointKey, Property]]:
        for resource in self.profile.resources:
            for index in resource.local_indexes:
                for domain in resource.domains:
                    for prop in domain.properties:
                        point = FunctionPoint(domain.identifier, prop.identifier)
                        yield PointKey(ResourceKey(resource.category, index), point), prop

    def property_of(self, key: PointKey) -> Property | None:
        if key.resource not in self.profile.resource_keys():
            return None
        return self.profile.property(key.resource.resource_type, *key.point)

    def store(self, key: PointKey, value: Any) -> None:
        """Raises ValueError: no such property, or a value that its schema does not allow."""
        prop = self.property_of(key)
        if prop is None:
            raise ValueError(f"the profile has no property {key.point} on {_resource_text(key.resource)}")
        if (reason := prop.schema.violation(value, str(key.point))) is not None:
            raise ValueError(reason)
        self.values[key] = value

    def readable(self) -> list[PointKey]:
        """Everything there is to report."""
        return [key for key, prop in self.properties() if prop.readable and key in self.values]

    def find_property(self, point: FunctionPoint, resource: ResourceKey | None) -> PointKey:
        """The first resource that has it, unless one is named. Raises ValueError."""
        return self._find(point, resource, self.profile.property, "property")

    def find_event(self, point: FunctionPoint, resource: ResourceKey | None) -> PointKey:
        """Raises ValueError."""
        return self._find(point, resource, self.profile.event, "event")

    def _find(
        self, point: FunctionPoint, resource: ResourceKey | None, lookup: Callable[[str, str, str], object], what: str
    ) -> PointKey:
        for candidate in self.profile.resource_keys():
            if resource in (None, candidate) and lookup(candidate.resource_type, *point) is not None:
                return PointKey(candidate, point)
        raise ValueError(f"the profile has no {what} {point}")

    async def answer(self, topic: Topic, body: bytes, unix_time: float) -> Answer | None:
        """None: this is no request that a device answers."""
        handle = _HANDLERS.get((topic.module, topic.method, topic.msg_type))
        return None if handle is None else await handle(self, topic, body, unix_time)

    async def _on_set(self, topic: Topic, body: bytes, _unix_time: float) -> Answer:
        key = _key(topic)
        if topic.child != GLOBAL:
            return _replied(topic, _unknown(topic))
        try:
            reply = await self.apply(key, bodies.read_value(body))
        except MalformedMessage as error:
            reply = Reply(VALUE_REFUSED, str(error))
        return _replied(topic, reply, (key,) if reply.accepted else ())

    async def apply(self, key: PointKey, value: Any) -> Reply:
        """What the platform wants, if it may."""
        prop = self.property_of(key)
        if prop is None:
            return Reply(UNKNOWN_POINT, f"there is no property {key.point}", {"Value": {}})
        if not prop.writable:
            return Reply(VALUE_REFUSED, f"{key.point} cannot be written")
        if (reason := prop.schema.violation(value)) is not None:
            return Reply(VALUE_REFUSED, reason)
        if self.behaviour.on_set is not None:
            try:
                await _settled(self.behaviour.on_set(key, value))
            except Exception as error:
                return _failed(key, error)
        self.values[key] = value
        return Reply()

    async def _on_get(self, topic: Topic, _body: bytes, _unix_time: float) -> Answer:
        key = _key(topic)
        if topic.child == GLOBAL and key == PointKey(DEVICE_WIDE, DEVICE_DESCRIPTION):
            return _replied(topic, Reply(data={"Value": self._description()}))
        prop = self.property_of(key)
        if prop is None or not prop.readable or topic.child != GLOBAL:
            return _replied(topic, _unknown(topic))
        if key not in self.values:
            return _replied(topic, Reply(ACTION_FAILED, f"{key.point} has no value yet"))
        return _replied(topic, Reply(data={"Value": self.values[key]}))

    async def _on_operate(self, topic: Topic, body: bytes, _unix_time: float) -> Answer:
        key = _key(topic)
        if topic.child != GLOBAL:
            return _replied(topic, _unknown(topic))
        try:
            arguments = bodies.read_data(body)
        except MalformedMessage as error:
            return _replied(topic, Reply(VALUE_REFUSED, str(error)))
        action = None
        if key.resource in self.profile.resource_keys():
            action = self.profile.action(key.resource.resource_type, *key.point)
        if action is not None:
            return _replied(topic, await self._operate(key, action, arguments))
        if key.resource == DEVICE_WIDE and key.point in _DESCRIPTIVE:
            return _replied(topic, Reply(data=_DESCRIPTIVE[key.point](self)))
        return _replied(topic, _unknown(topic))

    async def _operate(self, key: PointKey, action: Action, arguments: Any) -> Reply:
        if action.from_device:
            return Reply(ACTION_FAILED, f"{key.point} is started by the device")
        if (reason := action.input.violation(arguments, "input")) is not None:
            return Reply(VALUE_REFUSED, reason)
        if self.behaviour.on_operate is None:
            return Reply(ACTION_FAILED, f"nothing carries out {key.point}")
        try:
            output = await _settled(self.behaviour.on_operate(key, arguments))
            check_size(to_json(output))
        except Exception as error:
            return _failed(key, error)
        return Reply(data={} if output is None else output)

    async def _on_shadow_set(self, topic: Topic, body: bytes, unix_time: float) -> Answer:
        try:
            wanted = bodies.read_shadow_set(body)
        except MalformedMessage:
            return Answer(topic.reply, bodies.shadow_set_reply_body(-1, int(unix_time)), qos=0)
        key = shadow_key(topic, wanted)
        accepted = topic.child == GLOBAL and (await self.apply(key, wanted.value)).accepted
        body = bodies.shadow_set_reply_body(0 if accepted else -1, int(unix_time))
        return Answer(topic.reply, body, (key,) if accepted else (), qos=0)

    async def _on_search_children(self, topic: Topic, _body: bytes, _unix_time: float) -> Answer:
        listed = bodies.read_data(bodies.children_body(self.children))["childList"]
        return _replied(topic, Reply(error="Succeeded.", data={"pageCount": 1, "childList": listed}))

    def _description(self) -> dict[str, str]:
        return {
            "deviceName": self.info.name,
            "deviceDescription": self.info.description,
            "deviceLocation": self.info.location,
            "model": self.info.device_type,
            "serialNumber": self.serial,
            "subSerialNumber": self.serial,
        }

    def _domains(self) -> dict[str, Any]:
        names = (domain.identifier for resource in self.profile.resources for domain in resource.domains)
        return {"domains": list(dict.fromkeys(names))}

    def _channels(self) -> dict[str, Any]:
        indexes = (key.resource_id for key in self.profile.resource_keys() if key.resource_type != GLOBAL)
        return {"ChannelList": [{"ID": int(index)} for index in indexes if index.isdecimal()]}

    def _event_subscription(self) -> dict[str, Any]:
        """Everything is reported without being asked for."""
        return {"subscribeEventID": self.serial}


_Handler: TypeAlias = Callable[[Thing, Topic, bytes, float], Awaitable[Answer]]

_HANDLERS: dict[tuple[str, str, MsgType], _Handler] = {
    (MODEL, Method.ATTRIBUTE, MsgType.SET): Thing._on_set,
    (MODEL, Method.ATTRIBUTE, MsgType.GET): Thing._on_get,
    (MODEL, Method.SERVICE, MsgType.OPERATE): Thing._on_operate,
    (*SHADOW, MsgType.SET): Thing._on_shadow_set,
    (CHILDREN, "searchchild", MsgType.OPERATE): Thing._on_search_children,
}

_DESCRIPTIVE: dict[FunctionPoint, Callable[[Thing], dict[str, Any]]] = {
    GET_DOMAINS: Thing._domains,
    GET_CHANNELS: Thing._channels,
    SUBSCRIBE_EVENTS: Thing._event_subscription,
}
"""Operations that every device offers on `0-global`. osap.md §§7.3, 7.6"""


def report_topic(serial: str, key: PointKey, method: Method) -> Topic:
    """Of a single report, of a property or an event."""
    resource_type, resource_id = key.resource
    return Topic(serial, GLOBAL, resource_id, resource_type, MODEL, method, MsgType.REPORT, *key.point)


def shadow_topic(serial: str, resource: ResourceKey, msg_type: MsgType) -> Topic:
    return Topic(serial, GLOBAL, resource.resource_id, resource.resource_type, *SHADOW, msg_type)


def shadow_key(topic: Topic, value: ShadowValue) -> PointKey:
    resource = ResourceKey(topic.resource_type, topic.resource_id)
    return PointKey(resource, FunctionPoint(value.domain, value.identifier))


def children_topic(serial: str) -> Topic:
    return Topic(serial, GLOBAL, "0", GLOBAL, CHILDREN, "fullchild", MsgType.REPORT)


def event_body(content: Mapping[str, Any], date_time: str, uuid: str) -> bytes:
    """The event object with `basic`, whose members given by `content` are kept. osap.md §7.3"""
    basic = content.get("basic", {})
    if not isinstance(basic, Mapping):
        raise ValueError("basic of an event is an object")
    return to_json({**content, "basic": {"dateTime": date_time, "UUID": uuid, **basic}})


def check_size(body: bytes) -> None:
    """Raises ValueError."""
    if len(body) > MAX_BODY:
        raise ValueError(f"{len(body)} bytes are more than a message carries, which is {MAX_BODY}")


def _key(topic: Topic) -> PointKey:
    return PointKey(ResourceKey(topic.resource_type, topic.resource_id), FunctionPoint(topic.domain, topic.identifier))


def _replied(topic: Topic, reply: Reply, changed: tuple[PointKey, ...] = ()) -> Answer:
    return Answer(topic.reply, reply.to_body(), changed)


def _unknown(topic: Topic) -> Reply:
    return Reply(UNKNOWN_POINT, f"there is no {topic.domain}/{topic.identifier} here", {"Value": {}})


def _failed(key: PointKey, error: Exception) -> Reply:
    """A behaviour is somebody else's code: what goes wrong there is logged, and must not take the device down."""
    if isinstance(error, Refusal):
        return Reply(ACTION_FAILED, str(error))
    log.error("the behaviour behind %s failed", key.point, exc_info=error)
    return Reply(ACTION_FAILED, f"{key.point} failed in the device")


def _resource_text(resource: ResourceKey) -> str:
    return f"{resource.resource_id}-{resource.resource_type}"


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _has_start_value(schema: Schema) -> bool:
    return (schema.type is not None or schema.enum is not None) and schema.allows(_start_value(schema))


def _start_value(schema: Schema) -> Any:
    if schema.enum:
        return schema.enum[0]
    match schema.type:
        case Type.BOOLEAN:
            return False
        case Type.INTEGER | Type.NUMBER:
            number = schema.minimum if schema.minimum is not None and schema.minimum > 0 else 0
            return int(number) if schema.type is Type.INTEGER else number
        case Type.STRING:
            return ""
        case Type.ARRAY:
            return []
    return {}
