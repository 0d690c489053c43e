"""TLV, against the bytes of lwm2m.md §8.1."""

from __future__ import annotations

import pytest

from lwm2m.codec import MAX_RECORDS, tlv
from lwm2m.errors import BadRequest, LwM2MError, NotAcceptable, RequestEntityTooLarge, UnsupportedContentFormat
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value
from tests.vectors.payloads import ACCESS_CONTROL, ACCESS_CONTROL_TLV, DEVICE, DEVICE_TLV, records

DEFINITIONS = shipped()


def one_resource(number: int, type_: Type, multiple: bool = False) -> Definitions:
    """An object 32769 with one resource, for the examples that name no object."""
    resource = ResourceDefinition(number, "Example", type_, Operations.RW, multiple)
    return Definitions([ObjectDefinition(32769, "Example", resources={number: resource})])


@pytest.mark.parametrize(
    ("number", "type_", "value", "expected"),
    [
        (5, Type.INTEGER, 0, "C1 05 00"),
        (5, Type.INTEGER, 127, "C1 05 7F"),
        (5, Type.INTEGER, 128, "C2 05 00 80"),
        (5, Type.INTEGER, -1, "C1 05 FF"),
        (5, Type.INTEGER, -128, "C1 05 80"),
        (5, Type.INTEGER, -129, "C2 05 FF 7F"),
        (5, Type.INTEGER, 32768, "C4 05 00 00 80 00"),
        (5, Type.INTEGER, 86400, "C4 05 00 01 51 80"),
        (5, Type.INTEGER, 2**31, "C8 05 08 00 00 00 00 80 00 00 00"),
        (5, Type.INTEGER, 2**40, "C8 05 08 00 00 01 00 00 00 00 00"),
        (5, Type.TIME, 2**31, "C8 05 08 00 00 00 00 80 00 00 00"),
        (5, Type.UNSIGNED, 255, "C1 05 FF"),
        (5, Type.UNSIGNED, 2**64 - 1, "C8 05 08 FF FF FF FF FF FF FF FF"),
        (5700, Type.FLOAT, 21.5, "E4 16 44 41 AC 00 00"),
        (5700, Type.FLOAT, 0.1, "E8 16 44 08 3F B9 99 99 99 99 99 9A"),
        (5700, Type.FLOAT, 1e300, "E8 16 44 08 7E 37 E4 3C 88 00 75 9C"),
        (1, Type.OBJLNK, ObjectLink(66, 1), "C4 01 00 42 00 01"),
        (1, Type.OBJLNK, NO_LINK, "C4 01 FF FF FF FF"),
        (1, Type.BOOLEAN, True, "C1 01 01"),
        (1, Type.STRING, "", "C0 01"),
        (256, Type.OPAQUE, b"\0", "E1 01 00 00"),
    ],
)
def test_a_value_has_one_spelling(number: int, type_: Type, value: Value, expected: str) -> None:
    definitions = one_resource(number, type_)
    base = Path(32769, 0)
    record = Record(base.child(number), value)
    assert tlv.encode([record], base, definitions) == bytes.fromhex(expected)
    assert tlv.decode(bytes.fromhex(expected), base, definitions) == [record]


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (7, "C7 01"),
        (8, "C8 01 08"),
        (255, "C8 01 FF"),
        (256, "D0 01 01 00"),
        (65535, "D0 01 FF FF"),
        (65536, "D8 01 01 00 00"),
    ],
)
def test_the_length_takes_as_few_bytes_as_it_can(length: int, header: str) -> None:
    record = Record(Path(32769, 0, 1), bytes(length))
    payload = tlv.encode([record], Path(32769, 0), DEFINITIONS)
    assert payload == bytes.fromhex(header) + bytes(length)
    assert tlv.decode(payload, Path(32769, 0), DEFINITIONS) == [record]


def test_a_value_beyond_24_bits_of_length_is_refused() -> None:
    with pytest.raises(NotAcceptable):
        tlv.encode([Record(Path(32769, 0, 1), bytes(2**24))], Path(32769, 0), DEFINITIONS)


@pytest.mark.parametrize(
    ("base", "content", "expected"),
    [
        (
            "/1/0",
            records(("/1/0/2", 101), ("/1/0/3", 1010), ("/1/0/5", 2000), ("/1/0/6", True), ("/1/0/7", "U")),
            "C1 02 65 C2 03 03 F2 C2 05 07 D0 C1 06 01 C1 07 55",
        ),
        (
            "/3/0",
            records(("/3/0/13", 1367491215), ("/3/0/14", "+02:00"), ("/3/0/15", "Europe/Paris")),
            "C4 0D 51 82 42 8F C6 0E 2B 30 32 3A 30 30 C8 0F 0C 45 75 72 6F 70 65 2F 50 61 72 69 73",
        ),
        (
            "/1",
            records(("/1/0/0", 1), ("/1/0/1", 86400), ("/1/0/6", False), ("/1/0/7", "U")),
            "08 00 0F C1 00 01 C4 01 00 01 51 80 C1 06 00 C1 07 55",
        ),
        (
            "/0",
            records(
                ("/0/0/0", "coaps://h:5684"),
                ("/0/0/1", False),
                ("/0/0/2", 0),
                ("/0/0/3", b"ep1"),
                ("/0/0/5", bytes.fromhex("00112233445566778899AABBCCDDEEFF")),
                ("/0/0/10", 1),
            ),
            "08 00 32 C8 00 0E 63 6F 61 70 73 3A 2F 2F 68 3A 35 36 38 34 C1 01 00 C1 02 00 C3 03 65 70 31"
            "C8 05 10 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF C1 0A 01",
        ),
        (
            "/16",
            records(("/16/1/0/0", "Host Device ID #2"), ("/16/1/0/1", "Host Device Model #2")),
            "08 01 2E 88 00 2B 48 00 11" + b"Host Device ID #2".hex() + "48 01 14" + b"Host Device Model #2".hex(),
        ),
        ("/3/0", DEVICE, DEVICE_TLV.hex()),
        ("/3", DEVICE, "08 00 79" + DEVICE_TLV.hex()),
        ("/2", ACCESS_CONTROL, ACCESS_CONTROL_TLV.hex()),
        ("/3/0/9", records(("/3/0/9", 100)), "C1 09 64"),
        ("/3/0/7", records(("/3/0/7/0", 3800), ("/3/0/7/1", 5000)), "88 07 08 42 00 0E D8 42 01 13 88"),
        ("/3/0/7", records(("/3/0/7/0", 1)), "83 07 41 00 01"),
        ("/3/0/7/1", records(("/3/0/7/1", 5000)), "42 01 13 88"),
        ("/3/0", records(("/3/0/11", None)), "80 0B"),
        ("/3/0/11", records(("/3/0/11", None)), "80 0B"),
        ("/1", records(("/1/0", None), ("/1/1/0", 2)), "00 00 03 01 C1 00 02"),
        ("/16", [], ""),
        ("/3/0", [], ""),
    ],
)
def test_examples_go_both_ways(base: str, content: list[Record], expected: str) -> None:
    path = Path.parse(base)
    assert tlv.encode(content, path, DEFINITIONS) == bytes.fromhex(expected)
    assert tlv.decode(bytes.fromhex(expected), path, DEFINITIONS) == content


@pytest.mark.parametrize(
    ("base", "payload", "expected"),
    [
        ("/3/0", "03 00 C1 09 64", records(("/3/0/9", 100))),
        ("/3/0", "00 00", records(("/3/0", None))),
        ("/3/0/7/1", "C2 01 13 88", records(("/3/0/7/1", 5000))),
        ("/3/0/7/1", "84 07 42 01 13 88", records(("/3/0/7/1", 5000))),
        ("/3/0", "C2 09 00 64", records(("/3/0/9", 100))),
        ("/3/0", "E1 00 09 64", records(("/3/0/9", 100))),
        ("/3/0", "CF 09 01 64", records(("/3/0/9", 100))),
        ("/3/0", "D8 09 00 00 01 64", records(("/3/0/9", 100))),
        ("/3/0", "C2 FA 01 02", records(("/3/0/250", b"\1\2"))),
        ("/65000/0", "86 01 41 00 0A 41 01 0B", records(("/65000/0/1/0", b"\x0a"), ("/65000/0/1/1", b"\x0b"))),
    ],
    ids=[
        "an instance wrapped though the path names it",
        "that instance, empty",
        "a resource instance sent as a resource",
        "a resource instance within its resource",
        "an integer wider than need be",
        "an id wider than need be",
        "length bits that do not count",
        "a length wider than need be",
        "an unknown resource",
        "an unknown multiple resource",
    ],
)
def test_other_spellings_are_read(base: str, payload: str, expected: list[Record]) -> None:
    assert tlv.decode(bytes.fromhex(payload), Path.parse(base), DEFINITIONS) == expected


@pytest.mark.parametrize(
    ("base", "payload"),
    [
        ("/3/0", "C1"),
        ("/3/0", "C1 09"),
        ("/3/0", "C8 00"),
        ("/3/0", "D0 00 01"),
        ("/3/0", "E1 00"),
        ("/3/0", "C1 09 64 00"),
        ("/3/0", "C1 09 64 C1 09 64"),
        ("/3/0", "86 07 41 00 01 41 00 02"),
        ("/3/0", "41 09 64"),
        ("/3/0", "83 07 C1 00 01"),
        ("/3/0", "85 07 83 00 41 00 01"),
        ("/3/0", "03 01 C1 09 64"),
        ("/3/0", "03 00 C1 09 64 C1 0A 01"),
        ("/3", "C1 09 64"),
        ("/3/0/9", "C1 0A 64"),
        ("/3/0/9", ""),
        ("/3/0/9", "C1 09 64 C1 0A 64"),
        ("/3/0/7/1", "42 02 13 88"),
        ("/3/0/7/1", "84 08 42 01 13 88"),
        ("/3/0", "E1 FF FF 00"),
        ("/3/0", "C3 09 00 00 64"),
        ("/3/0", "C0 09"),
        ("/1/0", "C1 06 02"),
        ("/1/0", "C0 06"),
        ("/3303/0", "E3 16 44 41 AC 00"),
        ("/3/0", "85 16 43 00 00 42 00"),
        ("/3/0", "C2 00 FF FE"),
        ("/3/0", "83 09 41 00 64"),
        ("/3/0", "C1 07 64"),
    ],
    ids=[
        "no id",
        "no value",
        "no length",
        "half a length",
        "half an id",
        "trailing byte",
        "a resource twice",
        "a resource instance twice",
        "a resource instance in an object instance",
        "a resource in a multiple resource",
        "a multiple resource in a multiple resource",
        "another instance",
        "an instance with resources beside it",
        "a resource in an object",
        "another resource",
        "no resource",
        "a second resource",
        "another resource instance",
        "an instance of another resource",
        "the reserved id",
        "an integer of three bytes",
        "an integer of no bytes",
        "a boolean of 2",
        "a boolean of no bytes",
        "a float of three bytes",
        "an object link of three bytes",
        "text that is not UTF-8",
        "instances of a single resource",
        "a multiple resource without instances",
    ],
)
def test_a_malformed_payload_is_a_bad_request(base: str, payload: str) -> None:
    with pytest.raises(BadRequest) as refused:
        tlv.decode(bytes.fromhex(payload), Path.parse(base), DEFINITIONS)
    assert refused.value.diagnostic


@pytest.mark.parametrize(
    ("base", "content"),
    [
        ("/3/0", records(("/3/1/9", 1))),
        ("/3/0", records(("/3/0/9", "full"))),
        ("/3/0", records(("/3/0/9", 1), ("/3/0/9", 2))),
        ("/3/0", records(("/3/0/9/0", 1))),
        ("/3/0", records(("/3/0/7", 1))),
        ("/3/0", records(("/3/0/9", None))),
        ("/3/0", records(("/3/0/7", None), ("/3/0/7/0", 1))),
        ("/3/0", records(("/3/0", 1))),
        ("/3", records(("/3", 1))),
        ("/3/0/7/0", []),
        ("/1/0", records(("/1/0/6", 1))),
        ("/3/0", records(("/3/0/9", 2**63))),
        ("/3/0", records(("/3/0/0", "\ud800"))),
    ],
)
def test_what_does_not_fit_is_not_written(base: str, content: list[Record]) -> None:
    with pytest.raises(BadRequest):
        tlv.encode(content, Path.parse(base), DEFINITIONS)


def test_several_objects_do_not_fit() -> None:
    with pytest.raises(UnsupportedContentFormat):
        tlv.decode(DEVICE_TLV, Path(), DEFINITIONS)
    with pytest.raises(NotAcceptable):
        tlv.encode(DEVICE, Path(), DEFINITIONS)


def test_the_number_of_records_has_a_limit() -> None:
    entries = b"".join(b"\xe0" + number.to_bytes(2, "big") for number in range(MAX_RECORDS + 1))
    with pytest.raises(RequestEntityTooLarge):
        tlv.decode(entries, Path(65000, 0), DEFINITIONS)
    assert len(tlv.decode(entries[:-3], Path(65000, 0), DEFINITIONS)) == MAX_RECORDS


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("/3/0/9", 2**63, "the number for /3/0/9 does not fit its type, Integer"),
        ("/3/0/9", 1.5, "the number for /3/0/9 does not fit its type, Integer"),
        ("/3/0/9", True, "/3/0/9 takes Integer, not a boolean"),
        ("/3/0/0", b"a", "/3/0/0 takes String, not bytes"),
        ("/3/0/0", "\ud800", "the text for /3/0/0 is not Unicode"),
    ],
)
def test_a_refusal_says_what_is_wrong(path: str, value: Value, reason: str) -> None:
    with pytest.raises(BadRequest) as refused:
        tlv.encode(records((path, value)), Path.parse(path), DEFINITIONS)
    assert refused.value.diagnostic == reason


def test_a_refusal_never_quotes_the_value() -> None:
    with pytest.raises(LwM2MError) as refused:
        tlv.encode(records(("/0/0/5", "my secret key")), Path(0, 0), DEFINITIONS)
    assert "secret" not in str(refused.value)
