"""Object 16, Portfolio: who the device is, and who its host is. lwm2m.md §12.5."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import IntEnum

from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest, LwM2MError
from lwm2m.model.path import Path
from lwm2m.model.record import Record

IDENTITY, GET_AUTH_DATA, AUTH_DATA, AUTH_STATUS = 0, 1, 2, 3
HOST_DEVICE_ID, HOST_MANUFACTURER, HOST_MODEL, HOST_SOFTWARE_VERSION = 0, 1, 2, 3
"""Resource instances of Identity."""


class AuthStatus(IntEnum):
    IDLE = 0
    AVAILABLE = 1
    FAILED = 2


class Portfolio(Stored):
    """`identities` are by instance, the texts of each by resource instance. `authenticate` answers GetAuthData: given
    the instance and the arguments it brings the authentication data or raises LwM2MError; without it the object has no
    such service."""

    def __init__(
        self,
        identities: Mapping[int, Mapping[int, str]],
        authenticate: Callable[[int, str], Awaitable[Sequence[bytes]]] | None = None,
    ) -> None:
        super().__init__(16, [Record(Path(16), None)])
        self._authenticate = authenticate
        for instance, texts in identities.items():
            self.show([Record(Path(16, instance, IDENTITY, number), text) for number, text in texts.items()])
            self.show(self._service(instance))

    def _service(self, instance: int) -> list[Record]:
        if self._authenticate is None:
            return []
        resource = Path(16, instance)
        return [
            Record(resource.child(GET_AUTH_DATA), None),
            Record(resource.child(AUTH_DATA), None),
            Record(resource.child(AUTH_STATUS), int(AuthStatus.IDLE)),
        ]

    async def create(self, instance: Path, records: Sequence[Record]) -> None:
        if not any(record.path[2] == IDENTITY for record in records):
            raise BadRequest("an identity is mandatory")
        self.host.update([Record(instance, None), *records, *self._service(instance[1])])

    async def delete(self, instance: Path) -> None:
        self.host.remove([instance])

    async def execute(self, path: Path, arguments: str) -> None:
        if path[2] != GET_AUTH_DATA or self._authenticate is None:
            await super().execute(path, arguments)
            return
        data, status = Path(16, path[1], AUTH_DATA), Path(16, path[1], AUTH_STATUS)
        try:
            found = await self._authenticate(path[1], arguments)
        except LwM2MError:
            self.show_list(data, ())
            self.show([Record(status, int(AuthStatus.FAILED))])
            raise
        self.show_list(data, found)
        self.show([Record(status, int(AuthStatus.AVAILABLE))])
