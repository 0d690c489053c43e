"""CoAP messages as bytes, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.messaging.datagram_format import (
    ACK,
    CON,
    NON,
    RST,
    NotCoap,
    WrongOption,
    acknowledgement,
    decode,
    encode,
    ping,
    refusal,
    reset,
)
from lwm2m.coap.option_shape import LENGTHS
from lwm2m.coap.packet import Packet
from lwm2m.testing import Datagram

REGISTER = bytes.fromhex(
    "41 02 10 01 01 B2 72 64 11 28 37 65 70 3D 64 65 76 31 05 6C 74 3D 36 30 09 6C 77 6D 32 6D 3D 31 2E 31"
    "03 62 3D 55 FF 3C 2F 31 2F 30 3E 2C 3C 2F 33 2F 30 3E"
)
HEAD = b"\x40\x01\x12\x34"


def test_a_register_is_read() -> None:
    options = {11: (b"rd",), 12: (b"(",), 15: (b"ep=dev1", b"lt=60", b"lwm2m=1.1", b"b=U")}
    assert decode(REGISTER) == (CON, 0x1001, Packet(2, b"\x01", options, b"</1/0>,</3/0>"))


def test_a_register_is_written() -> None:
    assert encode(*decode(REGISTER)) == REGISTER


def test_an_empty_message_is_four_bytes() -> None:
    assert [acknowledgement(0x1234), reset(0x1234), ping(0x1234)] == [
        b"\x60\0\x12\x34",
        b"\x70\0\x12\x34",
        b"\x40\0\x12\x34",
    ]
    assert decode(b"\x70\0\x12\x34") == (RST, 0x1234, Packet(0))


def test_values_of_one_option_keep_their_order() -> None:
    packet = Packet(1, b"", {11: (b"b", b"", b"a")})
    assert decode(encode(NON, 7, packet)) == (NON, 7, packet)


def test_option_zero_may_be_repeated() -> None:
    assert decode(HEAD + b"\0\0")[2].options == {0: (b"", b"")}


NUMBERS = st.sampled_from([*LENGTHS, 2, 9, 13, 268, 269, 270, 2000, 65535])


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    options = {}
    for number in sorted(draw(st.sets(NUMBERS, max_size=5))):
        shortest, longest = LENGTHS.get(number, (0, 700))
        size = st.integers(shortest, min(longest, 300))
        options[number] = tuple(b"x" * n for n in draw(st.lists(size, min_size=1, max_size=3)))
    code = draw(st.sampled_from([1, 2, 5, 0x1F, 0x44, 0x45, 0x5F, 0x80, 0xBF]))
    return Packet(code, draw(st.binary(max_size=8)), options, draw(st.binary(max_size=40)))


@settings(max_examples=200, deadline=None)
@given(packets(), st.sampled_from([CON, NON, ACK]), st.integers(0, 0xFFFF))
def test_what_is_written_is_read(packet: Packet, kind: int, mid: int) -> None:
    datagram = encode(kind, mid, packet)
    assert decode(datagram) == (kind, mid, packet)
    apart = Datagram.decode(datagram)
    assert (apart.kind, apart.code, apart.mid, apart.token, apart.payload) == (
        kind,
        packet.code,
        mid,
        packet.token,
        packet.payload,
    )
    assert apart.options == tuple((number, value) for number, values in packet.options.items() for value in values)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=2))
def test_any_bytes_are_read_or_refused(tail: bytes, head: bytes) -> None:
    for datagram in (head + tail, b"\x41\x01\x00\x07" + tail, b"\x51\x45\x00\x07" + tail):
        try:
            kind, mid, packet = decode(datagram)
        except (NotCoap, WrongOption) as error:
            answer = refusal(datagram, error)
            assert answer is None or len(answer) <= len(datagram)
        else:
            assert decode(encode(kind, mid, packet)) == (kind, mid, packet)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x40",
        b"\x40\x01\x00",
        b"\x00\x01\x00\x01",
        b"\x80\x01\x00\x01",
        b"\x49\x01\x12\x34" + bytes(9),
        b"\x44\x01\x12\x34abc",
        b"\x40\x00\x12\x34x",
        b"\x41\x00\x12\x34x",
        b"\x41\x00\x12\x34",
        b"\x40\x20\x12\x34",
        b"\x40\xc0\x12\x34",
        HEAD + b"\xf0",
        HEAD + b"\x0f",
        HEAD + b"\xd1",
        HEAD + b"\xe1\0",
        HEAD + b"\x0d",
        HEAD + b"\x21",
        HEAD + b"\xff",
    ],
)
def test_what_is_no_coap_is_refused(datagram: bytes) -> None:
    with pytest.raises(NotCoap) as refused:
        decode(datagram)
    is_confirmable = len(datagram) >= 4 and datagram[0] >> 4 == 4
    assert refusal(datagram, refused.value) == (b"\x70\0" + datagram[2:4] if is_confirmable else None)


@pytest.mark.parametrize(
    "options",
    [
        b"\xb1\xff",
        b"\xd3\x04\x01\x02\x03",
        b"\x30",
        b"\x54abcd" + b"\x1d\xff" + bytes(268),
        b"\xe0\xff\xff" + b"\xe0\xff\xff",
    ],
    ids=["not UTF-8", "Accept too long", "Uri-Host too short", "Uri-Path too long", "beyond all numbers"],
)
def test_a_wrong_option_is_4_02_to_a_confirmable_request(options: bytes) -> None:
    datagrams = {
        b"\x42\x01\x12\x34ab": b"\x62\x82\x12\x34ab",
        b"\x42\x45\x12\x34ab": b"\x70\0\x12\x34",
        b"\x52\x01\x12\x34ab": None,
        b"\x62\x45\x12\x34ab": None,
    }
    for head, answer in datagrams.items():
        with pytest.raises(WrongOption) as refused:
            decode(head + options)
        assert refusal(head + options, refused.value) == answer


@pytest.mark.parametrize("number", [number for number in LENGTHS if not number & 1])
def test_an_elective_option_with_a_wrong_length_is_left_out(number: int) -> None:
    shortest, longest = LENGTHS[number]
    right, wrong = b"x" * longest, b"x" * (longest + 1)
    others = {1: (b"e",), 2000: (b"?",)}
    for values in ((wrong,), (wrong, right), (right, wrong, right), (b"x" * (shortest - 1),) if shortest else ()):
        kept = tuple(value for value in values if value == right)
        written = encode(CON, 7, Packet(1, b"t", others | {number: values}, b"payload"))
        assert decode(written)[2] == Packet(1, b"t", others | ({number: kept} if kept else {}), b"payload")
    with pytest.raises(NotCoap):
        decode(encode(CON, 7, Packet(1, b"t", {number: (wrong,)}))[:-1])


def test_an_option_that_no_datagram_holds_is_not_written() -> None:
    with pytest.raises(ValueError, match="too long"):
        encode(CON, 1, Packet(1, b"", {2048: (bytes(70_000),)}))


def test_tens_of_thousands_of_options_take_a_time_that_grows_as_their_number_does() -> None:
    datagram = b"\x40\x01\x00\x01" + b"\xb0" + bytes(60_000)
    started = time.thread_time()
    _, _, packet = decode(datagram)
    assert time.thread_time() - started < 1
    assert packet.options == {11: (b"",) * 60_001}
