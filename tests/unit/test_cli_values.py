"""Values as people type and read them."""

from __future__ import annotations

import pytest

from lwm2m.cli.values import parse_value, printable, value_text
from lwm2m.model.definition import Operations, ResourceDefinition, Type
from lwm2m.model.record import ObjectLink, Value


def resource(type_: Type, range_: str = "") -> ResourceDefinition:
    return ResourceDefinition(1, "Thing", type_, Operations.RW, range=range_)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Type.STRING, "", ""),
        (Type.STRING, "12", "12"),
        (Type.INTEGER, "-9223372036854775808", -(2**63)),
        (Type.UNSIGNED, "18446744073709551615", 2**64 - 1),
        (Type.FLOAT, "1e-3", 0.001),
        (Type.BOOLEAN, "TRUE", True),
        (Type.BOOLEAN, "0", False),
        (Type.TIME, "1970-01-01T00:01:00", 60),
        (Type.TIME, "1970-01-01T01:01:00+01:00", 60),
        (Type.TIME, "-1", -1),
        (Type.OPAQUE, "", b""),
        (Type.OPAQUE, "0xFF00", b"\xff\x00"),
        (Type.OBJLNK, "3:0", ObjectLink(3, 0)),
    ],
)
def test_text_becomes_a_value_of_its_type(type_: Type, text: str, value: Value) -> None:
    found = parse_value(text, resource(type_))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (Type.INTEGER, "9223372036854775808"),
        (Type.INTEGER, "١"),
        (Type.INTEGER, "9" * 5000),
        (Type.UNSIGNED, "-1"),
        (Type.FLOAT, "nan"),
        (Type.FLOAT, "inf"),
        (Type.BOOLEAN, "yes"),
        (Type.TIME, "2026-13-01"),
        (Type.OPAQUE, "f"),
        (Type.OBJLNK, "3:70000"),
        (Type.NONE, "x"),
    ],
)
def test_other_text_is_refused_in_a_sentence(type_: Type, text: str) -> None:
    with pytest.raises(ValueError, match="Thing"):
        parse_value(text, resource(type_))


def test_the_range_of_the_definition_counts() -> None:
    with pytest.raises(ValueError, match="Thing"):
        parse_value("101", resource(Type.INTEGER, "0-100"))


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (True, Type.BOOLEAN, "true"),
        (b"\x01\xab", Type.OPAQUE, "01ab"),
        (0, Type.TIME, "1970-01-01T00:00:00Z"),
        (2**62, Type.TIME, f"{2**62} s"),
        (ObjectLink(3, 0), Type.OBJLNK, "3:0"),
        (21.5, Type.FLOAT, "21.5"),
        ("a\nb", Type.STRING, r"a\nb"),
    ],
)
def test_values_are_shown_on_one_line(value: Value, type_: Type, text: str) -> None:
    assert value_text(value, type_) == text


def test_text_of_a_device_cannot_steer_a_terminal() -> None:
    assert printable("\x1b[2J\u202eäö ✓") == r"\x1b[2J\u202eäö ✓"
