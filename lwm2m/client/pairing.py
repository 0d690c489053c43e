"""The accounts that a data model holds: Security instances with the Server instances they belong to. No IO.

Core 1.1.1 appendix E.1, E.2; lwm2m.md §5.6, §9.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lwm2m.client.data_model import DataModel
from lwm2m.model.path import Path
from lwm2m.model.record import Value

SECURITY, SERVER = 0, 1
URI, IS_BOOTSTRAP, SHORT_SERVER_ID, HOLD_OFF, ACCOUNT_TIMEOUT, OSCORE = 0, 1, 10, 11, 12, 17
_SHORT_SERVER_ID_OF_SERVER = 0


class ServerAccount(NamedTuple):
    """`security` and `server` are the instances, as /0/1 and /1/0."""

    short_server_id: int
    uri: str
    security: Path
    server: Path


class BootstrapAccount(NamedTuple):
    """`hold_off` and `timeout` in seconds; a timeout of 0 keeps the account for ever."""

    uri: str
    security: Path
    hold_off: int
    timeout: int


def server_accounts(model: DataModel) -> list[ServerAccount]:
    """Every Security instance that a Server instance has the Short Server ID of, by ascending id; of two with the same
    id the first counts."""
    servers = {number: instance for instance, number in _server_ids(model)}
    found: dict[int, ServerAccount] = {}
    for security in security_instances(model):
        number = value_of(model, security.child(SHORT_SERVER_ID))
        uri = value_of(model, security.child(URI))
        if not is_bootstrap(model, security) and isinstance(number, int) and number in servers:
            found.setdefault(number, ServerAccount(number, str(uri or ""), security, servers[number]))
    return [found[number] for number in sorted(found)]


def uris_of(model: DataModel, short_server_id: int) -> list[str]:
    """Of every Security instance of this server: it may be reached by several transports."""
    return [
        str(value_of(model, security.child(URI)) or "")
        for security in security_instances(model)
        if not is_bootstrap(model, security) and value_of(model, security.child(SHORT_SERVER_ID)) == short_server_id
    ]


def security_at(model: DataModel, security: Path, uri: str) -> Path:
    """The Security instance with this URI that is of the same server as `security`; that one itself without any."""
    if value_of(model, security.child(URI)) == uri or is_bootstrap(model, security):
        return security
    number = short_server_id(model, security)
    others = (
        other
        for other in security_instances(model)
        if not is_bootstrap(model, other) and short_server_id(model, other) == number
    )
    return next((other for other in others if value_of(model, other.child(URI)) == uri), security)


def bootstrap_account(model: DataModel) -> BootstrapAccount | None:
    for security in security_instances(model):
        if is_bootstrap(model, security):
            return BootstrapAccount(
                str(value_of(model, security.child(URI)) or ""),
                security,
                _seconds(model, security.child(HOLD_OFF)),
                _seconds(model, security.child(ACCOUNT_TIMEOUT)),
            )
    return None


def server_of(model: DataModel, short_server_id: int) -> Path | None:
    """The Server instance with this id."""
    return next((instance for instance, number in _server_ids(model) if number == short_server_id), None)


def security_instances(model: DataModel) -> list[Path]:
    return [Path(SECURITY, number) for number in model.instances(SECURITY)]


def server_instances(model: DataModel) -> list[Path]:
    return [Path(SERVER, number) for number in model.instances(SERVER)]


def is_bootstrap(model: DataModel, security: Path) -> bool:
    """A Security instance that does not say is a server's: peers leave it out. lwm2m.md §16."""
    return value_of(model, security.child(IS_BOOTSTRAP)) is True


def short_server_id(model: DataModel, instance: Path) -> int | None:
    """Of a Security or Server instance."""
    resource = SHORT_SERVER_ID if instance[0] == SECURITY else _SHORT_SERVER_ID_OF_SERVER
    value = value_of(model, instance.child(resource))
    return value if isinstance(value, int) else None


def value_of(model: DataModel, path: Path) -> Value | None:
    """None where there is no such resource, or no value in it."""
    try:
        return model.value(path)
    except KeyError:
        return None


def _server_ids(model: DataModel) -> Iterator[tuple[Path, int]]:
    """The later ones first, so that a mapping keeps the first of two with the same id."""
    for instance in reversed(server_instances(model)):
        if (number := short_server_id(model, instance)) is not None:
            yield instance, number


def _seconds(model: DataModel, path: Path) -> int:
    value = value_of(model, path)
    return max(0, value) if isinstance(value, int) else 0
