"""How devices of OSAP connect: frames and authentication at the LBS, MQTT packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

from osap_bridge.osap import lbs_messages, packets
from osap_bridge.osap.crypto import DecryptionFailed, private_key
from osap_bridge.osap.device.handshake import DeviceHandshake, Identity
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.frame import FrameError, FrameReader
from osap_bridge.osap.handshake import LbsHandshake, LbsState
from osap_bridge.osap.lbs_messages import BadMessage, DasAddress
from osap_bridge.osap.packets import MalformedPacket
from osap_bridge.osap.registration import DeviceInformation, LightRegistration, connect
from tests.fuzz import grammars
from tests.fuzz.target import Target, Way
from tests.osap_directory import MemoryDirectory
from tests.vectors import osap_das, osap_handshake

KEY = osap_das.SESSION_KEY
SERIAL = osap_handshake.SERIAL
DAS = DasAddress("127.0.0.1", 18883, 18884, "das.local", "das-1")
REPORT = "/iot/Z1/global/0-L/model/attribute/report/A/B"
NEVER_RUN = asyncio.new_event_loop()
NEVER_RUN.close()


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


def _draw(length: int) -> bytes:
    return bytes(range(length))


_INFORMATION = DeviceInformation("Z1", "d" * 32, "Lamp", "1.0", mac="00:11", sdk_versions={"1100": "v1"})
_PACKETS: tuple[bytes, ...] = tuple(
    packets.to_bytes(packet)
    for packet in (
        connect(_INFORMATION, KEY),
        connect(LightRegistration("Z1", "d" * 32), KEY),
        packets.Publish(REPORT, osap_das.V3_PAYLOAD, 5),
        packets.Publish(REPORT, b"", None),
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

TARGETS = (
    Target("OSAP frames", frames, (FrameError,), _LBS_STREAMS),
    Target(
        "LBS messages",
        lbs_message,
        (BadMessage, DecryptionFailed),
        grammars.chosen(len(LBS_READERS), (*_LBS_CONTENTS, *_LBS_PLAIN)),
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
)
