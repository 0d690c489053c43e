"""The bodies of thing-model messages, written and read by both ends. osap.md §7."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from osap_bridge.osap.message import MalformedMessage, Reply, from_json, to_json
from osap_bridge.osap.topic import InvalidTopic, check_element, split_resource

MAX_CHILDREN = 64


def value_body(value: Any) -> bytes:
    """Of an attribute's set and report. osap.md §7.1"""
    return to_json({"data": {"Value": value}})


def read_value(body: bytes) -> Any:
    """The value of an attribute's set or report. Raises MalformedMessage."""
    return value_of(read_data(body))


def value_of(data: Any) -> Any:
    """The value in the `data` of a set, a report or a get_reply. Raises MalformedMessage."""
    if not isinstance(data, dict) or "Value" not in data:
        raise MalformedMessage("data without a Value")
    return data["Value"]


def data_body(data: Any) -> bytes:
    """Of an operation's request and of requests in general. osap.md §7.2"""
    return to_json({"data": data})


def read_data(body: bytes) -> Any:
    """Raises MalformedMessage."""
    content = _object(body)
    if "data" not in content:
        raise MalformedMessage("a body without data")
    return content["data"]


class ShadowValue(NamedTuple):
    """An attribute as a shadow message has it. osap.md §7.4"""

    domain: str
    identifier: str
    value: Any


def shadow_report_body(report: ShadowValue, version: int) -> bytes:
    """`version` counts the changes of this attribute, from 0."""
    reported = {"domain": report.domain, "identifier": report.identifier, "value": report.value}
    return to_json({"method": "report", "spv": 3, "state": {"reported": reported, "version": version}})


def read_shadow_report(body: bytes) -> ShadowValue:
    """Raises MalformedMessage."""
    return _shadow_value(_state(_object(body)).get("reported"))


def shadow_report_reply_body() -> bytes:
    return to_json({"method": "report_reply", "payload": {"code": 0}})


def shadow_query_body() -> bytes:
    return to_json({"method": "query", "windowsize": 16256})


def shadow_query_reply_body(desired: tuple[ShadowValue, ...] = ()) -> bytes:
    return to_json({"code": 0, "state": {"desired": [value._asdict() for value in desired]}})


def read_shadow_query_reply(body: bytes) -> tuple[ShadowValue, ...]:
    """What the platform wants of the device. Raises MalformedMessage, also for a code that refuses."""
    if not Reply.from_body(body).accepted:
        raise MalformedMessage("a query_reply that refuses")
    content = _object(body)
    desired = _state(content).get("desired", []) if "state" in content else []
    if not isinstance(desired, list):
        raise MalformedMessage("desired is not a list")
    return tuple(_shadow_value(item) for item in desired)


def read_shadow_set(body: bytes) -> ShadowValue:
    """Raises MalformedMessage."""
    return _shadow_value(_state(_object(body)).get("desired"))


def shadow_set_reply_body(code: int, timestamp: int) -> bytes:
    """`timestamp` is Unix seconds."""
    return to_json({"method": "set_reply", "payload": {"code": code}, "timestamp": timestamp})


def read_event(body: bytes) -> dict[str, Any]:
    """The event object itself. Raises MalformedMessage."""
    return _object(body)


def event_time(content: Mapping[str, Any]) -> float | None:
    """Unix seconds of an event's `basic.dateTime`; None where it does not say, or not with its offset."""
    basic = content.get("basic")
    text = basic.get("dateTime") if isinstance(basic, dict) else None
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def event_uuid(content: Mapping[str, Any]) -> str | None:
    """As 32 lower-case hex digits, also of one with hyphens; None where the event has none."""
    basic = content.get("basic")
    text = basic.get("UUID") if isinstance(basic, dict) else None
    if not isinstance(text, str):
        return None
    digits = text.replace("-", "").lower()
    return digits if len(digits) == 32 and set(digits) <= set("0123456789abcdef") else None


class BatchItem(NamedTuple):
    """One report out of a batch: `data` as the single report would have it. osap.md §7.3"""

    child: str
    resource_id: str
    resource_type: str
    domain: str
    identifier: str
    data: Any


def read_batch(body: bytes, member: str) -> Iterator[BatchItem]:
    """`member` is "props" or "event". Raises MalformedMessage."""
    items = _object(body).get(member)
    if not isinstance(items, list):
        raise MalformedMessage(f"a batch without a list {member!r}")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("method"), str) or "data" not in item:
            raise MalformedMessage(f"{member!r} holds what is no report")
        yield _batch_item(item)


def _batch_item(item: dict[str, Any]) -> BatchItem:
    child = item.get("child", "global")
    parts = item["method"].split("/")
    if not isinstance(child, str) or not child or len(parts) != 4 or parts[0] or not all(parts[1:]):
        raise MalformedMessage("a report of a batch that does not say whose it is")
    try:
        resource_id, resource_type = split_resource(parts[1])
    except InvalidTopic as error:
        raise MalformedMessage(str(error)) from None
    return BatchItem(child, resource_id, resource_type, parts[2], parts[3], item["data"])


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-device of a gateway, as the gateway lists it. osap.md §7.6"""

    serial: str
    connected: bool = True
    model: str = ""
    version: str = ""


def children_body(children: tuple[Child, ...]) -> bytes:
    """Of `childmanage/fullchild/report`; `vesion` is spelt so on the wire."""
    return data_body({"vesion": 0, "childList": [_child_json(child) for child in children]})


def read_children(body: bytes) -> tuple[Child, ...]:
    """Of `childmanage/fullchild/report`. Raises MalformedMessage."""
    data = read_data(body)
    if not isinstance(data, dict):
        raise MalformedMessage("a list of children that is none")
    return _children(data.get("childList"), "childDevID", "model")


def read_hub_children(body: bytes) -> tuple[Child, ...]:
    """Of commands 1 and 3 of v2 domain 7002; `{}` is an empty list. Raises MalformedMessage."""
    content = from_json(body)
    return _children([] if content == {} else content, "childdevid", "type")


def _children(items: Any, serial_key: str, model_key: str) -> tuple[Child, ...]:
    if not isinstance(items, list) or len(items) > MAX_CHILDREN:
        raise MalformedMessage(f"the children are not a list of up to {MAX_CHILDREN}")
    children = {}
    for item in items:
        serial = read_child_serial(item, serial_key)
        texts = (item.get(name, "") for name in (model_key, "version"))
        model, version = (text if isinstance(text, str) else "" for text in texts)
        children[serial] = Child(serial, bool(item.get("connected", True)), model, version)
    return tuple(children.values())


def read_child_serial(item: Any, member: str) -> str:
    """Raises MalformedMessage, also for a serial that cannot stand in a topic."""
    serial = item.get(member) if isinstance(item, dict) else None
    if not isinstance(serial, str):
        raise MalformedMessage(f"a child without a text {member!r}")
    try:
        check_element("child", serial)
    except InvalidTopic as error:
        raise MalformedMessage(str(error)) from None
    return serial


def _child_json(child: Child) -> dict[str, Any]:
    return {
        "connected": child.connected,
        "childDevID": child.serial,
        "serialNumber": child.serial,
        "version": child.version,
        "model": child.model,
        "firmwareIDCode": "",
        "childStatus": "connect" if child.connected else "disconnect",
        "tags": [],
    }


def _object(body: bytes) -> dict[str, Any]:
    content = from_json(body)
    if not isinstance(content, dict):
        raise MalformedMessage("a body that is not an object")
    return content


def _state(content: dict[str, Any]) -> dict[str, Any]:
    state = content.get("state")
    if not isinstance(state, dict):
        raise MalformedMessage("a shadow message without a state")
    return state


def _shadow_value(content: Any) -> ShadowValue:
    if not isinstance(content, dict) or "value" not in content:
        raise MalformedMessage("a shadow without a value")
    domain, identifier = content.get("domain"), content.get("identifier")
    if not isinstance(domain, str) or not isinstance(identifier, str) or not domain or not identifier:
        raise MalformedMessage("a shadow that does not name its attribute")
    return ShadowValue(domain, identifier, content["value"])
