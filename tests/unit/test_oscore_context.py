"""OSCORE contexts: the vectors of RFC 8613, replay window, sequence numbers, and what does not verify."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from lwm2m.coap.message import Code
from lwm2m.coap.messaging.datagram_format import ACK, CON, decode, encode
from lwm2m.coap.object_security.context import NUMBERS, STEP, Context, Exhausted, Unverified, WindowLost
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE, OscoreOption
from lwm2m.coap.object_security.refusals import Fault
from lwm2m.coap.packet import ECHO, OBSERVE, URI_HOST, URI_PATH, Packet
from lwm2m.security.info import NONCE_LENGTHS, OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers, SequenceNumbers, SequenceNumbersError
from lwm2m.security.sqlite_numbers import SqliteNumbers
from tests.vectors import oscore as vectors

SECRET = b"the master secret, which nobody is to see"
OF_CLIENT = OscoreSecurity(SECRET, b"c", b"s", b"salt")
OF_SERVER = replace(OF_CLIENT, sender_id=b"s", recipient_id=b"c")
GET = Packet(Code.GET, b"t", {URI_PATH: (b"3", b"0", b"9")})


class From:
    """Sequence numbers that begin there, for a context that was used before or not."""

    def __init__(self, first: int) -> None:
        self.first = first

    def reserve(self, _context: bytes, count: int) -> int:
        first, self.first = self.first, self.first + count
        return first


def context(security: OscoreSecurity, numbers: SequenceNumbers | None = None) -> Context:
    return Context(security, numbers or MemoryNumbers(), Freshness(b"secret of this process"))


def pair(security: OscoreSecurity = OF_CLIENT) -> tuple[Context, Context]:
    other = replace(security, sender_id=security.recipient_id, recipient_id=security.sender_id)
    return context(security), context(other)


def of(derived: vectors.Derived) -> OscoreSecurity:
    return OscoreSecurity(
        vectors.SECRET, derived.sender_id, derived.recipient_id, derived.salt, id_context=derived.id_context
    )


@pytest.mark.parametrize("derived", vectors.DERIVED)
def test_keys_are_derived_as_the_rfc_does(derived: vectors.Derived) -> None:
    client = context(of(derived))
    assert client.sender_key.hex() == derived.sender_key
    assert client.recipient_key.hex() == derived.recipient_key
    assert client.common_iv.hex() == derived.common_iv


@pytest.mark.parametrize(("derived", "messages"), list(zip(vectors.DERIVED, vectors.REQUESTS, strict=True)))
def test_requests_are_protected_byte_for_byte(derived: vectors.Derived, messages: tuple[str, str]) -> None:
    plain, protected = messages
    client, server = context(of(derived), From(vectors.SEQUENCE_NUMBER)), pair(of(derived))[1]
    _, mid, packet = decode(bytes.fromhex(plain))
    made, _ = client.protect_request(packet)
    assert encode(CON, mid, made).hex() == protected
    found = server.unprotect_request(made, 0.0)
    assert found.number == vectors.SEQUENCE_NUMBER
    assert found.packet == packet._replace(options={URI_PATH: packet.options[URI_PATH]})


@pytest.mark.parametrize(
    ("numbered", "protected"), [(False, vectors.PROTECTED_RESPONSE), (True, vectors.NUMBERED_RESPONSE)]
)
def test_responses_are_protected_byte_for_byte(numbered: bool, protected: str) -> None:
    client, server = context(of(vectors.DERIVED[0]), From(vectors.SEQUENCE_NUMBER)), pair(of(vectors.DERIVED[0]))[1]
    _, mid, request = decode(bytes.fromhex(vectors.REQUESTS[0][0]))
    made, asked = client.protect_request(request)
    found = server.unprotect_request(made, 0.0)
    found.request.can_reuse_nonce = not numbered
    _, _, response = decode(bytes.fromhex(vectors.RESPONSE))
    answer = server.protect_response(response, found.request)
    assert encode(ACK, mid, answer).hex() == protected
    assert client.unprotect_response(answer, asked).packet == response


@pytest.mark.parametrize("aead", sorted(NONCE_LENGTHS))
@pytest.mark.parametrize("hkdf", [5, 7, -10, -11])
def test_every_algorithm_that_can_be_configured_is_spoken(aead: int, hkdf: int) -> None:
    client, server = pair(replace(OF_CLIENT, aead=aead, hkdf=hkdf))
    assert server.unprotect_request(client.protect_request(GET)[0], 0.0).packet == GET


def test_nothing_but_what_a_proxy_needs_is_outside() -> None:
    client, _ = pair()
    packet = GET._replace(options={**GET.options, URI_HOST: (b"host",), OBSERVE: (b"",)}, payload=b"body")
    outer, _ = client.protect_request(packet)
    assert (outer.code, set(outer.options)) == (Code.FETCH, {URI_HOST, OBSERVE, OSCORE})
    assert b"body" not in outer.payload


# Replays


def test_each_number_of_the_window_is_taken_once_and_older_ones_never() -> None:
    client, server = pair()
    requests = [client.protect_request(GET)[0] for _ in range(40)]
    for number in (5, 3, 4, 39, 8):
        server.unprotect_request(requests[number], 0.0)
    for number in (5, 3, 39, 8, 7, 0):
        with pytest.raises(Unverified, match="Replay") as refused:
            server.unprotect_request(requests[number], 0.0)
        assert refused.value.fault is Fault.REPLAYED


def test_what_does_not_verify_leaves_the_window_as_it_was() -> None:
    client, server = pair()
    request, _ = client.protect_request(GET)
    for at in range(len(request.payload)):
        damaged = bytearray(request.payload)
        damaged[at] ^= 1
        with pytest.raises(Unverified) as refused:
            server.unprotect_request(request._replace(payload=bytes(damaged)), 0.0)
        assert refused.value.fault is Fault.FORGED
    assert server.unprotect_request(request, 0.0).packet == GET


def test_a_response_answers_its_own_request_only() -> None:
    client, server = pair()
    first, asked_first = client.protect_request(GET)
    second, asked_second = client.protect_request(GET)
    answers = [
        server.protect_response(Packet(Code.CONTENT, b"t", {}, b"1"), server.unprotect_request(one, 0.0).request)
        for one in (first, second)
    ]
    with pytest.raises(Unverified):
        client.unprotect_response(answers[0], asked_second)
    assert client.unprotect_response(answers[0], asked_first).packet.payload == b"1"
    assert client.unprotect_response(answers[1], asked_second).packet.payload == b"1"


def test_a_lost_window_is_made_again_by_echo_and_by_nothing_else() -> None:
    numbers = MemoryNumbers()
    client = context(OF_CLIENT)
    context(OF_SERVER, numbers).begin()
    before = [client.protect_request(GET)[0] for _ in range(3)]
    server = context(OF_SERVER, numbers)
    for replayed in (*before, *before):
        with pytest.raises(WindowLost):
            server.unprotect_request(replayed, 0.0)
    request, asked = client.protect_request(GET)
    with pytest.raises(WindowLost) as lost:
        server.unprotect_request(request, 100.0)
    challenge = client.unprotect_response(server.challenge(b"t", lost.value.request, 100.0), asked).packet
    assert challenge.code == Code.UNAUTHORIZED
    repeated, _ = client.protect_request(GET._replace(options={**GET.options, ECHO: challenge.options[ECHO]}))
    with pytest.raises(WindowLost):
        server.unprotect_request(repeated, 131.0)
    assert server.unprotect_request(repeated, 101.0).packet.options[URI_PATH] == GET.options[URI_PATH]
    for replayed in (*before, request, repeated):
        with pytest.raises(Unverified, match="Replay"):
            server.unprotect_request(replayed, 101.0)


# Sequence numbers


def numbers_of(client: Context, count: int) -> list[int | None]:
    requests = (client.protect_request(GET)[0] for _ in range(count))
    return [OscoreOption.decode(request.options[OSCORE][0]).number for request in requests]


@pytest.mark.parametrize("used", [0, 1, STEP, STEP + 1])
def test_after_a_crash_no_number_comes_again(tmp_path: Path, used: int) -> None:
    before = numbers_of(context(OF_CLIENT, SqliteNumbers(tmp_path / "state")), used)
    after = numbers_of(context(OF_CLIENT, SqliteNumbers(tmp_path / "state")), 3)
    assert set(before).isdisjoint(after)
    assert before == list(range(used))
    assert (tmp_path / "state" / "lwm2m-oscore.sqlite3").stat().st_mode & 0o077 == 0


def test_both_sides_may_keep_their_numbers_in_one_place(tmp_path: Path) -> None:
    numbers = SqliteNumbers(tmp_path)
    assert numbers_of(context(OF_CLIENT, numbers), 1) == [0]
    assert numbers_of(context(OF_SERVER, numbers), 1) == [0]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SequenceNumbersError, match="OSCORE cannot keep its numbers in"):
        context(OF_CLIENT, SqliteNumbers(tmp_path / "file")).begin()


def test_a_context_without_numbers_says_no_more() -> None:
    client = context(OF_CLIENT, From(NUMBERS - 2))
    client.protect_request(GET)
    with pytest.raises(Exhausted):
        client.protect_request(GET)


# The option, and secrets


@pytest.mark.parametrize(
    ("value", "option"),
    [
        ("", OscoreOption()),
        ("0914", OscoreOption(20, b"")),
        ("091400", OscoreOption(20, b"\x00")),
        ("19140837cbf3210017a2d3", OscoreOption(20, b"", bytes.fromhex("37cbf3210017a2d3"))),
        ("0100", OscoreOption(0)),
    ],
)
def test_the_option_is_read(value: str, option: OscoreOption) -> None:
    assert OscoreOption.decode(bytes.fromhex(value)) == option


@pytest.mark.parametrize("value", ["00", "20", "80", "06010203040506", "0301", "10", "1103", "11010500", "010900"])
def test_an_option_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"flags|length"):
        OscoreOption.decode(bytes.fromhex(value))


def test_no_key_shows_itself() -> None:
    client, server = pair()
    request, _ = client.protect_request(GET)
    shown = [repr(client), str(client), repr(OF_CLIENT)]
    try:
        server.unprotect_request(request._replace(payload=bytes(20)), 0.0)
    except Unverified as error:
        shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    for secret in (SECRET, client.sender_key, client.recipient_key):
        assert not any(repr(secret)[2:-1] in text or secret.hex() in text for text in shown)
