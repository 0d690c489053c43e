"""The client: a data model, an actuator, and the servers it is registered with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from types import TracebackType
from typing import Self

from lwm2m.attributes import ThresholdMode
from lwm2m.client.access_control import controls_of
from lwm2m.client.account import Account
from lwm2m.client.account_making import AccountMaking
from lwm2m.client.alarm import Alarm
from lwm2m.client.alerts import heard_at_the_end
from lwm2m.client.data_model import Actuator, DataModel
from lwm2m.client.events import Asleep, Awake, ClientEvent, EventStream, Registered, Served
from lwm2m.client.initial_accounts import Beginning, BootstrapServer, complete
from lwm2m.client.network import Network
from lwm2m.client.pairing import (
    SERVER,
    short_server_id,
    uris_of,
)
from lwm2m.client.queue_mode import AWAKE_FOR, Wakefulness
from lwm2m.client.reaching import Connectors, Reaching
from lwm2m.client.registration import State, Triggered
from lwm2m.client.secure_clock import SecureClock
from lwm2m.client.security import AccountSecurity, Own
from lwm2m.client.sending import send_to_each
from lwm2m.client.servers import Servers
from lwm2m.client.simulated import Simulated
from lwm2m.client.standard_objects import device
from lwm2m.client.standard_objects import server as server_object
from lwm2m.client.standard_objects.standard_object import StandardObject
from lwm2m.client.transport import Sockets, Transport
from lwm2m.client.versions import in_force, said_versions
from lwm2m.coap import stacks
from lwm2m.coap.connecting import connecting, connecting_protected, connecting_securely
from lwm2m.coap.endpoint import Endpoint, Limits
from lwm2m.coap.links.dtls_link import ClientSecurity, OwnSessions
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import Dtls
from lwm2m.coap.uri import letter_of
from lwm2m.model.checking import check
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.security.certificate_status import NOT_CHECKED, Revocation
from lwm2m.security.credentials import SigningKey
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.paths import TrustStore
from lwm2m.security.sequence_numbers import SequenceNumbers
from lwm2m.security.taken import TakenPaths

GATHER = 0.1
MAX_SMS = 32
"""Digits of a telephone number; servers take no more."""


class Client:
    """One LwM2M client with the server accounts of its data model: every Security instance with a Server instance of
    the same Short Server ID.

    `records` are the initial data model. `server` is one URI or several; each that no account of the data model has
    gets one, with `security` where its scheme needs it. Objects 1 and 3 are completed where they are missing or lack
    mandatory resources. Without an actuator the client is a simulated device.
    `coap` is an Endpoint for this client alone that has not been started; without it, or for URIs of other schemes,
    `open_endpoint` makes one for each local address that leads to a server, and `connect` one for a scheme of
    connections and a local address, or for a line and its URI. `connect_securely` makes those of schemes with keys, by
    what to show, one for each account.
    `signing_key` is the device's own private key, as in a token: for Security instances without one. Authorities in
    `trust` vouch for servers; `revocation` says where to look whether they took a certificate back.
    `oscore` is the context that is shared with `server`, where its account is made here. What is said to servers with a
    context goes by what `connect_protected` makes, and never without `numbers`, which keeps the sequence numbers.
    `binding` is what the servers are told where the data model does not say; without it that is the letter of the URI.
    `sms` is the number of the device, in digits, which a binding with S goes with.
    With `queue_mode` it sleeps `awake_for` seconds after the last exchange, until it has something to say.
    `gather` is how many seconds changes of the object list are collected before the servers are told of them.
    `objects` are objects that act by themselves: each is the actuator of its own object id.
    `bootstrap` is the URI of a bootstrap server, asked `hold_off` seconds after it turned out that no server account
    leads to a registration, or that there is none.
    `network` brings the device into the network that an account asks for.

    Raises ValueError for an endpoint name, a server URI, a version, a binding, a number or records that
    cannot be."""

    def __init__(
        self,
        endpoint: str,
        server: str | Sequence[str] = (),
        records: Iterable[Record] = (),
        actuator: Actuator | None = None,
        *,
        objects: Iterable[StandardObject] = (),
        lifetime: int = 300,
        definitions: Definitions | None = None,
        coap: Endpoint | None = None,
        open_endpoint: Callable[[str], Endpoint] | None = None,
        connect: Callable[[str, str], Endpoint] | None = None,
        connect_securely: Callable[[str, str, ClientSecurity, OwnSessions], Endpoint] | None = None,
        security: AccountSecurity | None = None,
        signing_key: SigningKey | None = None,
        trust: TrustStore = TrustStore(),  # noqa: B008  # immutable
        revocation: Revocation = NOT_CHECKED,
        oscore: OscoreSecurity | None = None,
        numbers: SequenceNumbers | None = None,
        connect_protected: Callable[[str, str, Oscore, Dtls | None], Endpoint] | None = None,
        network: Network | None = None,
        bootstrap: str | None = None,
        hold_off: int = 0,
        version: str = "1.1",
        binding: str | None = None,
        sms: str | None = None,
        queue_mode: bool = False,
        gather: float = GATHER,
        awake_for: float = AWAKE_FOR,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        threshold_mode: ThresholdMode = ThresholdMode.BOTH,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < len(endpoint.encode()) <= 255:
            raise ValueError("an endpoint name has 1 to 255 bytes")
        if lifetime < 0:
            raise ValueError("a lifetime is a number of seconds, 0 for ever")
        self.endpoint = endpoint
        self.definitions = in_force(definitions or shipped(), version)
        self._objects = {standard.object_id: standard for standard in objects}
        own = [record for standard in self._objects.values() for record in standard.records()]
        self.data_model = DataModel(map(self._checked, [*own, *records]))
        self.own = Own(signing_key, trust, revocation, TakenPaths())
        self._version = version
        self._given_letters = _letters(binding, sms)
        asked = None if bootstrap is None else BootstrapServer(bootstrap, hold_off)
        given = (server,) if isinstance(server, str) else tuple(server)
        complete(
            self.data_model,
            Beginning(given, asked, lifetime, binding, security or AccountSecurity(), oscore),
            version,
            any_scheme=coap is not None,
        )
        self._actuator = actuator or self._simulated(wall_clock)
        self._clock = clock
        self._network = network
        self._events = EventStream()
        self._secure_clock = SecureClock(self.definitions, clock, wall_clock)
        connectors = Connectors(
            open_endpoint or partial(stacks.open_endpoint, limits=limits),
            connect or partial(connecting, limits=limits),
            connect_securely or partial(connecting_securely, limits=limits),
            connect_protected or partial(connecting_protected, limits=limits),
        )
        self._ways = Reaching(self.data_model, self.own, numbers, connectors, self._secure_clock.wall)
        self._sockets = Sockets(coap, self._ways.endpoint, self._handle, self._connection_lost)
        self._queue_mode = queue_mode or "Q" in (binding or "")
        self._wakefulness = Wakefulness(awake_for)
        self._sleep = Alarm(self._wakefulness.deadline, clock, self._doze)
        making = AccountMaking(
            endpoint,
            self.data_model,
            self.definitions,
            version,
            sms=sms,
            said=cache(partial(said_versions, self.definitions)),
            queue_mode=self._queue_mode,
            gather=gather,
            max_observations=limits.max_observations_per_client,
            threshold_mode=threshold_mode,
            actuator_of=self._in_charge,
            update=self.update,
            reach=self._reach,
            surroundings=self,
            clock=clock,
            wall_clock=wall_clock,
        )
        self._servers = Servers(self, making.account, self._reach, version, making.said(version), clock, wall_clock)
        self._server_object = server_object.ServerObject(
            self.update, self.remove, self._servers.accounts.tell, self.bootstrap, version, self._letters
        )

    @property
    def state(self) -> State:
        """Of the registration with the server of the lowest Short Server ID."""
        return next((account.state for account in self._servers.accounts), State.IDLE)

    @property
    def states(self) -> Mapping[int, State]:
        """By Short Server ID."""
        return {account.pair.short_server_id: account.state for account in self._servers.accounts}

    @property
    def server(self) -> str:
        """The URI of the server of the lowest Short Server ID; "" without any."""
        return next((account.server for account in self._servers.accounts), "")

    async def start(self) -> None:
        """Begin to register, or to bootstrap; returns before a server answered. Raises OSError when a given Endpoint
        cannot bind."""
        await self._sockets.start()
        for standard in self._objects.values():
            standard.start(self)
        self._servers.begin()

    async def registered(self, timeout: float | None = None, short_server_id: int | None = None) -> None:
        """Wait until the client is registered with this server, or with any. Raises TimeoutError, which says why the
        last try failed."""
        try:
            async with asyncio.timeout(timeout):
                await self._servers.accounts.registered(short_server_id)
        except TimeoutError:
            why = self._servers.why_not_registered(short_server_id)
            raise TimeoutError(f"{self.endpoint} is not registered with {why}") from None

    async def stop(self, deregister: bool = True) -> None:
        """De-register, close the socket, end every task. Takes a good second at most, with dead servers too."""
        for standard in self._objects.values():
            await standard.stop()
        self._wake_up()
        await self._servers.stop(deregister)
        await self._sockets.stop()
        self._sleep.off()
        self._events.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def events(self) -> AsyncIterator[ClientEvent]:
        """What happens from now on, until the client stops."""
        return self._events.read()

    def revoked(self) -> set[str]:
        """The servers that we are connected with, by their identity, whose certificates `revocation` says were revoked
        since; each is told once. For `Revoking.end`, which asks in a thread."""
        return self.own.taken_back(self._secure_clock.wall())

    async def revoke(self, identities: frozenset[str]) -> None:
        """End what goes on with these servers, whose certificates are valid no more. What comes next begins with a
        whole handshake, and so with a look at the certificate."""
        self._ways.forget(identities)
        self._sockets.expel(identities)

    def update(self, records: Iterable[Record]) -> frozenset[Path]:
        """Set values; observers and the server learn of what changed. Returns the changed paths. Raises ValueError,
        with nothing changed, for a value that its definition does not allow."""
        changed = self.data_model.update([self._checked(record) for record in records])
        self._servers.changed(changed)
        return changed

    def remove(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Take away objects, instances, resources or resource instances, with the Access Control instances about what
        is gone. Returns every path that vanished."""
        vanished = frozenset[Path]().union(*map(self.data_model.remove, paths))
        vanished |= frozenset[Path]().union(*map(self.data_model.remove, controls_of(self.data_model, vanished)))
        self._servers.vanished(vanished)
        return vanished

    async def send(self, what: Iterable[Path | Record], short_server_id: int | None = None) -> Mapping[int, Code]:
        """Report values to this server, or to all that listen: what is now at the paths, and records as they are, with
        their times and in their order. Returns the code of each answer by Short Server ID.

        Raises SendRefused, as for a server that mutes us or that we are not registered with, and RequestFailed; with
        several servers only when none of them answered."""
        accounts = [(account.pair.short_server_id, account) for account in self._servers.accounts]
        chosen = [one for one in accounts if short_server_id in (None, one[0])]
        return await send_to_each(chosen, [self._checked(one) if isinstance(one, Record) else one for one in what])

    def restart(self) -> None:
        """As after a reboot: register anew, once the request being served is answered."""
        self._servers.accounts.restart_later()

    def update_registration(self) -> None:
        """Refresh every registration now, as when a server executes the Registration Update Trigger."""
        for account in self._servers.accounts:
            account.feed(Triggered())

    @property
    def is_awake(self) -> bool:
        return self._wakefulness.is_awake

    def sleep(self) -> None:
        """Listen no more, until there is something to say. Raises ValueError without queue mode."""
        if not self._queue_mode:
            raise ValueError("without queue mode a client has to listen")
        if self._wakefulness.sleep():
            self._fall_asleep()

    def wake(self) -> None:
        """Tell every server that it may speak."""
        self._wake_up()
        self.update_registration()

    def exchanged(self) -> None:
        if self._queue_mode:
            self._wake_up()
            self._sleep.set()

    def publish(self, event: ClientEvent) -> None:
        self._events.publish(event)
        if isinstance(event, Served) and event.code.is_success:
            account = self._servers.accounts.get(event.short_server_id)
            self._secure_clock.served(event.operation, None if account is None else account.identity)
        if isinstance(event, Registered):
            for standard in self._objects.values():
                standard.registered()

    def alerted(self, account: Account, alert: int) -> None:
        record = Record(account.pair.server.child(server_object.ALERT), alert)
        if self.definitions.resource(record.path) is not None:
            self.update([record])

    def moved(self, account: Account) -> None:
        self._servers.moved(account)

    async def prepare(self, account: Account) -> None:
        if self._network is not None and (link := server_object.apn_link(self.data_model, account.pair.server)):
            await self._network.use_apn(link)

    def bootstrap(self) -> None:
        """Ask the bootstrap server for a new configuration, as when a server executes the Bootstrap-Request Trigger.
        Raises LwM2MError when there is none to ask."""
        self._servers.bootstrap_anew()

    def _wake_up(self) -> None:
        if self._wakefulness.exchanged(self._clock()):
            self._sockets.listen(True)
            self.publish(Awake())

    def _doze(self) -> None:
        if self._servers.is_bootstrapping:
            self.exchanged()
        elif self._wakefulness.due(self._clock()):
            self._fall_asleep()
        else:
            self._sleep.set()

    def _fall_asleep(self) -> None:
        self._sleep.off()
        self._sockets.listen(False)
        self.publish(Asleep())

    def _handle(self, request: Request, peer: Peer) -> Response | Awaitable[Response]:
        """The Handler of every socket."""
        return self._servers.handle(request, peer)

    def _in_charge(self, path: Path) -> Actuator:
        return self._server_object if path[0] == SERVER else self._objects.get(path[0], self._actuator)

    def _checked(self, record: Record) -> Record:
        definition = self.definitions.resource(record.path)
        if definition is None or record.value is None:
            return record
        if definition.multiple != (len(record.path) == 4):
            raise ValueError(f"{record.path}: {definition.name} is {'multiple' if definition.multiple else 'single'}")
        try:
            return record._replace(value=check(definition, record.value))
        except ValueError as error:
            raise ValueError(f"{record.path}: {error}") from None

    def _letters(self, instance: Path) -> frozenset[str]:
        """By which transports the server of this instance may be reached."""
        number = short_server_id(self.data_model, instance)
        uris = [] if number is None else uris_of(self.data_model, number)
        return self._given_letters.union(map(letter_of, uris))

    def _simulated(self, wall_clock: Callable[[], float]) -> Simulated:
        clock = device.Clock(wall_clock)
        if not self.data_model.has(device.CURRENT_TIME):
            self.data_model.live(device.CURRENT_TIME, clock.now)
        return Simulated(self, self.definitions, clock)

    def _connection_lost(self, peer: Peer) -> None:
        """While we sleep nobody reaches us anyway."""
        for account in self._servers.accounts:
            if account.is_of(peer):
                if (alert := heard_at_the_end(peer)) is not None:
                    self.alerted(account, alert)
                account.connection_lost(reopen=self.is_awake)

    def _reach(self, uri: str, security: Path) -> Transport:
        ways = self._ways
        return Transport(self._sockets, uri, partial(ways.secured, security), partial(ways.protected, security))


def _letters(binding: str | None, sms: str | None) -> frozenset[str]:
    """The transports that the caller says the device has. Raises ValueError."""
    if sms is not None and not (0 < len(sms) <= MAX_SMS and sms.isascii() and sms.isdigit()):
        raise ValueError("the number of a device is in digits, without a plus sign")
    letters = frozenset(binding or "") - {"Q"} | ({"S"} if sms else frozenset())
    if "S" in letters and sms is None:
        raise ValueError("a binding with S needs the number of the device")
    return letters
