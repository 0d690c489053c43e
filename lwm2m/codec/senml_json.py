"""SENML_JSON: SenML written as JSON. lwm2m.md §8.2."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from decimal import Decimal

from lwm2m.codec import senml
from lwm2m.errors import BadRequest, NotAcceptable
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_STANDARD_TO_URL = str.maketrans("+/", "-_")


def decode(payload: bytes, base: Path, definitions: Definitions, now: float | None = None) -> list[Record]:
    pack = _load(payload)
    if not isinstance(pack, list):
        raise BadRequest("the SenML JSON is not an array")
    return senml.to_records([_with_bytes(entry) for entry in pack], base, definitions, now)


def encode(records: Sequence[Record], base: Path, definitions: Definitions) -> bytes:
    entries = senml.from_records(records, base, definitions)
    pack = [{label: _json_item(value) for label, value in entry.items()} for entry in entries]
    return json.dumps(pack, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _load(payload: bytes) -> object:
    try:
        return json.loads(
            payload.decode(), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_entry
        )
    except UnicodeDecodeError:
        raise BadRequest("the JSON is not UTF-8") from None
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"the JSON does not decode: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _entry(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise ValueError("a label appears twice in one record")
    return entry


def _with_bytes(entry: object) -> object:
    if isinstance(entry, dict) and isinstance(text := entry.get("vd"), str):
        return entry | {"vd": _read_base64(text)}
    return entry


def _read_base64(text: str) -> bytes:
    """base64url without padding is the rule; padding and the standard alphabet are common and accepted."""
    bare = text.rstrip("=").translate(_STANDARD_TO_URL)
    try:
        return base64.b64decode((bare + "=" * (-len(bare) % 4)).encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest("a SenML data value is not Base64") from None


def _json_item(value: senml.Item) -> senml.Item:
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    if isinstance(value, float) and not math.isfinite(value):
        raise NotAcceptable(f"JSON cannot say {value}")
    return value
