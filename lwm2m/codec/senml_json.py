"""SENML_JSON: SenML written as JSON. lwm2m.md §8.2."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from lwm2m.codec import json_item, senml
from lwm2m.errors import BadRequest
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record


def decode(
    payload: bytes, base: Path, definitions: Definitions, now: float | None = None, root: str = ""
) -> list[Record]:
    pack = json_item.load(payload)
    if not isinstance(pack, list):
        raise BadRequest("the SenML JSON is not an array")
    return senml.to_records(map(_with_bytes, pack), base, definitions, now, root)


def encode(records: Sequence[Record], base: Path, definitions: Definitions, root: str = "") -> bytes:
    entries = senml.from_records(records, base, definitions, root)
    return json_item.dump([{label: _json_value(value) for label, value in entry.items()} for entry in entries])


def _with_bytes(entry: object) -> object:
    if isinstance(entry, dict) and isinstance(text := entry.get("vd"), str):
        return entry | {"vd": json_item.read_base64(text)}
    return entry


def _json_value(value: senml.Item) -> object:
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode().rstrip("=")
    return json_item.finite(value)
