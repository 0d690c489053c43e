"""The servers of a client: its server accounts, and the bootstrap server that may give it others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from lwm2m.client.access_control import after_account
from lwm2m.client.account import ANSWER_FIRST, NOT_FOR_YOU, Account
from lwm2m.client.accounts import REGISTERED, Accounts
from lwm2m.client.bootstrap_session import BootstrapSession
from lwm2m.client.bootstrapping import Bootstrapping
from lwm2m.client.data_model import UNLISTED, DataModel
from lwm2m.client.events import ClientEvent
from lwm2m.client.pairing import (
    OSCORE,
    SECURITY,
    SERVER,
    BootstrapAccount,
    ServerAccount,
    bootstrap_account,
    server_of,
    value_of,
)
from lwm2m.client.registration import Changed, State
from lwm2m.client.security import Own
from lwm2m.client.standard_objects import server as server_object
from lwm2m.client.transport import Transport
from lwm2m.coap.message import Peer, Request, Response
from lwm2m.errors import MethodNotAllowed
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record

_PAIRING = {SECURITY: frozenset({0, 1, 10}), SERVER: frozenset({0})}
"""Object -> its resources that make an account what it is."""


class Owner(Protocol):
    """The client, as its servers need it."""

    @property
    def endpoint(self) -> str: ...

    @property
    def definitions(self) -> Definitions: ...

    @property
    def data_model(self) -> DataModel: ...

    @property
    def own(self) -> Own: ...

    def update(self, records: Iterable[Record]) -> frozenset[Path]: ...

    def remove(self, paths: Iterable[Path]) -> frozenset[Path]: ...

    def exchanged(self) -> None: ...

    def publish(self, event: ClientEvent) -> None: ...


class Servers:
    """`make` builds an account, `reach` the way to a URI with what a Security instance says. `version` is the LwM2M
    version of the client, `versions` are the object versions to tell in it."""

    def __init__(
        self,
        client: Owner,
        make: Callable[[ServerAccount], Account],
        reach: Callable[[str, Path], Transport],
        version: str,
        versions: Mapping[int, str],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._model = client.data_model
        self._version = version
        self._versions = versions
        self._wall_clock = wall_clock
        self._later: set[asyncio.TimerHandle] = set()
        preferred = None if version == "1.0" else ContentFormat.SENML_CBOR
        self._bootstrapping = Bootstrapping(self, reach, client.endpoint, preferred, clock)
        self.accounts = Accounts(self._model, make, self._bootstrapping.begin)

    def begin(self) -> None:
        """Register, or bootstrap where there is no server."""
        if len(self.accounts):
            self.accounts.begin()
        else:
            self._bootstrapping.begin()

    def bootstrap_anew(self) -> None:
        """Once the answer that is being given is on its way. Raises MethodNotAllowed when there is no server to ask."""
        if self.bootstrap_account() is None:
            raise MethodNotAllowed("this client has no bootstrap server")
        self._after_the_answer(self._bootstrapping.begin_anew)

    async def stop(self, deregister: bool) -> None:
        for handle in self._later:
            handle.cancel()
        await self._bootstrapping.stop()
        await self.accounts.stop(deregister)

    @property
    def is_bootstrapping(self) -> bool:
        """The bootstrap server is expected to speak."""
        return self._bootstrapping.is_busy

    def why_not_registered(self, short_server_id: int | None) -> str:
        """With this one, or with any."""
        failures = [f"{uri}: {why or 'no answer yet'}" for uri, why in self.accounts.failures(short_server_id)]
        return "; ".join(failures) or self._bootstrapping.last_failure or "there is no such account"

    def handle(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        """The Handler of every socket."""
        account = self.accounts.of_peer(peer)
        is_server = account is not None and account.state in REGISTERED
        if self._bootstrapping.serves(peer) and (self._bootstrapping.is_busy or not is_server):
            return self._bootstrapping.handle(request)
        return NOT_FOR_YOU if account is None else account.handle(request, peer)

    def moved(self, account: Account) -> None:
        """The registration of this account is in another state."""
        if account.state is State.REGISTERED:
            self._bootstrapping.registered()
        self.accounts.moved(account)

    # What happens to the data model

    def changed(self, paths: frozenset[Path]) -> None:
        for account in self.accounts:
            account.changed(paths, self._concerning_registration(account, paths))
        if any(_concerns_accounts(path) for path in paths):
            self._settle()
            self.accounts.join()

    def vanished(self, paths: frozenset[Path]) -> None:
        for account in self.accounts:
            account.vanished(paths)
        self.changed(paths)

    def _settle(self) -> None:
        """Let the accounts be those of the data model, and complete their Server instances."""
        for gone in self.accounts.take_over():
            if server_of(self._model, gone.short_server_id) == gone.server:
                self._client.remove([gone.server])
            removed, records = after_account(self._model, gone.short_server_id, self._client.definitions)
            self._client.remove(removed)
            self._client.update(records)
        for account in self.accounts:
            self._client.update(server_object.executables(self._model, account.pair.server))

    def _concerning_registration(self, account: Account, changed: frozenset[Path]) -> Changed:
        instance = account.pair.server
        if not changed.isdisjoint(
            (instance.child(server_object.MINIMUM_PERIOD), instance.child(server_object.MAXIMUM_PERIOD))
        ):
            account.defaults_changed()
        return Changed(
            objects=any(len(path) < 3 and path[0] not in UNLISTED for path in changed),
            lifetime=instance.child(server_object.LIFETIME) in changed,
            binding=instance.child(server_object.BINDING) in changed,
        )

    # What a bootstrap needs: `Configuring`

    def bootstrap_account(self) -> BootstrapAccount | None:
        return bootstrap_account(self._model)

    def bootstrap_session(self) -> BootstrapSession:
        client = self._client
        return BootstrapSession(self._model, client.definitions, self._version, self._versions, client.own)

    def adopt(self, session: BootstrapSession) -> None:
        removed, records, written = session.difference(self._model)
        vanished = frozenset[Path]().union(*map(self._model.remove, removed))
        now = int(self._wall_clock())
        stamps = [Record(path.child(server_object.LAST_BOOTSTRAPPED), now) for path in written if path[0] == SERVER]
        known = [stamp for stamp in stamps if self._client.definitions.resource(stamp.path)]
        changed = self._model.update([*records, *known])
        for account in self.accounts:
            account.vanished(vanished - changed)
            account.changed(changed | vanished, Changed())
        self._settle()
        self._after_the_answer(self.accounts.begin)

    def give_way(self) -> None:
        if self.accounts.any_registered:
            self._bootstrapping.registered()
        else:
            self.accounts.begin()

    def purge_bootstrap_account(self) -> None:
        account = self.bootstrap_account()
        if account is not None:
            oscore = value_of(self._model, account.security.child(OSCORE))
            link = [Path(oscore.object_id, oscore.instance_id)] if isinstance(oscore, ObjectLink) else []
            self._client.remove([account.security, *link])

    def exchanged(self) -> None:
        self._client.exchanged()

    def publish(self, event: ClientEvent) -> None:
        self._client.publish(event)

    def _after_the_answer(self, act: Callable[[], None]) -> None:
        def ring() -> None:
            self._later.discard(handle)
            act()

        handle = asyncio.get_running_loop().call_later(ANSWER_FIRST, ring)
        self._later.add(handle)


def _concerns_accounts(path: Path) -> bool:
    return path[0] in _PAIRING and (len(path) < 3 or path[2] in _PAIRING[path[0]])
