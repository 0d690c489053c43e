"""Which module reads and writes a payload, and what happens when none can. lwm2m.md §2.1."""

from __future__ import annotations

from types import FunctionType

import pytest

from lwm2m import codec
from lwm2m.codec import CODECS, decode, default_format, encode, is_single_value
from lwm2m.errors import NotAcceptable, UnsupportedContentFormat
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.vectors.payloads import records

DEFINITIONS = shipped()


def test_every_format_of_values_has_a_module_of_two_functions() -> None:
    assert set(CODECS) == set(ContentFormat) - {ContentFormat.LINK}
    for module in CODECS.values():
        functions = {
            name
            for name, found in vars(module).items()
            if isinstance(found, FunctionType) and found.__module__ == vars(module)["__name__"] and name[0] != "_"
        }
        assert functions == {"decode", "encode"}


def test_the_number_chooses_the_module() -> None:
    content = records(("/3/0/9", 100))
    payloads = {
        0: b"100",
        60: b"\x18\x64",
        110: b'[{"n":"/3/0/9","v":100}]',
        11542: b"\xc1\x09\x64",
        11543: b'{"bn":"/3/0/","e":[{"n":"9","v":100}]}',
    }
    for number, payload in payloads.items():
        assert encode(content, number, Path(3, 0, 9), DEFINITIONS) == payload
        assert decode(payload, number, Path(3, 0, 9), DEFINITIONS) == content


@pytest.mark.parametrize("number", [40, 41, 1544, 11544, -1, 2**40])
def test_an_unknown_number_is_refused(number: int) -> None:
    with pytest.raises(UnsupportedContentFormat):
        decode(b"", number, Path(3, 0, 9), DEFINITIONS)
    with pytest.raises(NotAcceptable):
        encode([], number, Path(3, 0, 9), DEFINITIONS)


@pytest.mark.parametrize(("number", "payload"), [(1541, b"100"), (1542, b"\xc1\x09\x64"), (1543, b'{"e":[{"v":100}]}')])
def test_numbers_from_before_the_registration_are_read_and_not_written(number: int, payload: bytes) -> None:
    assert decode(payload, number, Path(3, 0, 9), DEFINITIONS) == records(("/3/0/9", 100))
    with pytest.raises(NotAcceptable):
        encode(records(("/3/0/9", 100)), number, Path(3, 0, 9), DEFINITIONS)


def test_now_reaches_the_formats_that_carry_times() -> None:
    [record] = decode(b'[{"n":"/3/0/9","v":1,"t":-5}]', 110, Path(), DEFINITIONS, now=1_700_000_000)
    assert record.time == 1_699_999_995
    assert decode(b"1", 0, Path(3, 0, 9), DEFINITIONS, now=1_700_000_000) == records(("/3/0/9", 1))


def test_formats_without_paths_carry_one_value() -> None:
    assert {known for known in ContentFormat if is_single_value(known)} == {0, 42, 60}


@pytest.mark.parametrize(
    ("base", "content", "version", "expected"),
    [
        ("/3/0/9", records(("/3/0/9", 100)), "1.1", ContentFormat.TEXT),
        ("/3/0/7/0", records(("/3/0/7/0", 1)), "1.1", ContentFormat.TEXT),
        ("/19/0/0/0", records(("/19/0/0/0", b"a")), "1.1", ContentFormat.OPAQUE),
        ("/65000/0/1", records(("/65000/0/1", b"a")), "1.0", ContentFormat.OPAQUE),
        ("/3/0/7", records(("/3/0/7/0", 1)), "1.1", ContentFormat.SENML_CBOR),
        ("/3/0/7", records(("/3/0/7", None)), "1.0", ContentFormat.TLV),
        ("/65000/0/1", records(("/65000/0/1/0", 1)), "1.1", ContentFormat.SENML_CBOR),
        ("/3/0", records(("/3/0/9", 100)), "1.1", ContentFormat.SENML_CBOR),
        ("/3/0", records(("/3/0/9", 100)), "1.2", ContentFormat.SENML_CBOR),
        ("/3/0", records(("/3/0/9", 100)), "1.0", ContentFormat.TLV),
        ("/3", [], "1.0", ContentFormat.TLV),
    ],
)
def test_the_format_where_none_was_asked_for(
    base: str, content: list[Record], version: str, expected: ContentFormat
) -> None:
    path = Path.parse(base)
    chosen = default_format(path, content, DEFINITIONS, version)
    assert chosen is expected
    assert isinstance(codec.encode(content, chosen, path, DEFINITIONS), bytes)
