"""What a payload costs whoever reads it: time grows as its length does, memory is a small multiple of it, and there is
an end to the number of values. The payloads are the worst that each format lets one write."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import pytest

from lwm2m import link_format
from lwm2m.codec import decode
from lwm2m.errors import LwM2MError, RequestEntityTooLarge
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import MAX_ID, Path

TEXT, LINK, CBOR, OPAQUE = ContentFormat.TEXT, ContentFormat.LINK, ContentFormat.CBOR, ContentFormat.OPAQUE
SENML_JSON, SENML_CBOR = ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR
TLV, OMA_JSON = ContentFormat.TLV, ContentFormat.OMA_JSON

SMALL, LARGE = 16 * 1024, 64 * 1024
TIMES_THE_INPUT = 100
TIMES_THE_TIME = 6
DEFINITIONS = shipped()


class Hostile(NamedTuple):
    """`of_length` makes a payload of about so many bytes, for a request of `base`."""

    name: str
    content_format: ContentFormat
    base: str
    of_length: Callable[[int], bytes]

    def __str__(self) -> str:
        return f"{self.content_format.name}: {self.name}"

    def read(self, payload: bytes) -> None:
        with suppress(LwM2MError, ValueError):
            if self.content_format is LINK:
                link_format.parse(payload.decode())
            else:
                decode(payload, self.content_format, Path.parse(self.base), DEFINITIONS, now=1e9)


def repeated(unit: bytes, before: bytes = b"", after: bytes = b"", between: bytes = b"") -> Callable[[int], bytes]:
    def of_length(length: int) -> bytes:
        times = (length - len(before) - len(after)) // (len(unit) + len(between))
        return before + between.join([unit] * times) + after

    return of_length


def json_list(unit: bytes) -> Callable[[int], bytes]:
    return repeated(unit, b"[", b"]", b",")


def oma_entries(unit: bytes) -> Callable[[int], bytes]:
    return repeated(unit, b'{"e":[', b"]}", b",")


def cbor_list(unit: bytes) -> Callable[[int], bytes]:
    def of_length(length: int) -> bytes:
        count = length // len(unit)
        return b"\x9a" + count.to_bytes(4, "big") + unit * count

    return of_length


def uncounted_list(unit: bytes) -> Callable[[int], bytes]:
    return repeated(unit, b"\x9f", b"\xff")


def lying_list(unit: bytes) -> Callable[[int], bytes]:
    return repeated(unit, b"\x9b\x7f" + b"\xff" * 7)


def tlv_entries(first: int, rest: bytes = b"", before: bytes = b"") -> Callable[[int], bytes]:
    """Entries with ascending ids of two bytes, within `before` with a length of three bytes."""

    def of_length(length: int) -> bytes:
        count = min(length // (3 + len(rest)), MAX_ID)
        entries = (bytes((first,)) + number.to_bytes(2, "big") + rest for number in range(count))
        inside = b"".join(entries)
        return before + len(inside).to_bytes(3, "big") + inside if before else inside

    return of_length


def with_text(before: bytes, filling: bytes, after: bytes = b"") -> Callable[[int], bytes]:
    return lambda length: before + filling * (length // len(filling)) + after


def with_length(before: bytes, filling: bytes) -> Callable[[int], bytes]:
    """CBOR data with an honest length of four bytes."""
    return lambda length: before + length.to_bytes(4, "big") + filling * length


def wrapped(length: int) -> bytes:
    value = b""
    while len(value) < length:
        value = b"\x18\x01" + len(value).to_bytes(3, "big") + value
    return value


def different_labels(length: int) -> bytes:
    return b"[{" + b",".join(b'"%d":0' % number for number in range(length // 9)) + b"}]"


def different_cbor_labels(length: int) -> bytes:
    count = length // 6
    labels = (b"\x1a" + number.to_bytes(4, "big") + b"\0" for number in range(count))
    return b"\x81\xba" + count.to_bytes(4, "big") + b"".join(labels)


PAYLOADS = [
    # JSON
    Hostile("empty records", SENML_JSON, "/", json_list(b"{}")),
    Hostile("records with a label", SENML_JSON, "/", json_list(b'{"":0}')),
    Hostile("empty arrays", SENML_JSON, "/", json_list(b"[]")),
    Hostile("decimals", SENML_JSON, "/", json_list(b"1.1")),
    Hostile("escapes", SENML_JSON, "/", json_list(b'"\\u0444"')),
    Hostile("huge integers", SENML_JSON, "/", json_list(b"9" * 4000)),
    Hostile("paths", SENML_JSON, "/", json_list(b'{"n":"/1"}')),
    Hostile("values", SENML_JSON, "/", json_list(b'{"n":"/3/0/9","v":1}')),
    Hostile("base names", SENML_JSON, "/", json_list(b'{"bn":"/3/0/9","v":1}')),
    Hostile("a long base name", SENML_JSON, "/", repeated(b"{}", b'[{"bn":"' + b"/" * 4096 + b'"},', b"]", b",")),
    Hostile("a long name", SENML_JSON, "/", with_text(b'[{"n":"', b"/", b'"}]')),
    Hostile("a name that climbs", SENML_JSON, "/", with_text(b'[{"n":"', b"/..", b'"}]')),
    Hostile("labels", SENML_JSON, "/", different_labels),
    Hostile("nested arrays", SENML_JSON, "/", with_text(b"", b"[")),
    Hostile("nested records", SENML_JSON, "/", with_text(b"", b'{"a":')),
    Hostile("a huge integer", SENML_JSON, "/", with_text(b'[{"n":"/3/0/9","v":', b"9", b"}]")),
    Hostile("a long fraction", SENML_JSON, "/", with_text(b'[{"n":"/3442/0/130","v":0.', b"9", b"}]")),
    Hostile("a long number", SENML_JSON, "/", with_text(b'[{"n":"/3/0/9","v":1', b"0", b".0e-1000}]")),
    Hostile("a long text", SENML_JSON, "/", with_text(b'[{"n":"/3/0/0","vs":"', b"a", b'"}]')),
    Hostile("long data", SENML_JSON, "/", with_text(b'[{"n":"/3442/0/150","vd":"', b"AAAA", b'"}]')),
    Hostile("empty entries", OMA_JSON, "/3/0", oma_entries(b"{}")),
    Hostile("values", OMA_JSON, "/3/0", oma_entries(b'{"n":"9","v":1}')),
    Hostile("bare values", OMA_JSON, "/3/0/9", oma_entries(b'{"v":1}')),
    Hostile("data", OMA_JSON, "/3442/0/150", oma_entries(b'{"sv":""}')),
    Hostile("long data", OMA_JSON, "/3442/0/150", with_text(b'{"e":[{"sv":"', b"AAAA", b'"}]}')),
    # CBOR
    *(
        Hostile(f"{name}, {framing}", SENML_CBOR, "/", make(unit))
        for name, unit in {
            "empty records": b"\xa0",
            "empty arrays": b"\x80",
            "records with a label": b"\xa1\0\0",
            "records with a map as label": b"\xa1\xa0\0",
            "paths": b"\xa1\0\x62/1",
            "values": b"\xa2\0\x66/3/0/9\x02\x01",
            "floats": b"\xf9\x4d\x60",
            "simple values": b"\xe0",
            "big numbers": b"\xc2\x40",
            "tags": b"\xd9\x12\x34\x00",
        }.items()
        for framing, make in {
            "counted": cbor_list,
            "not counted": uncounted_list,
            "counted wrongly": lying_list,
        }.items()
    ),
    Hostile("nested arrays", SENML_CBOR, "/", with_text(b"", b"\x81")),
    Hostile("nested tags", SENML_CBOR, "/", with_text(b"\x81", b"\xc6")),
    Hostile("a map with a wrong length", SENML_CBOR, "/", with_text(b"\x81\xbb\0\0" + b"\xff" * 6, b"\0")),
    Hostile("a text with a wrong length", SENML_CBOR, "/", with_text(b"\x81\xa1\0\x7b\0\0" + b"\xff" * 6, b"a")),
    Hostile("labels", SENML_CBOR, "/", different_cbor_labels),
    Hostile("a name in pieces", SENML_CBOR, "/", with_text(b"\x81\xa1\0\x7f", b"\x61a", b"\xff")),
    Hostile("a name in empty pieces", SENML_CBOR, "/", with_text(b"\x81\xa1\0\x7f", b"\x60", b"\xff")),
    Hostile("data in pieces", SENML_CBOR, "/", with_text(b"\x81\xa2\0\x6b/3442/0/150\x08\x5f", b"\x41a", b"\xff")),
    Hostile("a big number", SENML_CBOR, "/", with_length(b"\x81\xa2\0\x66/3/0/9\x02\xc2\x5a", b"\xff")),
    Hostile("nested arrays", CBOR, "/3/0/0", with_text(b"", b"\x81")),
    Hostile("a text in pieces", CBOR, "/3/0/0", with_text(b"\x7f", b"\x61a", b"\xff")),
    Hostile("a big number", CBOR, "/3/0/9", with_length(b"\xc2\x5a", b"\xff")),
    Hostile("a date", CBOR, "/3/0/13", with_length(b"\xc0\x7a", b"1")),
    # one value
    Hostile("an integer", TEXT, "/3/0/9", with_text(b"", b"9")),
    Hostile("a float", TEXT, "/3442/0/130", with_text(b"1.", b"9")),
    Hostile("Base64", TEXT, "/3442/0/150", with_text(b"", b"AAAA")),
    Hostile("an object link", TEXT, "/3442/0/170", with_text(b"", b"1", b":1")),
    Hostile("bytes", OPAQUE, "/3442/0/150", with_text(b"", b"1")),
    # TLV
    Hostile("empty instances", TLV, "/65000", tlv_entries(0b0010_0000)),
    Hostile("empty resources", TLV, "/65000/0", tlv_entries(0b1110_0000)),
    Hostile("empty multiple resources", TLV, "/65000/0", tlv_entries(0b1010_0000)),
    Hostile("empty resource instances", TLV, "/65000/0/1", tlv_entries(0b0110_0000, before=b"\x98\x01")),
    Hostile("instances with a high id", TLV, "/65000", tlv_entries(0b0010_0011, rest=b"\xe0\xff\xf0")),
    Hostile("the same id again", TLV, "/65000/0", with_text(b"", b"\xc0\x01")),
    Hostile("instances in each other", TLV, "/65000", wrapped),
    # links
    Hostile("empty targets", LINK, "/", repeated(b"<>", between=b",")),
    Hostile("attributes", LINK, "/", with_text(b"<>", b";a")),
    Hostile("different attributes", LINK, "/", lambda length: b"<>" + b"".join(b";%d" % n for n in range(length // 6))),
    Hostile("spaces", LINK, "/", with_text(b"<>", b" ")),
    Hostile("quotes", LINK, "/", with_text(b'<>;a="', b"\\a")),
]


def memory(hostile: Hostile, payload: bytes) -> float:
    """The most that reading takes at once, in payloads."""
    tracemalloc.start()
    try:
        hostile.read(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak / len(payload)


def seconds(hostile: Hostile, payload: bytes) -> float:
    """Of this thread on a processor, so that what else runs on the machine does not count."""
    started = time.thread_time()
    hostile.read(payload)
    return time.thread_time() - started


def growth(hostile: Hostile) -> float:
    """How many times as long the large payload takes. The best of two runs counts, without the garbage collector, whose
    pauses belong to the process and not to a payload."""
    small, large = hostile.of_length(SMALL), hostile.of_length(LARGE)
    gc.disable()
    try:
        runs = [(seconds(hostile, small), seconds(hostile, large)) for _ in range(2)]
    finally:
        gc.enable()
    return min(run[1] for run in runs) / min(run[0] for run in runs)


@pytest.mark.parametrize("hostile", PAYLOADS, ids=str)
def test_memory_is_a_small_multiple_of_the_payload(hostile: Hostile) -> None:
    hostile.read(hostile.of_length(1024))
    assert memory(hostile, hostile.of_length(SMALL)) <= TIMES_THE_INPUT


@pytest.mark.parametrize("hostile", PAYLOADS, ids=str)
def test_time_grows_as_the_payload_does(hostile: Hostile) -> None:
    """Others may have the caches of the machine now and then, but not every time."""
    assert any(growth(hostile) <= TIMES_THE_TIME for _ in range(20))


@pytest.mark.parametrize("content_format", [SENML_JSON, OMA_JSON, SENML_CBOR, TLV])
def test_there_is_an_end_to_the_number_of_values(content_format: ContentFormat) -> None:
    base, unit = {
        SENML_JSON: ("/", json_list(b'{"n":"/1"}')),
        OMA_JSON: ("/3/0/9", oma_entries(b'{"v":1}')),
        SENML_CBOR: ("/", cbor_list(b"\xa1\0\x62/1")),
        TLV: ("/65000/0", tlv_entries(0b1110_0000)),
    }[content_format]
    payload = unit(2 * LARGE)
    with pytest.raises(RequestEntityTooLarge):
        decode(payload, content_format, Path.parse(base), DEFINITIONS)
