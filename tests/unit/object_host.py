"""A client around an object, as far as the object sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lwm2m.client import DataModel
from lwm2m.client.standard_objects.standard_object import StandardObject
from lwm2m.model.path import Path
from lwm2m.model.record import Record


class ObjectHost:
    """`history` has every value that a path took."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.data_model = DataModel(records)
        self.restarts = 0
        self.bootstraps = 0
        self.history: list[tuple[str, Any]] = []

    def host(self, standard: StandardObject) -> None:
        self.data_model.update(standard.records())
        standard.start(self)

    def update(self, records: Iterable[Record]) -> frozenset[Path]:
        records = list(records)
        changed = self.data_model.update(records)
        self.history += [(str(record.path), record.value) for record in records if record.path in changed]
        return changed

    def remove(self, paths: Iterable[Path]) -> frozenset[Path]:
        return frozenset[Path]().union(*map(self.data_model.remove, paths))

    def restart(self) -> None:
        self.restarts += 1

    def bootstrap(self) -> None:
        self.bootstraps += 1

    def value(self, path: str) -> Any:
        return self.data_model.value(Path.parse(path))

    def values_of(self, path: str) -> list[Any]:
        return [value for changed, value in self.history if changed == path]
