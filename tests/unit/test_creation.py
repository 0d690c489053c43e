"""What a Create asks for, in each of its shapes. lwm2m.md §6.7, §8.1."""

from __future__ import annotations

import pytest

from lwm2m.errors import BadRequest, LwM2MError, UnsupportedContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Body
from lwm2m.operations.creation import Creation, records_to_create
from tests.vectors.payloads import records

DEFINITIONS = shipped()
PORTFOLIO = Path(16)
TEXT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV, OMA_JSON = 0, 42, 60, 110, 112, 11542, 11543

ETS_1630 = (
    bytes.fromhex("08012E88002B480011") + b"Host Device ID #2" + bytes.fromhex("480114") + b"Host Device Model #2"
)
IDENTITY = records(("/16/1/0/0", "Host Device ID #2"), ("/16/1/0/1", "Host Device Model #2"))


def create(payload: bytes, content_format: int | None, object_path: Path = PORTFOLIO, chosen: int = 7) -> Creation:
    return records_to_create(Body(payload, content_format), object_path, chosen, DEFINITIONS)


def test_tlv_names_the_instance_by_wrapping_its_resources() -> None:
    assert create(ETS_1630, TLV) == Creation(Path(16, 1), True, tuple(IDENTITY))
    assert create(ETS_1630, 1542) == Creation(Path(16, 1), True, tuple(IDENTITY))
    assert create(bytes.fromhex("0005"), TLV) == Creation(Path(16, 5), True, ())


def test_tlv_without_an_instance_leaves_the_choice_to_the_client() -> None:
    created = create(ETS_1630[3:], TLV)
    assert created.instance == Path(16, 7)
    assert not created.named
    assert [record.path for record in created.records] == [Path(16, 7, 0, 0), Path(16, 7, 0, 1)]
    assert create(bytes.fromhex("c17805"), TLV, Path(3442)).records == (Record(Path(3442, 7, 120), 5),)


@pytest.mark.parametrize(
    ("payload", "content_format"),
    [
        (b'[{"bn":"/16/1/0/","n":"0","vs":"Host Device ID #2"},{"n":"1","vs":"Host Device Model #2"}]', SENML_JSON),
        (
            b'{"bn":"/16/1/0/","e":[{"n":"0","sv":"Host Device ID #2"},{"n":"1","sv":"Host Device Model #2"}]}',
            OMA_JSON,
        ),
        (b'{"e":[{"n":"1/0/0","sv":"Host Device ID #2"},{"n":"1/0/1","sv":"Host Device Model #2"}]}', OMA_JSON),
    ],
)
def test_names_name_the_instance(payload: bytes, content_format: int) -> None:
    assert create(payload, content_format) == Creation(Path(16, 1), True, tuple(IDENTITY))


def test_names_in_cbor_name_the_instance() -> None:
    payload = bytes.fromhex("81a200692f31362f312f302f300361") + b"x"
    assert create(payload, SENML_CBOR) == Creation(Path(16, 1), True, (Record(Path(16, 1, 0, 0), "x"),))


@pytest.mark.parametrize(
    ("payload", "content_format", "expected"),
    [
        (b"", TLV, Creation(Path(16, 7), False, ())),
        (b"[]", SENML_JSON, Creation(Path(16, 7), False, ())),
        (b"\x80", SENML_CBOR, Creation(Path(16, 7), False, ())),
        (b'[{"n":"/16/3"}]', SENML_JSON, Creation(Path(16, 3), True, ())),
        (b'[{"n":"/16/3/"}]', SENML_JSON, Creation(Path(16, 3), True, ())),
        (b"\x80\x00", TLV, Creation(Path(16, 7), False, (Record(Path(16, 7, 0), None),))),
    ],
)
def test_an_instance_may_be_without_values(payload: bytes, content_format: int, expected: Creation) -> None:
    assert create(payload, content_format) == expected


@pytest.mark.parametrize(
    ("payload", "content_format", "refusal"),
    [
        (bytes.fromhex("00000001"), TLV, BadRequest),
        (ETS_1630 + bytes.fromhex("0002"), TLV, BadRequest),
        (ETS_1630 + bytes.fromhex("0001"), TLV, BadRequest),
        (ETS_1630 + ETS_1630[3:], TLV, BadRequest),
        (ETS_1630[3:] + ETS_1630, TLV, BadRequest),
        (ETS_1630[:-1], TLV, BadRequest),
        (bytes.fromhex("480161"), TLV, BadRequest),
        (b'[{"n":"/16/1/0/0","vs":"a"},{"n":"/16/2/0/0","vs":"a"}]', SENML_JSON, BadRequest),
        (b'[{"n":"/16/1"},{"n":"/16/2"}]', SENML_JSON, BadRequest),
        (b'[{"n":"/16"}]', SENML_JSON, BadRequest),
        (b'[{"n":"/16/1","vs":"a"}]', SENML_JSON, BadRequest),
        (b'[{"n":"/3/0/9","v":1}]', SENML_JSON, BadRequest),
        (b'[{"n":"/","v":1}]', SENML_JSON, BadRequest),
        (b'{"e":[{"n":"1/0/0","sv":"a"},{"n":"2/0/0","sv":"a"}]}', OMA_JSON, BadRequest),
        (b"[", SENML_JSON, BadRequest),
        *((b"1", number, UnsupportedContentFormat) for number in (None, TEXT, OPAQUE, CBOR, 40, 11544, 65535)),
    ],
)
def test_anything_else_is_refused(payload: bytes, content_format: int | None, refusal: type[LwM2MError]) -> None:
    with pytest.raises(refusal):
        create(payload, content_format)
