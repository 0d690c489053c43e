"""MQTT packets as OSAP has them. osap.md §6."""

from __future__ import annotations

import asyncio

import pytest

from osap_bridge.osap import packets
from osap_bridge.osap.packets import Connect, MalformedPacket, Packet, Publish, UnknownProtocolLevel, parse_packet

WILL_TOPIC = b"/Basic/pu2cenplt/Z1/firstconnect"


def field(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def connect_body(
    flags: int = 0xEE,
    *,
    client_id: bytes = b"",
    will_topic: bytes = WILL_TOPIC.ljust(128, b"\0"),
    user_name: bytes = b"Z1",
    password: bytes = b"test",
    level: int = 4,
    name: bytes = b"MQTT",
) -> bytes:
    head = field(name) + bytes([level, flags]) + (30).to_bytes(2, "big")
    return head + field(client_id) + field(will_topic) + field(b"will") + field(user_name) + field(password)


def test_a_real_devices_connect_is_read_and_written_to_the_byte() -> None:
    connect = Connect("Z1", WILL_TOPIC.decode(), b"will", clean_session=True, keep_alive=30)
    assert parse_packet(0x10, connect_body()) == connect
    assert packets.to_bytes(connect) == b"\x10" + b"\x9e\x01" + connect_body()


def test_the_light_connect_keeps_its_empty_client_id() -> None:
    light = parse_packet(0x10, connect_body(0xEC))
    assert isinstance(light, Connect)
    assert (light.clean_session, light.client_id) == (False, "")


def test_a_clean_connect_without_padding_is_taken_too() -> None:
    connect = parse_packet(0x10, connect_body(will_topic=WILL_TOPIC, client_id=b"own"))
    assert connect == Connect("Z1", WILL_TOPIC.decode(), b"will", clean_session=True, client_id="own", padded=False)
    assert packets.to_bytes(connect)[2:] == connect_body(will_topic=WILL_TOPIC, client_id=b"own")


def test_an_ordinary_mqtt_client_lacks_the_registration() -> None:
    plain = parse_packet(0x10, field(b"MQTT") + b"\x04\x02\x00\x1e" + field(b"client"))
    assert plain == Connect("", "", b"", clean_session=True, password="", client_id="client", padded=False)


@pytest.mark.parametrize(
    "packet",
    [
        packets.Connack(0),
        packets.Connack(11),
        packets.Connack(0, session_present=True),
        Publish("/iot/Z1/x", b"payload"),
        Publish("/iot/Z1/x", b"", 65535, duplicate=True, retain=True),
        packets.Puback(1),
        packets.Subscribe(1, (("/iot/Z1/#", 1), ("/Z1/#", 0))),
        packets.Suback(1, (1, 0x80)),
        packets.Unsubscribe(9, ("/iot/Z1/#", "/Z1/#")),
        packets.Unsuback(9),
        packets.Pingreq(),
        packets.Pingresp(),
        packets.Disconnect(),
    ],
)
def test_every_packet_comes_back_as_it_was(packet: Packet) -> None:
    written = packets.to_bytes(packet)
    assert parse_packet(written[0], written[2:]) == packet


@pytest.mark.parametrize(
    ("first", "body"),
    [
        pytest.param(0x10, connect_body()[:-1], id="cut off"),
        pytest.param(0x10, connect_body() + b"x", id="bytes behind the last field"),
        pytest.param(0x10, connect_body()[: -len(field(b"test"))], id="no password where one is announced"),
        pytest.param(0x10, connect_body(user_name=b"\xff\xfe"), id="user name not UTF-8"),
        pytest.param(0x10, connect_body(user_name=b""), id="user name empty"),
        pytest.param(0x10, connect_body(user_name=b"Z\x001"), id="user name with U+0000"),
        pytest.param(0x10, connect_body(0xEF), id="reserved flag"),
        pytest.param(0x10, connect_body(0xFE), id="will of QoS 3"),
        pytest.param(0x10, field(b"MQTT") + b"\x04\x22\x00\x1e" + field(b"c"), id="will flags without will"),
        pytest.param(0x10, field(b"MQTT") + b"\x04\x42\x00\x1e" + field(b"c") + field(b"p"), id="password alone"),
        pytest.param(0x10, connect_body(name=b"MQIsdp"), id="another protocol"),
        pytest.param(0x11, connect_body(), id="flags on CONNECT"),
        pytest.param(0x36, field(b"/a") + b"\0\1", id="PUBLISH of QoS 3"),
        pytest.param(0x34, field(b"/a") + b"\0\1", id="PUBLISH of QoS 2"),
        pytest.param(0x38, field(b"/a"), id="duplicate of QoS 0"),
        pytest.param(0x32, field(b"/a") + b"\0\0", id="packet identifier 0"),
        pytest.param(0x32, field(b"/a"), id="no packet identifier"),
        pytest.param(0x30, b"\x00\x09/a", id="topic beyond its packet"),
        pytest.param(0x30, b"\x00", id="half a length"),
        pytest.param(0x30, field(b""), id="empty topic"),
        pytest.param(0x30, field(b"/a/#"), id="wildcard in a topic"),
        pytest.param(0x30, field(b"/\xc3"), id="topic not UTF-8"),
        pytest.param(0x30, field(b"/a\0"), id="topic with U+0000"),
        pytest.param(0x80, b"\0\1" + field(b"/a") + b"\1", id="SUBSCRIBE without its flags"),
        pytest.param(0x82, b"\0\1", id="SUBSCRIBE to nothing"),
        pytest.param(0x82, b"\0\1" + field(b"/a"), id="SUBSCRIBE without QoS"),
        pytest.param(0x82, b"\0\1" + field(b"/a") + b"\3", id="SUBSCRIBE with QoS 3"),
        pytest.param(0x82, b"\0\0" + field(b"/a") + b"\1", id="SUBSCRIBE with packet identifier 0"),
        pytest.param(0x82, b"\0\1" + field(b"/\xff") + b"\1", id="filter not UTF-8"),
        pytest.param(0xA2, b"\0\1", id="UNSUBSCRIBE of nothing"),
        pytest.param(0x40, b"\0", id="short PUBACK"),
        pytest.param(0x40, b"\0\1\2", id="long PUBACK"),
        pytest.param(0xC0, b"x", id="PINGREQ with a body"),
        pytest.param(0xE1, b"", id="DISCONNECT with flags"),
        pytest.param(0x00, b"", id="reserved type 0"),
        pytest.param(0x50, b"\0\1", id="PUBREC"),
        pytest.param(0xF0, b"", id="reserved type 15"),
    ],
)
def test_what_is_not_mqtt_is_refused(first: int, body: bytes) -> None:
    with pytest.raises(MalformedPacket):
        parse_packet(first, body)


def test_another_mqtt_version_is_told_apart() -> None:
    with pytest.raises(UnknownProtocolLevel):
        parse_packet(0x10, connect_body(level=5))


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_packets_are_read_one_by_one_and_the_end_is_told() -> None:
    reader = stream(packets.to_bytes(packets.Pingreq()) + packets.to_bytes(Publish("/a", bytes(200))) + b"\x30")
    assert await packets.read_packet(reader) == packets.Pingreq()
    assert await packets.read_packet(reader) == Publish("/a", bytes(200))
    with pytest.raises(EOFError):
        await packets.read_packet(reader)


@pytest.mark.parametrize("data", [b"\x30\x80\x80\x80\x80\x01", b"\x30\xff\xff\xff\x7f", b"\x30\x81\x80\x02"])
async def test_a_packet_that_is_too_large_is_refused_before_it_is_read(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        await packets.read_packet(stream(data))


def test_nothing_secret_is_shown() -> None:
    connect = Connect("Z1", "/t", b"secret will", clean_session=True, password="secret")
    assert "secret" not in repr(connect)
