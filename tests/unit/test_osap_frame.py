"""Framing between device and LBS. osap.md §2.1"""

from __future__ import annotations

import pytest

from osap_bridge.osap.frame import MAX_LENGTH, Frame, FrameError, FrameReader


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "7200"),
        (51, "7233"),
        (127, "727f"),
        (128, "728001"),
        (134, "728601"),
        (16383, "72ff7f"),
        (16384, "72808001"),
    ],
)
def test_the_length_takes_as_few_bytes_as_it_can(length: int, header: str) -> None:
    encoded = bytes(Frame(0x72, bytes(length)))
    assert encoded == bytes.fromhex(header) + bytes(length)
    reader = FrameReader()
    reader.feed(encoded)
    assert reader.next() == Frame(0x72, bytes(length))
    assert reader.next() is None


def test_a_stream_is_cut_where_the_frames_end() -> None:
    reader = FrameReader()
    for byte in bytes(Frame(0x90, b"one")) + bytes(Frame(0xA0, b"")):
        reader.feed(bytes([byte]))
        if byte == ord("e"):
            assert reader.next() == Frame(0x90, b"one")
        elif byte == 0 and (frame := reader.next()):
            assert frame == Frame(0xA0, b"")
            return
    pytest.fail("the second frame never came")


@pytest.mark.parametrize("header", ["1a80808080", "1affffffff01", "1a818001", "1aff ff 7f"])
def test_a_length_beyond_the_limit_is_refused_before_the_bytes_come(header: str) -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex(header))
    with pytest.raises(FrameError) as refused:
        reader.next()
    assert refused.value.control == 0x1A


def test_a_length_that_may_go_on_is_waited_for() -> None:
    reader = FrameReader()
    reader.feed(bytes.fromhex("1a8080"))
    assert reader.next() is None
    reader.feed(b"\x01")
    assert reader.next() is None
    reader.feed(bytes(MAX_LENGTH))
    assert reader.next() == Frame(0x1A, bytes(MAX_LENGTH))


def test_a_frame_does_not_print_its_content() -> None:
    assert "secret" not in repr(Frame(0x72, b"secret"))
