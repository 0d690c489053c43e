"""Object 0, LwM2M Security: the accounts of a client that was told URIs. lwm2m.md §9.1."""

from __future__ import annotations

from lwm2m.client.data_model import DataModel
from lwm2m.client.security import SECURED, AccountSecurity
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value


def account(given: DataModel, server: str, short_server_id: int, shown: AccountSecurity) -> list[Record]:
    return _instance(given, {0: server, 1: False, 10: short_server_id}, shown)


def bootstrap_account(given: DataModel, server: str, hold_off: int, shown: AccountSecurity) -> list[Record]:
    return _instance(given, {0: server, 1: True, 11: hold_off}, shown)


def _instance(given: DataModel, values: dict[int, Value], shown: AccountSecurity) -> list[Record]:
    """`shown` is for URIs that need keys."""
    taken = given.instances(0)
    instance = Path(0, next(number for number in range(len(taken) + 1) if number not in taken))
    security = shown if str(values[0]).partition(":")[0] in SECURED else AccountSecurity()
    own = [Record(instance.child(resource), value) for resource, value in values.items()]
    return [*own, *security.records(instance)]
