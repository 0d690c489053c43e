"""Frames on a serial line: every datagram arrives as it was, or not at all."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lwm2m.coap.links.serial_frame import Deframer, framed

LARGEST = 64
datagrams = st.lists(st.binary(min_size=1, max_size=LARGEST), max_size=8)
noise = st.binary(max_size=4 * LARGEST)
special = st.sampled_from([b"\xc0", b"\xdb", b"\xdc", b"\xdd", b"\xff"])
of_the_frame = st.lists(special, min_size=1, max_size=40).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(datagrams | st.lists(of_the_frame, max_size=8), st.lists(st.integers(min_value=0), max_size=10))
def test_any_datagrams_arrive_whole_however_the_line_cuts_them(sent: list[bytes], places: list[int]) -> None:
    deframer = Deframer(LARGEST)
    line = b"".join(map(framed, sent))
    assert [datagram for piece in cut(line, places) for datagram in deframer.feed(piece)] == sent


@given(noise | of_the_frame, st.binary(min_size=1, max_size=LARGEST))
def test_after_any_noise_the_next_frame_is_whole(before: bytes, datagram: bytes) -> None:
    deframer = Deframer(LARGEST)
    deframer.feed(before)
    assert deframer.feed(framed(datagram))[-1:] == [datagram]


@given(st.binary(min_size=1, max_size=LARGEST), st.integers(min_value=0), st.integers(1, 255))
@example(b"\x00", 4, 0xC0)
def test_a_frame_with_one_damaged_byte_is_dropped_and_the_next_arrives(sent: bytes, place: int, change: int) -> None:
    frame = bytearray(framed(sent))
    frame[place % len(frame)] ^= change
    came = Deframer(LARGEST).feed(bytes(frame) + framed(b"next"))
    assert came[-1] == b"next"
    assert set(came[:-1]) <= {sent}


@given(st.lists(noise | of_the_frame, max_size=20))
@example([b"\x01" * 100] * 20)
def test_garbage_neither_fails_nor_is_kept(pieces: list[bytes]) -> None:
    deframer = Deframer(LARGEST)
    for piece in pieces:
        assert all(len(datagram) <= LARGEST for datagram in deframer.feed(piece))
        assert len(deframer._begun) <= 2 * LARGEST + 5


def test_a_datagram_of_the_largest_size_arrives_and_a_larger_one_does_not() -> None:
    for byte in (b"\x00", b"\xc0", b"\xdb"):
        assert Deframer(LARGEST).feed(framed(byte * LARGEST)) == [byte * LARGEST]
        assert Deframer(LARGEST).feed(framed(byte * (LARGEST + 1))) == []


def test_the_bytes_are_those_of_the_documents() -> None:
    assert framed(b"123456789") == b"\xc0123456789\xd6\x4e\xc0"  # the check value of CRC-16/GENIBUS is 0xD64E
    assert framed(b"\xc0\xdb")[:5] == b"\xc0\xdb\xdc\xdb\xdd"  # RFC 1055
