"""Inputs that are well-formed on the outside and odd within."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import cbor2

from tests.fuzz.target import Grammar

NUMBERS: tuple[Any, ...] = (0, 1, -1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 0.5, -0.0, 1e308, 5e-324, 1e22)
TEXTS = (
    "",
    "/",
    "0",
    "-1",
    "1:2",
    "65535:65535",
    "é",
    "\0",
    "\ud7ff",
    "a" * 300,
    "AAAA",
    "=",
    "1e9",
    "nan",
    "2026-01-01",
)
OPTIONS = (1, 3, 4, 5, 6, 7, 8, 11, 11, 11, 12, 14, 15, 15, 17, 20, 23, 27, 28, 35, 39, 60, 252, 258, 292, 2049, 65535)
SEGMENTS = (b"rd", b"bs", b"dp", b"3", b"0", b"9", b"1", b"", b"65535", b"007", b"3303", b"5700", b"\xff", b"x" * 255)
QUERIES = (
    *(
        b"ep=stranger",
        b"lt=60",
        b"lwm2m=1.1",
        b"b=U",
        b"Q",
        b"sms=1",
        b"pmin=1",
        b"pmax=5",
        b"gt=1.5",
        b"lt=",
        b"st=-1",
    ),
    *(b"pct=112", b"ep=", b"lt=99999999999", b"lwm2m=9", b"=", b"", b"\xc3\x28", b"a" * 255, b"b=UQT", b"ep=stranger"),
)
CODES = (
    0x00,
    0x01,
    0x02,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x07,
    0x08,
    0x1F,
    0x41,
    0x45,
    0x45,
    0x5F,
    0x84,
    0x88,
    0xA0,
    0xE1,
)
FORMATS = (0, 40, 42, 60, 110, 112, 11542, 11543, 1542, 50, 65535)


def tree(random: Random, keys: Sequence[Any], values: Sequence[Any], depth: int = 4) -> Any:
    kind = random.random()
    if depth and kind < 0.3:
        return [tree(random, keys, values, depth - 1) for _ in range(random.randrange(4))]
    if depth and kind < 0.7:
        return {random.choice(keys): tree(random, keys, values, depth - 1) for _ in range(random.randrange(6))}
    return leaf(random, values)


def leaf(random: Random, values: Sequence[Any]) -> Any:
    kind = random.random()
    if kind < 0.4 and values:
        return random.choice(values)
    if kind < 0.6:
        return random.choice(NUMBERS)
    if kind < 0.8:
        return random.choice(TEXTS)
    return random.choice((True, False, None, random.randrange(-300, 70_000)))


def json_of(keys: Sequence[str], values: Sequence[Any], before: Sequence[bytes] = (b"",)) -> Grammar:
    """`before` is what an input may begin with."""
    return lambda random: random.choice(before) + _json(tree(random, keys, values))


def senml_json(random: Random, names: Sequence[str]) -> bytes:
    return _json([_senml_entry(random, names, "bn", "bt", "n", "t", "v", "vs", "vb", "vd", "vlo", "bver", "u", "x_")])


def senml_cbor(random: Random, names: Sequence[str]) -> bytes:
    count = random.randrange(4)
    entries = [_senml_entry(random, names, -2, -3, 0, 6, 2, 3, 4, 8, "vlo", -1, 1, "x_") for _ in range(count)]
    return cbor(random, entries)


def _senml_entry(random: Random, names: Sequence[str], *labels: Any) -> dict[Any, Any]:
    base, _, name, *_ = labels
    entry = {label: leaf(random, ()) for label in labels if random.random() < 0.25}
    if random.random() < 0.8:
        entry[random.choice((base, name))] = random.choice(names)
    return entry


def cbor(random: Random, item: Any) -> bytes:
    """Sometimes with items that JSON does not have."""
    if random.random() < 0.2:
        item = random.choice(
            (cbor2.CBORTag(random.choice((0, 1, 2, 3, 4, 6, 55799)), item), [item, b"\0" * 9], {1: item})
        )
    return cbor2.dumps(item)


def tlv(random: Random, depth: int = 3) -> bytes:
    made = b""
    for _ in range(random.randrange(4)):
        inner = (
            tlv(random, depth - 1)
            if depth and random.random() < 0.4
            else random.randbytes(random.choice((0, 1, 2, 4, 8, 9)))
        )
        made += _tlv_entry(random, inner)
    return made


def _tlv_entry(random: Random, value: bytes) -> bytes:
    wide, width = random.random() < 0.3, random.choice((0, 1, 2, 3))
    if width == 0 and len(value) > 7:
        width = 1
    length = len(value) + random.choice((0, 0, 0, 0, 0, 0, -1, 1))
    head = random.randrange(4) << 6 | wide << 5 | width << 3 | (max(length, 0) & 7 if width == 0 else 0)
    number = random.randrange(65536).to_bytes(2, "big") if wide else bytes([random.choice((0, 1, 9, 13, 255))])
    return bytes([head]) + number + (max(length, 0) & ((1 << 8 * width) - 1)).to_bytes(width, "big") + value


def datagram(random: Random, payloads: Sequence[bytes] = (b"",)) -> bytes:
    """A CoAP message whose options have the form of options."""
    token = random.randbytes(random.choice((0, 1, 2, 4, 8)))
    head = bytes([0x40 | random.choice((0, 0, 1, 2, 3)) << 4 | len(token), random.choice(CODES)])
    data, last = head + random.randbytes(2) + token, 0
    for number in sorted(random.choices(OPTIONS, k=random.randrange(7))):
        data += _option(number - last, option_value(random, number))
        last = number
    payload = random.choice(payloads)
    return data + (b"\xff" + payload if payload or random.random() < 0.05 else b"")


def option_value(random: Random, number: int) -> bytes:
    if number in (11, 8, 3):
        return random.choice(SEGMENTS)
    if number == 15:
        return random.choice(QUERIES)
    if number in (12, 17):
        value = random.choice(FORMATS)
        return value.to_bytes((value.bit_length() + 7) // 8, "big")
    if number == 6:
        return random.choice((b"", b"\x01", b"\x02", b"\xff\xff\xff"))
    if number in (23, 27):
        return random.choice((b"", b"\x06", b"\x0e", b"\x07", b"\x0f", b"\x16", b"\x1e", b"\xff\xff\xfe", b"\x00"))
    return random.randbytes(random.choice((0, 1, 1, 2, 3, 4, 8, 9, 41)))


def _option(delta: int, value: bytes) -> bytes:
    first, delta_more = _nibble(delta)
    second, length_more = _nibble(len(value))
    return bytes([first << 4 | second]) + delta_more + length_more + value


def _nibble(number: int) -> tuple[int, bytes]:
    if number < 13:
        return number, b""
    return (13, bytes([number - 13])) if number < 269 else (14, (number - 269).to_bytes(2, "big"))


def links(random: Random) -> bytes:
    targets = ("/", "/1", "/1/0", "/3/0", "/3303/0", "/5", "3/0", "", "/lwm2m", "//", "/65535", "/1/x", "/%2F", "/a b")
    attributes = (
        'rt="oma.lwm2m"',
        "ver=1.1",
        'ver="1.2"',
        "ct=110",
        'ct="110 112"',
        "hb",
        "a=",
        'a="\\"',
        "pmin=1",
        "ver=9",
    )
    made = (
        ";".join((f"<{random.choice(targets)}>", *random.choices(attributes, k=random.randrange(4))))
        for _ in range(random.randrange(6))
    )
    return random.choice((",", ", ", ",,", ";")).join(made).encode()


def lines(*columns: Sequence[bytes], between: bytes = b"\n") -> Grammar:
    """One of each column."""
    return lambda random: between.join(random.choice(column) for column in columns)


def words(between: Sequence[bytes], *choices: bytes) -> Grammar:
    """Some of the words, in any order."""
    return lambda random: random.choice(between).join(random.choices(choices, k=random.randrange(9)))


def chosen(readers: int, seeds: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Each seed for each reader, which the first byte chooses."""
    return tuple(bytes([number]) + seed for number in range(readers) for seed in seeds)


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
