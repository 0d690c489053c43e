"""CoAP messages on connections as bytes. RFC 8323 §3.2, §4.2, §5.3."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.carrier import Room
from lwm2m.coap.messaging.datagram_format import NotCoap, WrongOption
from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.stream_format import decode, encode, extent, from_frame, room_in, to_frame, token_of

CODES = st.sampled_from([1, 2, 5, 0x45, 0x84])


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (Packet(1, b"", {}, b""), "00 01"),
        (Packet(1, b"\x07", {11: (b"x",)}, b""), "21 01 07 B1 78"),
        (Packet(0x45, b"\x07", {}, b"21"), "31 45 07 FF 32 31"),
    ],
)
def test_short_messages(packet: Packet, message: str) -> None:
    assert encode(packet) == bytes.fromhex(message)
    assert decode(bytes.fromhex(message)) == packet


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (11, "C0"),
        (12, "D0 00"),
        (267, "D0 FF"),
        (268, "E0 00 00"),
        (65803, "E0 FF FF"),
        (65804, "F0 00 00 00 00"),
        (70000, "F0 00 00 10 64"),
    ],
)
def test_lengths_are_as_short_as_they_go(size: int, head: str) -> None:
    """The payload marker counts, code and token do not."""
    message = encode(Packet(0x45, b"", {}, bytes(size)))
    assert message.startswith(bytes.fromhex(head) + b"\x45\xff")
    where = extent(message)
    assert where is not None
    assert where.end == len(message)


@given(CODES, st.binary(max_size=8), st.binary(max_size=300), st.binary(max_size=700))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_again(code: int, token: bytes, path: bytes, payload: bytes) -> None:
    packet = Packet(code, token, {12: (b"\x2a",), 65001: (path[:255],)}, payload)
    message = encode(packet)
    assert decode(message) == packet
    assert from_frame(to_frame(message)) == message
    assert token_of(message) == token


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_read_or_refused(stream: bytes) -> None:
    try:
        where = extent(stream)
        if where is not None and where.end <= len(stream):
            decode(stream[: where.end])
        decode(from_frame(stream))
    except (NotCoap, WrongOption):
        return


def test_a_message_that_is_not_there_yet_has_no_extent() -> None:
    message = encode(Packet(0x45, b"\x07", {}, bytes(300)))
    assert [extent(message[:length]) for length in (0, 1, 2)] == [None] * 3
    assert extent(message[:3]) == extent(message)


@pytest.mark.parametrize("message", ["09 01", "21 01 07 B1", "00 21", "10 01 FF", "10 01 F1"])
def test_what_is_no_message(message: str) -> None:
    with pytest.raises(NotCoap):
        decode(bytes.fromhex(message))


@pytest.mark.parametrize("frame", ["", "00", "09 01", "02 01 07"])
def test_what_is_no_frame(frame: str) -> None:
    with pytest.raises(NotCoap):
        from_frame(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("max_message_size", "block_wise", "room"),
    [
        (1152, False, Room(1024, 6)),
        (1152, True, Room(1024, 6)),
        (1153, True, Room(1024, 7)),
        (8192, True, Room(7 * 1024, 7)),
        (8192, False, Room(8064, 6)),
        (300, True, Room(172, 3)),
        (0, True, Room(16, 0)),
    ],
)
def test_what_a_peer_takes(max_message_size: int, block_wise: bool, room: Room) -> None:
    assert room_in(max_message_size, block_wise) == room
