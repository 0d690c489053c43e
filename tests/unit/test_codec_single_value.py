"""TEXT, OPAQUE and CBOR, which carry one value. lwm2m.md §3.3, §8.4, §8.5."""

from __future__ import annotations

import math

import pytest

from lwm2m.codec import CODECS, cbor, opaque, text
from lwm2m.errors import BadRequest, NotAcceptable, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value

DEFINITIONS = shipped()

# One resource of the test object for each type, and one that no definition knows.
STRING, INTEGER, UNSIGNED, FLOAT, BOOLEAN, OPAQUE, TIME, LINK, CORELNK = (
    Path(3442, 0, number) for number in (110, 120, 125, 130, 140, 150, 160, 170, 180)
)
UNKNOWN = Path(65000, 0, 1)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (STRING, "Open Mobile Alliance", b"Open Mobile Alliance"),
        (STRING, "", b""),
        (STRING, "Zürich ☀", "Zürich ☀".encode()),
        (CORELNK, "</3/0>", b"</3/0>"),
        (INTEGER, -750, b"-750"),
        (INTEGER, -(2**63), b"-9223372036854775808"),
        (UNSIGNED, 2**64 - 1, b"18446744073709551615"),
        (TIME, 1476186613, b"1476186613"),
        (FLOAT, 21.5, b"21.5"),
        (FLOAT, 0.1, b"0.1"),
        (FLOAT, 1e-7, b"0.0000001"),
        (FLOAT, -1e22, b"-10000000000000000000000"),
        (BOOLEAN, True, b"1"),
        (BOOLEAN, False, b"0"),
        (OPAQUE, bytes([1, 2, 3, 4, 5]), b"AQIDBAU="),
        (OPAQUE, b"", b""),
        (LINK, ObjectLink(66, 1), b"66:1"),
        (LINK, NO_LINK, b"65535:65535"),
        (UNKNOWN, "17", b"17"),
    ],
)
def test_text_goes_both_ways(path: Path, value: Value, expected: bytes) -> None:
    assert text.encode([Record(path, value)], path, DEFINITIONS) == expected
    assert text.decode(expected, path, DEFINITIONS) == [Record(path, value)]


@pytest.mark.parametrize(
    ("path", "payload", "value"),
    [
        (FLOAT, b"2.15e1", 21.5),
        (FLOAT, b"21", 21.0),
        (FLOAT, b".5", 0.5),
        (INTEGER, b"007", 7),
        (LINK, b"FFFF:FFFF", NO_LINK),
    ],
)
def test_text_has_other_spellings(path: Path, payload: bytes, value: Value) -> None:
    [record] = text.decode(payload, path, DEFINITIONS)
    assert record.value == value
    assert type(record.value) is type(value)


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        (INTEGER, b""),
        (INTEGER, b"1.0"),
        (INTEGER, b" 1"),
        (INTEGER, b"1\n"),
        (INTEGER, b"1_0"),
        (INTEGER, "١".encode()),
        (INTEGER, b"9223372036854775808"),
        (INTEGER, b"9" * 100_000),
        (UNSIGNED, b"-1"),
        (TIME, b"2016-10-11"),
        (FLOAT, b""),
        (FLOAT, b"nan"),
        (FLOAT, b"inf"),
        (FLOAT, b"1e999"),
        (FLOAT, b"0x10"),
        (BOOLEAN, b"true"),
        (BOOLEAN, b"2"),
        (BOOLEAN, b""),
        (OPAQUE, b"AQIDBAU"),
        (OPAQUE, b"AQ-DBAU="),
        (OPAQUE, b"AQID BAU="),
        (LINK, b"66"),
        (LINK, b"66:65536"),
        (LINK, b""),
        (STRING, b"\xff"),
    ],
)
def test_text_of_another_type_is_a_bad_request(path: Path, payload: bytes) -> None:
    with pytest.raises(BadRequest):
        text.decode(payload, path, DEFINITIONS)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_text_cannot_say_what_is_not_a_number(value: float) -> None:
    with pytest.raises(NotAcceptable):
        text.encode([Record(FLOAT, value)], FLOAT, DEFINITIONS)


def test_opaque_is_the_bytes_themselves() -> None:
    for path in (OPAQUE, UNKNOWN, Path(3442, 0, 1150, 0)):
        record = Record(path, b"\1\2\0\xff")
        assert opaque.encode([record], path, DEFINITIONS) == b"\1\2\0\xff"
        assert opaque.decode(b"\1\2\0\xff", path, DEFINITIONS) == [record]


def test_opaque_is_for_opaque_resources_only() -> None:
    with pytest.raises(NotAcceptable):
        opaque.encode([Record(STRING, "a")], STRING, DEFINITIONS)
    with pytest.raises(UnsupportedContentFormat):
        opaque.decode(b"a", STRING, DEFINITIONS)
    with pytest.raises(NotAcceptable):
        opaque.encode([Record(UNKNOWN, 1)], UNKNOWN, DEFINITIONS)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (INTEGER, 1, "01"),
        (BOOLEAN, False, "F4"),
        (BOOLEAN, True, "F5"),
        (STRING, "U", "61 55"),
        (INTEGER, 101, "18 65"),
        (INTEGER, 1010, "19 03 F2"),
        (INTEGER, 86400, "1A 00 01 51 80"),
        (INTEGER, -1, "20"),
        (INTEGER, -750, "39 02 ED"),
        (FLOAT, 21.5, "F9 4D 60"),
        (FLOAT, 0.1, "FB 3F B9 99 99 99 99 99 9A"),
        (LINK, ObjectLink(66, 1), "64 36 36 3A 31"),
        (OPAQUE, bytes([1, 2, 3, 4, 5]), "45 01 02 03 04 05"),
        (TIME, 1476186613, "C1 1A 57 FC D1 F5"),
        (UNSIGNED, 2**64 - 1, "1B FF FF FF FF FF FF FF FF"),
        (UNKNOWN, 2.5, "F9 41 00"),
        (UNKNOWN, "a", "61 61"),
    ],
)
def test_cbor_goes_both_ways(path: Path, value: Value, expected: str) -> None:
    payload = bytes.fromhex(expected)
    assert cbor.encode([Record(path, value)], path, DEFINITIONS) == payload
    assert cbor.decode(payload, path, DEFINITIONS) == [Record(path, value)]


@pytest.mark.parametrize(
    ("path", "payload", "value"),
    [
        (FLOAT, "FB 40 35 80 00 00 00 00 00", 21.5),
        (FLOAT, "15", 21.0),
        (INTEGER, "F9 3C 00", 1),
        (INTEGER, "C2 41 05", 5),
        (INTEGER, "C3 41 05", -6),
        (TIME, "1A 57 FC D1 F5", 1476186613),
        (TIME, "C1 FB 41 D5 FF 34 7D 40 00 00", 1476186613),
        (TIME, "C0 74 32 30 31 36 2D 31 30 2D 31 31 54 31 31 3A 35 30 3A 31 33 5A", 1476186613),
        (TIME, "C0 75 32 30 31 36 2D 31 30 2D 31 31 54 31 31 3A 35 30 3A 31 33 5A 00", 1476186613),
        (UNKNOWN, "C1 1A 57 FC D1 F5", 1476186613),
        (LINK, "65 36 36 3A 31 00", ObjectLink(66, 1)),
        (STRING, "7F 61 61 61 62 FF", "ab"),
    ],
)
def test_cbor_has_other_spellings(path: Path, payload: str, value: Value) -> None:
    [record] = cbor.decode(bytes.fromhex(payload), path, DEFINITIONS)
    assert record.value == value
    assert type(record.value) is type(value)


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        (INTEGER, ""),
        (INTEGER, "01 01"),
        (INTEGER, "F5"),
        (INTEGER, "61 31"),
        (INTEGER, "F9 3E 00"),
        (INTEGER, "1B FF FF FF FF FF FF FF FF"),
        (INTEGER, "C2 49 01 00 00 00 00 00 00 00 00"),
        (INTEGER, "C1 01"),
        (INTEGER, "F6"),
        (INTEGER, "81 01"),
        (INTEGER, "FB 7E 37 E4 3C 88 00 75 9C"),
        (UNSIGNED, "20"),
        (BOOLEAN, "01"),
        (OPAQUE, "61 61"),
        (STRING, "41 61"),
        (STRING, "62 FF FE"),
        (LINK, "01"),
        (TIME, "C0 63 61 62 63"),
        (TIME, "C1 FB 40 35 80 00 00 00 00 00"),
        (TIME, "C1 F9 7C 00"),
        (UNKNOWN, "F6"),
        (UNKNOWN, "F7"),
        (UNKNOWN, "A0"),
        (UNKNOWN, "80"),
        (UNKNOWN, "E0"),
        (UNKNOWN, "3B FF FF FF FF FF FF FF FF"),
        (FLOAT, "C4 82 1A 7F FF FF FF 01"),
        (FLOAT, "C5 82 1A 7F FF FF FF 01"),
        (STRING, "D8 23 61 61"),
        (STRING, "D8 24 61 61"),
        (STRING, "D8 1C 61 61"),
        (STRING, "D9 D9 F7 61 61"),
        (STRING, "D9 03 09 61 61"),
        (STRING, "5B 7F FF FF FF FF FF FF FF"),
        (STRING, "9B 7F FF FF FF FF FF FF FF"),
        (STRING, "81" * 50_000),
        (STRING, "C1" * 50_000),
    ],
)
def test_cbor_of_another_kind_is_a_bad_request(path: Path, payload: str) -> None:
    with pytest.raises(BadRequest):
        cbor.decode(bytes.fromhex(payload), path, DEFINITIONS)


@pytest.mark.parametrize("content_format", [ContentFormat.TEXT, ContentFormat.OPAQUE, ContentFormat.CBOR])
@pytest.mark.parametrize("base", ["/", "/16", "/16/0", "/16/0/2"])
def test_what_is_not_one_value_is_refused(content_format: ContentFormat, base: str) -> None:
    codec, path = CODECS[content_format], Path.parse(base)
    with pytest.raises(UnsupportedContentFormat):
        codec.decode(b"a", path, DEFINITIONS)
    with pytest.raises(NotAcceptable):
        codec.encode([Record(path, b"a")], path, DEFINITIONS)


@pytest.mark.parametrize("content_format", [ContentFormat.TEXT, ContentFormat.OPAQUE, ContentFormat.CBOR])
def test_an_unknown_resource_with_instances_is_not_one_value(content_format: ContentFormat) -> None:
    for records in ([], [Record(UNKNOWN.child(0), b"a")], [Record(UNKNOWN, None)], [Record(UNKNOWN, b"a")] * 2):
        with pytest.raises(NotAcceptable):
            CODECS[content_format].encode(records, UNKNOWN, DEFINITIONS)
