"""The laws over every shipped translator, and over translators that break them one by one."""

import importlib.metadata

import pytest

from lwm2m.model.library import shipped
from osap_bridge import Constant, Converter, DataModelTranslator, Event, Operation, Property, choices, divided
from osap_bridge.installed import DuplicateTranslator, Installed, Product, find
from osap_bridge.laws import remarks, samples, violations
from osap_bridge.osap.profile import Profile
from osap_bridge.osap.schema import parse_schema

PROFILE = Profile.from_json(
    b"""{"version": "V1", "resources": [
    {"identifier": "R", "resourceCategory": "global", "localIndex": ["0"], "domains": [
    {"identifier": "D", "props": [
        {"identifier": "Flag", "access": "rw", "schema": {"type": "boolean"}},
        {"identifier": "Level", "access": "rw", "schema": {"type": "integer", "minimum": 0, "maximum": 1000}},
        {"identifier": "Mode", "access": "rw", "schema": {"type": "integer", "enum": [0, 1, 2]}},
        {"identifier": "Secret", "access": "w", "schema": {"type": "boolean"}}],
     "actions": [{"identifier": "Reset", "direction": "Plt2Dev"}, {"identifier": "Ask", "direction": "Dev2Plt"}],
     "events": [{"identifier": "Pressed"}]}]}]}"""
)

SHIPPED = find()


def entry_point(name: str, value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, value, "osap_bridge.translators")


def test_three_products_are_shipped():
    assert SHIPPED.unusable == ()
    assert set(SHIPPED.products) >= {"EZ-Lamp-Dim", "EZ-Humiture", "EZ-Door"}


@pytest.mark.parametrize("product", SHIPPED.products.values(), ids=lambda product: product.name)
def test_every_shipped_translator_keeps_the_laws(product):
    assert violations(product, shipped()) == []
    assert remarks(product) == []


BROKEN = {
    "no resource /3311/0/1": Property("D/Flag", "/3311/0/1"),
    "does not hold one value": Property("D/Flag", "/3305/0/5822"),
    "is of type Boolean": Property("D/Level", "/3311/0/5850"),
    "is not within 0..100": Property("D/Level", "/3311/0/5851"),
    "no property of the profile": Property("D/Colour", "/3311/0/5850"),
    "0 appears as 0.5 and is set as 1": Property(
        "D/Level", "/3308/0/5900", Converter(lambda v: v + 0.5, lambda v: round(v + 0.5))
    ),
    "none of the choices": Property("D/Mode", "/3306/0/5853", choices({0: "off", 1: "on"})),
    "can neither show it nor set it": Property("D/Secret", "/3200/0/5500"),
    "is not executable": Operation("D/Reset", "/3305/0/5800"),
    "D/Flag is no operation": Operation("D/Flag", "/3305/0/5822"),
    "D/Ask is no operation": Operation("D/Ask", "/3305/0/5822"),
    "cannot count": Event("D/Pressed", counter="/3347/0/5500"),
    "kept in resource 0 of object 19": Event("D/Pressed", record="/19/0/3"),
    "no event of the profile": Event("D/Reset", counter="/3347/0/5501"),
    "belongs to the LwM2M client": Property("D/Level", "/1/0/2"),
    "has instance 0 only": Property("D/Level", "/3/1/9", divided(10)),
    "has no place": Property("D/Flag", "/3306/0/5850", unit="W"),
}


@pytest.mark.parametrize("expected", BROKEN)
def test_a_broken_law_is_named(expected):
    product = Product(DataModelTranslator("Broken", (BROKEN[expected],)), PROFILE)
    found = violations(product, shipped())
    assert any(expected in sentence for sentence in found), found


def test_a_constant_must_fit_too():
    def of(constant: Constant) -> list[str]:
        return violations(Product(DataModelTranslator("Broken", (), constants=(constant,)), PROFILE), shipped())

    assert of(Constant("/10359/0/1", "Front door")) == []
    assert "type String" in of(Constant("/10359/0/1", 5))[0]
    assert "no such resource" in of(Constant("/10359/0/7", 5))[0]


def test_without_a_profile_the_definition_is_the_range_and_it_is_said():
    translator = DataModelTranslator("Plain", (Property("D/Level", "/3311/0/5851", divided(10)),))
    assert violations(Product(translator), shipped()) == []
    assert "without a profile" in remarks(Product(translator))[0]
    lossy = DataModelTranslator("Lossy", (Property("D/Level", "/3308/0/5900", Converter(float, round)),))
    assert "is read as" in violations(Product(lossy), shipped())[0]


def test_what_appears_nowhere_is_remarked():
    translator = DataModelTranslator("Partly", (Property("D/Flag", "/3311/0/5850"),))
    assert "D/Level" in remarks(Product(translator, PROFILE))[0]


@pytest.mark.parametrize(
    ("schema", "some"),
    [
        ({"type": "boolean"}, [False, True]),
        ({"type": "integer", "minimum": -3, "exclusiveMaximum": 2}, [-3, 1]),
        ({"type": "integer", "minimum": 0, "maximum": 2147483647}, [0, 1, 2147483646, 2147483647]),
        ({"type": "number", "minimum": 0, "maximum": 100}, [0.0, 0.1, 0.3, 100.0]),
        ({"type": "string", "minLength": 2, "maxLength": 2}, ["aZ"]),
        ({"type": "integer", "enum": [1, 5]}, [1, 5]),
    ],
)
def test_samples_hold_both_ends_and_only_what_is_allowed(schema, some):
    parsed = parse_schema(schema)
    found = list(samples(parsed))
    assert all(any(value == wanted for value in found) for wanted in some)
    assert all(parsed.allows(value) for value in found)


def test_two_translators_of_one_product_refuse_to_start():
    lamp = "osap_bridge.translators.dimmable_lamp:dimmable_lamp"
    with pytest.raises(DuplicateTranslator, match="EZ-Lamp-Dim"):
        find([entry_point("one", lamp), entry_point("two", lamp)])


def test_a_plugin_that_fails_to_load_is_named_and_left_out():
    found: Installed = find(
        [
            entry_point("lamp", "osap_bridge.translators.dimmable_lamp:dimmable_lamp"),
            entry_point("missing", "osap_bridge.translators.no_such_module:x"),
            entry_point("other", "osap_bridge.converters:divided"),
        ]
    )
    assert list(found.products) == ["EZ-Lamp-Dim"]
    assert [each.origin.split()[0] for each in found.unusable] == ["missing", "other"]
    assert "ModuleNotFoundError" in found.unusable[0].reason
