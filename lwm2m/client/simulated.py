"""The actuator of a client that is its own device."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lwm2m.client.standard_objects.device import (
    CURRENT_TIME,
    ERROR_CODE,
    NO_ERROR,
    REBOOT,
    RESET_ERROR_CODE,
    Clock,
)
from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.errors import NotFound
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_log = logging.getLogger(__name__)


class Simulated:
    """Stores what is written and created. Reboot registers anew, Reset Error Code does so, Current Time is a clock; any
    other executable resource that the data model lists is accepted and logged."""

    def __init__(self, client: Host, definitions: Definitions, clock: Clock) -> None:
        self._client = client
        self._definitions = definitions
        self._clock = clock

    async def write(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.path == CURRENT_TIME and isinstance(record.value, int):
                self._clock.set(record.value)
        self._client.update(records)

    async def remove(self, paths: Sequence[Path]) -> None:
        self._client.remove(paths)

    async def create(self, instance: Path, records: Sequence[Record]) -> None:
        definition = self._definitions.object(instance[0])
        resources = definition.resources.values() if definition else ()
        executables = [one.id for one in resources if one.mandatory and one.operations.executable]
        self._client.update(
            [Record(instance, None), *records, *(Record(instance.child(number), None) for number in executables)]
        )

    async def delete(self, instance: Path) -> None:
        self._client.remove([instance])

    async def execute(self, path: Path, arguments: str) -> None:
        if not self._client.data_model.has(path):
            raise NotFound(f"there is no {path}")
        if path == REBOOT:
            self._client.restart()
        elif path == RESET_ERROR_CODE:
            self._reset_errors()
        else:
            _log.info("executed %s with %r", path, arguments)

    def _reset_errors(self) -> None:
        others = [ERROR_CODE.child(n) for n in self._client.data_model.resource_instances(ERROR_CODE) or () if n != 0]
        self._client.update([Record(ERROR_CODE.child(0), NO_ERROR)])
        self._client.remove(others)
