"""OMA JSON, the JSON of LwM2M 1.0. lwm2m.md §8.6."""

from __future__ import annotations

import math

import pytest

from lwm2m.codec import decode, encode, oma_json
from lwm2m.errors import BadRequest, NotAcceptable, RequestEntityTooLarge
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record
from tests.vectors.payloads import records

DEFINITIONS = shipped()
DEVICE = Path(3, 0)


def read(payload: bytes, base: str = "/3/0", now: float | None = None, root: str = "") -> list[Record]:
    return oma_json.decode(payload, Path.parse(base), DEFINITIONS, now, root)


def test_every_key_of_the_specification_is_read() -> None:
    payload = (
        b'{"bn":"/3442/0/","bt":1700000000,"e":[{"n":"110","sv":"text"},{"n":"120","v":100},{"n":"1120/0","v":1},'
        b'{"n":"140","bv":true},{"n":"170","ov":"10:0"},{"n":"130","v":22.4,"t":-5},{"n":"150","sv":"AQID/w=="},'
        b'{"n":"160","v":1367491215}]}'
    )
    time = 1_700_000_000
    expected = [
        Record(Path(3442, 0, 110), "text", time),
        Record(Path(3442, 0, 120), 100, time),
        Record(Path(3442, 0, 1120, 0), 1, time),
        Record(Path(3442, 0, 140), True, time),
        Record(Path(3442, 0, 170), ObjectLink(10, 0), time),
        Record(Path(3442, 0, 130), 22.4, time - 5),
        Record(Path(3442, 0, 150), b"\1\2\3\xff", time),
        Record(Path(3442, 0, 160), 1367491215, time),
    ]
    assert read(payload, "/3442/0") == expected
    assert encode(expected, 11543, Path(3442, 0), DEFINITIONS) == payload


@pytest.mark.parametrize(
    ("base", "payload"),
    [
        ("/3/0", b'{"bn":"/3/0/","e":[{"n":"9","v":100}]}'),
        ("/3/0", b'{"bn":"/3/0","e":[{"n":"9","v":100}]}'),
        ("/3/0", b'{"bn":"3/0","e":[{"n":"/9","v":100}]}'),
        ("/3/0", b'{"bn":"/3/0/9","e":[{"n":"","v":100}]}'),
        ("/3/0", b'{"bn":"/3/0/9/","e":[{"v":100}]}'),
        ("/3/0", b'{"e":[{"n":"9","v":100}]}'),
        ("/3/0", b'{"bn":"","e":[{"n":"9","v":100,"new":[]}],"newer":1}'),
        ("/3/0", b'{"e":[{"n":"/3/0/9","v":100}]}'),
        ("/3", b'{"e":[{"n":"0/9","v":100}]}'),
        ("/3", b'{"bn":"/3","e":[{"n":"0/9","v":100}]}'),
        ("/", b'{"e":[{"n":"3/0/9","v":100}]}'),
        ("/", b'{"bn":"/","e":[{"n":"3/0/9","v":100}]}'),
        ("/3/0/9", b'{"e":[{"n":"","v":100}]}'),
        ("/3/0/9", b'{"e":[{"v":100}]}'),
        ("/3/0/9", b'{"e":[{"n":"9","v":100}]}'),
        ("/3/0/9", b'{"bn":"/3/0/","e":[{"n":"9","v":100}]}'),
        ("/3/0/9", b'{"bn":"/3/0/9","e":[{"v":1e2}]}'),
    ],
)
def test_names_are_joined_as_peers_do(base: str, payload: bytes) -> None:
    assert read(payload, base) == records(("/3/0/9", 100))


def test_the_name_of_an_instance_of_a_multiple_resource_is_never_the_resource() -> None:
    assert read(b'{"e":[{"n":"7","v":1}]}', "/3/0/7") == records(("/3/0/7/7", 1))
    assert read(b'{"e":[{"n":"0","v":1},{"n":"1","v":2}]}', "/3/0/7") == records(("/3/0/7/0", 1), ("/3/0/7/1", 2))
    assert read(b'{"e":[{"n":"1","v":1}]}', "/3/0/7/1") == records(("/3/0/7/1", 1))


def test_names_may_begin_with_the_alternate_path() -> None:
    for payload in (b'{"bn":"/lwm2m/3/0/","e":[{"n":"9","v":1}]}', b'{"e":[{"n":"9","v":1}]}'):
        assert read(payload, root="/lwm2m") == records(("/3/0/9", 1))
    written = encode(records(("/3/0/9", 1)), 11543, DEVICE, DEFINITIONS, root=("lwm2m",))
    assert written == b'{"bn":"/lwm2m/3/0/","e":[{"n":"9","v":1}]}'


def test_times_are_relative_below_a_limit() -> None:
    payload = b'{"bt":-10,"e":[{"n":"9","v":1,"t":-5},{"n":"9","v":2}]}'
    assert [record.time for record in read(payload)] == [-15, -10]
    assert [record.time for record in read(payload, now=1_700_000_000)] == [1_699_999_985, 1_699_999_990]


@pytest.mark.parametrize(
    ("base", "content", "payload"),
    [
        ("/3/0/9", records(("/3/0/9", 100)), b'{"bn":"/3/0/","e":[{"n":"9","v":100}]}'),
        ("/3/0/7/1", records(("/3/0/7/1", 5)), b'{"bn":"/3/0/","e":[{"n":"7/1","v":5}]}'),
        ("/3/0/7", [Record(Path(3, 0, 7), None)], b'{"bn":"/3/0/","e":[]}'),
        (
            "/1",
            records(("/1/0/1", 60), ("/1/2/1", 61)),
            b'{"bn":"/1/","e":[{"n":"0/1","v":60},{"n":"2/1","v":61}]}',
        ),
        (
            "/",
            records(("/1/0/1", 60), ("/3/0/16", "U")),
            b'{"bn":"/","e":[{"n":"1/0/1","v":60},{"n":"3/0/16","sv":"U"}]}',
        ),
        ("/19", [], b'{"bn":"/19/","e":[]}'),
    ],
)
def test_names_are_written_so_that_any_way_of_joining_gives_the_path(
    base: str, content: list[Record], payload: bytes
) -> None:
    path = Path.parse(base)
    assert encode(content, 11543, path, DEFINITIONS) == payload
    assert decode(payload, 11543, path, DEFINITIONS) == [record for record in content if record.value is not None]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"e":{}}',
        b'{"e":[[]]}',
        b'{"e":[{"n":"9"}]}',
        b'{"e":[{"n":"9","v":null}]}',
        b'{"e":[{"n":"9","v":"1"}]}',
        b'{"e":[{"n":"9","v":true}]}',
        b'{"e":[{"n":"9","v":1.5}]}',
        b'{"e":[{"n":"9","v":NaN}]}',
        b'{"e":[{"n":"9","v":1e999}]}',
        b'{"e":[{"n":"9","v":1e99999999999999999999}]}',
        b'{"e":[{"n":"9","v":18446744073709551616}]}',
        b'{"e":[{"n":"9","v":1,"sv":"1"}]}',
        b'{"e":[{"n":"9","v":1,"v":2}]}',
        b'{"e":[{"n":"9","v":1}],"e":[]}',
        b'{"e":[{"n":9,"v":1}]}',
        b'{"bn":9,"e":[{"v":1}]}',
        b'{"bn":"/3/","e":[{"n":"1/9","v":1}]}',
        b'{"bn":"/3/0/9","e":[{"n":"9","v":1}]}',
        b'{"e":[{"n":"../1/9","v":1}]}',
        b'{"e":[{"n":"9/0","v":1}]}',
        b'{"e":[{"n":"09","v":1}]}',
        b'{"bt":"now","e":[{"n":"9","v":1}]}',
        b'{"e":[{"n":"0","sv":"\xff"}]}',
        b'{"e":[{"n":"22/0","ov":"10"}]}',
        b'{"e":[{"n":"0","bv":true}]}',
        b'{"e":' + b"[" * 100_000,
    ],
)
def test_what_is_malformed_is_refused(payload: bytes) -> None:
    with pytest.raises(BadRequest):
        read(payload)


def test_opaque_values_are_base64_of_either_alphabet() -> None:
    for text in (b"/+8=", b"_-8"):
        assert read(b'{"e":[{"n":"150","sv":"%s"}]}' % text, "/3442/0") == records(("/3442/0/150", b"\xff\xef"))
    with pytest.raises(BadRequest):
        read(b'{"e":[{"n":"150","sv":"!"}]}', "/3442/0")


def test_there_are_limits() -> None:
    entries = b",".join([b'{"n":"9","v":1}'] * 8193)
    with pytest.raises(RequestEntityTooLarge):
        read(b'{"e":[' + entries + b"]}")


def test_what_it_has_no_words_for_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable):
        encode([Record(Path(3442, 0, 130), math.nan)], 11543, Path(3442, 0), DEFINITIONS)
    with pytest.raises(NotAcceptable):
        encode([Record(Path(3), None)], 11543, Path(), DEFINITIONS)
