"""Object 0, LwM2M Security: accounts without security. lwm2m.md §9.1."""

from __future__ import annotations

from lwm2m.client.data_model import DataModel
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

_NO_SEC = 3


def account(given: DataModel, server: str, short_server_id: int) -> list[Record]:
    return _instance(given, {**_common(server, False), 10: short_server_id})


def bootstrap_account(given: DataModel, server: str, hold_off: int) -> list[Record]:
    return _instance(given, {**_common(server, True), 11: hold_off})


def _common(server: str, bootstrap: bool) -> dict[int, Value]:
    return {0: server, 1: bootstrap, 2: _NO_SEC, 3: b"", 4: b"", 5: b""}


def _instance(given: DataModel, values: dict[int, Value]) -> list[Record]:
    taken = given.instances(0)
    free = next(number for number in range(len(taken) + 1) if number not in taken)
    return [Record(Path(0, free, resource), value) for resource, value in values.items()]
