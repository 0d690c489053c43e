"""Topics of the DAS: the grammar of the thing model (v3), its batch forms, and numbered commands (v2). osap.md §6.3."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

GLOBAL = "global"
MODEL = "model"

MAX_TOPIC = 511
MAX_COMMAND_TOPIC = 127
_LIMITS = {
    "serial": 72,
    "child": 72,
    "resource_id": 64,
    "resource_type": 64,
    "module": 16,
    "domain": 64,
    "identifier": 64,
}


class InvalidTopic(ValueError):
    """A topic that none of the grammars of osap.md §6.3 allows."""


class MsgType(StrEnum):
    REPORT = "report"
    REPORT_REPLY = "report_reply"
    SET = "set"
    SET_REPLY = "set_reply"
    GET = "get"
    GET_REPLY = "get_reply"
    OPERATE = "operate"
    OPERATE_REPLY = "operate_reply"
    QUERY = "query"
    QUERY_REPLY = "query_reply"

    @property
    def is_reply(self) -> bool:
        return self.endswith("_reply")

    @property
    def reply(self) -> MsgType:
        """Raises ValueError for what is a reply itself."""
        return MsgType(f"{self}_reply")


class Method(StrEnum):
    """The methods of module `model`; `service` is an operation."""

    ATTRIBUTE = "attribute"
    SERVICE = "service"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Topic:
    """`/iot/{serial}/{child}/{resource_id}-{resource_type}/{module}/{method}/{msg_type}`, and behind it
    `/{domain}/{identifier}` in module `model` and only there. Raises InvalidTopic."""

    serial: str
    child: str
    resource_id: str
    resource_type: str
    module: str
    method: str
    msg_type: MsgType
    domain: str = ""
    identifier: str = ""

    def __post_init__(self) -> None:
        for name in ("serial", "child", "resource_id", "resource_type", "module"):
            check_element(name, getattr(self, name))
        if "-" in self.resource_id:
            raise InvalidTopic(f"resource id {self.resource_id!r} holds a hyphen")
        if self.module == MODEL:
            _check_model(self.method, self.domain, self.identifier)
        elif self.domain or self.identifier:
            raise InvalidTopic(f"module {self.module!r} has no function points")
        else:
            for part in self.method.split("/"):
                _check_text("method", part)
        if len(str(self).encode()) > MAX_TOPIC:
            raise InvalidTopic(f"a topic of more than {MAX_TOPIC} bytes")

    def __str__(self) -> str:
        head = f"{_resource_prefix(self)}/{self.module}/{self.method}/{self.msg_type}"
        return f"{head}/{self.domain}/{self.identifier}" if self.module == MODEL else head

    @property
    def reply(self) -> Topic:
        """Where the answer goes. Raises ValueError for what is a reply itself."""
        return replace(self, msg_type=self.msg_type.reply)


@dataclass(frozen=True, slots=True)
class BatchTopic:
    """Reports of many function points in one message: of attributes, or of events (osap.md §7.3)."""

    serial: str
    child: str
    resource_id: str
    resource_type: str
    method: Method

    def __post_init__(self) -> None:
        for name in ("serial", "child", "resource_id", "resource_type"):
            check_element(name, getattr(self, name))
        if "-" in self.resource_id:
            raise InvalidTopic(f"resource id {self.resource_id!r} holds a hyphen")
        if self.method is Method.SERVICE:
            raise InvalidTopic("operations have no batch form")

    def __str__(self) -> str:
        tail = "model/attribute/mreport" if self.method is Method.ATTRIBUTE else "event/mreport"
        return f"{_resource_prefix(self)}/{tail}"


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """A v2 command: `/{domain}/{command}` to the platform, `/{serial}/{domain}/{command}` to the device."""

    domain: int
    command: int
    serial: str = ""

    def __post_init__(self) -> None:
        if self.serial:
            check_element("serial", self.serial)
        if not (0 <= self.domain < 1 << 32 and 0 <= self.command < 1 << 32):
            raise InvalidTopic("a number of a command topic beyond 32 bits")

    def __str__(self) -> str:
        prefix = f"/{self.serial}" if self.serial else ""
        return f"{prefix}/{self.domain}/{self.command}"


AnyTopic: TypeAlias = Topic | BatchTopic | CommandTopic


def parse_topic(text: str) -> AnyTopic:
    """Raises InvalidTopic."""
    first, *parts = text.split("/")
    if first or not parts:
        raise InvalidTopic("a topic starts with a slash")
    if len(parts) <= 3:
        return _parse_command(text, parts)
    if parts[0] != "iot":
        raise InvalidTopic("a topic of more than three elements starts with /iot/")
    if len(text.encode(errors="replace")) > MAX_TOPIC:
        raise InvalidTopic(f"a topic of more than {MAX_TOPIC} bytes")
    return _parse_thing(parts[1:])


def subscriptions(serial: str) -> tuple[str, str]:
    """The two filters of a device, in the order in which it subscribes: v3, then v2."""
    return f"/iot/{serial}/#", f"/{serial}/#"


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 3.1.1 §4.7, for topics without `$`."""
    levels = topic.split("/")
    wanted = topic_filter.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return position == len(wanted) - 1
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(levels) == len(wanted)


def split_resource(text: str) -> tuple[str, str]:
    """`0-PetDryerRes` as (resource_id, resource_type). Raises InvalidTopic."""
    resource_id, hyphen, resource_type = text.partition("-")
    if not hyphen:
        raise InvalidTopic(f"resource {text!r} is not written id-type")
    check_element("resource_id", resource_id)
    check_element("resource_type", resource_type)
    return resource_id, resource_type


def _parse_command(text: str, parts: list[str]) -> CommandTopic:
    if len(text.encode(errors="replace")) > MAX_COMMAND_TOPIC:
        raise InvalidTopic(f"a command topic of more than {MAX_COMMAND_TOPIC} bytes")
    if len(parts) < 2:
        raise InvalidTopic("a command topic has a domain and a command")
    *serial, domain, command = parts
    if serial == [""]:
        raise InvalidTopic("a command topic without a serial between its slashes")
    return CommandTopic(_decimal(domain), _decimal(command), *serial)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or str(int(text)) != text:
        raise InvalidTopic(f"{text!r} is not a decimal number of a command topic")
    return int(text)


def _parse_thing(parts: list[str]) -> Topic | BatchTopic:
    if len(parts) < 5:
        raise InvalidTopic("a thing topic ends too early")
    serial, child, resource, *rest = parts
    where = (serial, child, *split_resource(resource))
    if rest == ["event", "mreport"]:
        return BatchTopic(*where, Method.EVENT)
    if rest == ["model", "attribute", "mreport"]:
        return BatchTopic(*where, Method.ATTRIBUTE)
    if rest[0] != MODEL:
        module, *method, msg_type = rest
        return Topic(*where, module, "/".join(method), _msg_type(msg_type))
    if len(rest) != 5:
        raise InvalidTopic("a model topic has a method, a message type, a domain and an identifier")
    _, model_method, msg_type, domain, identifier = rest
    return Topic(*where, MODEL, model_method, _msg_type(msg_type), domain, identifier)


def _msg_type(text: str) -> MsgType:
    try:
        return MsgType(text)
    except ValueError:
        raise InvalidTopic(f"{text!r} is not a message type") from None


def _check_model(method: str, domain: str, identifier: str) -> None:
    if method not in tuple(Method):
        raise InvalidTopic(f"module model has no method {method!r}")
    check_element("domain", domain)
    check_element("identifier", identifier)


def check_element(name: str, text: str) -> None:
    """`name` is that of a field of Topic. Raises InvalidTopic."""
    _check_text(name, text)
    if "/" in text:
        raise InvalidTopic(f"{name} {text!r} holds a slash")
    if len(text) > _LIMITS[name]:
        raise InvalidTopic(f"{name} of more than {_LIMITS[name]} characters")


def _check_text(name: str, text: str) -> None:
    if not text:
        raise InvalidTopic(f"{name} is empty")
    if any(character in "+#" or not character.isprintable() for character in text):
        raise InvalidTopic(f"{name} {text!r} holds a wildcard or a control character")


def _resource_prefix(topic: Topic | BatchTopic) -> str:
    return f"/iot/{topic.serial}/{topic.child}/{topic.resource_id}-{topic.resource_type}"
