"""OMA_JSON: the JSON of LwM2M 1.0, an earlier SenML: one base name and time for all entries. lwm2m.md §8.6.

Names are joined as its peers do: an entry may be named by what follows the target of the request, a slash at the joint
may be missing, and where one value is asked for the name may be empty.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

from lwm2m.codec import json_item, senml
from lwm2m.codec.value import is_single, type_of
from lwm2m.errors import BadRequest, NotAcceptable
from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_SENML_LABELS = {"t": "t", "v": "v", "bv": "vb", "sv": "vs", "ov": "vlo"}
_LABELS = {label: own for own, label in _SENML_LABELS.items()} | {"vd": "sv"}


def decode(
    payload: bytes, base: Path, definitions: Definitions, now: float | None = None, root: str = ""
) -> list[Record]:
    pack = json_item.load(payload)
    if not isinstance(pack, Mapping) or not isinstance(entries := pack.get("e"), list):
        raise BadRequest("the OMA JSON is not an object with a list of entries")
    return senml.to_records(_as_senml(pack, entries, base, definitions, root), base, definitions, now, root)


def encode(records: Sequence[Record], base: Path, definitions: Definitions, root: str = "") -> bytes:
    entries = senml.from_records(records, base, definitions, root)
    if any(not _LABELS.keys() & entry.keys() for entry in entries):
        raise NotAcceptable("OMA JSON has no lists of paths")
    prefix = root + "/" + "".join(f"{number}/" for number in base[:2])
    start = str(entries[0].get("bn", "")) if entries else ""
    pack: dict[str, object] = {"bn": prefix}
    if entries and "bt" in entries[0]:
        pack["bt"] = entries[0]["bt"]
    pack["e"] = [_written(entry, (start + str(entry["n"])).removeprefix(prefix)) for entry in entries]
    return json_item.dump(pack)


def _as_senml(
    pack: Mapping[str, object], entries: Sequence[object], base: Path, definitions: Definitions, root: str
) -> Iterator[senml.Entry]:
    common = {"bt": pack["bt"]} if "bt" in pack else {}
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise BadRequest("an entry of the OMA JSON is not an object")
        name = _name(_text(pack, "bn"), _text(entry, "n"), base, definitions, root)
        items = {label: entry[own] for own, label in _SENML_LABELS.items() if own in entry}
        if isinstance(text := items.get("vs"), str) and type_of(senml.path_of(name, root), definitions) is Type.OPAQUE:
            items["vd"] = json_item.read_base64(text)
            del items["vs"]
        if not items.keys() - {"t"}:
            raise BadRequest("an entry of the OMA JSON has no value")
        yield {**common, "n": name, **items}


def _text(labels: Mapping[str, object], label: str) -> str:
    if not isinstance(text := labels.get(label, ""), str):
        raise BadRequest(f"the label {label} is not text")
    return text


def _name(base_name: str, name: str, base: Path, definitions: Definitions, root: str) -> str:
    if not base_name and name.startswith("/"):
        return name
    if not base_name and is_single(base, definitions) and name == str(base[-1]):
        return str(base)
    start = f"/{base_name.removeprefix('/')}" if base_name else root + str(base)
    return start + name if not name or start.endswith("/") or name.startswith("/") else f"{start}/{name}"


def _written(entry: Mapping[str, senml.Item], name: str) -> dict[str, object]:
    items = {_LABELS[label]: _json_value(value) for label, value in entry.items() if label in _LABELS}
    return {"n": name, **items}


def _json_value(value: senml.Item) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else json_item.finite(value)
