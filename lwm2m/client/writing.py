"""Write and Write-Composite: from a payload to the records that an actuator gets. Everything is checked first.

lwm2m.md §6.3, §6.11.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lwm2m.client.access_control import Right
from lwm2m.client.targets import Targets
from lwm2m.codec import decode
from lwm2m.errors import BadRequest, MethodNotAllowed, UnsupportedContentFormat
from lwm2m.model.checking import check
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.composite import WriteComposite
from lwm2m.operations.device_management import Write

_SERVER_OBJECT = 1


class Plan(NamedTuple):
    """`removed` is what a Replace leaves out: optional resources, resource instances."""

    records: list[Record]
    removed: list[Path]


def plan(write: Write, targets: Targets) -> Plan:
    """Raises LwM2MError; nothing has happened then."""
    _require_writable(targets, write.path)
    decoded = decode(write.body.payload, _content_format(write, targets), write.path, targets.definitions)
    records = _addressed(decoded, write.path, targets)
    for record in records:
        _require_writable(targets, record.path)
    checked = [_checked(record, targets) for record in records]
    if not write.replace:
        return Plan([record for record in checked if record.value is not None], [])
    return Plan(checked, list(_left_out(write.path, checked, targets)))


def composite_plan(write: WriteComposite, targets: Targets) -> list[Record]:
    """Raises LwM2MError, of the first record that is refused; nothing has happened then."""
    assert write.body.content_format is not None
    records = decode(write.body.payload, write.body.content_format, Path(), targets.definitions)
    if not records:
        raise BadRequest("there is no value in the payload")
    return [_component(record, targets) for record in records]


def before_writing(targets: Targets, records: Sequence[Record]) -> tuple[list[Record], list[Path]]:
    """What takes back a write of `records`: the values that they replace, and the paths that they add."""
    present = [record.path for record in records if targets.model.has(record.path)]
    values = [old for path in present for old in targets.model.read(path) if old.value is not None]
    return values, [record.path for record in records if record.path not in present]


def _component(record: Record, targets: Targets) -> Record:
    if not record.path:
        raise BadRequest("the root takes no value")
    targets.require(record.path, Right.WRITE if len(record.path) > 1 else Right.NONE)
    if len(record.path) < 3:
        raise BadRequest(f"{record.path} takes no value: a Write-Composite names resources and their instances")
    _require_writable(targets, record.path)
    return _checked(record, targets)


def _require_writable(targets: Targets, path: Path) -> None:
    if len(path) < 3:
        return
    if not targets.operations(path).writable:
        raise MethodNotAllowed(f"{path} cannot be written")
    targets.require_multiple(path)


def _content_format(write: Write, targets: Targets) -> int:
    if write.body.content_format is not None:
        return write.body.content_format
    if len(write.path) == 4 or (len(write.path) == 3 and not targets.is_multiple(write.path)):
        return ContentFormat.TEXT
    raise UnsupportedContentFormat("a Write of several values needs a content format")


def _addressed(decoded: Iterable[Record], target: Path, targets: Targets) -> list[Record]:
    """Without the resources that the object does not have: they are optional ones of a later version."""
    records = [record for record in decoded if len(record.path) > 2]
    if any(not target.contains(record.path) for record in records):
        raise BadRequest(f"the payload names something outside {target}")
    if len(target) > 2:
        if not records:
            raise BadRequest("there is no value in the payload")
        return records
    return [record for record in records if targets.definition(record.path) or targets.model.has(record.path)]


def _checked(record: Record, targets: Targets) -> Record:
    path, value, _time = record
    definition = targets.definition(path)
    multiple = targets.is_multiple(path)
    if value is None:
        if not (multiple and len(path) == 3):
            raise BadRequest(f"{path} needs a value")
        return record
    if definition is None:
        return record
    if multiple and len(path) == 3:
        raise BadRequest(f"{path} is a multiple resource: its instances take the values")
    try:
        return record._replace(value=check(definition, value))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _left_out(target: Path, records: list[Record], targets: Targets) -> Iterable[Path]:
    mentioned = {Path(*record.path[:3]) for record in records}
    if len(target) == 2:
        yield from _resources_left_out(target, mentioned, targets)
    if len(target) < 4:
        kept = {record.path for record in records}
        for resource in sorted(mentioned):
            for number in targets.model.resource_instances(resource) or ():
                if resource.child(number) not in kept and resource not in kept:
                    yield resource.child(number)


def _resources_left_out(instance: Path, mentioned: set[Path], targets: Targets) -> Iterable[Path]:
    for number in targets.model.resources(instance):
        resource = instance.child(number)
        if resource in mentioned or not targets.operations(resource).writable:
            continue
        definition = targets.definition(resource)
        if definition is None or not definition.mandatory:
            yield resource
        elif instance[0] != _SERVER_OBJECT:
            raise BadRequest(f"{resource} is mandatory and has to be in a Replace")
