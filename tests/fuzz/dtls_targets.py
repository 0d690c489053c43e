"""DTLS: records, handshake messages, hellos, and whole connections in each of their states."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from lwm2m.dtls import extensions as ext
from lwm2m.dtls import messages
from lwm2m.dtls.alerts import Fatal
from lwm2m.dtls.connection import ATTEMPTS
from lwm2m.dtls.fragments import LARGEST_MESSAGE, MOST_HELD, Assembly, fragments_of
from lwm2m.dtls.handshake import proof_of, public_key_of
from lwm2m.dtls.listener import Accepted, Answer, Listener
from lwm2m.dtls.messages import ClientHello, EcdheParameters, Extension, MessageType, ServerHello
from lwm2m.dtls.prf import KeyBlock
from lwm2m.dtls.record import LARGEST_FRAGMENT, Kind, Reader, Writer, records
from lwm2m.dtls.settings import Sessions
from lwm2m.dtls.suites import Mode, protections
from tests.dtls_pair import ADDRESS, Pair, any_server, psk_client, rpk_client
from tests.fuzz.target import Target, Way

KINDS: tuple[Callable[[], Pair], ...] = (
    lambda: Pair(psk_client(connection_id=b"c"), any_server(cid_length=4)),
    lambda: Pair(rpk_client(fragment_length=512, server_name="a.example"), any_server()),
    lambda: Pair(psk_client(suites=(0x00AE,)), any_server()),
    lambda: _resuming(),
)
DATAGRAMS = 8
"""So many of a handshake may have arrived before the stranger's come."""
TO_SERVER = 0x80
KEYS = KeyBlock(b"m" * 32, b"n" * 32, b"k" * 16, b"l" * 16, b"ivec", b"jvec")
MODES = tuple((mode, etm) for mode in Mode for etm in ((False, True) if mode is Mode.CBC else (False,)))


def _resuming() -> Pair:
    first = Pair(psk_client(), any_server()).shake_hands()
    return Pair(psk_client(session=first.session), any_server(), first.sessions)


def cut(data: bytes) -> object:
    """All that is found lies in the datagram, one behind the other."""
    found = list(records(data, 4))
    length = sum(13 + len(record.cid or b"") + len(record.fragment) for record in found)
    assert length <= len(data)
    assert all(len(record.fragment) <= LARGEST_FRAGMENT for record in found)
    return Way(str(record.kind) for record in found)


def opened(data: bytes) -> object:
    """Nobody without the keys makes a record that is read."""
    way = []
    for mode, etm in MODES:
        for cid in (b"", b"abcd"):
            reader = Reader(protections(mode, KEYS, encrypt_then_mac=etm)[0], cid)
            way += [reader.read(record) for record in records(data, len(cid)) if reader.accepts(record)]
    return Way(str(None if content is None else (content.kind, len(content.plaintext))) for content in way)


def pieces(data: bytes) -> object:
    assembly, whole = Assembly(), 0
    for record in records(data, 0):
        for fragment in fragments_of(record.fragment):
            assembly.add(fragment)
            assert sum(incomplete.length for incomplete in assembly._incomplete.values()) <= MOST_HELD
        while (message := assembly.next()) is not None:
            whole += 1
            assert len(message.body) <= LARGEST_MESSAGE
    return Way(("whole", str(whole)))


BODIES: tuple[Callable[[bytes], object], ...] = (
    messages.cookie_of,
    messages.certificates_of,
    messages.raw_public_key_of,
    EcdheParameters.decode,
    messages.signature_of,
    messages.check_certificate_request,
    messages.check_psk_hint,
    messages.psk_identity_of,
    messages.ecdhe_point_of,
    messages.ocsp_response_of,
    lambda body: public_key_of(proof_of(body, is_raw=True) or _empty()),
    lambda body: public_key_of(proof_of(body, is_raw=False) or _empty()),
)


def _empty() -> object:
    raise Fatal(0, "it is empty")


def body(data: bytes) -> object:
    if data:
        BODIES[data[0] % len(BODIES)](data[1:])
    return Way((str(data[:1]),))


def hello(data: bytes) -> object:
    """What was read is written and read again as the same, and every extension of it can be looked at."""
    read = ClientHello.decode(data)
    assert ClientHello.decode(read.encode()) == read
    head, cookie, tail = ClientHello.around_cookie(data)
    assert (cookie, head + bytes((len(cookie),)) + cookie + tail) == (read.cookie, data)
    return _looked_at(read.extensions)


def server_hello(data: bytes) -> object:
    read = ServerHello.decode(data)
    assert ServerHello.decode(read.encode()) == read
    return _looked_at(read.extensions)


def _looked_at(extensions: messages.Extensions) -> Way:
    ext.server_name_of(extensions)
    ext.connection_id_of(extensions)
    ext.fragment_length_of(extensions)
    ext.does_p256(extensions)
    ext.takes_our_signature(extensions)
    ext.wants_ocsp(extensions)
    ext.certificate_types(extensions, Extension.CLIENT_CERTIFICATE_TYPE)
    ext.chosen_certificate_type(extensions, Extension.SERVER_CERTIFICATE_TYPE)
    ext.has_flag(extensions, Extension.EXTENDED_MASTER_SECRET)
    ext.check_point_formats(extensions)
    ext.check_no_renegotiation(extensions)
    return Way(map(str, sorted(extensions)))


@cache
def _listener() -> Listener:
    return Listener(any_server(cid_length=4), Sessions())


def first_contact(data: bytes) -> object:
    """An answer is not longer than what asked for it; who shows a good cookie goes on from there."""
    verdict = _listener().receive(data, ADDRESS, 0.0, b"abcd")
    if isinstance(verdict, Answer):
        assert len(verdict.datagram) <= max(len(data), 13 + 12 + 3 + 16)
    if not isinstance(verdict, Accepted):
        return Way((type(verdict).__name__,))
    events = verdict.connection.receive(data, 0.0)
    return Way(("accepted", *(type(event).__name__ for event in events)))


def conversation(data: bytes) -> object:
    """The first byte says which handshake, how far it has got and who gets what follows: datagrams, each with its
    length in two bytes before it. Afterwards time goes on."""
    start = data[0] if data else 0
    pair = _advanced(KINDS[start & 3], start >> 2 & 7)
    at, sent = 1, 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        side = pair.server if start & TO_SERVER and pair.server is not None else pair.client
        (pair.at_server if side is pair.server else pair.at_client).extend(side.receive(data[at + 2 : end], pair.now))
        sent += sum(map(len, side.take()))
        at = end
    assert sent <= 20_000 + 10 * len(data)
    pair.to_client.clear()
    pair.to_server.clear()
    pair.run(until=pair.now + 500)
    assert len(pair.to_client) + len(pair.to_server) <= 16 * ATTEMPTS
    sides = [pair.client] if pair.server is None else [pair.client, pair.server]
    assert all(side.is_connected or side.is_closed for side in sides)
    assert all(side.deadline() is None for side in sides)
    return Way(type(event).__name__ + str(getattr(event, "alert", "")) for event in pair.at_client + pair.at_server)


def _advanced(make: Callable[[], Pair], datagrams: int) -> Pair:
    """A handshake of which so many datagrams have arrived, and what was sent then is still on its way."""
    pair, arrived = make(), 0
    deliver = pair.deliver

    def counted(datagram: bytes, *, to_server: bool) -> None:
        nonlocal arrived
        arrived += 1
        deliver(datagram, to_server=to_server)

    pair.deliver = counted  # type: ignore[method-assign]
    pair.client.start(pair.handshake.start(), pair.now)
    for step in range(1, 40):
        if arrived >= datagrams:
            break
        pair.run(until=1000 + 0.01 * step + 0.001)
    return pair


# Seeds


def _recorded() -> list[tuple[int, bool, list[bytes]]]:
    found = []
    for number, make in enumerate(KINDS):
        pair = make().shake_hands()
        pair.to_server.append(pair.client.send(b"data"))
        pair.to_client.append(pair.serving_side.send(b"data"))
        found += [(number, True, pair.to_server), (number, False, pair.to_client)]
    return found


RECORDED = _recorded()
ALL = tuple(datagram for _, _, datagrams in RECORDED for datagram in datagrams)


def _messages(kind: MessageType) -> tuple[bytes, ...]:
    return tuple(
        fragment.part
        for datagram in ALL
        for record in records(datagram, 0)
        if record.kind == Kind.HANDSHAKE and record.epoch == 0
        for fragment in fragments_of(record.fragment)
        if fragment.kind == kind and len(fragment.part) == fragment.length
    )


BODY_SEEDS = tuple(
    bytes((number,)) + part
    for kind in MessageType
    if kind not in (MessageType.CLIENT_HELLO, MessageType.SERVER_HELLO)
    for part in _messages(kind)
    for number in range(len(BODIES))
)


def _step(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


CONVERSATIONS = tuple(
    bytes((number | arrived << 2 | (TO_SERVER if to_server else 0),)) + _step(datagram)
    for number, to_server, datagrams in RECORDED
    for datagram in datagrams
    for arrived in range(0, DATAGRAMS, 3)
)


def some_conversation(random: Random) -> bytes:
    """Records of all kinds in a row, in the clear or as if they were protected, at some moment."""
    made = bytes((random.randrange(256),))
    for _ in range(random.choice((1, 1, 2, 6))):
        writer = Writer(random.choice((0, 0, 1, 1, 2)), first=random.choice((0, 1, 5, 70, (1 << 48) - 1)))
        content = random.choice((_any_message(random), random.randbytes(random.randrange(40)), b"\2\x28", b"\1\0"))
        made += _step(writer.write(random.choice((*Kind, 25)), content))
    return made


def _any_message(random: Random) -> bytes:
    length = random.choice((0, 5, 200, LARGEST_MESSAGE, LARGEST_MESSAGE + 1))
    part = random.randbytes(min(length, random.randrange(64)))
    head = (
        bytes((random.choice((*MessageType, 99)),)) + length.to_bytes(3, "big") + random.randrange(9).to_bytes(2, "big")
    )
    return head + random.choice((0, 1, length - len(part))).to_bytes(3, "big") + len(part).to_bytes(3, "big") + part


WORDS = (
    b"\x16\xfe\xfd",
    b"\x16\xfe\xff",
    b"\x19\xfe\xfd",
    b"\0\1",
    b"\xff\xff\xff\xff\xff\xff",
    b"\0\x36\0\1\0",
    b"\0\1\0\1\1",
    b"\0\x17\0\0",
    b"\xff\1\0\1\0",
    b"\2\x28",
    *(bytes((kind,)) for kind in MessageType),
)

TARGETS = (
    Target("DTLS records", cut, (), ALL, WORDS),
    Target("DTLS records with keys", opened, (), ALL, WORDS, short=1000),
    Target("DTLS pieces of messages", pieces, (Fatal,), ALL, WORDS),
    Target("DTLS bodies of messages", body, (Fatal,), BODY_SEEDS, WORDS, short=2000),
    Target("DTLS hellos of clients", hello, (Fatal,), _messages(MessageType.CLIENT_HELLO), WORDS),
    Target("DTLS hellos of servers", server_hello, (Fatal,), _messages(MessageType.SERVER_HELLO), WORDS),
    Target("DTLS first contact", first_contact, (), ALL, WORDS, short=2000),
    Target("DTLS connections", conversation, (), CONVERSATIONS, WORDS, some_conversation, short=800),
)
