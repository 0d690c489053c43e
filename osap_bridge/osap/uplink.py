"""What the messages of a device mean to the platform, replies to our own requests apart. osap.md §§6.6, 7, 8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

from osap_bridge.osap import bodies
from osap_bridge.osap.actions import Action, Dropped, Keep, ListedChildren, Noted, Reported, Respond
from osap_bridge.osap.directory import KeptEvent
from osap_bridge.osap.message import (
    ACTION_FAILED,
    UNKNOWN_POINT,
    Kind,
    MalformedMessage,
    Message,
    Reply,
    from_json,
    to_json,
)
from osap_bridge.osap.topic import AnyTopic, BatchTopic, CommandTopic, Method, MsgType, Topic
from osap_bridge.protocol import Entity, FunctionPoint, Report

BASE_DOMAIN = 1100
PROFILE_QUERY = 14448
PROFILE_ANSWER = 14449
HUB_DOMAIN = 7002
_HUB_CHILD, _HUB_CHILD_ANSWER = 16, 17
_HUB_LISTS = {1: 2, 3: 4}
_NOTED_LENGTH = 200


class ProfileOffer(NamedTuple):
    """Where a device may fetch a profile: `url` has no scheme, `expire` is seconds, `md5` hexadecimal. osap.md §8."""

    url: str
    expire: int
    md5: str


@dataclass(frozen=True, slots=True)
class Context:
    """`wall` is Unix seconds. `since` tells this run of the device from its others: events without a UUID need it."""

    serial: str
    wall: float
    since: float
    offer: Callable[[str], ProfileOffer | None]


def interpret(topic: AnyTopic, message: Message, context: Context) -> Iterator[Action]:
    """Raises MalformedMessage for a body that is not what the topic promises."""
    match topic:
        case BatchTopic():
            reader = _batch_of_reports if topic.method is Method.ATTRIBUTE else _batch_of_events
            yield from reader(message, context)
        case CommandTopic():
            yield from _command(topic, message, context)
        case Topic():
            kind = (topic.module, topic.method, topic.msg_type)
            yield from _THING.get(kind, _not_offered)(topic, message, context)


def _attribute_report(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    yield _reported(topic, topic.domain, topic.identifier, bodies.read_value(message.body))


def _shadow_report(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    shadow = bodies.read_shadow_report(message.body)
    yield _reported(topic, *shadow)
    yield Respond(topic.reply, Message(message.seq, bodies.shadow_report_reply_body()))


def _shadow_query(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    """Nothing is ever wanted by way of the shadow: values are set while the device is online."""
    yield Respond(topic.reply, Message(message.seq, bodies.shadow_query_reply_body()))


def _event(topic: Topic, message: Message, context: Context) -> Iterator[Action]:
    item = bodies.BatchItem(
        topic.child, topic.resource_id, topic.resource_type, topic.domain, topic.identifier, from_json(message.body)
    )
    yield _kept(item, message.seq, 0, context)


def _children(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    yield ListedChildren(bodies.read_children(message.body))
    yield Respond(topic.reply, Message(message.seq, Reply().to_body()))


def _device_operation(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    reply = Reply(UNKNOWN_POINT, "the platform offers no operations")
    yield Dropped(
        f"the device asked for operation {topic.domain}/{topic.identifier}, which the platform does not offer"
    )
    yield Respond(topic.reply, Message(message.seq, reply.to_body()))


def _no_files(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    """A device that asks where to put a picture is told at once, so it does not wait."""
    reply = Reply(ACTION_FAILED, "the platform stores no files")
    yield Noted(f"{topic.method} was asked for; the platform stores no files")
    yield Respond(topic.reply, Message(message.seq, reply.to_body()))


def _ota(topic: Topic, message: Message, _: Context) -> Iterator[Action]:
    text = to_json(from_json(message.body)).decode()
    yield Noted(f"OTA {topic.method}: {text[:_NOTED_LENGTH]!r}")


def _not_offered(topic: Topic, _message: Message, _: Context) -> Iterator[Action]:
    yield Dropped(f"nothing here takes {topic.module}/{topic.method}/{topic.msg_type}")


_Thing: TypeAlias = Callable[[Topic, Message, Context], Iterator[Action]]
_THING: dict[tuple[str, str, MsgType], _Thing] = {
    ("model", "attribute", MsgType.REPORT): _attribute_report,
    ("model", "event", MsgType.REPORT): _event,
    ("model", "service", MsgType.OPERATE): _device_operation,
    ("basic", "shadow", MsgType.REPORT): _shadow_report,
    ("basic", "shadow", MsgType.QUERY): _shadow_query,
    ("childmanage", "fullchild", MsgType.REPORT): _children,
    ("storage", "upload/url", MsgType.QUERY): _no_files,
    ("storage", "download/url", MsgType.QUERY): _no_files,
    ("ota", "inform", MsgType.REPORT): _ota,
    ("ota", "progress", MsgType.REPORT): _ota,
}


def _batch_of_reports(message: Message, context: Context) -> Iterator[Action]:
    for item in bodies.read_batch(message.body, "props"):
        entity = Entity(context.serial, item.child, item.resource_type, item.resource_id)
        value = bodies.value_of(item.data)
        yield Reported(Report(entity, FunctionPoint(item.domain, item.identifier), value))


def _batch_of_events(message: Message, context: Context) -> Iterator[Action]:
    for number, item in enumerate(bodies.read_batch(message.body, "event")):
        yield _kept(item, message.seq, number, context)


def _reported(topic: Topic, domain: str, identifier: str, value: Any) -> Reported:
    entity = Entity(topic.serial, topic.child, topic.resource_type, topic.resource_id)
    return Reported(Report(entity, FunctionPoint(domain, identifier), value))


def _kept(item: bodies.BatchItem, seq: int, number: int, context: Context) -> Keep:
    """An event without a UUID is known again by what it is and its Seq: enough for one that is sent twice."""
    if not isinstance(item.data, dict):
        raise MalformedMessage("an event that is not an object")
    uuid = bodies.event_uuid(item.data)
    if uuid is None:
        uuid = sha256(to_json([context.since, seq, number, *item])).hexdigest()
    time = bodies.event_time(item.data)
    return Keep(
        KeptEvent(
            key=f"{context.serial}/{item.child}/{uuid}",
            serial=context.serial,
            child=item.child,
            resource_type=item.resource_type,
            resource_id=item.resource_id,
            domain=item.domain,
            identifier=item.identifier,
            content=item.data,
            time=context.wall if time is None else time,
        )
    )


def _command(topic: CommandTopic, message: Message, context: Context) -> Iterator[Action]:
    if message.command_version is None:
        raise MalformedMessage("a v2 command without CmdVer")
    if (topic.domain, topic.command) == (BASE_DOMAIN, PROFILE_QUERY):
        yield from _profile_query(topic, message, context)
    elif topic.domain == HUB_DOMAIN and topic.command in _HUB_LISTS:
        yield ListedChildren(bodies.read_hub_children(message.body))
        yield _answer(topic, _HUB_LISTS[topic.command], message, {"result": 0}, context)
    elif (topic.domain, topic.command) == (HUB_DOMAIN, _HUB_CHILD):
        child = bodies.read_child_serial(from_json(message.body), "childserial")
        yield _answer(topic, _HUB_CHILD_ANSWER, message, {"childserial": child, "result": 0}, context)
    else:
        yield Noted(f"command {topic} of {len(message.body)} bytes")


def _profile_query(topic: CommandTopic, message: Message, context: Context) -> Iterator[Action]:
    """A gateway asks for its sub-devices, too, so the answer names the serial that was asked for."""
    product = _member(message, "pid")
    offer = context.offer(product)
    if offer is None:
        yield Dropped(f"the device asked for the profile of {product!r}, which is not known")
        return
    body = offer._asdict() | {"devSerial": _member(message, "devSerial", context.serial)}
    yield _answer(topic, PROFILE_ANSWER, message, body, context)


def _answer(topic: CommandTopic, command: int, message: Message, body: dict[str, Any], context: Context) -> Respond:
    response = Message(message.seq, to_json(body), message.command_version, Kind.RESPONSE)
    return Respond(CommandTopic(topic.domain, command, context.serial), response)


def _member(message: Message, name: str, default: str | None = None) -> str:
    content = from_json(message.body)
    value = content.get(name, default) if isinstance(content, dict) else None
    if not isinstance(value, str):
        raise MalformedMessage(f"a command without a text {name!r}")
    return value
