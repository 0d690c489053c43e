"""What is written is read back as the same, whatever it is; and no bytes whatever do more harm than a refusal."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.codec import CODECS, decode, encode
from lwm2m.errors import LwM2MError, NotAcceptable
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import ResourceDefinition, Type
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value

DEFINITIONS = shipped()
TEST_OBJECT = 3442
PACKS = [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.OMA_JSON]
STRUCTURED = [ContentFormat.TLV, *PACKS]

ids = st.integers(0, 65534)
integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"))
finite = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[Type, st.SearchStrategy[Value]] = {
    Type.STRING: texts,
    Type.INTEGER: integers,
    Type.UNSIGNED: st.integers(0, 2**64 - 1),
    Type.FLOAT: finite,
    Type.BOOLEAN: st.booleans(),
    Type.OPAQUE: st.binary(),
    Type.TIME: integers,
    Type.OBJLNK: st.builds(ObjectLink, st.integers(0, 65535), st.integers(0, 65535)),
    Type.CORELNK: texts,
}
definition = DEFINITIONS.object(TEST_OBJECT)
assert definition is not None
RESOURCES = [resource for resource in definition.resources.values() if resource.type is not Type.NONE]
SINGLE = [resource for resource in RESOURCES if not resource.multiple]

roots = st.lists(st.text("lwm2 -", min_size=1).filter(lambda text: not text.isdigit()), max_size=2).map(tuple)
times = st.none() | st.integers(2**28, 2**40) | st.floats(2**28, 2**40)


@st.composite
def instances(draw: st.DrawFn, instance: int = 0) -> list[Record]:
    """Some resources of one instance of the test object, each with a value of its type."""
    records: list[Record] = []
    for resource in draw(st.lists(st.sampled_from(RESOURCES), unique_by=lambda resource: resource.id)):
        path = Path(TEST_OBJECT, instance, resource.id)
        numbers = draw(st.lists(ids, min_size=1, max_size=4, unique=True)) if resource.multiple else []
        places = [path.child(number) for number in numbers] or [path]
        records += [Record(place, draw(VALUES[resource.type])) for place in places]
    return records


@st.composite
def objects(draw: st.DrawFn) -> list[Record]:
    """Instances in ascending order, some of them empty."""
    records: list[Record] = []
    for instance in sorted(draw(st.lists(ids, max_size=3, unique=True))):
        records += draw(instances(instance)) or [Record(Path(TEST_OBJECT, instance), None)]
    return records


def same(left: list[Record], right: list[Record]) -> bool:
    """Equal in type too: 1, 1.0 and True are three values."""
    return left == right and [type(record.value) for record in left] == [type(record.value) for record in right]


@pytest.mark.parametrize("content_format", STRUCTURED)
@given(instances())
def test_an_instance_round_trips(content_format: ContentFormat, records: list[Record]) -> None:
    base = Path(TEST_OBJECT, 0)
    assert same(decode(encode(records, content_format, base, DEFINITIONS), content_format, base, DEFINITIONS), records)


@given(objects())
def test_an_object_round_trips_in_tlv_with_its_empty_instances(records: list[Record]) -> None:
    base = Path(TEST_OBJECT)
    payload = encode(records, ContentFormat.TLV, base, DEFINITIONS)
    assert same(decode(payload, ContentFormat.TLV, base, DEFINITIONS), records)


@pytest.mark.parametrize("content_format", PACKS)
@given(objects(), st.data(), roots)
def test_an_object_round_trips_in_packs_with_its_times(
    content_format: ContentFormat, records: list[Record], data: st.DataObject, root: tuple[str, ...]
) -> None:
    timed = [Record(path, value, data.draw(times)) for path, value, _ in records if value is not None]
    for base in (Path(TEST_OBJECT), Path()):
        payload = encode(timed, content_format, base, DEFINITIONS, root=root)
        assert same(decode(payload, content_format, base, DEFINITIONS, root=root), timed)


def can_say(content_format: ContentFormat, kind: Type, base: Path, place: Path) -> bool:
    """Whether a value of a type that lies at `place` can be said for a request of `base`."""
    if content_format in (ContentFormat.TEXT, ContentFormat.CBOR):
        return base == place
    if content_format is ContentFormat.OPAQUE:
        return base == place and kind is Type.OPAQUE
    return content_format is not ContentFormat.TLV or len(base) > 0


@pytest.mark.parametrize("content_format", list(CODECS))
@pytest.mark.parametrize(
    "resource", [resource for resource in RESOURCES if resource.id > 100], ids=lambda found: found.id
)
@settings(max_examples=10)
@given(st.data())
def test_a_value_of_every_type_round_trips_at_every_level(
    content_format: ContentFormat, resource: ResourceDefinition, data: st.DataObject
) -> None:
    path = Path(TEST_OBJECT, 0, resource.id)
    place = path.child(data.draw(ids)) if resource.multiple else path
    records = [Record(place, data.draw(VALUES[resource.type]))]
    for base in (Path(*place[:length]) for length in range(len(place) + 1)):
        if can_say(content_format, resource.type, base, place):
            payload = encode(records, content_format, base, DEFINITIONS)
            assert same(decode(payload, content_format, base, DEFINITIONS), records)
        else:
            with pytest.raises(NotAcceptable):
                encode(records, content_format, base, DEFINITIONS)


@pytest.mark.parametrize(
    "content_format",
    [ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.CBOR, ContentFormat.OPAQUE],
)
@given(st.binary())
def test_bytes_of_an_unknown_resource_round_trip(content_format: ContentFormat, value: bytes) -> None:
    base = Path(65000, 0, 1)
    records = [Record(base, value)]
    assert decode(encode(records, content_format, base, DEFINITIONS), content_format, base, DEFINITIONS) == records


@given(texts | integers | finite | st.booleans())
def test_an_unknown_resource_keeps_its_type_in_the_older_json_but_for_data(value: Value) -> None:
    base = Path(65000, 0, 1)
    records = [Record(base, value)]
    payload = encode(records, ContentFormat.OMA_JSON, base, DEFINITIONS)
    assert same(decode(payload, ContentFormat.OMA_JSON, base, DEFINITIONS), records)


@pytest.mark.parametrize("content_format", [ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR, ContentFormat.CBOR])
@given(texts | integers | finite | st.booleans() | st.binary())
def test_an_unknown_resource_keeps_the_type_it_was_sent_with(content_format: ContentFormat, value: Value) -> None:
    base = Path(65000, 0, 1)
    records = [Record(base, value)]
    assert same(decode(encode(records, content_format, base, DEFINITIONS), content_format, base, DEFINITIONS), records)


@pytest.mark.parametrize("content_format", [ContentFormat.TLV, ContentFormat.SENML_CBOR, ContentFormat.CBOR])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_are_no_numbers_round_trip_where_there_is_a_spelling(
    content_format: ContentFormat, value: float
) -> None:
    base = Path(TEST_OBJECT, 0, 130)
    [record] = decode(
        encode([Record(base, value)], content_format, base, DEFINITIONS), content_format, base, DEFINITIONS
    )
    assert str(record.value) == str(value)


BASES = st.sampled_from(
    ["/", "/3442", "/3442/0", "/3442/0/4", "/3442/0/1120", "/3442/0/1120/0", "/65000/0/1", "/3/0/4"]
    + [f"/3442/0/{resource.id}" for resource in SINGLE]
).map(Path.parse)


def harmless(payload: bytes, content_format: ContentFormat, base: Path) -> None:
    """A payload is refused with a reason, or read as records beneath its base that can be written and read again."""
    refusal, records = None, []
    try:
        records = decode(payload, content_format, base, DEFINITIONS, now=1e9)
    except LwM2MError as error:
        refusal = error
    assert refusal is None or refusal.diagnostic
    assert all(base.contains(record.path) for record in records)
    if refusal is None:
        with suppress(NotAcceptable):
            decode(encode(records, content_format, base, DEFINITIONS), content_format, base, DEFINITIONS)


@pytest.mark.parametrize("content_format", list(CODECS))
@given(st.binary(), BASES)
def test_any_bytes_are_read_or_refused(content_format: ContentFormat, payload: bytes, base: Path) -> None:
    harmless(payload, content_format, base)


@pytest.mark.parametrize("content_format", list(CODECS))
@given(instances(), st.data(), BASES)
def test_a_damaged_payload_is_read_or_refused(
    content_format: ContentFormat, records: list[Record], data: st.DataObject, base: Path
) -> None:
    written_as = content_format if content_format in STRUCTURED else ContentFormat.SENML_CBOR
    payload = bytearray(encode(records, written_as, Path(TEST_OBJECT, 0), DEFINITIONS))
    for _ in range(data.draw(st.integers(1, 3))):
        if payload:
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    harmless(bytes(payload[: data.draw(st.integers(0, len(payload)))]), content_format, base)
    harmless(bytes(payload), content_format, base)


numbers = st.integers() | st.floats()
cbor_scalars = st.none() | st.booleans() | numbers | st.text() | st.binary()
cbor_items = st.recursive(
    cbor_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-8, 12) | st.text(max_size=3), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.integers(0, 300), inner)
    ),
    max_leaves=12,
)
names = st.sampled_from(["/3442/0/", "/3442/0", "120", "1120/0", "/", "", "/3442/0/130", "/3442/0/150"])
senml_entries = st.fixed_dictionaries(
    {},
    optional={
        "bn": names | cbor_scalars,
        "bt": numbers,
        "n": names | cbor_scalars,
        "v": numbers | cbor_scalars,
        "vs": st.text(),
        "vb": st.booleans(),
        "vd": st.binary() | st.text(),
        "vlo": st.text("0123456789:F"),
        "t": numbers,
    },
)
LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2, "vs": 3, "vb": 4, "t": 6, "vd": 8, "vlo": "vlo"}


@given(cbor_items, BASES)
def test_any_cbor_is_read_or_refused(item: object, base: Path) -> None:
    payload = cbor2.dumps(item)
    harmless(payload, ContentFormat.CBOR, base)
    harmless(payload, ContentFormat.SENML_CBOR, base)


@given(st.lists(senml_entries, max_size=4), BASES)
def test_any_senml_is_read_or_refused(entries: list[dict[str, object]], base: Path) -> None:
    pack = [{LABELS[label]: item for label, item in entry.items()} for entry in entries]
    harmless(cbor2.dumps(pack), ContentFormat.SENML_CBOR, base)


json_items = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(json_items | st.lists(senml_entries, max_size=4), BASES)
def test_any_json_is_read_or_refused(item: object, base: Path) -> None:
    payload = json.dumps(item, default=lambda value: value.decode("latin-1")).encode()
    harmless(payload, ContentFormat.SENML_JSON, base)
    harmless(payload, ContentFormat.OMA_JSON, base)


oma_entries = st.fixed_dictionaries(
    {},
    optional={
        "n": names | cbor_scalars,
        "t": numbers,
        "v": numbers | st.booleans(),
        "sv": st.text(),
        "bv": st.booleans() | st.text(),
        "ov": st.text("0123456789:F"),
    },
)
oma_packs = st.fixed_dictionaries(
    {"e": st.lists(oma_entries | json_items, max_size=4) | json_items},
    optional={"bn": names | numbers, "bt": numbers | st.text()},
)


digits = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,25})?", fullmatch=True)


@given(digits, st.sampled_from(["v", "t"]), st.sampled_from([*SINGLE, *RESOURCES]))
def test_any_number_of_json_is_read_or_refused(number: str, label: str, resource: ResourceDefinition) -> None:
    items = f'"v":1,"t":{number}' if label == "t" else f'"v":{number}'
    path = Path(TEST_OBJECT, 0, resource.id)
    harmless(f'[{{"n":"{path}",{items}}}]'.encode(), ContentFormat.SENML_JSON, path)
    harmless(f'{{"e":[{{{items}}}]}}'.encode(), ContentFormat.OMA_JSON, path)


@given(oma_packs, BASES)
def test_any_oma_json_is_read_or_refused(pack: dict[str, object], base: Path) -> None:
    harmless(json.dumps(pack, default=lambda value: value.decode("latin-1")).encode(), ContentFormat.OMA_JSON, base)


@pytest.mark.parametrize("content_format", list(CODECS))
@given(
    st.lists(st.builds(Record, BASES, st.none() | texts | numbers | st.booleans() | st.binary(), times), max_size=3),
    BASES,
)
def test_any_records_are_written_or_refused(content_format: ContentFormat, records: list[Record], base: Path) -> None:
    with suppress(LwM2MError):
        assert isinstance(encode(records, content_format, base, DEFINITIONS), bytes)
