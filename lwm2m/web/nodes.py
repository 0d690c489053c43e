"""Records as trees of JSON nodes, and back. leshan-rest-api.md §2.3.

A node mirrors the depth of its path: `root`, `obj`, `instance`, `singleResource` or `multiResource`,
`resourceInstance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from lwm2m.model.definition import Definitions, Type
from lwm2m.model.path import MAX_ID, Path
from lwm2m.model.record import Record
from lwm2m.web.values import TYPE_NAMES, TYPES_BY_NAME, WrongJsonType, from_json, to_json, type_of

Node = dict[str, Any]


class BadNode(Exception):
    """The JSON is no node, or no node for this path."""


def node_of(path: Path, records: Iterable[Record], definitions: Definitions) -> Node | None:
    """The node at `path` holding the newest value of each record beneath it. None for a path of a single value when
    there is none."""
    newest = newest_values(record for record in records if path.contains(record.path))
    match len(path):
        case 0:
            return {"kind": "root", "objects": _objects(newest, definitions)}
        case 1:
            return {"kind": "obj", "id": path[0], "instances": _instances(newest, definitions)}
        case 2:
            return _instance(path, newest, definitions)
        case 3:
            return _resource(path, newest, definitions)
    return _leaf("resourceInstance", newest[0], definitions) if newest else None


def nodes_of(paths: Iterable[Path], records: Sequence[Record], definitions: Definitions) -> Node:
    """Path text -> node, of the paths that the records say something of."""
    present = (path for path in paths if any(path.contains(record.path) for record in records))
    return {str(path): node_of(path, records, definitions) for path in present}


def node_at(record: Record, definitions: Definitions) -> Node | None:
    """The node of a single record, whatever its depth."""
    return node_of(record.path, [record], definitions)


def newest_values(records: Iterable[Record]) -> list[Record]:
    """One record a path, sorted by path. A record without time is current; of equal times the later one counts."""
    chosen: dict[Path, Record] = {}
    for record in records:
        known = chosen.get(record.path)
        if known is None or _age_key(record) >= _age_key(known):
            chosen[record.path] = record
    return [chosen[path] for path in sorted(chosen)]


def _age_key(record: Record) -> float:
    return float("inf") if record.time is None else record.time


def _objects(records: Sequence[Record], definitions: Definitions) -> list[Node]:
    grouped = groupby((record for record in records if record.path), key=lambda record: record.path[0])
    return [
        {"kind": "obj", "id": number, "instances": _instances(list(group), definitions)} for number, group in grouped
    ]


def _instances(records: Sequence[Record], definitions: Definitions) -> list[Node]:
    beneath = [record for record in records if len(record.path) >= 2]
    grouped = groupby(beneath, key=lambda record: record.path[:2])
    return [_instance(Path(*ids), list(group), definitions) for ids, group in grouped]


def _instance(path: Path, records: Sequence[Record], definitions: Definitions) -> Node:
    beneath = [record for record in records if len(record.path) >= 3]
    grouped = groupby(beneath, key=lambda record: record.path[:3])
    resources = [_resource(Path(*ids), list(group), definitions) for ids, group in grouped]
    return {"kind": "instance", "id": path[1], "resources": [node for node in resources if node is not None]}


def _resource(path: Path, records: Sequence[Record], definitions: Definitions) -> Node | None:
    definition = definitions.resource(path)
    values = [record for record in records if record.value is not None]
    holds_several = any(len(record.path) == 4 for record in records) or any(record.value is None for record in records)
    if holds_several or (definition is not None and definition.multiple and not values):
        return _multiple(path, [record for record in values if len(record.path) == 4], definitions)
    return _leaf("singleResource", values[0], definitions) if values else None


def _multiple(path: Path, records: Sequence[Record], definitions: Definitions) -> Node:
    definition = definitions.resource(path)
    defined = definition.type if definition else None
    types = {type_of(record.value, defined) for record in records if record.value is not None}
    type_ = types.pop() if len(types) == 1 else (defined or Type.STRING)
    values = {
        str(record.path[3]): to_json(record.value, type_of(record.value, defined))
        for record in records
        if record.value is not None
    }
    return {"kind": "multiResource", "id": path[2], "type": TYPE_NAMES[type_], "values": values}


def _leaf(kind: str, record: Record, definitions: Definitions) -> Node | None:
    if record.value is None:
        return None
    definition = definitions.resource(record.path)
    type_ = type_of(record.value, definition.type if definition else None)
    return {
        "kind": kind,
        "id": record.path[-1],
        "type": TYPE_NAMES[type_],
        "value": to_json(record.value, type_),
    }


def records_of(node: object, path: Path) -> list[Record]:
    """The records of a node at `path` (1 to 4 ids). Raises BadNode; WrongJsonType for a value whose JSON type
    is not that of its resource type."""
    members = _object(node)
    kind = _kind(members)
    if kind != EXPECTED_KIND[len(path)] and not (kind == "multiResource" and len(path) == 3):
        raise BadNode(f"a node of kind {kind} does not fit {path}")
    without_id = kind == "instance" and "id" not in members
    if not without_id and _id(members) != path[-1]:
        raise BadNode(f"the node has the id {members['id']}, the path ends in {path[-1]}")
    return _records(members, path)


def created_records(node: object, path: Path) -> tuple[Path, list[Record]]:
    """The base and the records of an `instance` node created in the object at `path`. With an id, the base is the
    object and the instance is named in the body; without one, the device chooses: the records lie in an instance 0
    which is the base, and so is not named in a TLV body. Raises BadNode, WrongJsonType."""
    members = _object(node)
    if (kind := _kind(members)) != "instance":
        raise BadNode(f"a node of kind {kind} cannot be created, only an instance")
    if "id" not in members:
        return path.child(0), _records(members, path.child(0))
    instance = path.child(_id(members))
    return path, _records(members, instance) or [Record(instance, None)]


EXPECTED_KIND = {1: "obj", 2: "instance", 3: "singleResource", 4: "resourceInstance"}
KINDS = frozenset({*EXPECTED_KIND.values(), "multiResource"})


def _kind(members: Node) -> str:
    named = members.get("kind")
    if named == "obj" or "instances" in members:
        return "obj"
    if named == "instance" or "resources" in members:
        return "instance"
    if named == "multiResource" or "values" in members:
        return "multiResource"
    if "value" in members:
        return "resourceInstance" if named == "resourceInstance" else "singleResource"
    raise BadNode("a node has one of the members instances, resources, values and value")


def _records(members: Node, path: Path) -> list[Record]:
    match _kind(members):
        case "obj":
            return [record for instance in _list(members, "instances") for record in _instance_records(instance, path)]
        case "instance":
            return [
                record
                for resource in _list(members, "resources")
                for record in _resource_records(_object(resource), path)
            ]
        case "multiResource":
            return _multiple_records(members, path)
    return [_valued(members, path, members["value"])]


def _instance_records(node: object, path: Path) -> list[Record]:
    members = _object(node)
    if _kind(members) != "instance":
        raise BadNode("an object holds nodes of kind instance")
    return _records(members, path.child(_id(members)))


def _resource_records(members: Node, instance: Path) -> list[Record]:
    if _kind(members) not in ("singleResource", "multiResource"):
        raise BadNode("an instance holds nodes of kind singleResource and multiResource")
    return _records(members, instance.child(_id(members)))


def _multiple_records(members: Node, path: Path) -> list[Record]:
    values = members.get("values")
    if not isinstance(values, dict):
        raise BadNode("values is an object of resource instance ids")
    if not values:
        return [Record(path, None)]
    return [_valued(members, path.child(_instance_key(key)), value) for key, value in values.items()]


def _instance_key(key: str) -> int:
    try:
        return Path.of_segments([key])[0]
    except ValueError as error:
        raise BadNode(f"in values, {error}") from None


def _valued(members: Node, path: Path, value: object) -> Record:
    name = members.get("type")
    type_ = TYPES_BY_NAME.get(name.upper()) if isinstance(name, str) else None
    if type_ is None:
        raise BadNode(f"{path} has no known type: {name!r}")
    try:
        return Record(path, from_json(value, type_))
    except ValueError as error:
        raise BadNode(f"{path}: {error}") from None
    except WrongJsonType as error:
        raise WrongJsonType(f"{path} of type {TYPE_NAMES[type_]}: {error}") from None


def _object(node: object) -> Node:
    if not isinstance(node, dict):
        raise BadNode("a node is a JSON object")
    return node


def _list(members: Node, name: str) -> list[object]:
    found = members.get(name)
    if not isinstance(found, list):
        raise BadNode(f"{name} is an array of nodes")
    return found


def _id(members: Node) -> int:
    """A whole number; suites in the field also send it as text, as they cut it from a path."""
    number = members.get("id")
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 5:
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_ID:
        raise BadNode(f"a node's id is a whole number from 0 to {MAX_ID}, not {number!r}")
    return number
