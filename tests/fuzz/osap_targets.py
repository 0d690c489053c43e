"""What devices and platforms of OSAP send: frames, authentication, MQTT packets, topics, messages, profiles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from random import Random

from lwm2m.model.library import shipped
from osap_bridge import Entity
from osap_bridge.entity_model import DoesNotFit, EntityModel
from osap_bridge.installed import find
from osap_bridge.osap import bodies, lbs_messages, packets
from osap_bridge.osap.crypto import DecryptionFailed, cbc_encrypt, private_key
from osap_bridge.osap.device_handshake import DeviceHandshake, Identity
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.frame import FrameError, FrameReader
from osap_bridge.osap.handshake import LbsHandshake, LbsState
from osap_bridge.osap.lbs_messages import BadMessage, DasAddress
from osap_bridge.osap.message import MalformedMessage, Message, Reply, encode, from_json
from osap_bridge.osap.packets import MalformedPacket
from osap_bridge.osap.profile import InvalidProfile, Profile
from osap_bridge.osap.registration import DeviceInformation, LightRegistration, connect, read_registration
from osap_bridge.osap.schema import InvalidSchema, parse_schema
from osap_bridge.osap.session import Binding, Session
from osap_bridge.osap.topic import InvalidTopic, MsgType, Topic, parse_topic
from tests.fuzz import grammars
from tests.fuzz.reshaping import reshaped_json
from tests.fuzz.target import Grammar, Target, Way
from tests.osap_directory import MemoryDirectory
from tests.vectors import osap_das, osap_handshake

KEY = osap_das.SESSION_KEY
SERIAL = osap_handshake.SERIAL
DAS = DasAddress("127.0.0.1", 18883, 18884, "das.local", "das-1")
NEVER_RUN = asyncio.new_event_loop()
NEVER_RUN.close()

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
PROFILE_KEYS = (
    *("version", "resources", "identifier", "resourceCategory", "localIndex", "domains", "props", "actions", "events"),
    *(
        "schema",
        "type",
        "mn",
        "minimum",
        "maximum",
        "enum",
        "items",
        "prop",
        "properties",
        "required",
        "req",
        "key",
        "dep",
    ),
    *(
        "multipleOf",
        "uniqueItems",
        "minLength",
        "maxItems",
        "dependencies",
        "access",
        "input",
        "output",
        "title",
        "direction",
    ),
)
SCHEMA_VALUES = ("int", "integer", "string", "obj", "object", "array", "number", "bool", "boolean", "r", "rw", "0", "a")


def frames(data: bytes) -> object:
    """In pieces, as a stream brings them."""
    reader, found = FrameReader(), []
    for start, end in pairwise((0, len(data) // 3, len(data) // 2, len(data))):
        reader.feed(data[start:end])
        while (frame := reader.next()) is not None:
            found.append(frame)
    return found


LBS_READERS: tuple[Callable[[bytes], object], ...] = (
    lbs_messages.read_negotiation,
    lbs_messages.read_ecdh_request,
    lbs_messages.read_v2_request,
    lbs_messages.read_chosen_type,
    lbs_messages.read_ecdh_response,
    lbs_messages.read_result,
    lbs_messages.read_signed,
    lbs_messages.read_refresh_request,
    lambda content: lbs_messages.read_assignment(content, KEY),
    lbs_messages.read_original_request,
    lambda content: lbs_messages.read_encrypted(content, KEY),
    lbs_messages.read_das_query,
    lbs_messages.read_das_answer,
)


def lbs_message(data: bytes) -> object:
    """The first byte chooses the reader."""
    return LBS_READERS[data[0] % len(LBS_READERS)](data[1:]) if data else None


def lbs(data: bytes) -> object:
    """A connection to the LBS, which never raises and always ends with an answer or a close."""
    directory = MemoryDirectory({SERIAL: osap_handshake.CODE}, {SERIAL: DeviceKeys(osap_handshake.DEV_ID, KEY)})
    handshake = LbsHandshake(directory, lambda: DAS, draw=_draw, new_key=lambda: private_key(osap_handshake.LBS_SCALAR))
    steps = handshake.receive(data[: len(data) // 2], 0.0) + handshake.receive(data[len(data) // 2 :], 1.0)
    assert sum(step.close for step in steps) == (handshake.state is LbsState.CLOSED)
    return Way(f"{handshake.state} {step.reason}" for step in steps)


def device_handshake(data: bytes) -> object:
    """A connection of a device, which is told of whatever is wrong. The first byte chooses the keys it has."""
    keys = None if not data or data[0] % 2 else DeviceKeys(osap_handshake.DEV_ID, osap_handshake.MASTER_KEY)
    device = DeviceHandshake(
        Identity(SERIAL, osap_handshake.CODE),
        keys,
        draw=_draw,
        new_key=lambda: private_key(osap_handshake.DEVICE_SCALAR),
    )
    device.start()
    outcomes = []
    for piece in (data[1 : len(data) // 2], data[max(1, len(data) // 2) :], b"", b""):
        step = device.receive(piece)
        outcomes.append(f"{device.state} {step.outcome!r}"[:60])
        if step.outcome is not None:
            break
    return Way(outcomes)


def packet_stream(data: bytes) -> object:
    """Packets until the stream ends, which it does in EOFError."""
    reader = asyncio.StreamReader(loop=NEVER_RUN)
    reader.feed_data(data)
    reader.feed_eof()
    while True:
        reading = packets.read_packet(reader)
        try:
            reading.send(None)
        except StopIteration:
            continue
        reading.close()
        raise AssertionError("it waits at the end of the stream")


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


def profile(data: bytes) -> object:
    return Profile.from_json(data).resource_keys()


def judged(data: bytes) -> object:
    """A schema and a value, a line each."""
    schema, _, value = data.partition(b"\n")
    parsed, content = parse_schema(from_json(schema)), from_json(value)
    assert parsed.allows(content) is (parsed.violation(content) is None)
    return parsed.violation(content) is None


def reported(models: tuple[EntityModel, ...], data: bytes) -> object:
    """A value of a device as a resource of LwM2M holds it. The first byte chooses the point."""
    value = from_json(data[1:])
    points = [(model, point) for model in models for point in model.readable]
    model, point = points[data[0] % len(points)] if data else points[0]
    record = model.of_report(point.point, value)
    return Way((str(record.path),)) if record else None


def topic(data: bytes) -> object:
    text = data.decode(errors="replace")
    parsed = parse_topic(text)
    assert str(parsed) == text
    return parsed


def _draw(length: int) -> bytes:
    return bytes(range(length))


def _chosen(readers: int, seeds: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(bytes([number]) + seed for number in range(readers) for seed in seeds)


def _publications() -> tuple[bytes, ...]:
    return tuple(topic_ + b"\n" + Message(1, BODIES[at % len(BODIES)]).to_plain() for at, topic_ in enumerate(TOPICS))


def _publication(random: Random) -> bytes:
    content = grammars.json_of(JSON_KEYS, ("A", "B", "Z1", "0x00000000"))(random)
    message = Message(random.randrange(3), content[:16_000], random.choice((None, "v2.0.0")))
    return random.choice(TOPICS) + b"\n" + message.to_plain()


_INFORMATION = DeviceInformation("Z1", "d" * 32, "Lamp", "1.0", mac="00:11", sdk_versions={"1100": "v1"})
_PACKETS: tuple[bytes, ...] = tuple(
    packets.to_bytes(packet)
    for packet in (
        connect(_INFORMATION, KEY),
        connect(LightRegistration("Z1", "d" * 32), KEY),
        packets.Publish(TOPICS[0].decode(), encode(Message(1, BODIES[0]), KEY), 5),
        packets.Publish(TOPICS[1].decode(), b"", None),
        packets.Connack(0, False),
        packets.Puback(5),
        packets.Subscribe(1, (("/iot/Z1/#", 1), ("/Z1/#", 1))),
        packets.Suback(1, (1, 0x80)),
        packets.Unsubscribe(2, ("/Z1/#",)),
        packets.Unsuback(2),
        packets.Pingreq(),
        packets.Pingresp(),
        packets.Disconnect(),
    )
)
_LBS_STREAMS = (
    osap_handshake.ECDH_REQUEST + osap_handshake.APPLY_REQUEST + osap_handshake.DAS_REQUEST,
    osap_handshake.ECDH_REQUEST + osap_handshake.REFRESH_REQUEST + osap_handshake.DAS_REQUEST,
    osap_handshake.ORIGINAL_1 + osap_handshake.ORIGINAL_3 + osap_handshake.DAS_REQUEST,
    osap_handshake.CAPTURED_ECDH_REQUEST,
)
_DEVICE_STREAMS = (
    b"\1" + osap_handshake.ECDH_RESPONSE + osap_handshake.APPLY_RESPONSE + osap_handshake.DAS_RESPONSE,
    b"\0" + osap_handshake.ORIGINAL_2 + osap_handshake.DAS_RESPONSE,
)
_LBS_CONTENTS = tuple(frame[2:] for frame in (*_LBS_STREAMS, osap_handshake.ECDH_RESPONSE, osap_handshake.ORIGINAL_1))
_LBS_PLAIN = (lbs_messages.das_query(SERIAL, hub=False), lbs_messages.das_answer(DAS))
_PRODUCTS = find().products
_MODELS = tuple(
    EntityModel(product, Entity("Z1", resource_type=kind), shipped(), lambda _, name: name)
    for product in _PRODUCTS.values()
    for kind in ("global", "Door")
)
_PROFILES = tuple(product.profile_text for product in _PRODUCTS.values() if product.profile_text)
_SCHEMAS = (
    b'{"type":"int","mn":0,"maximum":100,"multipleOf":5}\n35',
    b'{"type":"number","multipleOf":0.1}\n0.3',
    b'{"type":"array","items":{"type":"string","maxLength":3},"uniqueItems":true}\n["a","b"]',
    b'{"type":"obj","prop":[{"key":"a","req":true,"type":"bool"}],"dependencies":{"a":["b"]}}\n{"a":true}',
)


def _schema(random: Random) -> bytes:
    make: Grammar = grammars.json_of(PROFILE_KEYS, SCHEMA_VALUES)
    return make(random) + b"\n" + grammars.json_of(("a", "b", "A"), ("a",))(random)


TARGETS = (
    Target("OSAP frames", frames, (FrameError,), _LBS_STREAMS),
    Target(
        "LBS messages",
        lbs_message,
        (BadMessage, DecryptionFailed),
        _chosen(len(LBS_READERS), (*_LBS_CONTENTS, *_LBS_PLAIN)),
        (b"DevSerial", b'"Port":', b"DasInfo", b"\x01\x01\x00", b"\x09K12345678", b"\x20", b"\x10", b"\x00"),
    ),
    Target("LBS", lbs, (), _LBS_STREAMS, (b"\x1a", b"\x80\x80\x80\x01", b"\xff\xff\xff\xff", b"\x72\x33"), short=250),
    Target("device at the LBS", device_handshake, (), _DEVICE_STREAMS, (b"\x2a", b"\xb0", b"\x82"), short=250),
    Target(
        "MQTT packets",
        packet_stream,
        (MalformedPacket, EOFError),
        _PACKETS,
        (b"\0\4MQTT\4", b"\xc3\x28", b"\0\0"),
        short=800,
    ),
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
        _chosen(len(BODY_READERS), BODIES),
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
    Target(
        "profile",
        profile,
        (InvalidProfile,),
        (*_PROFILES, *(json.dumps({"version": "1", "resources": []}).encode(),)),
        tuple(f'"{key}":'.encode() for key in PROFILE_KEYS),
        grammars.json_of(PROFILE_KEYS, SCHEMA_VALUES),
        reshaped_json,
        short=600,
    ),
    Target(
        "schema and value",
        judged,
        (MalformedMessage, InvalidSchema),
        _SCHEMAS,
        tuple(f'"{key}":'.encode() for key in PROFILE_KEYS),
        _schema,
        reshaped_json,
    ),
    Target(
        "value for a resource",
        partial(reported, _MODELS),
        (MalformedMessage, DoesNotFit),
        _chosen(30, (b"42", b"21.5", b'"open"', b"true", b'{"a":1}')),
        (b"1e308", b"-1", b"null", b"[]", b"true", b'"', b"9" * 400),
        grammars.json_of(("a", "value"), ("open", "closed"), tuple(bytes([n]) for n in range(30))),
        reshaped_json,
    ),
)
