"""Read, Read-Composite and Discover: what a server gets to see. lwm2m.md §6.1, §6.2, §6.10."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from lwm2m.attributes import Attributes
from lwm2m.client.access_control import Right
from lwm2m.client.data_model import UNLISTED
from lwm2m.client.targets import Targets
from lwm2m.errors import MethodNotAllowed, NotFound, Unauthorized
from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value


def readable_records(targets: Targets, path: Path) -> list[Record]:
    """What a Read of `path` answers. Raises LwM2MError."""
    return _of_resource(targets, path) if len(path) > 2 else _of_aggregate(targets, path)


def composite_records(targets: Targets, paths: Iterable[Path]) -> list[Record]:
    """What a Read-Composite of these paths answers: everything in them that may be read, once. Raises Unauthorized when
    that is nothing because of a missing right."""
    found: dict[Path, Record] = {}
    refusal: Unauthorized | None = None
    for path in paths:
        try:
            for target in [path] if path else objects_of_root(targets):
                found.update((record.path, record) for record in _component(targets, target))
        except Unauthorized as error:
            refusal = error
    if refusal is not None and not found:
        raise refusal
    return list(found.values())


def _component(targets: Targets, path: Path) -> list[Record]:
    targets.require_open(path)
    try:
        records = readable_records(targets, path)
    except (NotFound, MethodNotAllowed):
        return []
    return [record for record in records if record.value is not None]


def objects_of_root(targets: Targets) -> list[Path]:
    """What the root stands for in a list of paths."""
    return [
        Path(number) for number in targets.model.objects() if number not in UNLISTED and targets.may_read(Path(number))
    ]


def values(targets: Targets, path: Path) -> dict[Path, Value | None]:
    """The values of a resource or resource instance by path; empty when it is gone."""
    return {record.path: record.value for record in targets.model.read(path)}


def _of_resource(targets: Targets, path: Path) -> list[Record]:
    targets.require_right(Right.READ, path)
    targets.require_multiple(path)
    targets.require_present(path)
    if not targets.operations(path).readable:
        raise MethodNotAllowed(f"{path} cannot be read")
    records = targets.model.read(path)
    if not targets.is_multiple(path) and records[0].value is None:
        raise NotFound(f"{path} has no value")
    return records


def _of_aggregate(targets: Targets, path: Path) -> list[Record]:
    targets.require_present(path)
    if len(path) > 1:
        targets.require_right(Right.READ, path)
    records = [record for record in targets.model.read(path) if len(record.path) > 1]
    instances = {Path(*record.path[:2]) for record in records}
    allowed = {instance for instance in instances if targets.may_read(instance)}
    shown = [record for record in records if record.path[:2] in allowed and _is_shown(targets, record)]
    if records and not shown:
        raise Unauthorized(f"nothing in {path} may be read")
    return shown


def _is_shown(targets: Targets, record: Record) -> bool:
    if len(record.path) == 2:
        return True
    if not targets.operations(record.path).readable:
        return False
    return record.value is not None or targets.is_multiple(record.path)


class Discovery:
    """`attached` is what the asking server attached to paths; `inherited` what holds for a path with all above it."""

    def __init__(
        self,
        targets: Targets,
        versions: Mapping[int, str],
        attached: Mapping[Path, Attributes],
        inherited: Callable[[Path], Attributes],
    ) -> None:
        self._targets = targets
        self._model = targets.model
        self._versions = versions
        self._attached = attached
        self._inherited = inherited

    def links(self, path: Path) -> list[Link]:
        """Raises LwM2MError."""
        if len(path) == 4:
            raise MethodNotAllowed("resource instances are not discovered by themselves")
        self._targets.require_present(path)
        if len(path) == 1:
            return list(self._object(path))
        if len(path) == 2:
            return list(self._instance(path))
        return list(self._resource(path))

    def _object(self, path: Path) -> Iterator[Link]:
        version = self._versions.get(path[0])
        yield self._link(path, {"ver": version} if version else {})
        for number in self._model.instances(path[0]):
            yield from self._instance(path.child(number))

    def _instance(self, path: Path) -> Iterator[Link]:
        yield self._link(path)
        for number in self._model.resources(path):
            resource = path.child(number)
            yield self._link(resource, self._dimension(resource))

    def _resource(self, path: Path) -> Iterator[Link]:
        yield Link(str(path), {**self._dimension(path), **self._inherited(path).texts()})
        for number in self._model.resource_instances(path) or ():
            yield self._link(path.child(number))

    def _dimension(self, resource: Path) -> dict[str, str]:
        if not self._targets.is_multiple(resource):
            return {}
        return {"dim": str(len(self._model.resource_instances(resource) or ()))}

    def _link(self, path: Path, properties: Mapping[str, str] | None = None) -> Link:
        attached = self._attached.get(path, Attributes())
        return Link(str(path), {**(properties or {}), **attached.texts()})
