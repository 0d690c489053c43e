"""Valid inputs with one part put in place of another, so that they stay well-formed."""

from __future__ import annotations

import json
from io import BytesIO
from random import Random
from typing import Any

import cbor2

from lwm2m.testing import Datagram
from tests.fuzz import grammars


def reshaped_json(random: Random, data: bytes) -> bytes:
    """One of its lines, from the first bracket on. What is no JSON stays."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    begin = min((place for bracket in b"[{" if (place := lines[at].find(bracket)) >= 0), default=0)
    try:
        content = json.loads(lines[at][begin:])
    except (ValueError, RecursionError):
        return data
    made = json.dumps(_changed(random, content), ensure_ascii=False).encode("utf-8", "replace")
    return b"\n".join((*lines[:at], lines[at][:begin] + made, *lines[at + 1 :]))


def reshaped_cbor(random: Random, data: bytes) -> bytes:
    """The item behind a first byte, or the whole."""
    begin = random.choice((0, 1))
    try:
        content = cbor2.CBORDecoder(BytesIO(data[begin:]), max_depth=20).decode()
    except (cbor2.CBORDecodeError, ValueError, OverflowError):
        return data
    try:
        return data[:begin] + grammars.cbor(random, _changed(random, content))
    except (cbor2.CBOREncodeError, ValueError, OverflowError):
        return data


def reshaped_datagram(random: Random, data: bytes) -> bytes:
    """With an option more, less, or with another value, another code, kind or payload."""
    try:
        message = Datagram.decode(data)
    except ValueError:
        return data
    options, code = list(message.options), message.code
    kind = random.randrange(5)
    if kind == 0 or not options:
        number = random.choice(grammars.OPTIONS)
        options.append((number, grammars.option_value(random, number)))
    elif kind == 1:
        del options[random.randrange(len(options))]
    elif kind == 2:
        at = random.randrange(len(options))
        options[at] = options[at][0], grammars.option_value(random, options[at][0])
    elif kind == 3:
        options.append(random.choice(options))
    else:
        code = random.choice(grammars.CODES)
    try:
        return Datagram(message.kind, code, message.mid, message.token, tuple(options), message.payload).encode()
    except OverflowError:
        return data


def _changed(random: Random, content: Any, depth: int = 8) -> Any:
    """A copy with one part changed, wherever it lies."""
    if not depth or not isinstance(content, dict | list) or not content or random.random() < 0.15:
        return grammars.leaf(random, ()) if random.random() < 0.8 else grammars.tree(random, ("a", "type"), (), 2)
    if isinstance(content, list):
        at = random.randrange(len(content))
        if random.random() < 0.15:
            return [*content, content[at]]
        return [*content[:at], _changed(random, content[at], depth - 1), *content[at + 1 :]]
    key = random.choice(list(content))
    if random.random() < 0.1:
        return {name: item for name, item in content.items() if name != key}
    return {**content, key: _changed(random, content[key], depth - 1)}
