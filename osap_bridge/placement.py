"""Which instance of which client an entity is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from lwm2m import MAX_ID, Path
from osap_bridge.protocol import Entity


class Slot(NamedTuple):
    """An object instance: as a translator numbers it, or as it is seen at an endpoint."""

    object_id: int
    instance_id: int

    @classmethod
    def of(cls, path: Path) -> Slot:
        return cls(path[0], path[1])


class Owner(NamedTuple):
    """Whose instance it is, and the slot it has in that entity's translator."""

    entity: Entity
    slot: Slot


@dataclass(frozen=True)
class Placement:
    """The endpoint that shows an entity, and which instance of each object is its own there."""

    endpoint: str
    instances: Mapping[Slot, int]

    def outward(self, path: Path) -> Path | None:
        """None: this object instance got no place."""
        number = self.instances.get(Slot.of(path))
        return None if number is None else Path(path[0], number, *path[2:])

    def inward(self, path: Path) -> Path | None:
        """None: that path is not this entity's."""
        for slot, number in self.instances.items():
            if (slot.object_id, number) == path[:2]:
                return Path(path[0], slot.instance_id, *path[2:])
        return None


def allocate(
    taken: Mapping[Slot, Owner], entity: Entity, wanted: Iterable[Slot], only_once: Callable[[int], bool]
) -> dict[Slot, int]:
    """The instance number for each wanted slot: the one it has already, else the lowest free one. A slot of an object
    that may exist `only_once` gets instance 0 or, where another entity has that, no number."""
    held = {owner.slot: slot.instance_id for slot, owner in taken.items() if owner.entity == entity}
    used = set(taken)
    numbers: dict[Slot, int] = {}
    for slot in sorted(set(wanted)):
        number = held[slot] if slot in held else _free(used, slot.object_id, only_once(slot.object_id))
        if number is not None:
            used.add(Slot(slot.object_id, number))
            numbers[slot] = number
    return numbers


def _free(used: Collection[Slot], object_id: int, only_once: bool) -> int | None:
    candidates = range(1 if only_once else MAX_ID + 1)
    return next((number for number in candidates if Slot(object_id, number) not in used), None)


def placement(endpoint: str, numbers: Mapping[Slot, int]) -> Placement:
    return Placement(endpoint, MappingProxyType(dict(numbers)))
