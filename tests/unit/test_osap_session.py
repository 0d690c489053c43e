"""The session of a serial, with the time in our hands. osap.md §§6, 7."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from osap_bridge.osap import bodies, packets
from osap_bridge.osap.actions import (
    Action,
    Answered,
    Close,
    Dropped,
    Failure,
    Keep,
    ListedChildren,
    Noted,
    Reported,
    Send,
)
from osap_bridge.osap.bodies import Child, ShadowValue
from osap_bridge.osap.message import Kind, Message, Reply, decode, encode, from_json, to_json
from osap_bridge.osap.packets import Puback, Publish, Suback, Subscribe
from osap_bridge.osap.registration import DeviceInformation
from osap_bridge.osap.session import QUEUE_LENGTH, Binding, QueueFull, Session
from osap_bridge.osap.topic import MsgType, Topic
from osap_bridge.osap.uplink import ProfileOffer
from osap_bridge.protocol import Entity, FunctionPoint, Report

KEY = bytes(range(16))
WALL = 1_795_000_000.0
LAMP = Entity("Z1", "global", "Lamp", "0")
SWITCH = FunctionPoint("Light", "Switch")
SET = Topic("Z1", "global", "0", "Lamp", "model", "attribute", MsgType.SET, "Light", "Switch")
GET = replace(SET, msg_type=MsgType.GET)
BINDING = Binding(KEY, 30, None)
INFORMATION = DeviceInformation("Z1", "d" * 32, "AcmeLamp")
EVENT = {"basic": {"dateTime": "2026-11-21T20:02:32.678+00:00", "UUID": "7cf3bc5e-e5e6-11f1-8000-b817d4b83cf1"}, "n": 1}


def offer(product: str) -> ProfileOffer | None:
    return ProfileOffer("127.0.0.1:80/profile/AcmeLamp", 3600, "00") if product == "AcmeLamp" else None


def online(binding: Binding = BINDING, *, subscribed: bool = True) -> Session:
    session = Session(INFORMATION, offer)
    session.register(INFORMATION, binding, 0.0, WALL)
    if subscribed:
        session.receive(Subscribe(1, (("/iot/Z1/#", 1), ("/Z1/#", 1))), 0.0, WALL)
    return session


def publish(
    topic: object, body: Any, seq: int = 1, *, packet_id: int | None = 7, version: str | None = None
) -> Publish:
    text = body if isinstance(body, bytes) else to_json(body)
    return Publish(str(topic), encode(Message(seq, text, version), KEY), packet_id, retain=True)


def take(session: Session, packet: packets.Packet, now: float = 1.0) -> list[Action]:
    return session.receive(packet, now, WALL)


def sent(actions: list[Action]) -> list[Publish]:
    return [a.packet for a in actions if isinstance(a, Send) and isinstance(a.packet, Publish)]


def test_a_report_is_acknowledged_and_told() -> None:
    report = "/iot/Z1/global/0-Lamp/model/attribute/report/Light/Switch"
    assert take(online(), publish(report, {"data": {"Value": True}})) == [
        Send(Puback(7)),
        Reported(Report(LAMP, SWITCH, True)),
    ]


def test_a_report_of_qos_0_is_told_without_acknowledgement() -> None:
    report = "/iot/Z1/child9/1-Lamp/model/attribute/report/Light/Switch"
    actions = take(online(), publish(report, {"data": {"Value": 5}}, packet_id=None))
    assert actions == [Reported(Report(Entity("Z1", "child9", "Lamp", "1"), SWITCH, 5))]


def test_a_shadow_report_is_answered_with_its_own_seq() -> None:
    body = bodies.shadow_report_body(ShadowValue("Light", "Switch", 99), 0)
    actions = take(online(), publish("/iot/Z1/global/0-Lamp/basic/shadow/report", body, seq=12))
    assert actions[:2] == [Send(Puback(7)), Reported(Report(LAMP, SWITCH, 99))]
    (answer,) = sent(actions)
    assert (answer.topic, answer.qos) == ("/iot/Z1/global/0-Lamp/basic/shadow/report_reply", 0)
    assert decode(answer.payload, KEY) == Message(12, b'{"method":"report_reply","payload":{"code":0}}')


def test_the_shadow_never_wants_anything() -> None:
    query = publish("/iot/Z1/global/0-Lamp/basic/shadow/query", bodies.shadow_query_body(), seq=3)
    (answer,) = sent(take(online(), query))
    assert answer.topic == "/iot/Z1/global/0-Lamp/basic/shadow/query_reply"
    assert decode(answer.payload, KEY) == Message(3, b'{"code":0,"state":{"desired":[]}}')


def test_nothing_is_sent_to_who_has_not_subscribed() -> None:
    query = publish("/iot/Z1/global/0-Lamp/basic/shadow/query", bodies.shadow_query_body())
    assert take(online(subscribed=False), query) == [Send(Puback(7))]


def test_an_event_is_kept_before_it_is_acknowledged() -> None:
    keep, acknowledgement = take(online(), publish("/iot/Z1/global/0-Lamp/model/event/report/Light/Pressed", EVENT))
    assert acknowledgement == Send(Puback(7))
    assert isinstance(keep, Keep)
    event = keep.event
    assert event.key == "Z1/global/7cf3bc5ee5e611f18000b817d4b83cf1"
    assert (event.domain, event.identifier, event.resource_type, event.resource_id) == ("Light", "Pressed", "Lamp", "0")
    assert (event.content, event.time) == (EVENT, 1795291352.678)


def test_an_event_without_name_or_time_is_known_by_its_content_and_seq() -> None:
    topic = "/iot/Z1/global/0-Lamp/model/event/report/Light/Pressed"

    def key(session: Session, seq: int) -> str:
        keep = take(session, publish(topic, {"n": 1}, seq=seq))[0]
        assert isinstance(keep, Keep)
        assert keep.event.time == WALL
        return keep.event.key

    session = online()
    assert key(session, 1) == key(session, 1)
    assert key(session, 1) != key(session, 2)
    restarted = online()
    restarted.register(INFORMATION, BINDING, 5.0, WALL + 5)
    assert key(session, 1) != key(restarted, 1)


def test_batches_are_many_reports_with_one_acknowledgement() -> None:
    reports = {"props": [{"method": f"/{n}-Lamp/Light/Switch", "data": {"Value": n}} for n in range(3)]}
    actions = take(online(), publish("/iot/Z1/global/0-Lamp/model/attribute/mreport", reports))
    assert actions[0] == Send(Puback(7))
    assert [action.report.value for action in actions[1:] if isinstance(action, Reported)] == [0, 1, 2]
    events = {"event": [{"child": "c", "method": "/0-Lamp/Light/Pressed", "data": EVENT}] * 2}
    kept = take(online(), publish("/iot/Z1/global/0-global/event/mreport", events))
    assert [type(action) for action in kept] == [Keep, Keep, Send]


def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    reports = {"props": [{"method": "/0-Lamp/Light/Switch", "data": {"Value": 1}}, {"method": "nonsense", "data": {}}]}
    actions = take(online(), publish("/iot/Z1/global/0-Lamp/model/attribute/mreport", reports))
    assert [type(action) for action in actions] == [Send, Dropped]


def test_children_are_told_remembered_and_answered() -> None:
    session = online()
    children = (Child("CWM_001", True, "CS-C2C", "V5"),)
    topic = "/iot/Z1/global/0-global/childmanage/fullchild/report"
    actions = take(session, publish(topic, bodies.children_body(children)))
    assert ListedChildren(children) in actions
    assert session.children == children
    (answer,) = sent(actions)
    assert answer.topic == topic + "_reply"
    assert Reply.from_body(decode(answer.payload, KEY).body) == Reply()


def test_a_hub_lists_its_children_by_numbers() -> None:
    session = online()
    body = [{"connected": 1, "childdevid": "C1", "version": "V1", "type": "T"}]
    actions = take(session, publish("/7002/1", body, seq=4, version="V2.0.0"))
    assert ListedChildren((Child("C1", True, "T", "V1"),)) in actions
    (answer,) = sent(actions)
    assert answer.topic == "/Z1/7002/2"
    message = decode(answer.payload, KEY)
    assert (message.seq, message.command_version, message.kind) == (4, "V2.0.0", Kind.RESPONSE)
    (accepted,) = sent(take(session, publish("/7002/16", {"childserial": "C1"}, version="V2.0.0")))
    assert accepted.topic == "/Z1/7002/17"
    assert from_json(decode(accepted.payload, KEY).body) == {"childserial": "C1", "result": 0}


def test_a_profile_query_is_answered_where_the_profile_is_known() -> None:
    query = {"devSerial": "Z1", "pid": "AcmeLamp", "version": "V1", "profileVersion": "3.0", "requireSchema": False}
    (answer,) = sent(take(online(), publish("/1100/14448", query, seq=2, packet_id=None, version="v2.0.0")))
    assert answer.topic == "/Z1/1100/14449"
    assert decode(answer.payload, KEY).body == (
        b'{"url":"127.0.0.1:80/profile/AcmeLamp","expire":3600,"md5":"00","devSerial":"Z1"}'
    )
    (dropped,) = take(online(), publish("/1100/14448", query | {"pid": "?"}, packet_id=None, version="v2.0.0"))
    assert isinstance(dropped, Dropped)


def test_a_gateway_that_asks_for_the_profile_of_its_child_is_told_whose_it_is() -> None:
    query = {"devSerial": "C1", "pid": "AcmeLamp"}
    (answer,) = sent(take(online(), publish("/1100/14448", query, packet_id=None, version="v2.0.0")))
    assert answer.topic == "/Z1/1100/14449"
    assert from_json(decode(answer.payload, KEY).body)["devSerial"] == "C1"


def test_other_commands_and_ota_are_accepted_and_noted() -> None:
    command, note = take(online(), publish("/1100/14338", {"token": "t"}, version="v2.0.0"))
    assert command == Send(Puback(7))
    assert isinstance(note, Noted)
    assert "t" * 10 not in note.text
    inform = take(online(), publish("/iot/Z1/global/0-global/ota/inform/report", {"ver": "V1"}, packet_id=None))
    assert [type(action) for action in inform] == [Noted]


@pytest.mark.parametrize(
    ("topic", "body", "version"),
    [
        ("/iot/Z2/global/0-Lamp/model/attribute/report/Light/Switch", {"data": {"Value": 1}}, None),
        ("/iot/Z2/global/0-Lamp/model/attribute/mreport", {"props": []}, None),
        ("/Z1/1100/14449", {}, "v2.0.0"),
        ("/Z2/1100/14448", {"pid": "AcmeLamp"}, "v2.0.0"),
        ("/1100/14448", {"pid": "AcmeLamp"}, None),
        ("/1100/14448", {"pid": 5}, "v2.0.0"),
        ("/1100/14448", b"<xml/>", "v2.0.0"),
        ("/iot/Z1/global/0-Lamp/model/attribute/report/Light/Switch", b"{", None),
        ("/iot/Z1/global/0-Lamp/model/attribute/report/Light/Switch", {"data": {}}, None),
        ("/iot/Z1/global/0-Lamp/model/event/report/Light/Pressed", [1], None),
        ("/iot/Z1/global/0-Lamp/basic/shadow/report", {"state": {}}, None),
        ("/iot/Z1/global/0-Lamp/basic/weather/report", {}, None),
        ("/iot/Z1/global/0-Lamp/model/attribute/set_reply/Light/Switch", {"code": 0}, None),
        ("/iot/Z1/nonsense", {}, None),
    ],
)
def test_what_cannot_be_used_is_acknowledged_and_dropped(topic: str, body: Any, version: str | None) -> None:
    acknowledgement, dropped = take(online(), publish(topic, body, version=version))
    assert acknowledgement == Send(Puback(7))
    assert isinstance(dropped, Dropped)


def test_what_does_not_decrypt_is_not_acknowledged() -> None:
    other = encode(Message(1, b"{}"), bytes(16))
    for payload in (b"", b"x" * 15, bytes(32), other):
        (dropped,) = take(online(), Publish("/iot/Z1/global/0-Lamp/basic/shadow/query", payload, 7))
        assert isinstance(dropped, Dropped)


def test_the_platform_offers_no_operations_and_says_so() -> None:
    topic = "/iot/Z1/global/0-Lamp/model/service/operate/Light/Help"
    actions = take(online(), publish(topic, {"data": {}}, seq=9))
    (answer,) = sent(actions)
    assert answer.topic == topic.replace("operate", "operate_reply")
    assert not Reply.from_body(decode(answer.payload, KEY).body).accepted


@pytest.mark.parametrize("method", ["upload/url", "download/url"])
def test_a_device_with_a_picture_is_told_that_it_cannot_be_stored(method: str) -> None:
    topic = f"/iot/Z1/global/0-global/storage/{method}/query"
    actions = take(online(), publish(topic, {"data": {"fileName": "a.jpg"}}, seq=9))
    (answer,) = sent(actions)
    assert answer.topic == topic + "_reply"
    message = decode(answer.payload, KEY)
    assert message.seq == 9
    assert not Reply.from_body(message.body).accepted


# Requests


def ask(session: Session, topic: Topic = SET, now: float = 1.0) -> tuple[int, Publish]:
    seq, actions = session.request(topic, bodies.value_body(True), now)
    (request,) = sent(actions)
    return seq, request


def test_a_request_has_a_seq_of_its_own_and_ends_with_its_reply() -> None:
    session = online()
    seq, request = ask(session)
    assert (seq, request.topic, request.qos, request.retain) == (1, str(SET), 1, False)
    assert decode(request.payload, KEY) == Message(1, b'{"data":{"Value":true}}')
    reply = Reply("0x00100004", "no")
    actions = take(session, publish(SET.reply, reply.to_body(), seq=seq))
    assert actions == [Send(Puback(7)), Answered(seq, reply)]
    assert ask(session)[0] == 2


def test_a_second_reply_and_one_for_another_topic_are_dropped() -> None:
    session = online()
    seq, _ = ask(session)
    elsewhere = replace(SET, identifier="Brightness").reply
    assert isinstance(take(session, publish(elsewhere, {"code": 0}, seq=seq))[1], Dropped)
    assert take(session, publish(SET.reply, {"code": 0}, seq=seq))[1] == Answered(seq, Reply("0"))
    assert isinstance(take(session, publish(SET.reply, {"code": 0}, seq=seq))[1], Dropped)


def test_a_device_that_takes_a_get_for_a_set_is_read_from_its_shadow() -> None:
    session = online()
    seq, _ = ask(session, GET)
    refused = take(session, publish(SET.reply, {"code": 0}, seq=seq))[1]
    assert isinstance(refused, Answered)
    assert isinstance(refused.outcome, Reply)
    assert not refused.outcome.accepted
    take(session, publish(replace(SET, msg_type=MsgType.REPORT), {"data": {"Value": 215}}))
    seq, _ = ask(session, GET)
    assert take(session, publish(SET.reply, {"code": 0}, seq=seq))[1] == Answered(seq, Reply(data={"Value": 215}))


def test_a_request_without_answer_is_silent_at_its_deadline() -> None:
    session = online(Binding(KEY, 0, None))
    seq, _ = ask(session, now=1.0)
    assert session.deadline() == 11.0
    assert session.expire(10.9) == []
    assert session.expire(11.0) == [Answered(seq, Failure.SILENT)]
    assert session.deadline() is None
    assert isinstance(take(session, publish(SET.reply, {"code": 0}, seq=seq), now=11.1)[1], Dropped)


def test_a_request_waits_for_the_subscription() -> None:
    session = online(subscribed=False)
    seq, actions = session.request(SET, bodies.value_body(True), 1.0)
    assert actions == []
    granted, request = take(session, Subscribe(1, (("/iot/Z1/#", 1),)))
    assert granted == Send(Suback(1, (1,)))
    assert isinstance(request, Send)
    assert isinstance(request.packet, Publish)
    assert decode(request.packet.payload, KEY).seq == seq
    assert take(session, Subscribe(2, (("/Z1/#", 1),))) == [Send(Suback(2, (1,)))]


def test_no_more_than_a_queue_of_requests_waits() -> None:
    session = online()
    for _ in range(QUEUE_LENGTH):
        ask(session)
    with pytest.raises(QueueFull):
        session.request(SET, b"{}", 1.0)
    session.abandon(1)
    assert ask(session)[0] == QUEUE_LENGTH + 1


# Connections


def test_a_light_registration_keeps_subscriptions_and_sends_again_what_was_not_acknowledged() -> None:
    session = online()
    (first, _), (second, request) = ask(session), ask(session)
    take(session, Puback(1))
    assert session.disconnected(orderly=False) == []
    (again,) = sent(session.resume(Binding(bytes(16), 30, None), 5.0))
    assert (again.duplicate, again.packet_id, again.topic) == (True, request.packet_id, request.topic)
    assert decode(again.payload, bytes(16)).seq == second
    assert session.expire(11.0) == [Answered(first, Failure.SILENT), Answered(second, Failure.SILENT)]


def test_what_waits_while_the_device_is_away_ends_at_its_deadline() -> None:
    session = online()
    seq, _ = ask(session)
    session.disconnected(orderly=False)
    assert session.deadline() == 11.0
    assert session.expire(11.0) == [Answered(seq, Failure.OFFLINE)]


def test_a_goodbye_ends_what_waits_at_once() -> None:
    session = online()
    seq, _ = ask(session)
    (close,) = take(session, packets.Disconnect())
    assert isinstance(close, Close)
    assert close.orderly
    assert session.disconnected(orderly=True) == [Answered(seq, Failure.OFFLINE)]


def test_a_full_registration_starts_over() -> None:
    session = online()
    take(session, publish(replace(SET, msg_type=MsgType.REPORT), {"data": {"Value": 1}}))
    seq, _ = ask(session)
    assert session.register(INFORMATION, BINDING, 2.0, WALL) == [Answered(seq, Failure.OFFLINE)]
    assert session.request(SET, b"{}", 2.0) == (1, [])
    session.receive(Subscribe(1, (("/iot/Z1/#", 1),)), 2.0, WALL)
    seq, _ = ask(session, GET)
    answered = take(session, publish(SET.reply, {"code": 0}, seq=seq))[1]
    assert isinstance(answered, Answered)
    assert isinstance(answered.outcome, Reply)
    assert not answered.outcome.accepted


def test_silence_of_one_and_a_half_keep_alives_ends_the_connection() -> None:
    session = online()
    assert session.deadline() == 45.0
    assert take(session, packets.Pingreq(), now=20.0) == [Send(packets.Pingresp())]
    assert session.expire(45.0) == []
    assert session.deadline() == 65.0
    assert session.expire(65.0) == [Close("silent for 45 s")]
    assert not session.online
    assert session.expire(66.0) == []


def test_the_connection_ends_with_its_session_key() -> None:
    session = online(Binding(KEY, 0, 100.0))
    assert session.deadline() == 100.0
    assert session.expire(99.9) == []
    assert session.expire(100.0) == [Close("its session key expired")]


def test_a_device_may_only_listen_to_itself() -> None:
    session = online(subscribed=False)
    asked = Subscribe(3, (("/iot/Z1/#", 2), ("/iot/Z2/#", 1), ("#", 1), ("/Z1/1100/+", 0), ("/iot/+/#", 1)))
    assert take(session, asked) == [Send(Suback(3, (1, 0x80, 0x80, 0, 0x80)))]


def test_an_unsubscribed_device_hears_nothing_more() -> None:
    session = online()
    assert take(session, packets.Unsubscribe(4, ("/iot/Z1/#",))) == [Send(packets.Unsuback(4))]
    assert session.request(SET, b"{}", 1.0)[1] == []


@pytest.mark.parametrize(
    "packet", [packets.Connack(0), packets.Pingresp(), packets.Connect("Z1", "t", b"", clean_session=True)]
)
def test_packets_that_no_device_sends_end_the_connection(packet: packets.Packet) -> None:
    (close,) = take(online(), packet)
    assert isinstance(close, Close)
    assert not close.orderly


def test_keys_are_not_shown() -> None:
    assert str(KEY)[2:-1] not in repr(BINDING)
    assert "session_key" not in repr(BINDING)
