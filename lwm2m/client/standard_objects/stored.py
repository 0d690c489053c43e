"""An object whose values are kept, and nothing else: what objects that do more begin with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.errors import NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record


class Stored:
    """Keeps what is written, forgets what a Replace leaves out, executes nothing."""

    def __init__(self, object_id: int, records: Iterable[Record] = ()) -> None:
        self._object_id = object_id
        self._records = list(records)
        self._host: Host | None = None

    @property
    def object_id(self) -> int:
        return self._object_id

    @property
    def host(self) -> Host:
        """The client, once it has started."""
        if self._host is None:
            raise RuntimeError(f"object {self._object_id} belongs to no client that has started")
        return self._host

    def records(self) -> list[Record]:
        return list(self._records)

    def start(self, host: Host) -> None:
        self._host = host

    async def stop(self) -> None:
        """Nothing runs."""

    def registered(self) -> None:
        """A registration changes nothing here."""

    async def write(self, records: Sequence[Record]) -> None:
        self.host.update(records)

    async def remove(self, paths: Sequence[Path]) -> None:
        self.host.remove(paths)

    async def execute(self, path: Path, arguments: str) -> None:  # noqa: ARG002
        raise NotFound(f"there is no {path}")

    def show(self, values: Iterable[Record]) -> None:
        """Before the client starts these are its first values, afterwards what it shows from now on."""
        if self._host is not None:
            self._host.update(values)
            return
        given = list(values)
        replaced = {record.path for record in given}
        self._records = [record for record in self._records if record.path not in replaced] + given

    def show_list(self, resource: Path, values: Sequence[str | int | bytes]) -> None:
        """The whole of a multiple resource, numbered from 0."""
        records = [Record(resource.child(number), value) for number, value in enumerate(values)]
        if self._host is None:
            self._records = [record for record in self._records if not resource.contains(record.path)]
        else:
            present = self._host.data_model.resource_instances(resource) or ()
            self._host.remove([resource.child(number) for number in present if number >= len(values)])
        self.show(records or [Record(resource, None)])
