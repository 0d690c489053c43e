import pytest

from lwm2m.model.checking import check
from lwm2m.model.definition import Operations, ResourceDefinition, Type
from lwm2m.model.library import shipped
from lwm2m.model.record import ObjectLink, Value
from lwm2m.model.value_range import parse_range


def resource(type_: Type, range_: str = "") -> ResourceDefinition:
    return ResourceDefinition(1, "Thing", type_, Operations.RW, range=range_)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Type.STRING, "x"),
        (Type.INTEGER, -(2**63)),
        (Type.UNSIGNED, 2**64 - 1),
        (Type.FLOAT, 1.5),
        (Type.BOOLEAN, True),
        (Type.OPAQUE, b"\x00"),
        (Type.TIME, 0),
        (Type.OBJLNK, ObjectLink(3, 0)),
        (Type.CORELNK, "</3>"),
    ],
)
def test_a_fitting_value_passes_unchanged(type_: Type, value: Value) -> None:
    assert check(resource(type_), value) == value


def test_an_integer_for_a_float_becomes_a_float() -> None:
    assert type(check(resource(Type.FLOAT), 21)) is float


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Type.STRING, 1),
        (Type.INTEGER, True),
        (Type.INTEGER, 1.0),
        (Type.INTEGER, 2**63),
        (Type.UNSIGNED, -1),
        (Type.UNSIGNED, 2**64),
        (Type.FLOAT, float("nan")),
        (Type.FLOAT, float("inf")),
        (Type.FLOAT, True),
        (Type.FLOAT, 10**400),
        (Type.BOOLEAN, 1),
        (Type.OPAQUE, "00"),
        (Type.TIME, 1.5),
        (Type.OBJLNK, (3, 0)),
    ],
)
def test_a_value_of_another_type_is_refused(type_: Type, value: Value) -> None:
    with pytest.raises(ValueError, match="Thing is of type"):
        check(resource(type_), value)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("0..100", [0, 100, 50.5], [-1, 101]),
        ("0-100", [0, 100], [-1, 101]),
        ("1...15", [1, 15], [0, 0.5, 16]),
        ("-30..-120", [-30, -120, -75], [-29, -121, 0]),
        ("[1:4]", [1, 4], [0, 5]),
        ("0..3, 99", [0, 3, 99], [4, 98]),
        ("0; 3.8..20.5", [0, 3.8, 20.5], [1, 20.6]),
        ("5, 10, 15, 20", [5, 20], [0, 12]),
        ("0: RELEASED 1: PRESSED 2: FAULT", [0, 1, 2], [3]),
        ("255", [0, 255], [256, -1]),
        ("0..18446744073709551615", [2**64 - 1], [2**64]),
    ],
)
def test_ranges_of_numbers(text: str, inside: list[float], outside: list[float]) -> None:
    found = parse_range(text, of_length=False)
    assert found is not None
    assert [number for number in inside if number not in found] == []
    assert [number for number in outside if number in found] == []


@pytest.mark.parametrize("text", ["1 bytes", "8-Bits", "16-bit", "2 Instances", "<7 to >12.5", "ON;OFF", "free prose"])
def test_texts_that_bound_no_number(text: str) -> None:
    assert parse_range(text, of_length=False) is None


@pytest.mark.parametrize(
    ("text", "fits", "does_not"),
    [("0-255 bytes", 255, 256), ("0 or 26 Bytes", 26, 25), ("10,26", 10, 11), ("6 bytes", 6, 7), ("64", 64, 65)],
)
def test_the_range_of_a_text_is_its_length(text: str, fits: int, does_not: int) -> None:
    assert check(resource(Type.STRING, text), "x" * fits)
    with pytest.raises(ValueError, match="length of Thing is not within"):
        check(resource(Type.STRING, text), "x" * does_not)


def test_a_value_out_of_range_is_refused_without_being_told() -> None:
    with pytest.raises(ValueError, match=r"Thing is not within 0\.\.100") as refusal:
        check(resource(Type.INTEGER, "0..100"), 4711)
    assert "4711" not in str(refusal.value)


def test_every_shipped_range_of_a_number_is_read_but_for_those_that_bound_nothing() -> None:
    texts = {
        resource.range
        for definition in shipped().all_versions()
        for resource in definition.resources.values()
        if resource.range and resource.type in (Type.INTEGER, Type.UNSIGNED, Type.FLOAT)
    }
    assert {text for text in texts if parse_range(text, of_length=False) is None} == {
        "1 bytes",
        "2 bytes",
        "8 bit",
        "8-Bits",
        "16-bit",
        "2 Instances",
        "<7 to >12.5",
        "ON;OFF",
    }
