"""What a client shows to servers, and what happens when a server acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

UNLISTED = frozenset({0, 21, 23})
"""Objects that are in no object list. lwm2m.md §5.3."""

_Resource: TypeAlias = Record | dict[int, Record]
_Instance: TypeAlias = dict[int, _Resource]


class Actuator(Protocol):
    """The device's own part in a write or an execution by a server, which it refuses by raising an LwM2MError.

    The client stores nothing by itself: when `write` returns, the actuator has put into the data model, by
    `Client.update`, what is now true of the device. All records of one call belong to one operation and stand or fall
    together; each has passed the checks of its definition. A resource that its object defines reaches the actuator
    even while the data model does not list it: raise NotFound where the device does not have it.

    What an actuator may offer beyond this is found by its methods: see `Removing` and `Guarding`."""

    async def write(self, records: Sequence[Record]) -> None: ...

    async def execute(self, path: Path, arguments: str) -> None: ...


class DataModel:
    """Values by path. `Record(Path(o), None)` makes an object without instances, `Record(Path(o, i), None)` an empty
    instance, `Record(Path(o, i, r), None)` an executable resource or a multiple resource of no instances; a record
    for a resource makes its instance. An object stays when its last instance goes, until it is removed itself."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._objects: dict[int, dict[int, _Instance]] = {}
        self._live: dict[Path, Callable[[], Value]] = {}
        self.update(records)

    def copy(self) -> DataModel:
        """What is there now; changes of one do not show in the other. A live value is what it reads as now."""
        copied = DataModel()
        copied._objects = {object_id: {} for object_id in self._objects}
        copied.update(self.read(Path()))
        return copied

    def update(self, records: Iterable[Record]) -> frozenset[Path]:
        """The paths that appeared or got another value; an equal value is no change, though its time is kept."""
        changed: set[Path] = set()
        for record in records:
            self._store(record, changed)
        return frozenset(changed)

    def remove(self, path: Path) -> frozenset[Path]:
        """The paths that vanished. Of a multiple resource whose instances are removed one by one, the empty resource
        stays."""
        vanished = frozenset(self._all_paths(path))
        if len(path) == 0:
            self._objects.clear()
        elif len(path) == 1:
            self._objects.pop(path[0], None)
        elif len(path) == 2:
            self._objects.get(path[0], {}).pop(path[1], None)
        else:
            self._remove_within(self._objects.get(path[0], {}).get(path[1], {}), path)
        for gone in vanished & self._live.keys():
            del self._live[gone]
        return vanished

    def live(self, path: Path, source: Callable[[], Value]) -> None:
        """Let `source` give the value of a single resource at each reading, as for a clock; ticking is no change."""
        self.update([Record(path, source())])
        self._live[path] = source

    def read(self, path: Path) -> list[Record]:
        """Everything at and beneath `path`, by ascending path; empty when there is nothing."""
        return [self._current(record) for record in self._records(path)]

    def value(self, path: Path) -> Value:
        """The value of a resource or resource instance. Raises KeyError where there is none."""
        found = self._find(path)
        if not isinstance(found, Record) or (value := self._current(found).value) is None:
            raise KeyError(str(path))
        return value

    def has(self, path: Path) -> bool:
        if len(path) == 0:
            return True
        if len(path) == 1:
            return path[0] in self._objects
        if len(path) == 2:
            return path[1] in self._objects.get(path[0], {})
        return self._find(path) is not None

    def objects(self) -> tuple[int, ...]:
        return tuple(sorted(self._objects))

    def instances(self, object_id: int) -> tuple[int, ...]:
        return tuple(sorted(self._objects.get(object_id, ())))

    def resources(self, instance: Path) -> tuple[int, ...]:
        """The resource ids present in an object instance."""
        return tuple(sorted(self._objects.get(instance[0], {}).get(instance[1], ())))

    def resource_instances(self, resource: Path) -> tuple[int, ...] | None:
        """The ids of a multiple resource; None when the resource is single, without instances, or not there."""
        found = self._find(resource)
        return tuple(sorted(found)) if isinstance(found, dict) else None

    def links(self, versions: Mapping[int, str] | None = None) -> tuple[Link, ...]:
        """The object list of a registration. `versions` are those that have to be said. lwm2m.md §5.3."""
        named = versions or {}
        return tuple(link for number in self.objects() if number not in UNLISTED for link in self._links(number, named))

    def _links(self, object_id: int, versions: Mapping[int, str]) -> Iterator[Link]:
        instances = self.instances(object_id)
        if object_id in versions:
            yield Link(f"/{object_id}", {"ver": versions[object_id]})
        elif not instances:
            yield Link(f"/{object_id}")
        for instance in instances:
            yield Link(f"/{object_id}/{instance}")

    def _store(self, record: Record, changed: set[Path]) -> None:
        path = record.path
        if not path:
            raise ValueError("the root takes no value")
        if len(path) < 3 and record.value is not None:
            raise ValueError(f"{path} is no resource and takes no value")
        if path[0] not in self._objects:
            self._objects[path[0]] = {}
            changed.add(Path(path[0]))
        if len(path) > 1:
            self._store_in_object(record, changed)

    def _store_in_object(self, record: Record, changed: set[Path]) -> None:
        path = record.path
        instances = self._objects[path[0]]
        if path[1] not in instances:
            instances[path[1]] = {}
            changed.add(Path(*path[:2]))
        if len(path) == 3:
            _store_resource(instances[path[1]], record, changed)
        elif len(path) == 4:
            _store_resource_instance(instances[path[1]], record, changed)

    def _remove_within(self, instance: _Instance, path: Path) -> None:
        if len(path) == 3:
            instance.pop(path[2], None)
        elif len(path) == 4 and isinstance(resource := instance.get(path[2]), dict):
            resource.pop(path[3], None)
            if not resource:
                instance[path[2]] = Record(path.parent, None)

    def _find(self, path: Path) -> _Resource | None:
        if len(path) < 3:
            return None
        resource = self._objects.get(path[0], {}).get(path[1], {}).get(path[2])
        if len(path) == 3:
            return resource
        return resource.get(path[3]) if isinstance(resource, dict) else None

    def _current(self, record: Record) -> Record:
        source = self._live.get(record.path)
        return record if source is None else Record(record.path, source())

    def _records(self, path: Path) -> Iterator[Record]:
        if len(path) >= 3:
            yield from _leaves(self._find(path))
            return
        for object_id in self.objects() if not path else path[:1]:
            instances = self._objects.get(object_id)
            if instances is not None:
                yield from _records_of_object(object_id, instances, path)

    def _all_paths(self, path: Path) -> Iterator[Path]:
        """Every path at and beneath, the levels between included."""
        for record in self._records(path):
            for length in range(max(len(path), 1), len(record.path) + 1):
                yield Path(*record.path[:length])


def _records_of_object(object_id: int, instances: dict[int, _Instance], path: Path) -> Iterator[Record]:
    chosen = path[1:2] if len(path) > 1 else sorted(instances)
    if not instances and len(path) < 2:
        yield Record(Path(object_id), None)
    for number in chosen:
        if (instance := instances.get(number)) is None:
            continue
        if not instance:
            yield Record(Path(object_id, number), None)
        for resource in sorted(instance):
            yield from _leaves(instance[resource])


def _leaves(resource: _Resource | None) -> Iterator[Record]:
    if isinstance(resource, dict):
        yield from (resource[number] for number in sorted(resource))
    elif resource is not None:
        yield resource


def _store_resource(instance: _Instance, record: Record, changed: set[Path]) -> None:
    path = record.path
    before = instance.get(path[2])
    if isinstance(before, dict):
        changed.update(old.path for old in before.values())
    if not isinstance(before, Record) or not _same(before.value, record.value):
        changed.add(path)
    instance[path[2]] = record


def _store_resource_instance(instance: _Instance, record: Record, changed: set[Path]) -> None:
    path = record.path
    if record.value is None:
        raise ValueError(f"{path} is a resource instance and needs a value")
    resource = instance.get(path[2])
    if not isinstance(resource, dict):
        resource = instance[path[2]] = {}
        changed.add(path.parent)
    before = resource.get(path[3])
    if before is None or not _same(before.value, record.value):
        changed.add(path)
    resource[path[3]] = record


def _same(before: Value | None, after: Value | None) -> bool:
    """True and 1 are different values, and so are 1 and 1.0: they read differently."""
    return type(before) is type(after) and before == after
