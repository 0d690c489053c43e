"""Product profiles and the values that they allow. osap.md §8."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from osap_bridge.osap.profile import InvalidProfile, Profile, ResourceKey
from osap_bridge.osap.schema import InvalidSchema, Type, parse_schema

SHIPPED = sorted((Path(__file__).parents[2] / "osap_bridge" / "translators").glob("*.json"))

PET_DRYER: dict[str, Any] = {
    "version": "V1.0.0 build 201231",
    "resources": [
        {
            "identifier": "PetDryerRes",
            "title": "Dryer",
            "resourceCategory": "global",
            "localIndex": ["0"],
            "domains": [
                {
                    "identifier": "LightControl",
                    "sid": 691,
                    "props": [
                        {"identifier": "Switch", "version": "v3.0", "access": "rw", "schema": {"type": "boolean"}},
                        {"identifier": "Hours", "access": "r", "schema": {"type": "integer", "minimum": 0}},
                    ],
                    "actions": [
                        {
                            "identifier": "SystemReset",
                            "direction": "Plt2Dev",
                            "input": {"schema": {}},
                            "output": {"schema": {"type": "object", "required": ["done"]}},
                        }
                    ],
                    "events": [
                        {
                            "identifier": "RunModeComplete",
                            "eventType": ["notification"],
                            "input": {"schema": {"type": "object", "properties": {"mode": {"type": "integer"}}}},
                        }
                    ],
                }
            ],
        },
        {"identifier": "Video", "resourceCategory": "Video", "localIndex": ["1", "2"], "domains": []},
    ],
}


def read(content: Any) -> Profile:
    return Profile.from_json(json.dumps(content).encode())


def test_a_profile_says_what_the_product_offers() -> None:
    profile = read(PET_DRYER)
    switch = profile.property("global", "LightControl", "Switch")
    hours = profile.property("global", "LightControl", "Hours")
    reset = profile.action("global", "LightControl", "SystemReset")
    complete = profile.event("global", "LightControl", "RunModeComplete")
    assert switch is not None
    assert (switch.readable, switch.writable, switch.schema.type) == (True, True, Type.BOOLEAN)
    assert hours is not None
    assert (hours.readable, hours.writable) == (True, False)
    assert reset is not None
    assert not reset.from_device
    assert reset.input.allows("anything")
    assert not reset.output.allows({})
    assert complete is not None
    assert complete.types == ("notification",)
    assert complete.content.violation({"mode": "x"}) == "value.mode is not of type integer"
    assert profile.property("Video", "LightControl", "Switch") is None
    assert profile.action("global", "LightControl", "Switch") is None


def test_each_local_index_is_an_entity() -> None:
    assert read(PET_DRYER).resource_keys() == (
        ResourceKey("global", "0"),
        ResourceKey("Video", "1"),
        ResourceKey("Video", "2"),
    )


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ([], "profile is not an object"),
        ({"resources": {}}, "'resources' is not a list"),
        ({"resources": [1]}, r"profile.resources\[0\] is not an object"),
        ({"resources": [{"identifier": "A"}]}, "resourceCategory"),
        ({"resources": [{"identifier": "A", "resourceCategory": "A", "localIndex": ["0-1"]}]}, "local index"),
        ({"resources": [{"identifier": "A", "resourceCategory": "A", "localIndex": ["12345678"]}]}, "local index"),
        ({"resources": [{"identifier": "A", "resourceCategory": "A", "localIndex": [0]}]}, "list of texts"),
    ],
)
def test_a_broken_profile_is_refused_with_its_place(content: Any, where: str) -> None:
    with pytest.raises(InvalidProfile, match=where):
        read(content)


@pytest.mark.parametrize(
    ("point", "where"),
    [
        ({"props": [{"identifier": "A", "access": "x"}]}, "access 'x'"),
        ({"props": [{"identifier": "A/B", "access": "r"}]}, "cannot stand in a topic"),
        ({"props": [{"access": "r"}]}, r"props\[0\] has no text 'identifier'"),
        ({"props": [{"identifier": "A", "access": "r", "schema": {"type": "colour"}}]}, "'colour' is not a type"),
        ({"actions": [{"identifier": "A", "direction": "Sideways"}]}, "Sideways"),
        ({"actions": [{"identifier": "A", "input": []}]}, "'input' is not an object"),
        ({"events": [{"identifier": "A", "eventType": "x"}]}, "eventType"),
    ],
)
def test_a_broken_function_point_is_refused_with_its_place(point: Any, where: str) -> None:
    domain = {"identifier": "D", **point}
    resource = {"identifier": "R", "resourceCategory": "R", "localIndex": ["0"], "domains": [domain]}
    with pytest.raises(InvalidProfile, match=where):
        read({"resources": [resource]})


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidProfile):
        Profile.from_json(b"{")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_profiles_are_read(path: Path) -> None:
    assert Profile.from_json(path.read_bytes()).resource_keys()


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "boolean"}, [True, False], [0, 1, "true", None]),
        ({"type": "integer", "minimum": 0, "maximum": 100}, [0, 100, 5.0], [-1, 101, 5.5, True, "5"]),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5], [0, 1, "x"]),
        ({"type": "number", "multipleOf": 0.1}, [0.3, 2.7, 5], [0.35]),
        ({"type": "integer", "multipleOf": 5}, [0, 10, -5], [3]),
        ({"type": "number", "multipleOf": 0.1}, [10**300], [10**400, 1e308]),
        (
            {"type": "array", "uniqueItems": True},
            [[1, True, "1", [1], {"a": 1}], [[1], [True]]],
            [[1, 1.0], [[1], [1]]],
        ),
        ({"enum": ["a", 1, False]}, ["a", 1, False, 1.0], ["b", True, 0]),
        ({"type": "string", "minLength": 1, "maxLength": 3}, ["a", "äöü"], ["", "abcd", 1]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
            [[1], [1, 2]],
            [[], [1, 2, 3], [1, 1], ["x"], {}],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]},
            [{"a": 1}, {"a": 1, "b": 2, "c": 3}],
            [{}, {"a": "x"}, []],
        ),
        ({"type": "object", "dependencies": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 2}], [{"a": 1}]),
        ({"type": "object", "minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({}, [None, 1, "x", [], {}], []),
    ],
)
def test_a_schema_allows_what_it_says(schema: Any, good: list[Any], bad: list[Any]) -> None:
    read_schema = parse_schema(schema)
    assert [read_schema.violation(value) for value in good] == [None] * len(good)
    assert [value for value in bad if read_schema.allows(value)] == []


@pytest.mark.parametrize(
    ("compact", "long"),
    [
        ({"type": "int", "mn": 0, "mx": 5}, {"type": "integer", "minimum": 0, "maximum": 5}),
        ({"type": "num", "emn": 0, "emx": 1, "multi": 2}, None),
        ({"type": "str", "mnl": 1, "mxl": 2}, {"type": "string", "minLength": 1, "maxLength": 2}),
        (
            {"type": "arr", "itm": {"type": "bool"}, "mnitm": 1, "mxitm": 2, "unq": True},
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
        ),
        (
            {"type": "obj", "prop": [{"key": "a", "type": "int", "req": True}, {"key": "b", "type": "str"}]},
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"],
            },
        ),
        ({"type": "obj", "prop": {"a": {"type": "int"}}, "req": ["a"], "dep": {"a": ["b"]}}, None),
        ({"type": "obj", "mnp": 2, "mxp": 1}, {"type": "object", "maxProperties": 2, "minProperties": 1}),
    ],
)
def test_the_compact_spelling_says_the_same(compact: Any, long: Any) -> None:
    schema = parse_schema(compact)
    if long is not None:
        assert schema == parse_schema(long)
    else:
        assert schema != parse_schema({"type": compact["type"]})


@pytest.mark.parametrize(
    "schema",
    [
        [],
        {"type": 5},
        {"type": []},
        {"minimum": "0"},
        {"maxLength": -1},
        {"minItems": 1.5},
        {"multipleOf": 0},
        {"enum": "a"},
        {"items": []},
        {"properties": [{"type": "int"}]},
        {"properties": 5},
        {"required": "a"},
        {"required": [1]},
        {"dependencies": []},
    ],
)
def test_a_schema_that_cannot_be_read_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidSchema):
        parse_schema(schema)


def test_schemas_nest_only_so_deep() -> None:
    schema: Any = {}
    for _ in range(40):
        schema = {"items": schema}
    with pytest.raises(InvalidSchema):
        parse_schema(schema)


def test_whether_items_are_unique_is_found_in_linear_time() -> None:
    schema = parse_schema({"type": "array", "uniqueItems": True})
    started = time.thread_time()
    assert schema.allows(list(range(50_000)))
    assert time.thread_time() - started < 1
