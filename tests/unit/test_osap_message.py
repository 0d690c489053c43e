"""Envelopes, replies, registrations and bodies. osap.md §§6.1, 6.4, 7."""

from __future__ import annotations

import json

import pytest

from osap_bridge.osap import bodies
from osap_bridge.osap.bodies import BatchItem, Child, ShadowValue
from osap_bridge.osap.crypto import DecryptionFailed, cbc_encrypt
from osap_bridge.osap.message import (
    MAX_BODY,
    MAX_SEQ,
    Kind,
    MalformedMessage,
    Message,
    Reply,
    decode,
    encode,
    from_json,
    next_seq,
)
from osap_bridge.osap.packets import Connect
from osap_bridge.osap.registration import DeviceInformation, LightRegistration, connect, read_registration
from tests.vectors import osap_das as vectors

KEY = vectors.SESSION_KEY


def test_a_message_of_the_thing_model_is_the_bytes_of_the_specification() -> None:
    message = Message(1, b'{"data":{"Value":42}}')
    assert message.to_plain() == vectors.V3_PLAIN
    assert encode(message, KEY) == vectors.V3_PAYLOAD
    assert decode(vectors.V3_PAYLOAD, KEY) == message


def test_a_command_is_the_bytes_of_the_specification() -> None:
    command = Message(1, b'{"token":"t"}', "v2.0.0")
    assert encode(command, KEY) == vectors.V2_PAYLOAD
    assert decode(vectors.V2_PAYLOAD, KEY) == command


def test_a_light_registration_is_the_bytes_of_the_specification() -> None:
    light = LightRegistration(vectors.LIGHT_WILL_SERIAL, vectors.LIGHT_WILL_DEV_ID)
    packet = connect(light, KEY)
    assert packet.will_message == vectors.LIGHT_WILL
    assert read_registration(packet, KEY) == light


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(DecryptionFailed):
        decode(vectors.V3_PAYLOAD, bytes(16))


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b'\x00\x0a{"Seq":1}',
        b'\x00\x09{"Seq":1 ',
        b"\x00\x02[]",
        b"\x00\x02{}",
        b'\x00\x0b{"Seq":"1"}',
        b'\x00\x0c{"Seq":true}',
        b'\x00\x0a{"Seq":-1}',
        b'\x00\x14{"CmdVer":2,"Seq":1}',
        b"\x01\x01" + b" " * 257,
    ],
)
def test_plain_text_that_is_no_envelope_is_refused(plain: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Message.from_plain(plain)


def test_the_body_has_a_limit() -> None:
    assert Message.from_plain(Message(1, bytes(MAX_BODY)).to_plain()).body == bytes(MAX_BODY)
    with pytest.raises(MalformedMessage):
        Message(1, bytes(MAX_BODY + 1))


def test_a_response_says_so() -> None:
    response = Message(7, b"{}", "V2.0.0", Kind.RESPONSE)
    assert b'{"CmdVer":"V2.0.0","Seq":7,"MsgType":2}' in response.to_plain()
    assert Message.from_plain(response.to_plain()) == response


def test_seqs_start_over_at_one() -> None:
    assert next_seq(0) == 1
    assert next_seq(MAX_SEQ) == 1


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (b'{"status":200,"code":"0x00000000","errorMsg":""}', True),
        (b'{"code":0}', True),
        (b'{"code":"0"}', True),
        (b'{"code":-1}', False),
        (b'{"code":"0x00100003","data":{"Value":{}}}', False),
        (b'{"status":500,"code":0}', False),
        (b'{"code":"fine"}', False),
        (b'{"method":"set_reply","payload":{"code":0},"timestamp":1795291076}', True),
        (b'{"method":"set_reply","payload":{"code":5}}', False),
    ],
)
def test_replies_come_in_many_shapes(body: bytes, accepted: bool) -> None:
    assert Reply.from_body(body).accepted is accepted


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"code":true}', b'{"code":[]}', b'{"code":0,"status":"200"}'])
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Reply.from_body(body)


def test_a_reply_is_written_in_its_long_form() -> None:
    assert Reply().to_body() == b'{"status":200,"code":"0x00000000","errorMsg":""}'
    full = Reply("0x00100004", "too bright", {"Value": 1})
    assert Reply.from_body(full.to_body()) == full


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"{",
        b"NaN",
        b"[1e999]",
        b'"\\ud800"',
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_json_that_could_not_be_passed_on_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        from_json(text)


def test_a_full_registration_says_all_members_in_order() -> None:
    info = DeviceInformation("Z1", "d" * 32, "Lamp2", "V1.2", "Lamp", "aa:bb", 1, "lbs", {"1000": "V3.0.0"})
    packet = connect(info, KEY)
    assert list(json.loads(info.to_json())) == [
        "DevSerial",
        "SubSerial",
        "FirmwareVersion",
        "DevType",
        "DevTypeDisplay",
        "MAC",
        "Status",
        "FirmwareIdentificationCode",
        "LbsDomain",
        "RegMode",
        "SDKMainVersion",
        "DeviceID",
        "SDKVersion",
    ]
    assert packet.clean_session
    assert packet.will_topic == "/Basic/pu2cenplt/Z1/firstconnect"
    assert read_registration(packet, KEY) == info


def test_a_later_registration_says_that_it_comes_after_a_break() -> None:
    info = DeviceInformation("Z1", "d" * 32, "Lamp2")
    assert connect(info, KEY, first=False).will_topic == "/Basic/pu2cenplt/Z1/breakconnect"
    light = connect(LightRegistration("Z1", "d" * 32), KEY)
    assert (light.will_topic, light.clean_session) == ("/Basic/pu2cenplt/Z1/breakconnect", False)


def test_duplicate_members_of_a_real_device_are_read() -> None:
    text = b'{"SubSerial":"Z1","DeviceID":"d","DevType":"Lamp","SDKVersion":{"1000":"V3","0":"","0":"","0":""}}'
    packet = Connect("Z1", "t", cbc_encrypt(KEY, text), clean_session=True)
    registration = read_registration(packet, KEY)
    assert isinstance(registration, DeviceInformation)
    assert registration.sdk_versions == {"1000": "V3", "0": ""}


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"SubSerial":"Z1"}', b'{"SubSerial":"Z1","DeviceID":5,"DevType":""}'])
def test_a_registration_without_its_members_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_registration(Connect("Z1", "t", cbc_encrypt(KEY, text), clean_session=True), KEY)


def test_values_travel_in_data() -> None:
    assert bodies.value_body(42) == b'{"data":{"Value":42}}'
    assert bodies.read_value(b'{"data":{"Value":{"a":[1]}}}') == {"a": [1]}
    for broken in (b"{}", b'{"data":42}', b'{"data":{}}', b"7"):
        with pytest.raises(MalformedMessage):
            bodies.read_value(broken)


def test_the_shadow_reports_and_is_asked() -> None:
    value = ShadowValue("attr_test", "attr_rw_int", 99)
    report = bodies.shadow_report_body(value, 0)
    assert report == (
        b'{"method":"report","spv":3,"state":{"reported":{"domain":"attr_test","identifier":"attr_rw_int","value":99},'
        b'"version":0}}'
    )
    assert bodies.read_shadow_report(report) == value
    assert bodies.read_shadow_query_reply(bodies.shadow_query_reply_body()) == ()
    assert bodies.read_shadow_query_reply(bodies.shadow_query_reply_body((value,))) == (value,)
    assert bodies.read_shadow_query_reply(b'{"code":0}') == ()
    wanted = b'{"method":"set","state":{"desired":{"domain":"A","identifier":"B","value":7},"version":3}}'
    assert bodies.read_shadow_set(wanted) == ShadowValue("A", "B", 7)
    with pytest.raises(MalformedMessage):
        bodies.read_shadow_query_reply(b'{"code":1}')


def test_events_carry_their_time_and_name() -> None:
    basic = {"dateTime": "2026-11-21T20:02:32.678+00:00", "UUID": "7cf3bc5ee5e611f18000b817d4b83cf1"}
    assert bodies.event_time({"basic": basic}) == 1795291352.678
    assert bodies.event_uuid({"basic": basic}) == basic["UUID"]
    assert bodies.event_uuid({"basic": {"UUID": "7CF3BC5E-E5E6-11F1-8000-B817D4B83CF1"}}) == basic["UUID"]
    for content in ({}, {"basic": 1}, {"basic": {"dateTime": "yesterday", "UUID": "x"}}, {"basic": {"dateTime": 1}}):
        assert bodies.event_time(content) is None
        assert bodies.event_uuid(content) is None


def test_batches_say_whose_each_report_is() -> None:
    body = (
        b'{"props":[{"child":"global","method":"/0-global/Humiture/TemperatureTooLow","data":{"Value":true}},'
        b'{"method":"/1-Probe/Humiture/Humidity","data":{"Value":55}}]}'
    )
    assert list(bodies.read_batch(body, "props")) == [
        BatchItem("global", "0", "global", "Humiture", "TemperatureTooLow", {"Value": True}),
        BatchItem("global", "1", "Probe", "Humiture", "Humidity", {"Value": 55}),
    ]
    for broken in (b'{"props":[{}]}', b'{"props":[{"method":"/0-g/A","data":1}]}', b'{"props":{}}', b'{"event":[]}'):
        with pytest.raises(MalformedMessage):
            list(bodies.read_batch(broken, "props"))


def test_children_are_listed_in_two_ways() -> None:
    children = (Child("CWM_001", True, "CS-C2C", "V5.1.0"), Child("CWM_002", False))
    assert bodies.read_children(bodies.children_body(children)) == children
    hub = b'[{"connected":1,"childdevid":"CWM_001","version":"V5.1.0","type":"CS-C2C","FirmwareIdentificationCode":""}]'
    assert bodies.read_hub_children(hub) == children[:1]
    assert bodies.read_hub_children(b"{}") == ()
    for broken in (
        b"[1]",
        b"[{}]",
        b'"x"',
        b'[{"childdevid":"a/b"}]',
        json.dumps([{"childdevid": str(n)} for n in range(65)]).encode(),
    ):
        with pytest.raises(MalformedMessage):
            bodies.read_hub_children(broken)
