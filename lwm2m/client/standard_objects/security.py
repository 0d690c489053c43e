"""Object 0, LwM2M Security: the account without security. lwm2m.md §9.1."""

from __future__ import annotations

from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

_NO_SEC = 3


def account(server: str, short_server_id: int) -> list[Record]:
    values: dict[int, Value] = {0: server, 1: False, 2: _NO_SEC, 3: b"", 4: b"", 5: b"", 10: short_server_id}
    return [Record(Path(0, 0, resource), value) for resource, value in values.items()]
