"""One device as the gateway shows it: its entities, where each is placed, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lwm2m import Path, Record
from osap_bridge.entity_model import EntityModel
from osap_bridge.placement import Placement, Slot
from osap_bridge.protocol import DeviceFacts, Entity


@dataclass(frozen=True)
class Part:
    """An entity with its model and its place."""

    model: EntityModel
    placement: Placement

    def outward(self, records: Iterable[Record]) -> list[Record]:
        """The records as servers see them; those of an object that got no place are left out."""
        placed = ((self.placement.outward(record.path), record) for record in records)
        return [record._replace(path=path) for path, record in placed if path is not None]


@dataclass
class Presence:
    serial: str
    facts: DeviceFacts
    endpoint: str
    online: bool = True
    parts: dict[Entity, Part] = field(default_factory=dict)
    introduction: Placement | None = None
    known: dict[Path, Record] = field(default_factory=dict)
    """The last value of each reported resource, with the time it came, by its path at the endpoint."""

    def instances(self) -> set[Slot]:
        """Every object instance of this device, as numbered at its endpoint."""
        placements = [part.placement for part in self.parts.values()]
        if self.introduction is not None:
            placements.append(self.introduction)
        return {Slot(slot.object_id, number) for place in placements for slot, number in place.instances.items()}

    def part_at(self, path: Path) -> tuple[Part, Path] | None:
        """The entity behind a path at the endpoint, and the path in its translator's numbers."""
        for part in self.parts.values():
            if (inward := part.placement.inward(path)) is not None:
                return part, inward
        return None

    def unknown(self) -> Iterator[tuple[Part, Path]]:
        """Resources that the device could be asked for and has not told yet."""
        for part in self.parts.values():
            for point in part.model.readable:
                path = part.placement.outward(point.paths[0])
                if path is not None and path not in self.known:
                    yield part, point.paths[0]
