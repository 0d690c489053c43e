"""CBOR items for the two CBOR formats: a careful reader over cbor2, and the shortest spelling on output. RFC 8949.

cbor2 decodes many tags into Python objects (decimals of any exponent, regular expressions, mail messages, cyclic
structures). Nothing of that belongs in LwM2M, so every tag that cbor2 knows is either read here or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import cbor2

from lwm2m.errors import BadRequest

_ARRAY = 4
_INDEFINITE = 31
_LENGTH_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_BREAK = b"\xff"
_REFUSED_TAGS = (4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


class Timestamp(int):
    """Seconds since 1970 that came with a time tag: a Time, never a mere Integer."""


def load(payload: bytes) -> Any:
    """The one item in `payload`. Raises BadRequest."""
    source = BytesIO(payload)
    item = _next(_decoder(source))
    _require_end(source, payload)
    return item


def load_array(payload: bytes) -> Iterator[Any]:
    """The items of the one array in `payload`, each read when it is asked for, so that an array of a million has to be
    kept by nobody. Raises BadRequest then."""
    source = BytesIO(payload)
    count = _array_length(source)
    decoder = _decoder(source)
    if count is None:
        while payload[source.tell() : source.tell() + 1] != _BREAK:
            yield _next(decoder)
        source.read(len(_BREAK))
    else:
        for _ in range(count):
            yield _next(decoder)
    _require_end(source, payload)


def _decoder(source: BytesIO) -> cbor2.CBORDecoder:
    # Depth 1 is a map: no tag fits inside.
    return cbor2.CBORDecoder(source, semantic_decoders=_TAGS, max_depth=1, allow_duplicate_keys=False)


def _next(decoder: cbor2.CBORDecoder) -> Any:
    try:
        return decoder.decode()
    except cbor2.CBORDecodeError as error:
        raise BadRequest(f"the CBOR does not decode: {str(error)[:80]}") from None


def _require_end(source: BytesIO, payload: bytes) -> None:
    if source.tell() != len(payload):
        raise BadRequest("bytes follow the CBOR item")


def _array_length(source: BytesIO) -> int | None:
    """None: items follow up to a break."""
    first = source.read(1)
    major, info = (first[0] >> 5, first[0] & 0x1F) if first else (0, 0)
    if major != _ARRAY:
        raise BadRequest("the CBOR is not an array")
    if info < 24:
        return info
    if info == _INDEFINITE:
        return None
    size = _LENGTH_SIZES.get(info, 0)
    length = source.read(size)
    if not size or len(length) < size:
        raise BadRequest("the CBOR array has no length")
    return int.from_bytes(length, "big")


def head(major: int, argument: int) -> bytes:
    """The head of an item of a major type, in its shortest form."""
    if argument < 24:
        return bytes((major << 5 | argument,))
    for code, size in ((24, 1), (25, 2), (26, 4)):
        if argument < 1 << 8 * size:
            return bytes((major << 5 | code,)) + argument.to_bytes(size, "big")
    return bytes((major << 5 | 27,)) + argument.to_bytes(8, "big")


def dump(item: str | int | float | bool | bytes) -> bytes:
    """One scalar in its shortest form that keeps the value: half, single or double precision for floats."""
    return cbor2.dumps(item, canonical=True)


def _refuse(_value: object, _immutable: bool) -> object:
    raise ValueError("a tag that LwM2M does not use")


def _read_date_text(value: object, _immutable: bool) -> Timestamp:
    if not isinstance(value, str):
        raise ValueError("tag 0 takes text")
    moment = datetime.fromisoformat(value.rstrip("\0"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Timestamp(moment.timestamp())


def _read_epoch(value: object, _immutable: bool) -> Timestamp:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value:
        raise ValueError("tag 1 takes whole seconds")
    return Timestamp(value)


def _read_big_number(value: object, _immutable: bool) -> int:
    if not isinstance(value, bytes) or len(digits := value.lstrip(b"\0")) > 8:
        raise ValueError("a big number that does not fit 64 bits")
    return int.from_bytes(digits, "big")


def _read_big_negative(value: object, immutable: bool) -> int:
    return -1 - _read_big_number(value, immutable)


_TAGS = dict.fromkeys(_REFUSED_TAGS, _refuse) | {
    0: _read_date_text,
    1: _read_epoch,
    2: _read_big_number,
    3: _read_big_negative,
}
