"""What is written is read back, and no bytes of a stranger end in anything but a refusal. osap.md §§6-8."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from osap_bridge.osap import bodies, packets
from osap_bridge.osap.crypto import DecryptionFailed
from osap_bridge.osap.message import MalformedMessage, Message, Reply, decode, encode, from_json, to_json
from osap_bridge.osap.packets import MalformedPacket, parse_packet
from osap_bridge.osap.profile import InvalidProfile, Profile
from osap_bridge.osap.registration import DeviceInformation
from osap_bridge.osap.schema import InvalidSchema, parse_schema
from osap_bridge.osap.session import Binding, Session
from osap_bridge.osap.topic import BatchTopic, CommandTopic, InvalidTopic, Method, MsgType, Topic, parse_topic

KEY = bytes(range(16))

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=":_. "), min_size=1, max_size=16)
names = names.filter(str.isprintable)
message_types = st.sampled_from(MsgType)
methods = st.sampled_from(Method)
topics = st.one_of(
    st.builds(Topic, names, names, names, names, st.just("model"), methods.map(str), message_types, names, names),
    st.builds(Topic, names, names, names, names, st.just("basic"), names, message_types),
    st.builds(BatchTopic, names, names, names, names, methods.filter(lambda method: method is not Method.SERVICE)),
    st.builds(CommandTopic, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.just("") | names),
)


@given(topics)
def test_topics_come_back(topic: Topic | BatchTopic | CommandTopic) -> None:
    assert parse_topic(str(topic)) == topic


@given(
    st.text() | st.lists(st.sampled_from(["iot", "Z1", "0-R", "model", "attribute", "report", "", "7"])).map("/".join)
)
def test_a_topic_is_read_or_refused(text: str) -> None:
    try:
        topic = parse_topic(text)
    except InvalidTopic:
        return
    assert str(topic) == text


@given(st.integers(0, 2**31 - 1), st.binary(max_size=200), st.none() | names)
def test_messages_come_back(seq: int, body: bytes, version: str | None) -> None:
    message = Message(seq, body, version)
    assert decode(encode(message, KEY), KEY) == message


@given(st.binary(max_size=200))
def test_a_payload_is_read_or_refused(payload: bytes) -> None:
    try:
        decode(payload, KEY)
    except (DecryptionFailed, MalformedMessage):
        return


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda rest: b'\x00\x09{"Seq":1}' + rest))
def test_plain_text_is_read_or_refused(plain: bytes) -> None:
    try:
        Message.from_plain(plain)
    except MalformedMessage:
        return


@given(json_values)
def test_json_comes_back(value: Any) -> None:
    try:
        text = to_json(value)
    except ValueError:
        return
    assert from_json(text) == value
    assert bodies.read_value(bodies.value_body(value)) == value


@given(st.text(st.characters(codec="utf-8")), json_values.filter(lambda value: value is not None), st.integers(0, 999))
def test_replies_come_back(error: str, data: Any, status: int) -> None:
    try:
        reply = Reply("0x00000000", error, data, status)
        body = reply.to_body()
    except ValueError:
        return
    assert Reply.from_body(body) == reply


@given(st.integers(0, 255), st.binary(max_size=120))
@settings(max_examples=200)
def test_a_packet_is_refused_or_writes_back_to_its_bytes(first: int, body: bytes) -> None:
    try:
        packet = parse_packet(first, body)
    except MalformedPacket:
        return
    if not isinstance(packet, packets.Connect):
        written = packets.to_bytes(packet)
        assert written[0] == first
        assert written.endswith(body)


CONNECT = packets.to_bytes(packets.Connect("Z1", "/Basic/pu2cenplt/Z1/firstconnect", bytes(16), clean_session=True))


@given(st.integers(0, len(CONNECT) - 4), st.integers(0, 255), st.integers(-3, 0))
def test_a_damaged_connect_is_read_or_refused(position: int, byte: int, cut: int) -> None:
    body = bytearray(CONNECT[3 : len(CONNECT) + cut])
    body[position % len(body)] = byte
    try:
        parse_packet(0x10, bytes(body))
    except MalformedPacket:
        return


@given(json_values | st.fixed_dictionaries({"resources": json_values, "version": st.text()}))
def test_a_profile_is_read_or_refused(content: Any) -> None:
    try:
        Profile.from_json(to_json(content))
    except (InvalidProfile, ValueError):
        return


schema_members = st.dictionaries(
    st.sampled_from(["type", "mn", "maximum", "enum", "prop", "items", "req", "multipleOf", "dep", "minLength", "key"]),
    json_values | st.sampled_from(["int", "string", "obj", "array"]),
)


@given(schema_members, json_values)
def test_a_schema_is_refused_or_judges_every_value(content: Any, value: Any) -> None:
    try:
        schema = parse_schema(content)
    except InvalidSchema:
        return
    assert schema.allows(value) is (schema.violation(value) is None)


BODIES = st.binary(max_size=60) | json_values.map(
    lambda value: (
        to_json({"data": value, "state": value, "props": value, "event": value, "code": value})
        if _writable(value)
        else b""
    )
)
TOPICS = st.one_of(
    topics.map(str),
    st.sampled_from(
        [
            "/iot/Z1/global/0-L/model/attribute/report/A/B",
            "/iot/Z1/global/0-L/model/attribute/mreport",
            "/iot/Z1/global/0-L/event/mreport",
            "/iot/Z1/global/0-L/model/event/report/A/B",
            "/iot/Z1/global/0-L/model/attribute/set_reply/A/B",
            "/iot/Z1/global/0-global/basic/shadow/report",
            "/iot/Z1/global/0-global/childmanage/fullchild/report",
            "/7002/1",
            "/7002/16",
            "/1100/14448",
        ]
    ),
)


def _writable(value: Any) -> bool:
    try:
        to_json(value)
    except ValueError:
        return False
    return True


@given(TOPICS, BODIES, st.none() | st.just("v2.0.0"))
@settings(max_examples=200)
def test_a_session_takes_every_message(topic: str, body: bytes, version: str | None) -> None:
    information = DeviceInformation("Z1", "d" * 32, "Lamp")
    session = Session(information, lambda _: None)
    session.register(information, Binding(KEY, 30, None), 0.0, 0.0)
    session.receive(packets.Subscribe(1, (("/iot/Z1/#", 1), ("/Z1/#", 1))), 0.0, 0.0)
    session.request(Topic("Z1", "global", "0", "L", "model", "attribute", MsgType.SET, "A", "B"), b"{}", 0.0)
    payload = encode(Message(1, body, version), KEY)
    actions = session.receive(packets.Publish(topic, payload, 5), 1.0, 0.0)
    acknowledgements = [action for action in actions if getattr(action, "packet", None) == packets.Puback(5)]
    assert len(acknowledgements) == 1
