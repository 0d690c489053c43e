"""Object 19, BinaryAppDataContainer: data of an application, in both directions. lwm2m.md §12.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

DATA, PRIORITY, CREATION_TIME, DESCRIPTION, FORMAT, APP_ID = 0, 1, 2, 3, 4, 5
_LARGEST = {PRIORITY: 0xFF, APP_ID: 0xFFFF}
_LONGEST = {DESCRIPTION: 32, FORMAT: 32}


class BinaryAppDataContainer(Stored):
    """`instances` are the containers there are at first. `received` is called with an instance and its data, by
    resource instance, whenever a server wrote some."""

    def __init__(
        self,
        instances: Sequence[int] = (0,),
        received: Callable[[int, Mapping[int, bytes]], None] = lambda _instance, _data: None,
    ) -> None:
        super().__init__(19, [Record(Path(19, number, DATA), None) for number in instances])
        self._received = received

    def put(self, instance: int, data: Sequence[bytes], values: Mapping[int, Value] = MappingProxyType({})) -> None:
        """Data for the server, and what goes with it by resource. Raises ValueError."""
        records = [Record(Path(19, instance, number), value) for number, value in values.items()]
        for record in records:
            if (wrong := _wrong(record)) is not None:
                raise ValueError(wrong)
        self.show_list(Path(19, instance, DATA), data)
        self.show(records)

    async def write(self, records: Sequence[Record]) -> None:
        self._check(records)
        await super().write(records)
        self._tell(records)

    async def create(self, instance: Path, records: Sequence[Record]) -> None:
        self._check(records)
        if not any(record.path[2] == DATA for record in records):
            raise BadRequest("data is mandatory")
        self.host.update([Record(instance, None), *records])
        self._tell(records)

    async def delete(self, instance: Path) -> None:
        self.host.remove([instance])

    def _check(self, records: Sequence[Record]) -> None:
        for record in records:
            if (wrong := _wrong(record)) is not None:
                raise BadRequest(wrong)

    def _tell(self, records: Sequence[Record]) -> None:
        for number in sorted({record.path[1] for record in records if record.path[2] == DATA}):
            data = self.host.data_model.read(Path(19, number, DATA))
            self._received(number, {item.path[3]: item.value for item in data if isinstance(item.value, bytes)})


def _wrong(record: Record) -> str | None:
    number, value = record.path[2], record.value
    if number in _LARGEST and isinstance(value, int) and not 0 <= value <= _LARGEST[number]:
        return f"{record.path} is a number from 0 to {_LARGEST[number]}"
    if number in _LONGEST and isinstance(value, str) and len(value.encode()) > _LONGEST[number]:
        return f"{record.path} has at most {_LONGEST[number]} bytes"
    return None
