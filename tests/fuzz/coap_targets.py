"""CoAP: messages as datagrams, on connections and on serial lines, what they mean, and URIs."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from lwm2m.coap.links.serial_frame import Deframer, framed
from lwm2m.coap.message import Code, Request
from lwm2m.coap.messaging import datagram_format
from lwm2m.coap.messaging.datagram_format import NotCoap, WrongOption
from lwm2m.coap.option_shape import LENGTHS
from lwm2m.coap.requests import packets
from lwm2m.coap.streams import stream_format
from lwm2m.coap.uri import place_of
from lwm2m.errors import LwM2MError
from lwm2m.model.library import shipped
from lwm2m.operations import bootstrap, composite, device_management, registration
from lwm2m.testing import Datagram
from tests.fuzz import grammars
from tests.fuzz.reshaping import reshaped_datagram
from tests.fuzz.target import Target, Way
from tests.vectors import payloads

DEFINITIONS = shipped()
LARGEST_FRAME = 1280
LARGEST_WRITTEN = 4096
"""What our own side writes is not that large."""
OBJECT_LIST = b'</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>,</3303/0>'
PAYLOADS = (
    b"",
    b"1",
    b"text",
    OBJECT_LIST,
    payloads.DEVICE_TLV,
    payloads.DEVICE_SENML_CBOR,
    b'[{"n":"/3/0/9","v":1}]',
    b"\x80",
)
"""Whatever is asked, the payload may be of something else."""


def message(data: bytes) -> object:
    """What was read is written, and read again as the same; what was not read is answered in a few bytes or not."""
    try:
        kind, mid, packet = datagram_format.decode(data)
    except (NotCoap, WrongOption) as error:
        answer = datagram_format.refusal(data, error)
        assert answer is None or (len(answer) <= len(data) and Datagram.decode(answer))
        raise
    if len(data) <= LARGEST_WRITTEN:
        assert datagram_format.decode(datagram_format.encode(kind, mid, packet)) == (kind, mid, packet)
    with suppress(LwM2MError):
        packets.refuse_unusable(packet.options)
        packets.request_from(packet, packet.payload, True)
    packets.has_unknown_critical_option(packet.options)
    return Way(map(str, sorted(packet.options)))


def foreign_message(data: bytes) -> object:
    """As the tests read it, apart from the stacks; that of the stack agrees where it takes it, and leaves out elective
    options with a length that they cannot have."""
    read = Datagram.decode(data)
    try:
        kind, mid, packet = datagram_format.decode(data)
    except (NotCoap, WrongOption):
        return None
    assert (read.kind, read.mid, read.code, read.token) == (kind, mid, packet.code, packet.token)
    assert read.payload == packet.payload
    options: dict[int, list[bytes]] = {}
    for number, value in read.options:
        shortest, longest = LENGTHS.get(number, (0, len(data)))
        if number & 1 or shortest <= len(value) <= longest:
            options.setdefault(number, []).append(value)
    assert options == {number: list(values) for number, values in packet.options.items()}
    return ()


def stream(data: bytes) -> object:
    """Whole messages of a stream, one behind the other."""
    at = 0
    while (where := stream_format.extent(data, at)) is not None and where.end <= len(data):
        whole = data[at : where.end]
        at = where.end
        packet = stream_format.decode(whole)
        if len(whole) <= LARGEST_WRITTEN:
            assert stream_format.decode(stream_format.encode(packet)) == packet
            assert stream_format.decode(stream_format.from_frame(stream_format.to_frame(whole))) == packet
    return at.bit_length()


def frame(data: bytes) -> object:
    return stream_format.decode(stream_format.from_frame(data)).options


def serial_line(data: bytes) -> object:
    """Noise first, in pieces: what comes whole behind it arrives."""
    deframer = Deframer(LARGEST_FRAME)
    arrived: list[bytes] = []
    for start in range(0, len(data), max(1, len(data) // 5)):
        arrived += deframer.feed(data[start : start + max(1, len(data) // 5)])
    assert all(0 < len(datagram) <= LARGEST_FRAME for datagram in arrived)
    assert deframer.feed(framed(b"whole") + framed(b"again"))[-1:] == [b"again"]
    return arrived


def meaning(data: bytes) -> object:
    """Every request means an operation to every listener, or is refused by it."""
    request = _request(data)
    if request is None:
        return None
    reached = [_meant(lambda: device_management.from_coap(request, DEFINITIONS))]
    reached.append(_meant(lambda: registration.from_coap(request)))
    reached.append(_meant(lambda: registration.from_coap(request, identity="me", strict=True)))
    reached.append(_meant(lambda: bootstrap.from_coap(request)))
    reached.append(_meant(lambda: bootstrap.request_from_coap(request)))
    reached.append(_meant(lambda: composite.composite_from_coap(request)))
    return Way(reached)


def _request(data: bytes) -> Request | None:
    try:
        _, _, packet = datagram_format.decode(data)
        return packets.request_from(packet, packet.payload, True) if packet.is_request else None
    except (NotCoap, WrongOption, LwM2MError):
        return None


def _meant(read: object) -> str:
    assert callable(read)
    try:
        return type(read()).__name__
    except LwM2MError as refusal:
        return refusal.code.dotted


def place(data: bytes) -> object:
    return place_of(data.decode(errors="replace")).scheme


def _seed(code: Code, path: str, *more: tuple[int, bytes], payload: bytes = b"", kind: int = 0) -> bytes:
    options = (*((11, segment.encode()) for segment in path.split("/") if segment), *more)
    return bytes(
        Datagram(Datagram.decode(b"\x40\0\0\0").kind.__class__(kind), code, 1, b"tokn", options, payload).encode()
    )


REGISTER = _seed(
    Code.POST,
    "rd",
    (12, b"\x28"),
    *((15, item) for item in (b"ep=stranger", b"lt=60", b"lwm2m=1.1", b"b=U")),
    payload=OBJECT_LIST,
)
SEEDS = (
    REGISTER,
    _seed(Code.POST, "rd/abc", (15, b"lt=60")),
    _seed(Code.DELETE, "rd/abc"),
    _seed(Code.POST, "dp", (12, b"\x70"), payload=payloads.DEVICE_SENML_CBOR),
    _seed(Code.POST, "bs", (15, b"ep=stranger"), (15, b"pct=112")),
    _seed(Code.GET, "3/0", (17, b"\x70")),
    _seed(Code.GET, "3/0/9", (6, b""), (17, b"")),
    _seed(Code.GET, "3/0", (17, b"\x28")),
    _seed(Code.PUT, "3303/0/5700", (15, b"pmin=1"), (15, b"gt=1.5")),
    _seed(Code.PUT, "1/0/1", (12, b""), payload=b"60"),
    _seed(Code.POST, "3/0/4", payload=b"5='a'"),
    _seed(Code.POST, "2", (12, b"\x2d\x16"), payload=payloads.ACCESS_CONTROL_TLV),
    _seed(Code.FETCH, "", (12, b"\x70"), (17, b"\x70"), payload=b"\x81\xa1\0\x64/3/0"),
    _seed(Code.IPATCH, "", (12, b"\x6e"), payload=b'[{"n":"/1/0/1","v":60}]'),
    _seed(Code.PUT, "5/0/0", (12, b"\x2a"), (27, b"\x0e"), (60, b"\x10\0"), payload=bytes(1024)),
    _seed(Code.GET, "3/0", (23, b"\x16"), (252, b"echo"), (258, b"\x1a"), (292, b"t")),
    _seed(Code.CONTENT, "", (6, b"\x05"), (12, b"\x70"), payload=payloads.DEVICE_SENML_CBOR, kind=1),
    _seed(Code.CREATED, "", (8, b"rd"), (8, b"abc"), kind=2),
    b"\x40\0\0\x01",
    b"\x70\0\0\x01",
)
WORDS = (
    b"\xff",
    b"\xdd\xff\xff",
    b"\xee\xff\xff\xff\xff",
    b"\xb2rd",
    b"\x01",
    b"\x00",
    b"\xf0",
    b"\x0f",
    b"\xd1",
    b"\xe0",
)


def datagram(random: Random) -> bytes:
    return grammars.datagram(random, PAYLOADS)


def stream_of_messages(random: Random) -> bytes:
    made = []
    for _ in range(random.randrange(1, 4)):
        with suppress(NotCoap, WrongOption):
            made.append(stream_format.encode(datagram_format.decode(datagram(random))[2]))
    return b"".join(made)


STREAM_SEEDS = tuple(stream_format.encode(datagram_format.decode(seed)[2]) for seed in SEEDS)

TARGETS = (
    Target("CoAP datagrams", message, (NotCoap, WrongOption), SEEDS, WORDS, datagram, reshaped_datagram),
    Target("CoAP datagrams read twice", foreign_message, (ValueError,), SEEDS, WORDS, datagram, reshaped_datagram),
    Target(
        "CoAP streams", stream, (NotCoap, WrongOption), STREAM_SEEDS, (*WORDS, b"\xf0", b"\xe0\0"), stream_of_messages
    ),
    Target(
        "CoAP in WebSocket frames",
        frame,
        (NotCoap, WrongOption),
        tuple(map(stream_format.to_frame, STREAM_SEEDS)),
        WORDS,
    ),
    Target(
        "serial line",
        serial_line,
        (),
        (framed(SEEDS[0]) + framed(SEEDS[5]), framed(b"\xc0\xdb")),
        (b"\xc0", b"\xdb", b"\xdb\xdc"),
    ),
    Target("what requests mean", meaning, (), SEEDS, (*WORDS, *grammars.QUERIES), datagram, reshaped_datagram),
    Target(
        "URIs",
        place,
        (ValueError,),
        (b"coap://127.0.0.1:5683", b"coap+tcp://[::1]:5683/", b"coap+ws://example.org", b"coaps://h"),
        (
            b"[",
            b"]",
            b"@",
            b":",
            b"/",
            b"?",
            b"#",
            b"%",
            b"65536",
            b"[v1.a]",
            b"[fe80::1%25eth0]",
            b"xn--",
            b"\xe2\x84\x80",
            b"\\",
        ),
        grammars.words(
            (b"", b":", b"/"), b"coap://", b"[::1]", b"h", b"5683", b"0", b"[::ffff:1.2.3.4]", b"[", b"@", b"99999"
        ),
    ),
)
