"""What products of OSAP offer, and the values of their devices: profiles, schemas, values for resources."""

from __future__ import annotations

import json
from functools import partial
from random import Random

from lwm2m.model.library import shipped
from osap_bridge import Entity
from osap_bridge.entity_model import DoesNotFit, EntityModel
from osap_bridge.installed import find
from osap_bridge.osap.message import MalformedMessage, from_json
from osap_bridge.osap.profile import InvalidProfile, Profile
from osap_bridge.osap.schema import InvalidSchema, parse_schema
from tests.fuzz import grammars
from tests.fuzz.reshaping import reshaped_json
from tests.fuzz.target import Grammar, Target, Way

PROFILE_KEYS = (
    *("version", "resources", "identifier", "resourceCategory", "localIndex", "domains", "props", "actions", "events"),
    *(
        "schema",
        "type",
        "mn",
        "minimum",
        "maximum",
        "enum",
        "items",
        "prop",
        "properties",
        "required",
        "req",
        "key",
        "dep",
    ),
    *(
        "multipleOf",
        "uniqueItems",
        "minLength",
        "maxItems",
        "dependencies",
        "access",
        "input",
        "output",
        "title",
        "direction",
    ),
)
SCHEMA_VALUES = ("int", "integer", "string", "obj", "object", "array", "number", "bool", "boolean", "r", "rw", "0", "a")


def profile(data: bytes) -> object:
    return Profile.from_json(data).resource_keys()


def judged(data: bytes) -> object:
    """A schema and a value, a line each."""
    schema, _, value = data.partition(b"\n")
    parsed, content = parse_schema(from_json(schema)), from_json(value)
    assert parsed.allows(content) is (parsed.violation(content) is None)
    return parsed.violation(content) is None


def reported(models: tuple[EntityModel, ...], data: bytes) -> object:
    """A value of a device as a resource of LwM2M holds it. The first byte chooses the point."""
    value = from_json(data[1:])
    points = [(model, point) for model in models for point in model.readable]
    model, point = points[data[0] % len(points)] if data else points[0]
    record = model.of_report(point.point, value)
    return Way((str(record.path),)) if record else None


_PRODUCTS = find().products
_MODELS = tuple(
    EntityModel(product, Entity("Z1", resource_type=kind), shipped(), lambda _, name: name)
    for product in _PRODUCTS.values()
    for kind in ("global", "Door")
)
_PROFILES = tuple(product.profile_text for product in _PRODUCTS.values() if product.profile_text)
_SCHEMAS = (
    b'{"type":"int","mn":0,"maximum":100,"multipleOf":5}\n35',
    b'{"type":"number","multipleOf":0.1}\n0.3',
    b'{"type":"array","items":{"type":"string","maxLength":3},"uniqueItems":true}\n["a","b"]',
    b'{"type":"obj","prop":[{"key":"a","req":true,"type":"bool"}],"dependencies":{"a":["b"]}}\n{"a":true}',
)


def _schema(random: Random) -> bytes:
    make: Grammar = grammars.json_of(PROFILE_KEYS, SCHEMA_VALUES)
    return make(random) + b"\n" + grammars.json_of(("a", "b", "A"), ("a",))(random)


TARGETS = (
    Target(
        "profile",
        profile,
        (InvalidProfile,),
        (*_PROFILES, *(json.dumps({"version": "1", "resources": []}).encode(),)),
        tuple(f'"{key}":'.encode() for key in PROFILE_KEYS),
        grammars.json_of(PROFILE_KEYS, SCHEMA_VALUES),
        reshaped_json,
        short=600,
    ),
    Target(
        "schema and value",
        judged,
        (MalformedMessage, InvalidSchema),
        _SCHEMAS,
        tuple(f'"{key}":'.encode() for key in PROFILE_KEYS),
        _schema,
        reshaped_json,
    ),
    Target(
        "value for a resource",
        partial(reported, _MODELS),
        (MalformedMessage, DoesNotFit),
        grammars.chosen(30, (b"42", b"21.5", b'"open"', b"true", b'{"a":1}')),
        (b"1e308", b"-1", b"null", b"[]", b"true", b'"', b"9" * 400),
        grammars.json_of(("a", "value"), ("open", "closed"), tuple(bytes([n]) for n in range(30))),
        reshaped_json,
    ),
)
