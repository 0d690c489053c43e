"""What an object that works brings along, and what it needs of the client that it is in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from lwm2m.client.data_model import DataModel
from lwm2m.model.path import Path
from lwm2m.model.record import Record


class Host(Protocol):
    """The client around an object; `Client` is one."""

    @property
    def data_model(self) -> DataModel: ...

    def update(self, records: Iterable[Record]) -> frozenset[Path]: ...

    def remove(self, paths: Iterable[Path]) -> frozenset[Path]: ...

    def restart(self) -> None: ...

    def bootstrap(self) -> None: ...


class StandardObject(Protocol):
    """An object of the data model with its own actuator: what servers write and execute in it comes here.

    `records` are its instances when the client is made; records that the client is given for the same paths win.
    `start` comes once, before the client registers; `registered` after each Register that a server accepted; `stop`
    ends what runs."""

    @property
    def object_id(self) -> int: ...

    def records(self) -> list[Record]: ...

    def start(self, host: Host) -> None: ...

    async def stop(self) -> None: ...

    def registered(self) -> None: ...

    async def write(self, records: Sequence[Record]) -> None: ...

    async def execute(self, path: Path, arguments: str) -> None: ...
