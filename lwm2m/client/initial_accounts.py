"""The accounts of a client that was told URIs, completed from what its records say. No IO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import (
    SERVER,
    URI,
    security_instances,
    server_accounts,
    server_instances,
    short_server_id,
    value_of,
)
from lwm2m.client.security import AccountSecurity
from lwm2m.client.standard_objects import security, server
from lwm2m.coap.uri import letter_of
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value


class BootstrapServer(NamedTuple):
    """Where a client asks for its configuration, and the seconds that it waits before."""

    uri: str
    hold_off: int = 0


def add_accounts(
    model: DataModel,
    servers: Sequence[str],
    bootstrap: BootstrapServer | None,
    lifetime: int,
    binding: str | None,
    shown: AccountSecurity,
) -> None:
    """An account for each URI that no Security instance names, with what is shown where the scheme needs keys. Server
    instances of the model without one are taken first; a new one keeps trying for ever, unless there is a bootstrap
    server to ask. Without a binding each has the letter of its URI."""
    if bootstrap is not None and not _is_named(model, bootstrap.uri):
        model.update(security.bootstrap_account(model, bootstrap.uri, bootstrap.hold_off, shown))
    for instance in server_instances(model):
        if short_server_id(model, instance) is None:
            model.update([Record(instance.child(server.SHORT_SERVER_ID), _free_id(model))])
    for uri in servers:
        if not _is_named(model, uri):
            number = _unpaired(model) or _add_server(model, persistent=bootstrap is None)
            model.update(security.account(model, uri, number, shown))
    letters = {account.server: letter_of(account.uri) for account in server_accounts(model)}
    for instance in server_instances(model):
        model.update(server.completed(model, instance, lifetime, binding or letters.get(instance, "U")))


def _is_named(model: DataModel, uri: str) -> bool:
    return any(value_of(model, instance.child(URI)) == uri for instance in security_instances(model))


def _unpaired(model: DataModel) -> int | None:
    paired = {account.short_server_id for account in server_accounts(model)}
    numbers = (short_server_id(model, instance) for instance in server_instances(model))
    return next((number for number in numbers if number is not None and number not in paired), None)


def _add_server(model: DataModel, *, persistent: bool) -> int:
    taken = model.instances(SERVER)
    instance = Path(SERVER, next(number for number in range(len(taken) + 1) if number not in taken))
    number = _free_id(model)
    values: dict[int, Value] = {server.SHORT_SERVER_ID: number, **(server.PERSISTENT if persistent else {})}
    model.update(Record(instance.child(resource), value) for resource, value in values.items())
    return number


def _free_id(model: DataModel) -> int:
    taken = {short_server_id(model, instance) for instance in (*server_instances(model), *security_instances(model))}
    return next(number for number in range(server.FIRST_SHORT_SERVER_ID, 65_535) if number not in taken)
