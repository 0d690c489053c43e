"""The accounts of a client that was told URIs, completed from what its records say. No IO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lwm2m.client.data_model import DataModel
from lwm2m.client.oscore import oscore_records
from lwm2m.client.pairing import (
    SERVER,
    URI,
    bootstrap_account,
    security_instances,
    server_accounts,
    server_instances,
    short_server_id,
    value_of,
)
from lwm2m.client.security import AccountSecurity
from lwm2m.client.standard_objects import device, security, server
from lwm2m.coap.links.line import SCHEME as SERIAL
from lwm2m.coap.links.line import Line
from lwm2m.coap.uri import PORTS, letter_of, place_of
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.security.info import OscoreSecurity


class BootstrapServer(NamedTuple):
    """Where a client asks for its configuration, and the seconds that it waits before."""

    uri: str
    hold_off: int = 0


class Beginning(NamedTuple):
    """What a client is told besides its records: URIs of servers, and what all accounts that are made for these have.
    `lifetime` in seconds. `oscore` is for the one account that is made here."""

    servers: Sequence[str]
    bootstrap: BootstrapServer | None
    lifetime: int
    binding: str | None
    shown: AccountSecurity
    oscore: OscoreSecurity | None


def complete(model: DataModel, told: Beginning, version: str, *, any_scheme: bool) -> None:
    """Objects 0, 1, 3 and 21 of a client that begins. Raises ValueError for what cannot be, as without any server, or
    with a URI of a scheme that only a driver of its own can know, unless `any_scheme` says that there is one."""
    for uri in (*told.servers, *([told.bootstrap.uri] if told.bootstrap else [])):
        _require_reachable(uri, any_scheme)
    before = security_instances(model)
    _add_accounts(model, told)
    if told.oscore is not None:
        _protect(model, told.oscore, [one for one in security_instances(model) if one not in before])
    accounts = server_accounts(model)
    if not accounts and bootstrap_account(model) is None:
        raise ValueError("a client needs a server or a bootstrap server")
    for account in accounts:
        server.binding(model, account.server, version)
    letters = dict.fromkeys(letter_of(account.uri) for account in accounts)
    model.update(device.completed(model, told.binding or "".join(letters) or "U"))


def _require_reachable(uri: str, any_scheme: bool) -> None:
    scheme = uri.partition(":")[0]
    if scheme == SERIAL:
        Line.parse(uri)
    elif scheme in PORTS or not any_scheme:
        place_of(uri)


def _protect(model: DataModel, oscore: OscoreSecurity, made: Sequence[Path]) -> None:
    """Raises ValueError unless there is one account that was made here."""
    if len(made) != 1:
        raise ValueError("an OSCORE context is for one server, or one bootstrap server, that is named beside it")
    model.update(oscore_records(model, made[0], oscore))


def _add_accounts(model: DataModel, told: Beginning) -> None:
    """An account for each URI that no Security instance names, with what is shown where the scheme needs keys. Server
    instances of the model without one are taken first; a new one keeps trying for ever, unless there is a bootstrap
    server to ask. Without a binding each has the letter of its URI."""
    servers, bootstrap, lifetime, binding, shown, _ = told
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
