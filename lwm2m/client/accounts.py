"""The server accounts of a client: as many as its data model holds, registered in the order that it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from lwm2m.client.account import Account
from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import ServerAccount, server_accounts, uris_of
from lwm2m.client.registration import Disable, Restart, Start, State, Triggered
from lwm2m.client.registration_order import Begin, OrderAction, RegistrationOrder
from lwm2m.client.standard_objects.server import turn
from lwm2m.coap.message import Peer
from lwm2m.coap.uri import letter_of
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.path import Path

REGISTERED = frozenset({State.REGISTERED, State.UPDATING})
_AT_REST = frozenset({State.IDLE, State.FAILED})


class Accounts:
    """`make` builds an account, which may not say anything yet; `bootstrap` is called when no server is left to try."""

    def __init__(
        self, model: DataModel, make: Callable[[ServerAccount], Account], bootstrap: Callable[[], object]
    ) -> None:
        self._model = model
        self._make = make
        self._bootstrap = bootstrap
        self._order = RegistrationOrder()
        self._moved = asyncio.Event()
        self._begun = False
        self._fresh: set[int] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._accounts = {pair.short_server_id: make(pair) for pair in server_accounts(model)}

    def __iter__(self) -> Iterator[Account]:
        """By ascending Short Server ID."""
        return iter([account for _, account in sorted(self._accounts.items())])

    def __len__(self) -> int:
        return len(self._accounts)

    def get(self, short_server_id: int) -> Account | None:
        return self._accounts.get(short_server_id)

    def of_peer(self, peer: Peer) -> Account | None:
        return next((account for account in self._accounts.values() if account.is_of(peer)), None)

    def of_instance(self, server: Path) -> Account | None:
        """`server` is a Server instance."""
        return next((account for account in self._accounts.values() if account.pair.server == server), None)

    def begin(self) -> None:
        """Register with all of them, in their order; who is registered registers anew."""
        self._begun = True
        self._fresh.clear()
        self._perform(self._order.begin(turn(self._model, account.pair.server) for account in self))

    def tell(self, server: Path, event: Disable | Triggered) -> None:
        """To the account of a Server instance, after the answer that is being given. Raises LwM2MError."""
        account = self.of_instance(server)
        if account is None:
            raise MethodNotAllowed(f"{server} belongs to no server account")
        if account.state in (State.DISABLING, State.DISABLED):
            raise BadRequest(f"the server of {server} is disabled")
        if isinstance(event, Triggered) and event.transport:
            uris = uris_of(self._model, account.pair.short_server_id)
            account.go_over_to(next((uri for uri in uris if letter_of(uri) == event.transport), account.server))
        account.feed_later(event)

    def restart_later(self) -> None:
        for account in self:
            account.feed_later(Restart())

    def moved(self, account: Account) -> None:
        """The registration of this account is in another state."""
        self._moved.set()
        self._moved = asyncio.Event()
        if self._accounts.get(account.pair.short_server_id) is not account:
            return
        if account.state is State.REGISTERED:
            self._perform(self._order.registered(account.pair.short_server_id))
        elif account.state is State.FAILED:
            self._perform(self._order.failed(account.pair.short_server_id))

    @property
    def any_registered(self) -> bool:
        return any(account.state in REGISTERED for account in self)

    async def registered(self, short_server_id: int | None) -> None:
        """Wait until this one, or any, is registered."""
        while not any(account.state in REGISTERED for account in self._named(short_server_id)):
            await self._moved.wait()

    def failures(self, short_server_id: int | None) -> Iterator[tuple[str, str]]:
        """URI and why the last try failed, of those that are not registered."""
        for account in self._named(short_server_id):
            if account.state not in REGISTERED:
                yield account.server, account.last_failure

    def take_over(self) -> list[ServerAccount]:
        """Let the accounts be those of the data model. Returns which are gone, without a goodbye. New ones are
        idle."""
        wanted = {pair.short_server_id: pair for pair in server_accounts(self._model)}
        gone = [account for account in self if wanted.get(account.pair.short_server_id) != account.pair]
        for account in gone:
            del self._accounts[account.pair.short_server_id]
            if self._begun:
                self._leave(account)
            self._perform(self._order.gone(account.pair.short_server_id))
        for number, pair in wanted.items():
            if number not in self._accounts:
                self._accounts[number] = self._make(pair)
                self._fresh.add(number)
        return [account.pair for account in gone if account.pair.short_server_id not in wanted]

    def join(self) -> None:
        """Register with those that came while the others are registered already."""
        fresh = [account for account in self if account.pair.short_server_id in self._fresh]
        self._fresh.clear()
        for account in fresh if self._begun else ():
            self._perform(self._order.join(turn(self._model, account.pair.server)))

    async def stop(self, deregister: bool) -> None:
        await asyncio.gather(*(account.stop(deregister) for account in self), *self._leaving)

    def _named(self, short_server_id: int | None) -> Iterable[Account]:
        if short_server_id is None:
            return list(self)
        account = self._accounts.get(short_server_id)
        return [] if account is None else [account]

    def _leave(self, account: Account) -> None:
        task = asyncio.get_running_loop().create_task(account.stop(False), name=f"leaving {account.server}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _perform(self, actions: Iterable[OrderAction]) -> None:
        for action in actions:
            if isinstance(action, Begin):
                account = self._accounts[action.short_server_id]
                account.feed(Start() if account.state in _AT_REST else Restart())
            else:
                self._bootstrap()
