"""Whether the gateway's clients have what their servers want to see: tried without saying anything to anybody."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lwm2m.client import AccountSecurity, Client
from lwm2m.server import SecurityMode
from osap_bridge.account import Account, AccountOf, NoCredentials
from osap_bridge.accounts import Accounts
from osap_bridge.config import Config
from osap_bridge.store import FILE_NAME, Store

_NAMED = 3
"""How many of many are named."""
_SHOWN = {
    SecurityMode.PSK.value: "a pre-shared key",
    SecurityMode.RPK.value: "a raw public key",
    SecurityMode.X509.value: "a certificate",
}


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """`shows` and `problem` are for people, and one of them is empty."""

    endpoint: str
    shows: str
    problem: str


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    clients: tuple[ClientCheck, ...]
    remarks: tuple[str, ...]

    @property
    def is_usable(self) -> bool:
        return not any(client.problem for client in self.clients)


def check_config(config: Config) -> ConfigCheck:
    """For the gateway itself and every device that may connect. Raises ConfigError, NoCredentials."""
    config.require_usable()
    accounts = Accounts.of(config)
    serials = {device.serial for device in config.devices} | _added(config)
    endpoints = dict.fromkeys([config.endpoint, *map(config.topology_value().endpoint_of, sorted(serials))])
    remarks = [*strangers(config, accounts, serials), *exposure(config)]
    return ConfigCheck(tuple(_check(endpoint, accounts) for endpoint in endpoints), tuple(remarks))


def strangers(config: Config, listed: Accounts, serials: Collection[str]) -> Iterator[str]:
    """A sentence where the file of credentials has clients that could only be devices, and are not known. Raises
    NoCredentials."""
    topology = config.topology_value()
    if topology.endpoint_of("") == "":
        return
    named = {topology.serial_of(endpoint) for endpoint in listed.listed if endpoint != config.endpoint}
    if found := sorted(serial for serial in named if serial is not None and serial not in serials):
        many = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        yield (
            f"{config.security.credentials} has credentials for what may not connect as a device, "
            f"{', '.join(found[:_NAMED])}{many}: add it with osap-bridge device add {found[0]} --code-file FILE, or as "
            "a [[device]]"
        )


def exposure(config: Config) -> Iterator[str]:
    """A sentence where what devices say leaves this machine as it is, and nobody has said that it may."""
    if (uri := config.exposed) is not None:
        yield (
            f"{uri} leads to another machine, and nothing on the way there is encrypted or shows who it is: use a URI "
            "with coaps and credentials, or say insecure = true under [lwm2m]"
        )


def _added(config: Config) -> frozenset[str]:
    """Those that commands have added to the state, where there is one."""
    if not (config.folder / FILE_NAME).exists():
        return frozenset()
    store = Store(config.folder)
    try:
        return store.serials()
    finally:
        store.close()


def _check(endpoint: str, account_of: AccountOf) -> ClientCheck:
    try:
        account = account_of(endpoint)
        _make(endpoint, account)
    except (NoCredentials, ValueError) as error:
        return ClientCheck(endpoint, "", str(error))
    return ClientCheck(endpoint, _shown(account), "")


def _make(endpoint: str, account: Account) -> None:
    """Raises ValueError."""
    Client(
        endpoint,
        account.server,
        bootstrap=account.bootstrap,
        security=account.security,
        oscore=account.oscore,
        numbers=account.numbers,
    )


def _shown(account: Account) -> str:
    security = account.security or AccountSecurity()
    shown = [_SHOWN[security.mode]] if security.mode in _SHOWN else []
    return " and ".join([*shown, *(["OSCORE"] if account.oscore else [])]) or "nothing"
