"""SenML as JSON and as CBOR, against the bytes of lwm2m.md §8.2 and §8.3."""

from __future__ import annotations

import json
import math

import pytest

from lwm2m.codec import MAX_RECORDS, senml_cbor, senml_json
from lwm2m.errors import BadRequest, NotAcceptable, RequestEntityTooLarge
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from tests.vectors.payloads import DEVICE, DEVICE_SENML_CBOR, records

DEFINITIONS = shipped()
ROOT = Path()
NOW = 1_700_000_000.0


def read_json(text: str, base: str = "/", now: float | None = None) -> list[Record]:
    return senml_json.decode(text.encode(), Path.parse(base), DEFINITIONS, now)


def read_cbor(payload: str, base: str = "/", now: float | None = None) -> list[Record]:
    return senml_cbor.decode(bytes.fromhex(payload), Path.parse(base), DEFINITIONS, now)


def written_json(content: list[Record], base: str = "/") -> str:
    return senml_json.encode(content, Path.parse(base), DEFINITIONS).decode()


def written_cbor(content: list[Record], base: str = "/") -> bytes:
    return senml_cbor.encode(content, Path.parse(base), DEFINITIONS)


def test_the_device_as_cbor() -> None:
    assert len(DEVICE_SENML_CBOR) == 196
    assert written_cbor(DEVICE, "/3/0") == DEVICE_SENML_CBOR
    assert senml_cbor.decode(DEVICE_SENML_CBOR, Path(3, 0), DEFINITIONS) == DEVICE


def test_the_device_as_json() -> None:
    text = written_json(DEVICE, "/3/0")
    assert len(text) == 384
    assert text.startswith(
        '[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"}'
    )
    assert text.endswith('{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]')
    assert read_json(text, "/3/0") == DEVICE


@pytest.mark.parametrize(
    ("base", "content", "expected"),
    [
        (
            "/",
            records(("/3/0/16", None), ("/3/0/11/0", None), ("/1/0", None)),
            "83 A1 00 67 2F 33 2F 30 2F 31 36 A1 00 69 2F 33 2F 30 2F 31 31 2F 30 A1 00 64 2F 31 2F 30",
        ),
        ("/", records(("/", None)), "81 A1 00 61 2F"),
        (
            "/",
            records(("/1/0/1", 86400), ("/3/0/11/0", 0)),
            "82 A2 00 66 2F 31 2F 30 2F 31 02 1A 00 01 51 80 A2 00 69 2F 33 2F 30 2F 31 31 2F 30 02 00",
        ),
        ("/1/0/1", records(("/1/0/1", 63)), "81 A2 00 66 2F 31 2F 30 2F 31 02 18 3F"),
        (
            "/3/0/22/0",
            records(("/3/0/22/0", ObjectLink(10, 0))),
            "81 A2 00 69 2F 33 2F 30 2F 32 32 2F 30 63 76 6C 6F 64 31 30 3A 30",
        ),
        (
            "/19/0/0",
            records(("/19/0/0/0", bytes([1, 2, 3, 4, 5]))),
            "81 A2 00 69 2F 31 39 2F 30 2F 30 2F 30 08 45 01 02 03 04 05",
        ),
        ("/3", [], "80"),
    ],
)
def test_cbor_examples_go_both_ways(base: str, content: list[Record], expected: str) -> None:
    assert written_cbor(content, base) == bytes.fromhex(expected)
    assert read_cbor(expected, base) == content


def test_cbor_examples_of_others_are_read() -> None:
    write_set = (
        "83 A3 21 61 2F 00 65 31 2F 30 2F 32 02 18 65 A2 00 65 31 2F 30 2F 36 04 F5 A2 00 66 33 2F 30 2F 31 33 02 00"
    )
    assert read_cbor(write_set) == records(("/1/0/2", 101), ("/1/0/6", True), ("/3/0/13", 0))
    assert read_cbor("81 A2 21 66 2F 31 2F 30 2F 31 02 18 3F") == records(("/1/0/1", 63))
    indefinite = "9F BF 00 66 2F 31 2F 30 2F 31 02 18 3F FF FF"
    assert read_cbor(indefinite) == records(("/1/0/1", 63))
    double = "81 A2 00 6C 2F 33 33 30 33 2F 30 2F 35 37 30 30 02 FB 40 35 80 00 00 00 00 00"
    assert read_cbor(double) == records(("/3303/0/5700", 21.5))


HISTORY_CBOR = (
    "82 A5 21 64 2F 37 32 2F 22 1A 01 84 87 6A 00 63 31 2F 32 02 F9 4D A0 06 24A3 00 63 31 2F 32 02 F9 4D B0 06 38 1D"
)
HISTORY_JSON = '[{"bn":"/72/","bt":25462634,"n":"1/2","v":22.5,"t":-5},{"n":"1/2","v":22.75,"t":-30}]'


@pytest.mark.parametrize("now", [None, NOW])
def test_a_history_is_read(now: float | None) -> None:
    start = now or 0
    expected = [
        Record(Path(72, 1, 2), 22.5, start + 25462629),
        Record(Path(72, 1, 2), 22.75, start + 25462604),
    ]
    assert read_cbor(HISTORY_CBOR, "/72", now) == expected
    assert read_json(HISTORY_JSON, "/72", now) == expected


def test_a_history_is_written_with_a_base_time() -> None:
    content = [Record(Path(72, 1, 2), 22.5, 1_700_000_000.0), Record(Path(72, 1, 2), 22.75, 1_699_999_975)]
    text = '[{"bn":"/72/1/","bt":1700000000,"n":"2","v":22.5},{"n":"2","v":22.75,"t":-25}]'
    assert written_json(content, "/72") == text
    assert read_json(text, "/72", NOW) == content


def test_times_that_only_some_records_have_or_that_are_fractions_are_written_one_by_one() -> None:
    content = [Record(Path(1, 0, 1), 1, 1_700_000_000.25), Record(Path(1, 0, 2), 2), Record(Path(1, 0, 3), 3, 1.7e9)]
    text = written_json(content)
    assert json.loads(text) == [
        {"bn": "/1/0/", "n": "1", "v": 1, "t": 1700000000.25},
        {"n": "2", "v": 2},
        {"n": "3", "v": 3, "t": 1700000000},
    ]
    assert read_json(text) == content


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('"t":0', NOW),
        ('"t":-5', NOW - 5),
        ('"t":-0.5', NOW - 0.5),
        ('"t":268435455', NOW + 268435455),
        ('"t":268435456', 268435456),
        ('"bt":1700000000,"t":-3', 1699999997),
        ('"bt":1700000000', 1700000000),
        ('"bt":-10,"t":4', NOW - 6),
    ],
)
def test_a_time_is_relative_below_two_to_the_28(time: str, expected: float) -> None:
    [record] = read_json(f'[{{"n":"/3/0/9","v":1,{time}}}]', now=NOW)
    assert record.time == expected


def test_a_time_without_a_now_stays_as_it_is() -> None:
    assert read_json('[{"n":"/3/0/9","v":1,"t":-5}]') == [Record(Path(3, 0, 9), 1, -5)]


def test_json_values_have_the_key_of_their_type() -> None:
    content = records(
        ("/3442/0/110", 'té☀"\\'),
        ("/3442/0/120", -(2**63)),
        ("/3442/0/125", 2**64 - 1),
        ("/3442/0/130", 0.1),
        ("/3442/0/140", True),
        ("/3442/0/150", b"\xfb\xff\xfe\x01"),
        ("/3442/0/160", 1476186613),
        ("/3442/0/170", ObjectLink(66, 1)),
        ("/3442/0/180", "</3/0>"),
    )
    text = written_json(content, "/3442/0")
    assert text == (
        '[{"bn":"/3442/0/","n":"110","vs":"té☀\\"\\\\"},{"n":"120","v":-9223372036854775808},'
        '{"n":"125","v":18446744073709551615},{"n":"130","v":0.1},{"n":"140","vb":true},{"n":"150","vd":"-__-AQ"},'
        '{"n":"160","v":1476186613},{"n":"170","vlo":"66:1"},{"n":"180","vs":"</3/0>"}]'
    )
    assert read_json(text, "/3442/0") == content


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ('"n":"/3442/0/150","vd":"-__-AQ=="', b"\xfb\xff\xfe\x01"),
        ('"n":"/3442/0/150","vd":"+//+AQ=="', b"\xfb\xff\xfe\x01"),
        ('"n":"/3442/0/150","vd":""', b""),
        ('"n":"/3442/0/120","v":1.0', 1),
        ('"n":"/3442/0/120","v":9007199254740993.0', 9007199254740993),
        ('"n":"/3442/0/125","v":18446744073709551615', 2**64 - 1),
        ('"n":"/3442/0/120","v":12e2', 1200),
        ('"n":"/3442/0/130","v":21', 21.0),
        ('"n":"/65000/0/1","v":21', 21),
        ('"n":"/65000/0/1","v":21.0', 21.0),
        ('"n":"/65000/0/1","vlo":"66:1"', ObjectLink(66, 1)),
        ('"n":"/3442/0/170","vs":"66:1"', ObjectLink(66, 1)),
        ('"bn":"/3442/0/12","n":"0","v":1', 1),
        ('"bn":"/3442/0/120","v":1', 1),
        ('"bn":"/3442/0/120","n":"","v":1', 1),
        ('"bn":"/3442/0/","n":"120/","v":1', 1),
        ('"n":"/3442/0/120","v":1,"u":"W","bu":"W","ut":5,"bver":10,"color":[1]', 1),
    ],
)
def test_json_has_other_spellings(entry: str, value: Value) -> None:
    [record] = read_json(f"[{{{entry}}}]")
    assert record.value == value
    assert type(record.value) is type(value)


def test_a_base_name_holds_until_another() -> None:
    text = '[{"bn":"/3/0/","n":"9","v":1},{"n":"10","v":2},{"bn":"/1/0/","n":"1","v":3},{"n":"2","v":4}]'
    assert read_json(text) == records(("/3/0/9", 1), ("/3/0/10", 2), ("/1/0/1", 3), ("/1/0/2", 4))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "1",
        "[1]",
        "[[]]",
        "[{}]",
        '[{"v":1}]',
        '[{"n":"3/0/9","v":1}]',
        '[{"n":"/3/0/9/0/1","v":1}]',
        '[{"n":"/3//9","v":1}]',
        '[{"n":"/3/0/65535","v":1}]',
        '[{"n":"/3/0/-1","v":1}]',
        '[{"n":"//","v":1}]',
        '[{"bn":"/3/0","n":"9","v":1}]',
        '[{"n":7,"v":1}]',
        '[{"bn":null,"n":"/3/0/9","v":1}]',
        '[{"n":"/3/0/9","v":null}]',
        '[{"n":"/3/0/9","v":true}]',
        '[{"n":"/3/0/9","v":"1"}]',
        '[{"n":"/3/0/9","vs":"1"}]',
        '[{"n":"/3/0/9","vb":true}]',
        '[{"n":"/3/0/9","v":1.5}]',
        '[{"n":"/3/0/9","v":1e30}]',
        '[{"n":"/3/0/9","v":1e999999999}]',
        '[{"n":"/3/0/9","v":1e99999999999999999999}]',
        '[{"n":"/3/0/9","v":1,"t":0e-99999999999999999999}]',
        '[{"n":"/3/0/9","v":NaN}]',
        '[{"n":"/3/0/9","v":1,"vs":"1"}]',
        '[{"n":"/3/0/9","n":"/3/0/10","v":1}]',
        '[{"n":"/3/0/9","v":1,"new_":1}]',
        '[{"n":"/3/0/9","v":1,"bv":1}]',
        '[{"n":"/3/0/9","s":1}]',
        '[{"n":"/3/0/9","v":1,"bver":11}]',
        '[{"n":"/3/0/9","v":1,"bver":"5"}]',
        '[{"n":"/3/0/9","v":1,"t":"now"}]',
        '[{"n":"/3/0/9","v":1,"t":true}]',
        '[{"n":"/3/0/9","v":1,"t":1e400}]',
        '[{"n":"/3/0/9","v":1,"bt":-1e30}]',
        '[{"n":"/3/0/9/0","v":1}]',
        '[{"n":"/3/0/7","v":1}]',
        '[{"n":"/3/0","v":1}]',
        '[{"n":"/3303/0/5700","v":Infinity}]',
        '[{"n":"/3303/0/5700","v":1e400}]',
        '[{"n":"/3303/0/5700","v":%s}]' % ("9" * 400),
        '[{"n":"/3303/0/5700","v":%s}]' % ("9" * 5000),
        '[{"n":"/3/0/0","vs":"\\ud800"}]',
        '[{"n":"/3/0/22/0","vlo":"here"}]',
        '[{"n":"/3/0/22/0","vs":"here"}]',
        '[{"n":"/3442/0/150","vd":"****"}]',
        '[{"n":"/3442/0/150","vd":"A"}]',
        '[{"n":"/3442/0/150","vd":"é"}]',
        '[{"n":"/3442/0/150","vd":[1]}]',
        '[{"n":"/3442/0/150","vs":"AQ"}]',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_malformed_json_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_json(text)
    assert refused.value.diagnostic


def test_json_that_is_not_utf8_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        senml_json.decode(b'[{"n":"/3/0/0","vs":"\xff"}]', ROOT, DEFINITIONS)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "A0",
        "01",
        "81 01",
        "81 80",
        "81 A0",
        "80 00",
        "81 A2 00 66 2F 31 2F 30 2F 31 02 F6",
        "81 A2 00 66 2F 31 2F 30 2F 31 02 F5",
        "81 A2 00 66 2F 31 2F 30 2F 31 02 81 01",
        "81 A2 00 66 2F 31 2F 30 2F 31 02 C1 01",
        "81 A2 00 66 2F 31 2F 30 2F 31 02",
        "82 A2 00 66 2F 31 2F 30 2F 31 02 01",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 02 02",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 06 F9 7E 00",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 06 F9 7C 00",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 63 61 62 5F 01",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 24 01",
        "81 A3 00 66 2F 31 2F 30 2F 31 02 01 81 00 01",
        "81 A2 00 01 02 01",
        "81 D8 1C A0",
        "9B 7F FF FF FF FF FF FF FF",
        "9B 00 00",
        "98",
        "9A 00 00 00",
        "9C",
        "9D A0",
        "9F",
        "9F FF 00",
        "9F FF FF",
        "9F A2 00 66 2F 31 2F 30 2F 31 02 01",
        "9F A2 00 66 2F 31 2F 30 2F 31 02 FF",
        "98 00 FF",
        "FF",
        "C1 80",
        "D9 D9 F7 80",
        "BB FF FF FF FF FF FF FF FF",
        "81" * 50_000,
        "A1 00" * 50_000,
    ],
)
def test_malformed_cbor_is_a_bad_request(payload: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_cbor(payload)
    assert refused.value.diagnostic


@pytest.mark.parametrize("head", ["81", "98 01", "99 00 01", "9A 00 00 00 01", "9B 00 00 00 00 00 00 00 01", "9F"])
def test_the_length_of_an_array_has_many_spellings(head: str) -> None:
    end = "FF" if head == "9F" else ""
    assert read_cbor(f"{head} A2 00 66 2F 31 2F 30 2F 31 02 01 {end}") == records(("/1/0/1", 1))
    assert read_cbor(f"{head} BF 00 7F 63 2F 31 2F 63 30 2F 31 FF 02 01 FF {end}") == records(("/1/0/1", 1))


@pytest.mark.parametrize("payload", ["80", "98 00", "9B 00 00 00 00 00 00 00 00", "9F FF"])
def test_an_array_may_be_empty(payload: str) -> None:
    assert read_cbor(payload) == []


def test_cbor_labels_without_a_meaning_are_ignored() -> None:
    assert read_cbor("81 A5 00 66 2F 31 2F 30 2F 31 02 01 18 63 05 61 76 07 F5 08") == records(("/1/0/1", 1))


def test_names_stay_beneath_the_base() -> None:
    assert read_json('[{"n":"/3/0/9","v":1}]', "/3/0") == records(("/3/0/9", 1))
    for base in ("/3/1", "/3/0/1", "/1"):
        with pytest.raises(BadRequest):
            read_json('[{"n":"/3/0/9","v":1}]', base)
        with pytest.raises(BadRequest):
            written_json(records(("/3/0/9", 1)), base)


def test_what_exists_without_a_value_is_left_out_beneath_the_root() -> None:
    assert written_json(records(("/3/0/11", None)), "/3/0/11") == "[]"
    assert written_json(records(("/16/0", None), ("/16/1/0/0", "a")), "/16") == '[{"n":"/16/1/0/0","vs":"a"}]'
    assert written_cbor(records(("/16/0", None)), "/16") == b"\x80"


def test_instances_of_one_object_share_the_object_in_their_names() -> None:
    content = records(("/3303/0/5700", 21.5), ("/3303/1/5700", 20.0))
    assert written_json(content, "/3303") == '[{"bn":"/3303/","n":"0/5700","v":21.5},{"n":"1/5700","v":20.0}]'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_cannot_say_what_is_not_a_number_but_cbor_can(value: float) -> None:
    content = [Record(Path(3303, 0, 5700), value)]
    with pytest.raises(NotAcceptable):
        written_json(content)
    [record] = senml_cbor.decode(written_cbor(content), ROOT, DEFINITIONS)
    assert str(record.value) == str(value)


def test_a_time_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(BadRequest):
        written_json([Record(Path(3, 0, 9), 1, math.inf)])


def test_the_number_of_records_has_a_limit() -> None:
    entry = '{"n":"/3/0/9","v":1}'
    with pytest.raises(RequestEntityTooLarge):
        read_json(f"[{','.join([entry] * (MAX_RECORDS + 1))}]")
    assert len(read_json(f"[{','.join([entry] * MAX_RECORDS)}]")) == MAX_RECORDS
    packed = "a200662f332f302f390201"
    with pytest.raises(RequestEntityTooLarge):
        read_cbor(f"99{MAX_RECORDS + 1:04x}{packed * (MAX_RECORDS + 1)}")
    assert len(read_cbor(f"99{MAX_RECORDS:04x}{packed * MAX_RECORDS}")) == MAX_RECORDS
