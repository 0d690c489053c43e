"""What an object definition says: types, operations, multiplicity, ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from lwm2m.model.path import Path


class Type(Enum):
    """Data types of resources, spelt as in the DDF. `NONE` is the type of an executable resource."""

    STRING = "String"
    INTEGER = "Integer"
    UNSIGNED = "Unsigned Integer"
    FLOAT = "Float"
    BOOLEAN = "Boolean"
    OPAQUE = "Opaque"
    TIME = "Time"
    OBJLNK = "Objlnk"
    CORELNK = "Corelnk"
    NONE = ""


class Operations(Enum):
    """What a server may do with a resource. `NONE`: only a bootstrap server, or a procedure of its own."""

    NONE = ""
    R = "R"
    W = "W"
    RW = "RW"
    E = "E"

    @property
    def readable(self) -> bool:
        return "R" in self.value

    @property
    def writable(self) -> bool:
        return "W" in self.value

    @property
    def executable(self) -> bool:
        return self is Operations.E


@dataclass(frozen=True, slots=True)
class ResourceDefinition:
    id: int
    name: str
    type: Type
    operations: Operations
    multiple: bool = False
    mandatory: bool = False
    range: str = ""
    units: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDefinition:
    """`version` and `lwm2m_version` are (major, minor)."""

    id: int
    name: str
    version: tuple[int, int] = (1, 0)
    lwm2m_version: tuple[int, int] = (1, 0)
    urn: str = ""
    multiple: bool = False
    mandatory: bool = False
    description: str = ""
    resources: Mapping[int, ResourceDefinition] = field(default_factory=lambda: MappingProxyType({}))


class Definitions:
    """Object definitions by id and version. Of each object one version is in force: the one `in_force` names, else the
    newest. Immutable."""

    def __init__(
        self,
        objects: Iterable[ObjectDefinition] = (),
        in_force: Mapping[int, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        self._versions: dict[int, dict[tuple[int, int], ObjectDefinition]] = {}
        for definition in objects:
            self._versions.setdefault(definition.id, {})[definition.version] = definition
        self._named = in_force
        self._in_force = {
            number: versions.get(in_force.get(number, (0, 0))) or versions[max(versions)]
            for number, versions in self._versions.items()
        }

    def with_objects(self, objects: Iterable[ObjectDefinition]) -> Definitions:
        """A later definition of the same id and version replaces the earlier one."""
        return Definitions([*self.all_versions(), *objects], self._named)

    def object(self, object_id: int, version: tuple[int, int] | None = None) -> ObjectDefinition | None:
        """The definition of that version, or of the one in force when none is named; None when unknown."""
        if version is None:
            return self._in_force.get(object_id)
        return self._versions.get(object_id, {}).get(version)

    def resource(self, path: Path) -> ResourceDefinition | None:
        """The definition of the resource that `path` (3 or 4 ids) lies in; None when unknown or shorter."""
        if len(path) < 3 or (definition := self._in_force.get(path[0])) is None:
            return None
        return definition.resources.get(path[2])

    def choose(self, versions: Mapping[int, tuple[int, int]]) -> Definitions:
        """These definitions with the named versions in force; an unknown version changes nothing."""
        chosen = Definitions()
        chosen._versions = self._versions
        chosen._named = {**self._named, **versions}
        chosen._in_force = self._in_force | {
            number: found for number, version in versions.items() if (found := self.object(number, version))
        }
        return chosen

    def __iter__(self) -> Iterator[ObjectDefinition]:
        """The definitions in force, by ascending id."""
        return iter(sorted(self._in_force.values(), key=lambda definition: definition.id))

    def all_versions(self) -> Iterator[ObjectDefinition]:
        for versions in self._versions.values():
            yield from versions.values()
