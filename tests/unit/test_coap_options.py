"""Option lengths, codes and addresses: the parts of CoAP that need no socket."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.message import Code, Peer, Response
from lwm2m.coap.messaging.datagram_format import WrongOption, decode
from lwm2m.coap.option_shape import LENGTHS
from lwm2m.coap.packet import Options
from lwm2m.coap.stacks import open_endpoint
from lwm2m.coap.uri import parse_uri
from tests.lockstep import CON, Datagram


@pytest.mark.parametrize("number", LENGTHS)
def test_an_option_may_have_every_length_in_its_range_and_a_critical_one_no_other(number: int) -> None:
    shortest, longest = LENGTHS[number]

    def read(length: int) -> Options:
        datagram = Datagram(CON, 1, 1, b"token", ((2, b"?"), (number, bytes(length)), (2000, b"?")), b"payload")
        return decode(datagram.encode())[2].options

    for length in {shortest, longest}:
        assert read(length) == {2: (b"?",), number: (bytes(length),), 2000: (b"?",)}
    for length in {longest + 1, max(shortest - 1, 0)} - {shortest, longest}:
        if number & 1:
            with pytest.raises(WrongOption, match=f"option {number} with a length that it cannot have"):
                read(length)
        else:
            assert read(length) == {2: (b"?",), 2000: (b"?",)}


def test_a_number_beyond_all_numbers_is_told() -> None:
    assert decode(bytes.fromhex("40010001 e0fef2"))[2].options == {0xFFFF: (b"",)}
    for tail in ("e0fef3", "e0fef2 10"):
        with pytest.raises(WrongOption, match="option 65536, which is beyond all numbers"):
            decode(bytes.fromhex("40010001" + tail))


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=300)), max_size=6),
    st.binary(max_size=8),
    st.binary(max_size=20),
)
def test_the_scripted_peer_reads_what_it_writes(options: list[tuple[int, bytes]], token: bytes, payload: bytes) -> None:
    datagram = Datagram(CON, 1, 7, token, tuple(sorted(options, key=lambda option: option[0])), payload)
    assert Datagram.decode(datagram.encode()) == datagram


@given(st.integers(0, 255))
def test_every_byte_is_a_code(value: int) -> None:
    code = Code(value)
    assert code == value
    assert code is Code(value)
    assert code.dotted == f"{value // 32}.{value % 32:02d}"
    assert pickle.loads(pickle.dumps(Response(code))).code == code


@pytest.mark.parametrize("value", [-1, 256])
def test_nothing_else_is(value: int) -> None:
    with pytest.raises(ValueError, match="is not a valid Code"):
        Code(value)


def test_a_peer_is_its_addresses_or_its_association() -> None:
    here, there = ("10.0.0.1", 5683), ("10.0.0.2", 1)
    assert Peer(here, there) == Peer(here, there)
    assert Peer(here, there) != Peer(("10.0.0.9", 5683), there)
    assert Peer(here, there, "s") == Peer(here, ("10.0.0.3", 9), "s", "identity")
    assert Peer(here, there, "s") != Peer(here, there, "t")
    assert len({Peer(here, there), Peer(here, there), Peer(here, there, "s")}) == 2
    assert str(Peer(here, ("2001:db8::1", 5683))) == "[2001:db8::1]:5683"


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        ("coap://h", "h", 5683),
        ("coap://H:1/", "h", 1),
        ("coap://[2001:DB8::1]", "2001:db8::1", 5683),
        ("coap://[::1]:9", "::1", 9),
    ],
)
def test_host_and_port_of_a_uri(uri: str, host: str, port: int) -> None:
    assert parse_uri(uri) == (host, port)


@pytest.mark.parametrize(
    "uri", ["", "h", "coaps://h", "coap:h", "coap://:1", "coap://h:x", "coap://u@h", "coap://h?q", "coap://[::1"]
)
def test_what_is_no_coap_peer(uri: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_uri(uri)


def test_the_retransmission_limit_is_93_seconds() -> None:
    assert Transmission().max_wait == 93


def test_a_stack_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"no CoAP stack 'x'; choose from: aiocoap"):
        open_endpoint(stack="x")
