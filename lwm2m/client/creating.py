"""Create and Delete: what may be made and taken away, and what an actuator gets. lwm2m.md §6.7, §6.8."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lwm2m.client.targets import Targets
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.checking import check
from lwm2m.model.definition import ObjectDefinition
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.creation import records_to_create
from lwm2m.operations.device_management import Create

KEPT = frozenset({1, 2})
"""Server accounts come from bootstrap servers; Access Control follows from what is created."""


class NewInstance(NamedTuple):
    path: Path
    records: list[Record]


def require_creatable(targets: Targets, object_path: Path) -> None:
    """Raises MethodNotAllowed where no server may create an instance, and where the only one is there already."""
    definition = targets.definitions.object(object_path[0])
    if object_path[0] in KEPT:
        raise MethodNotAllowed(f"instances of {object_path} are not created by servers")
    if _is_single(definition) and targets.model.has(object_path.child(0)):
        raise MethodNotAllowed(f"{object_path} has its only instance")


def require_deletable(targets: Targets, path: Path) -> None:
    """Raises MethodNotAllowed."""
    if len(path) != 2:
        raise MethodNotAllowed("only object instances are deleted")
    definition = targets.definitions.object(path[0])
    if path[0] in KEPT or (definition is not None and definition.mandatory):
        raise MethodNotAllowed(f"{path} is not deleted by servers")


def new_instance(create: Create, targets: Targets) -> NewInstance:
    """Raises LwM2MError; nothing has happened then."""
    taken = targets.model.instances(create.path[0])
    chosen = next(number for number in range(len(taken) + 1) if number not in taken)
    creation = records_to_create(create.body, create.path, chosen, targets.definitions)
    definition = targets.definitions.object(create.path[0])
    if creation.instance[1] in taken:
        raise BadRequest(f"{creation.instance} exists")
    if creation.instance[1] != 0 and _is_single(definition):
        raise BadRequest(f"the only instance of {create.path} is 0")
    if definition is None:
        return NewInstance(creation.instance, list(creation.records))
    records = [_checked(record, definition) for record in creation.records if _is_taken(record, definition)]
    _require_mandatory(records, definition)
    return NewInstance(creation.instance, records)


def _is_single(definition: ObjectDefinition | None) -> bool:
    return definition is not None and not definition.multiple


def _is_taken(record: Record, definition: ObjectDefinition) -> bool:
    """Resources that servers do not write, and those of a later version, are passed over."""
    resource = definition.resources.get(record.path[2])
    return resource is not None and resource.operations.writable


def _checked(record: Record, definition: ObjectDefinition) -> Record:
    path, value, _time = record
    resource = definition.resources[path[2]]
    if resource.multiple and value is None and len(path) == 3:
        return record
    if value is None or resource.multiple != (len(path) == 4):
        raise BadRequest(
            f"{path} does not take that: {resource.name} is {'multiple' if resource.multiple else 'single'}"
        )
    try:
        return record._replace(value=check(resource, value))
    except ValueError as error:
        raise BadRequest(f"{path}: {error}") from None


def _require_mandatory(records: Iterable[Record], definition: ObjectDefinition) -> None:
    given = {record.path[2] for record in records}
    for resource in definition.resources.values():
        if resource.mandatory and resource.operations.writable and resource.id not in given:
            raise BadRequest(f"{resource.name}, resource {resource.id}, is mandatory")
