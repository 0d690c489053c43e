"""Is it there, and what may a server do with it? The checks that every operation starts with. lwm2m.md §6."""

from __future__ import annotations

from lwm2m.client.access_control import Access, Right
from lwm2m.client.data_model import DataModel
from lwm2m.errors import MethodNotAllowed, NotFound, Unauthorized
from lwm2m.model.definition import Definitions, Operations, ResourceDefinition, Type
from lwm2m.model.path import Path

CLOSED = frozenset({0, 21})
"""Objects that no server may touch outside bootstrap: Security and OSCORE."""

NUMERIC = frozenset({Type.INTEGER, Type.UNSIGNED, Type.FLOAT, Type.TIME})


class Targets:
    """`access` is what the asking server may do; without it, everything."""

    def __init__(self, model: DataModel, definitions: Definitions, access: Access | None = None) -> None:
        self.model = model
        self.definitions = definitions
        self.access = access

    def require(self, path: Path, right: Right = Right.NONE) -> None:
        """Raises Unauthorized for a closed object and a missing right, NotFound for what is not there. A resource that
        could be written or executed counts as there when its object defines it: only the actuator knows."""
        self.require_open(path)
        for length in range(1, min(len(path), 2) + 1):
            if not self.model.has(Path(*path[:length])):
                raise NotFound(f"there is no {Path(*path[:length])}")
        self.require_right(right, path)
        if len(path) > 2:
            self._require_resource(Path(*path[:3]))

    def require_open(self, path: Path) -> None:
        """Raises Unauthorized."""
        if path[0] in CLOSED:
            raise Unauthorized(f"object {path[0]} is for the bootstrap server")

    def require_right(self, right: Right, path: Path) -> None:
        """Raises Unauthorized."""
        if right and self.access is not None:
            self.access.require(right, path)

    def may_read(self, path: Path) -> bool:
        """Whether the server has the right to read an object instance, or any of an object or of the root."""
        if self.access is None:
            return True
        if len(path) > 1:
            return self.access.allows(Right.READ, path)
        objects = path[:1] or self.model.objects()
        instances = [Path(number, one) for number in objects for one in self.model.instances(number)]
        return not instances or any(self.access.allows(Right.READ, instance) for instance in instances)

    def require_present(self, path: Path) -> None:
        """The same, and the resource or resource instance has to be in the data model."""
        if not self.model.has(path):
            raise NotFound(f"there is no {path}")

    def require_multiple(self, path: Path) -> None:
        """Raises MethodNotAllowed for a resource instance of a single resource."""
        if len(path) == 4 and not self.is_multiple(path):
            raise MethodNotAllowed(f"{path.parent} has no resource instances")

    def definition(self, path: Path) -> ResourceDefinition | None:
        return self.definitions.resource(path)

    def operations(self, path: Path) -> Operations:
        """What the definition allows; what has no definition can be read and written."""
        definition = self.definition(path)
        return definition.operations if definition else Operations.RW

    def is_multiple(self, path: Path) -> bool:
        definition = self.definition(path)
        if definition is not None:
            return definition.multiple
        return self.model.resource_instances(Path(*path[:3])) is not None

    def is_numeric(self, path: Path) -> bool:
        """Whether thresholds make sense there: a numeric resource, a multiple one or an instance of one included."""
        definition = self.definition(path)
        return definition is not None and definition.type in NUMERIC

    def is_readable(self, path: Path) -> bool:
        """Shorter paths than a resource's are readable as far as something in them is."""
        return path[0] not in CLOSED and (len(path) < 3 or self.operations(path).readable)

    def _require_resource(self, resource: Path) -> None:
        definition = self.definition(resource)
        if definition is not None and (definition.operations.writable or definition.operations.executable):
            return
        if not self.model.has(resource):
            raise NotFound(f"there is no {resource}")
