"""The gateway put together: LBS, DAS, storage service, LwM2M clients and state, in one process."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path as FilePath
from types import TracebackType
from typing import Self

from lwm2m import Definitions, Limits, Record, shipped
from lwm2m.client import Client
from osap_bridge.account import Account, AccountOf
from osap_bridge.accounts import Accounts
from osap_bridge.client_check import strangers
from osap_bridge.clients import Actuator, HostedClient
from osap_bridge.config import Config, profile_of
from osap_bridge.gateway import Gateway, Settings
from osap_bridge.installed import Installed
from osap_bridge.narration import NarratedClient, Tell
from osap_bridge.osap.protocol import OsapProtocol
from osap_bridge.protocol import DeviceFacts
from osap_bridge.renewing import RenewingClient
from osap_bridge.revoked import RevokedServers
from osap_bridge.store import Store

log = logging.getLogger(__name__)

GATHER = 1.0
"""Seconds for which changes of an object list are collected before the server is told."""

LIMITS = Limits(max_observations_per_client=8192)
"""One client may stand for hundreds of devices, and a server may observe something of each."""

DISTRIBUTION = "lwm2m-toolkit"


class StateInUse(Exception):
    """Another gateway runs on this state. The text is a sentence for people."""


class StateLock:
    """Held by a running gateway; ends with the process, however that ends."""

    def __init__(self, folder: FilePath) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(folder / "osap-bridge.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise StateInUse(f"another osap-bridge runs on the state in {folder}") from None

    def release(self) -> None:
        os.close(self._file)


class Bridge:
    """Runs while inside `async with`. Entering raises StoreError, StateInUse, NoCredentials where the gateway itself
    has none or nobody can have any, and OSError where an address is taken. `account_of` goes before the servers and the
    credentials of the configuration."""

    def __init__(
        self,
        config: Config,
        installed: Installed,
        definitions: Definitions | None = None,
        account_of: AccountOf | None = None,
    ) -> None:
        self._config = config
        self._account_of = account_of
        self._refused: dict[str, str] = {}
        self._servers = RevokedServers()
        self._definitions = definitions or shipped()
        self._installed = installed
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            lock = StateLock(self._config.folder)
            exits.callback(lock.release)
            self.store = Store(self._config.folder)
            exits.callback(self.store.close)
            if self._config.source:
                devices = [(device.serial, device.code) for device in self._config.devices]
                self.store.configure_devices(devices, self._config.source)
            self._account = self._account_of or await self._accounts(exits)
            self._account(self._config.endpoint)
            self.protocol = self._protocol()
            self.gateway = self._gateway()
            exits.push_async_callback(self.gateway.stop)
            await self.gateway.start()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def endpoint_of(self, serial: str) -> str:
        """The endpoint at which a device is seen."""
        return self._config.topology_value().endpoint_of(serial)

    def _protocol(self) -> OsapProtocol:
        config = self._config
        return OsapProtocol(
            self.store,
            self.store,
            profile_of(self._installed),
            lbs=config.lbs,
            das=config.das,
            accept_v2_auth=config.accept_v2_auth,
            storage_port=config.storage_port,
            advertise=config.advertise,
            session_life=config.session_life,
            black_list=config.black_list,
        )

    def _gateway(self) -> Gateway:
        config = self._config
        return Gateway(
            self.protocol,
            config.topology_value(),
            self._installed.products,
            self.store,
            self._definitions,
            self._client,
            endpoint=config.endpoint,
            facts=DeviceFacts("osap-bridge", DISTRIBUTION, "OSAP bridge", version(DISTRIBUTION)),
            settings=Settings(config.grace, serve_stale=config.serve_stale),
            removed=self.protocol.remove,
            troubles=self._troubles,
        )

    async def _accounts(self, exits: AsyncExitStack) -> AccountOf:
        """Raises NoCredentials."""
        accounts = Accounts.of(self._config)
        for sentence in strangers(self._config, accounts, self.store.serials()):
            log.warning("%s", sentence)
        accounts.revoking.end(self._servers, self._servers.revoke, ask_again=True)
        await exits.enter_async_context(accounts.revoking)
        return accounts

    def _troubles(self) -> Mapping[str, str]:
        """What keeps a device away from its server, or from us."""
        return {
            status.serial: self._refused.get(self.endpoint_of(status.serial)) or status.last_error
            for status in self.protocol.statuses()
        }

    def _client(self, endpoint: str, records: Sequence[Record], actuator: Actuator) -> HostedClient:
        make = partial(self._registering, endpoint, actuator)
        return RenewingClient(endpoint, records, self._account, make, partial(self._refused.__setitem__, endpoint))

    def _registering(
        self, endpoint: str, actuator: Actuator, account: Account, records: Sequence[Record], tell: Tell
    ) -> HostedClient:
        client = Client(
            endpoint,
            account.server,
            records,
            actuator,
            bootstrap=account.bootstrap,
            hold_off=account.hold_off,
            security=account.security,
            signing_key=account.signing_key,
            trust=account.trust,
            revocation=account.revocation,
            oscore=account.oscore,
            numbers=account.numbers,
            lifetime=self._config.lifetime,
            definitions=self._definitions,
            gather=GATHER,
            limits=LIMITS,
        )
        self._servers.watch(client)
        return NarratedClient(client, tell)
