"""What devices of OSAP say once they are connected: registrations, topics, messages and their bodies."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from osap_bridge.osap import bodies, packets
from osap_bridge.osap.crypto import DecryptionFailed, cbc_encrypt
from osap_bridge.osap.message import MalformedMessage, Message, Reply
from osap_bridge.osap.registration import DeviceInformation, LightRegistration, read_registration
from osap_bridge.osap.session import Binding, Session
from osap_bridge.osap.topic import InvalidTopic, MsgType, Topic, parse_topic
from tests.fuzz import grammars
from tests.fuzz.reshaping import reshaped_json
from tests.fuzz.target import Target, Way
from tests.vectors import osap_das

KEY = osap_das.SESSION_KEY
TOPICS = (
    *(b"/iot/Z1/global/0-L/model/attribute/report/A/B", b"/iot/Z1/global/0-L/model/attribute/mreport", b"/7002/1"),
    *(b"/iot/Z1/global/0-L/event/mreport", b"/iot/Z1/global/0-L/model/event/report/A/B", b"/7002/3", b"/7002/16"),
    *(
        b"/iot/Z1/global/0-L/model/attribute/set_reply/A/B",
        b"/iot/Z1/global/0-global/basic/shadow/report",
        b"/1100/14448",
    ),
    *(
        b"/iot/Z1/global/0-global/childmanage/fullchild/report",
        b"/iot/Z1/global/0-global/basic/shadow/query",
        b"/Z1/1/2",
    ),
)
TOPIC_WORDS = (
    b"/",
    b"iot",
    b"model",
    b"attribute",
    b"report",
    b"mreport",
    b"-",
    b"#",
    b"+",
    b"global",
    b"_reply",
    b"a" * 72,
)
BODIES = (
    *(b'{"data":{"Value":42}}', b'{"status":200,"code":"0x00000000","errorMsg":"","data":{}}', b'{"code":0}', b"{}"),
    *(
        b'{"data":{"time":"2026-01-01T00:00:00","uuid":"u","a":1}}',
        b'{"props":[{"domain":"A","identifier":"B","data":1}]}',
    ),
    *(b'{"state":{"reported":{"A":{"B":1}}},"version":1,"timestamp":1}', b'{"payload":{"code":0,"state":{}}}', b"[]"),
)
JSON_KEYS = (
    *(
        "data",
        "Value",
        "status",
        "code",
        "errorMsg",
        "props",
        "event",
        "events",
        "domain",
        "identifier",
        "state",
        "uuid",
    ),
    *(
        "reported",
        "desired",
        "version",
        "timestamp",
        "payload",
        "time",
        "childs",
        "children",
        "serial",
        "devSerial",
        "model",
    ),
    *("DevSerial", "SubSerial", "DeviceID", "DevType", "Status", "SDKVersion", "Seq", "CmdVer", "MsgType", "resource"),
)
JSON_WORDS = (
    *(f'"{key}":'.encode() for key in JSON_KEYS),
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"null",
    b"true",
    b"\\ud800",
    b"1e999",
)


def registration(data: bytes) -> object:
    """The registration in a CONNECT, with the key that the device has."""
    will = cbc_encrypt(KEY, data[1:])
    packet = packets.Connect(
        "Z1", "/Basic/pu2cenplt/Z1/firstconnect", will, clean_session=bool(data) and data[0] % 2 == 0
    )
    return read_registration(packet, KEY)


BODY_READERS: tuple[Callable[[bytes], object], ...] = (
    bodies.read_value,
    bodies.read_data,
    bodies.read_shadow_report,
    bodies.read_shadow_query_reply,
    bodies.read_shadow_set,
    lambda body: bodies.event_time(bodies.read_event(body)),
    lambda body: bodies.event_uuid(bodies.read_event(body)),
    lambda body: list(bodies.read_batch(body, "props")),
    lambda body: list(bodies.read_batch(body, "event")),
    bodies.read_children,
    bodies.read_hub_children,
    lambda body: Reply.from_body(body).accepted,
)


def body(data: bytes) -> object:
    """The first byte chooses the reader."""
    return BODY_READERS[data[0] % len(BODY_READERS)](data[1:]) if data else None


def session(data: bytes) -> object:
    """What a registered device publishes: lines of a topic, a version and a body. Every message is acknowledged."""
    information = DeviceInformation("Z1", "d" * 32, "Lamp")
    served = Session(information, lambda _: None)
    served.register(information, Binding(KEY, 30, None), 0.0, 0.0)
    served.receive(packets.Subscribe(1, (("/iot/Z1/#", 1), ("/Z1/#", 1))), 0.0, 0.0)
    served.request(Topic("Z1", "global", "0", "L", "model", "attribute", MsgType.SET, "A", "B"), b"{}", 0.0)
    topic, _, plain = data.partition(b"\n")
    payload = cbc_encrypt(KEY, plain)
    actions = served.receive(packets.Publish(topic.decode(errors="replace"), payload, 5), 1.0, 0.0)
    served.expire(100.0)
    return Way(type(action).__name__ for action in actions)


def topic(data: bytes) -> object:
    text = data.decode(errors="replace")
    parsed = parse_topic(text)
    assert str(parsed) == text
    return parsed


def _publications() -> tuple[bytes, ...]:
    return tuple(topic_ + b"\n" + Message(1, BODIES[at % len(BODIES)]).to_plain() for at, topic_ in enumerate(TOPICS))


def _publication(random: Random) -> bytes:
    content = grammars.json_of(JSON_KEYS, ("A", "B", "Z1", "0x00000000"))(random)
    message = Message(random.randrange(3), content[:16_000], random.choice((None, "v2.0.0")))
    return random.choice(TOPICS) + b"\n" + message.to_plain()


_INFORMATION = DeviceInformation("Z1", "d" * 32, "Lamp", "1.0", mac="00:11", sdk_versions={"1100": "v1"})

TARGETS = (
    Target(
        "registration in a CONNECT",
        registration,
        (DecryptionFailed, MalformedMessage),
        (b"\0" + _INFORMATION.to_json(), b"\1" + LightRegistration("Z1", "d" * 32).to_json()),
        JSON_WORDS,
        grammars.json_of(JSON_KEYS, ("Z1",), (b"\0", b"\1")),
        reshaped_json,
    ),
    Target("OSAP topics", topic, (InvalidTopic,), TOPICS, TOPIC_WORDS, grammars.words((b"/", b"-"), *TOPIC_WORDS)),
    Target(
        "OSAP messages",
        lambda data: Message.from_plain(data).body,
        (MalformedMessage,),
        (osap_das.V3_PLAIN, Message(1, b"{}", "v2.0.0").to_plain()),
        JSON_WORDS,
    ),
    Target(
        "OSAP bodies",
        body,
        (MalformedMessage,),
        grammars.chosen(len(BODY_READERS), BODIES),
        JSON_WORDS,
        grammars.json_of(JSON_KEYS, ("A", "Z1", "0x00000000"), tuple(bytes([n]) for n in range(len(BODY_READERS)))),
        reshaped_json,
    ),
    Target(
        "session at the DAS",
        session,
        (),
        _publications(),
        (*TOPIC_WORDS, *JSON_WORDS),
        _publication,
        reshaped_json,
        short=800,
    ),
)
