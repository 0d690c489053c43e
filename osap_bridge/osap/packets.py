"""MQTT 3.1.1 as OSAP speaks it, both ends. The bytes are amqtt's business, what is allowed is decided here. osap.md §6.

A packet has to write back to the bytes that it was read from. That refuses what amqtt lets pass: text that is not
UTF-8, fields that are cut off or missing, bytes behind the last field. QoS 2 is not part of OSAP."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias

from amqtt.adapters import BufferReader
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt import packet as mqtt
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload, ConnectVariableHeader
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

MAX_PACKET = 32_768
"""More than the largest allowed body (16384 bytes), its envelope, padding and topic."""

WILL_TOPIC_LENGTH = 128
"""A real device pads its will topic with zero bytes to this length."""

REFUSED_SUBSCRIPTION = 0x80

_PROTOCOL_NAME = b"\x00\x04MQTT"
_LEVEL = 4
_RESERVED_FLAGS = {mqtt.SUBSCRIBE: 2, mqtt.UNSUBSCRIBE: 2}
_AMQTT_REFUSALS = (AMQTTError, CodecError, MQTTError, NoDataError, struct.error, ValueError, IndexError, TypeError)


class MalformedPacket(ValueError):
    """Not MQTT 3.1.1, or not the part of it that OSAP uses: the connection is to be closed."""


class UnknownProtocolLevel(MalformedPacket):
    """A CONNECT of another MQTT version: answered with CONNACK 1."""


class ConnackCode(IntEnum):
    """osap.md §6.2."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_LEVEL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5
    BLACK_LISTED = 10
    SESSION_INVALID = 11
    SESSION_EXISTS = 12


@dataclass(frozen=True, slots=True)
class Connect:
    """A registration: `clean_session` means the full one. `will_topic` is read without its padding and written with it
    where `padded`. `keep_alive` is in seconds, 0 is none. What a stranger's CONNECT lacks is empty."""

    user_name: str
    will_topic: str
    will_message: bytes = field(repr=False)
    clean_session: bool
    keep_alive: int = 30
    password: str = field(default="test", repr=False)
    client_id: str = ""
    padded: bool = True


@dataclass(frozen=True, slots=True)
class Connack:
    code: int
    session_present: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """`packet_id` is there exactly for QoS 1."""

    topic: str
    payload: bytes = field(repr=False)
    packet_id: int | None = None
    duplicate: bool = False
    retain: bool = False

    @property
    def qos(self) -> int:
        return 0 if self.packet_id is None else 1


@dataclass(frozen=True, slots=True)
class Puback:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters with the QoS that is asked for."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Suback:
    """For each filter the QoS granted, 0x80 where it is refused."""

    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsuback:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingreq:
    pass


@dataclass(frozen=True, slots=True)
class Pingresp:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    pass


Packet: TypeAlias = (
    Connect | Connack | Publish | Puback | Subscribe | Suback | Unsubscribe | Unsuback | Pingreq | Pingresp | Disconnect
)


async def read_packet(reader: asyncio.StreamReader, limit: int = MAX_PACKET) -> Packet:
    """The next packet. Raises MalformedPacket, EOFError where the stream ends, and OSError of the socket."""
    first = (await reader.readexactly(1))[0]
    _check_first_byte(first)
    length = 0
    for position in range(4):
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << (7 * position)
        if not digit & 0x80:
            break
    else:
        raise MalformedPacket("a remaining length of more than four bytes")
    if length > limit:
        raise MalformedPacket(f"a packet of {length} bytes; {limit} are allowed")
    return parse_packet(first, await reader.readexactly(length))


def parse_packet(first: int, body: bytes) -> Packet:
    """A packet from its first byte and what follows the remaining length. Raises MalformedPacket."""
    _check_first_byte(first)
    kind, flags = first >> 4, first & 0x0F
    if kind == mqtt.CONNECT:
        _check_protocol(body)
    header = mqtt.MQTTFixedHeader(kind, flags, len(body))
    try:
        parsed = _finish(packet_class(header).from_stream(BufferReader(body), fixed_header=header))
        packet = _READERS[kind](parsed)
        written = parsed.to_bytes()
    except MalformedPacket:
        raise
    except _AMQTT_REFUSALS as error:
        raise MalformedPacket(f"packet type {kind} does not parse: {type(error).__name__}") from None
    if not written.endswith(body) or len(written) != len(_fixed_header(first, len(body))) + len(body):
        raise MalformedPacket(f"packet type {kind} holds text that is not UTF-8, or too many or too few bytes")
    return packet


def to_bytes(packet: Packet) -> bytes:
    written: bytes = _WRITERS[type(packet)](packet).to_bytes()
    return written


def _check_first_byte(first: int) -> None:
    """All that can be known before a length is believed."""
    kind, flags = first >> 4, first & 0x0F
    if kind not in _READERS:
        raise MalformedPacket(f"packet type {kind} is not part of OSAP")
    if kind != mqtt.PUBLISH and flags != _RESERVED_FLAGS.get(kind, 0):
        raise MalformedPacket(f"packet type {kind} with flags {flags}")


def _finish(reading: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that reads from memory and so never waits."""
    try:
        reading.send(None)
    except StopIteration as done:
        return done.value
    reading.close()
    raise MalformedPacket("a packet that reads beyond its end")


def _fixed_header(first: int, length: int) -> bytes:
    header: bytes = mqtt.MQTTFixedHeader(first >> 4, first & 0x0F, length).to_bytes()
    return header


def _check_protocol(body: bytes) -> None:
    if len(body) < 8 or not body.startswith(_PROTOCOL_NAME):
        raise MalformedPacket("a CONNECT of another protocol than MQTT")
    if body[6] != _LEVEL:
        raise UnknownProtocolLevel(f"a CONNECT of MQTT level {body[6]}")


def _text(text: str | None, name: str) -> str:
    if not text or "\0" in text:
        raise MalformedPacket(f"{name} is empty or holds U+0000")
    return text


def _packet_id(parsed: Any) -> int:
    number: int = parsed.variable_header.packet_id
    if number == 0:
        raise MalformedPacket("packet identifier 0")
    return number


def _read_connect(parsed: ConnectPacket) -> Connect:
    header, payload = parsed.variable_header, parsed.payload
    if payload.client_id_is_random:
        payload.client_id = ""
    _check_connect_flags(header)
    has_will, has_user, has_password = header.will_flag, header.username_flag, header.password_flag
    announced = ((has_will, payload.will_message), (has_user, payload.username), (has_password, payload.password))
    if any(flag and text is None for flag, text in announced):
        raise MalformedPacket("a CONNECT without what its flags announce")
    will_topic = (payload.will_topic or "").partition("\0")[0]
    return Connect(
        user_name=_text(payload.username, "user name") if has_user else "",
        will_topic=will_topic,
        will_message=bytes(payload.will_message) if has_will else b"",
        clean_session=header.clean_session_flag,
        keep_alive=header.keep_alive,
        password=payload.password or "",
        client_id=payload.client_id,
        padded=has_will and payload.will_topic != will_topic,
    )


def _check_connect_flags(header: ConnectVariableHeader) -> None:
    if header.reserved_flag or header.will_qos > 2:
        raise MalformedPacket("a CONNECT with its reserved flag or a will of QoS 3")
    if not header.will_flag and (header.will_qos or header.will_retain_flag):
        raise MalformedPacket("a CONNECT with the QoS of a will but no will")
    if header.password_flag and not header.username_flag:
        raise MalformedPacket("a CONNECT with a password but no user name")


def _read_publish(parsed: PublishPacket) -> Publish:
    topic = _text(parsed.topic_name, "topic")
    if parsed.qos > 1:
        raise MalformedPacket(f"a PUBLISH of QoS {parsed.qos}; OSAP uses 0 and 1")
    if parsed.qos == 0 and parsed.dup_flag:
        raise MalformedPacket("a duplicate of QoS 0")
    packet_id = _packet_id(parsed) if parsed.qos else None
    return Publish(topic, parsed.data, packet_id, parsed.dup_flag, parsed.retain_flag)


def _read_connack(parsed: ConnackPacket) -> Connack:
    return Connack(parsed.return_code, bool(parsed.session_parent))


def _read_subscribe(parsed: SubscribePacket) -> Subscribe:
    filters = tuple((_text(topic, "filter"), qos) for topic, qos in parsed.payload.topics)
    if not filters or any(qos > 2 for _, qos in filters):
        raise MalformedPacket("a SUBSCRIBE without filters or with a QoS beyond 2")
    return Subscribe(_packet_id(parsed), filters)


def _read_suback(parsed: SubackPacket) -> Suback:
    return Suback(_packet_id(parsed), tuple(parsed.payload.return_codes))


def _read_unsubscribe(parsed: UnsubscribePacket) -> Unsubscribe:
    filters = tuple(_text(topic, "filter") for topic in parsed.payload.topics)
    if not filters:
        raise MalformedPacket("an UNSUBSCRIBE without filters")
    return Unsubscribe(_packet_id(parsed), filters)


_READERS: dict[int, Callable[[Any], Packet]] = {
    mqtt.CONNECT: _read_connect,
    mqtt.CONNACK: _read_connack,
    mqtt.PUBLISH: _read_publish,
    mqtt.PUBACK: lambda parsed: Puback(_packet_id(parsed)),
    mqtt.SUBSCRIBE: _read_subscribe,
    mqtt.SUBACK: _read_suback,
    mqtt.UNSUBSCRIBE: _read_unsubscribe,
    mqtt.UNSUBACK: lambda parsed: Unsuback(_packet_id(parsed)),
    mqtt.PINGREQ: lambda _: Pingreq(),
    mqtt.PINGRESP: lambda _: Pingresp(),
    mqtt.DISCONNECT: lambda _: Disconnect(),
}


def _write_connect(connect: Connect) -> ConnectPacket:
    header = ConnectVariableHeader(keep_alive=connect.keep_alive)
    header.username_flag = header.password_flag = header.will_flag = header.will_retain_flag = True
    header.will_qos = 1
    header.clean_session_flag = connect.clean_session
    will_topic = connect.will_topic
    if connect.padded:
        will_topic += "\0" * (WILL_TOPIC_LENGTH - len(will_topic.encode()))
    payload = ConnectPayload(connect.client_id, will_topic, connect.will_message, connect.user_name, connect.password)
    return ConnectPacket(variable_header=header, payload=payload)


def _write_publish(publish: Publish) -> PublishPacket:
    return PublishPacket.build(
        publish.topic, publish.payload, publish.packet_id, publish.duplicate, publish.qos, publish.retain
    )


_WRITERS: dict[type[Packet], Callable[[Any], Any]] = {
    Connect: _write_connect,
    Connack: lambda connack: ConnackPacket.build(int(connack.session_present), connack.code),
    Publish: _write_publish,
    Puback: lambda puback: PubackPacket.build(puback.packet_id),
    Subscribe: lambda subscribe: SubscribePacket.build(list(subscribe.filters), subscribe.packet_id),
    Suback: lambda suback: SubackPacket.build(suback.packet_id, list(suback.codes)),
    Unsubscribe: lambda unsubscribe: UnsubscribePacket.build(list(unsubscribe.filters), unsubscribe.packet_id),
    Unsuback: lambda unsuback: UnsubackPacket.build(unsuback.packet_id),
    Pingreq: lambda _: PingReqPacket(),
    Pingresp: lambda _: PingRespPacket(),
    Disconnect: lambda _: DisconnectPacket(),
}
