"""Payloads: every format that LwM2M has, lists of links and of paths, arguments, attributes, definitions, packages."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath

from lwm2m import attributes, link_format
from lwm2m.client.package_error import PackageError
from lwm2m.client.standard_objects.simulated_package import SimulatedPackage
from lwm2m.codec import decode, encode
from lwm2m.errors import LwM2MError
from lwm2m.model import ddf
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink
from lwm2m.operations import Body, path_list, paths_of, records_to_create
from lwm2m.operations.arguments import parse_arguments
from lwm2m.server.object_list import ObjectList
from tests.fuzz import grammars
from tests.fuzz.reshaping import reshaped_cbor, reshaped_json
from tests.fuzz.target import Grammar, Reshape, Target
from tests.vectors import payloads

TEXT, OPAQUE, CBOR = ContentFormat.TEXT, ContentFormat.OPAQUE, ContentFormat.CBOR
SENML_JSON, SENML_CBOR = ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR
TLV, OMA_JSON = ContentFormat.TLV, ContentFormat.OMA_JSON

DEFINITIONS = shipped()
BASES = [
    *("/", "/3", "/3/0", "/3/0/9", "/3/0/6", "/3/0/6/0", "/3/0/13", "/3/0/0", "/3442/0", "/3442/0/110", "/3442/0/120"),
    *(
        "/3442/0/130",
        "/3442/0/140",
        "/3442/0/150",
        "/3442/0/160",
        "/3442/0/170",
        "/3442/0/1110",
        "/65000",
        "/65000/0/1",
    ),
]
NAMES = ("/3/0/", "/3/0/9", "/3/0/6/0", "9", "/3442/0/150", "/3442/0/130", "/", "", "/3/0/13", "/lwm2m/3/0/9", "/3//9")
JSON_WORDS = (
    *(
        b'"n":',
        b'"bn":',
        b'"v":',
        b'"vs":',
        b'"vb":',
        b'"vd":',
        b'"vlo":',
        b'"bt":',
        b'"t":',
        b'"e":[',
        b'"sv":',
        b'"ov":',
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b'"',
        b"\\u",
        b"\\ud800",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-",
    ),
)
CBOR_WORDS = (
    *(b"\x9f", b"\xff", b"\xbf", b"\x7f", b"\x5f", b"\x80", b"\xa0", b"\xf6", b"\xf7", b"\xf9\x7e\x00", b"\xf8\x20"),
    *(
        b"\x21",
        b"\x22",
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xc3",
        b"\xd8\x1c",
        b"\xd8\x1d\x00",
        b"\x9b" + b"\xff" * 8,
        b"\x00",
    ),
    *(b"\xfb\x7f\xf0" + bytes(6), b"\x1b" + b"\xff" * 8, b"\x3b" + b"\xff" * 8, b"\xc4\x82\x20\x01", b"\xd9\xd9\xf7"),
)
NUMBER_WORDS = (b"-", b"+", b".", b"e5", b"0", b"9" * 20, b"inf", b"nan", b"_", b" ", b"65535:65535", b":", b"true")


def decoded(content_format: ContentFormat, data: bytes) -> int:
    """The first byte chooses what the payload is for. What was read can be written, or is refused."""
    base = Path.parse(BASES[data[0] % len(BASES)]) if data else Path()
    records = decode(data[1:], content_format, base, DEFINITIONS, now=1.7e9)
    encode(records, content_format, base, DEFINITIONS)
    return len(records)


def composite_paths(content_format: ContentFormat, data: bytes) -> int:
    paths = paths_of(Body(data, content_format), ("lwm2m",))
    assert paths_of(path_list(paths, content_format, ("lwm2m",)), ("lwm2m",)) == paths
    return len(paths)


def created(data: bytes) -> object:
    """The first byte chooses the format, the second what is created."""
    formats = (TLV, SENML_JSON, SENML_CBOR, OMA_JSON, TEXT)
    base = (Path(3442), Path(1), Path(65000))[data[1] % 3] if len(data) > 1 else Path(3)
    return records_to_create(Body(data[2:], formats[data[0] % 5] if data else TLV), base, 7, DEFINITIONS)


def links(data: bytes) -> object:
    """As a server reads the object list of a client."""
    parsed = link_format.parse(data.decode())
    assert link_format.parse(link_format.serialize(parsed)) == parsed
    for link in parsed:
        for name in link.attributes:
            link.text(name)
    for version in ("1.0", "1.1"):
        try:
            ObjectList.read(parsed, version)
        except LwM2MError:
            return ()
    return parsed


def attributes_of_query(data: bytes) -> object:
    """As a client reads a Write-Attributes, item by item, and shows it in links."""
    items = (item.partition("=") for item in data.decode(errors="replace").split("&"))
    changes = {name: value if separator else None for name, separator, value in items}
    return attributes.written(attributes.Attributes(), changes, numeric=True).texts()


def path(data: bytes) -> object:
    text = data.decode(errors="replace")
    parsed = Path.parse(text)
    assert Path.parse(str(parsed)) == parsed
    return parsed


def object_link(data: bytes) -> object:
    link = ObjectLink.parse(data.decode(errors="replace"))
    assert ObjectLink.parse(str(link)) == link
    return link


def _based(*payloads_: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([base]) + payload for base in range(len(BASES)) for payload in payloads_)


def _codec(name: str, content_format: ContentFormat, seeds: tuple[bytes, ...], words: tuple[bytes, ...]) -> Target:
    return Target(name, partial(decoded, content_format), (LwM2MError,), seeds, words, *_forms(content_format))


def _forms(content_format: ContentFormat) -> tuple[Grammar | None, Reshape | None]:
    inside = _INSIDE.get(content_format)
    if inside is None:
        return None, None
    return lambda random: bytes([random.randrange(len(BASES))]) + inside(random), _RESHAPES.get(content_format)


_RESHAPES: dict[ContentFormat, Reshape] = {
    SENML_JSON: reshaped_json,
    SENML_CBOR: reshaped_cbor,
    OMA_JSON: reshaped_json,
    CBOR: reshaped_cbor,
}


_INSIDE: dict[ContentFormat, Grammar] = {
    SENML_JSON: lambda random: grammars.senml_json(random, NAMES),
    SENML_CBOR: lambda random: grammars.senml_cbor(random, NAMES),
    OMA_JSON: grammars.json_of(
        ("e", "n", "v", "sv", "bv", "ov", "bn", "bt", "t"), NAMES, (b"", b'{"e":[{"n":"9","v":1}]}')
    ),
    CBOR: lambda random: grammars.cbor(random, grammars.leaf(random, ())),
    TLV: grammars.tlv,
}
_WHOLE = {
    format_: encode(payloads.DEVICE, format_, Path(3, 0), DEFINITIONS) for format_ in _INSIDE if format_ is not CBOR
}
_SINGLE_TEXTS = (b"1", b"-1.5", b"true", b"0", b"text", b"AAEC", b"3:0", b"1767225600", b"</3/0>;ver=1.1", b"")

_OBJECTS = FilePath(__file__).parents[2] / "objects"
_SHORT_DEFINITIONS = tuple(
    (_OBJECTS / f"{number}.xml").read_bytes().replace(b"\r", b"").replace(b"\t", b"") for number in (3335, 3342, 3)
)

TARGETS = (
    _codec("TLV", TLV, (b"\2" + payloads.DEVICE_TLV, b"\1" + payloads.ACCESS_CONTROL_TLV, b"\3\xc1\x09\x64"), ()),
    _codec(
        "SenML JSON", SENML_JSON, (b"\2" + _WHOLE[SENML_JSON], b'\0[{"bn":"/3/0/","bt":1,"n":"9","v":1}]'), JSON_WORDS
    ),
    _codec("SenML CBOR", SENML_CBOR, (b"\2" + _WHOLE[SENML_CBOR], b"\2" + payloads.DEVICE_SENML_CBOR), CBOR_WORDS),
    _codec("OMA JSON", OMA_JSON, (b"\2" + _WHOLE[OMA_JSON], b'\3{"e":[{"v":100}]}'), JSON_WORDS),
    _codec(
        "CBOR",
        CBOR,
        _based(b"\x01", b"\x61a", b"\x41a", b"\xf5", b"\xfa\x40\x20\0\0", b"\xc1\x1a\x51\x82\x42\x8f"),
        CBOR_WORDS,
    ),
    _codec("text", TEXT, _based(*_SINGLE_TEXTS), NUMBER_WORDS),
    _codec("opaque", OPAQUE, _based(b"", b"bytes"), ()),
    Target(
        "paths in SenML JSON",
        partial(composite_paths, SENML_JSON),
        (LwM2MError,),
        (b'[{"n":"/3/0"},{"n":"/1/0/1"}]',),
        JSON_WORDS,
        lambda random: grammars.senml_json(random, NAMES),
        reshaped_json,
    ),
    Target(
        "paths in SenML CBOR",
        partial(composite_paths, SENML_CBOR),
        (LwM2MError,),
        (b"\x82\xa1\0\x64/3/0\xa1\0\x66/1/0/1",),
        CBOR_WORDS,
        lambda random: grammars.senml_cbor(random, NAMES),
        reshaped_cbor,
    ),
    Target(
        "payload of a Create",
        created,
        (LwM2MError,),
        (b"\0\0\x08\x00\x03\xc1\x6e\x01", b'\1\0[{"bn":"/3442/0/","n":"110","vs":"a"}]', b"\0\1\xc1\x00\x65"),
        (*JSON_WORDS, b"\x08", b"\xc8"),
        lambda random: bytes([random.choice((0, 0, 5)), random.randrange(3)]) + grammars.tlv(random),
    ),
    Target(
        "links",
        links,
        (ValueError,),
        (
            b'</>;rt="oma.lwm2m";ct="110 112",</1/0>,</3/0>;ver=1.1',
            b'</3/0/9>;pmin=1;gt="1.5"',
            b"</lwm2m>;rt=oma.lwm2m",
        ),
        (b"<", b">", b";", b",", b"=", b'"', b"\\", b"ver=", b"rt=", b"</65535>", b" ", b"\t", b"ct="),
        grammars.links,
    ),
    Target(
        "arguments of an Execute",
        lambda data: parse_arguments(data.decode(errors="replace")),
        (LwM2MError,),
        (b"5", b"2='10.3'", b"7,0='https://www.oma.org'"),
        (b",", b"='", b"'", b"0", b"9=''"),
        grammars.words((b",", b""), b"0", b"1=''", b"2='a'", b"'", b"9"),
    ),
    Target(
        "attributes of a query",
        attributes_of_query,
        (LwM2MError,),
        (b"pmin=1&pmax=60", b"gt=1.5&lt=-2&st=0.1", b"epmin=1&epmax=2", b"pmin"),
        (b"&", b"=", b"pmin", b"pmax", b"gt", b"lt", b"st", b"epmin", b"epmax", b"-", b".", b"9" * 30, b"e5", b"nan"),
        grammars.words(
            (b"&",), b"pmin=1", b"pmax=0", b"gt=" + b"9" * 320, b"lt=.5", b"st=-0", b"gt=1.", b"pmin", b"st=1e5"
        ),
    ),
    Target("path", path, (ValueError,), (b"/3/0/9", b"/", b"", b"3/0/6/0"), (b"/", b"0", b"65535"), short=500),
    Target("object link", object_link, (ValueError,), (b"3:0", b"65535:65535"), (b":", b"0", b"65536"), short=500),
    Target(
        "definition",
        ddf.parse,
        (ddf.DefinitionError,),
        _SHORT_DEFINITIONS,
        (
            *(
                b"<Item ID='1'>",
                b"</Item>",
                b"<Object>",
                b"</Object>",
                b"<LWM2M>",
                b"<!DOCTYPE a [",
                b'<!ENTITY a "b">',
            ),
            *(
                b"&a;",
                b"&#0;",
                b"&#x110000;",
                b"<![CDATA[",
                b"]]>",
                b"<?xml version='1.1'?>",
                b"encoding='utf-7'",
                b"<!--",
            ),
            *(b"<Resources>", b"<ObjectURN>", b"<Type>Integer</Type>", b"<Operations>E</Operations>", b"65535", b"1.1"),
        ),
        short=600,
    ),
    Target(
        "software package",
        SimulatedPackage.parse,
        (PackageError,),
        (SimulatedPackage("thing", "1.0", b"content").to_bytes(), SimulatedPackage("", "").to_bytes()),
        (b"LWPK",),
        short=500,
    ),
)
