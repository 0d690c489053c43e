"""The client: a data model, an actuator, and the server it is registered with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Self

from lwm2m.attributes import ThresholdMode
from lwm2m.client.account import Account, Presentation
from lwm2m.client.data_model import UNLISTED, Actuator, DataModel
from lwm2m.client.dispatch import DeviceManagement
from lwm2m.client.events import ClientEvent, EventStream, Registered
from lwm2m.client.registration import Changed, Registration, Restart, Settings, Start, State
from lwm2m.client.simulated import Simulated
from lwm2m.client.standard_objects import device, security, server
from lwm2m.client.standard_objects.standard_object import StandardObject
from lwm2m.client.targets import Targets
from lwm2m.client.transport import Transport
from lwm2m.client.versions import in_force, said_versions
from lwm2m.coap.aiocoap_stack import AiocoapEndpoint, parse_uri
from lwm2m.coap.endpoint import Endpoint, Limits
from lwm2m.link_format import Link
from lwm2m.model.checking import check
from lwm2m.model.definition import Definitions
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.registration import Binding

GATHER = 0.1
_ROOT = Link("/", {"rt": '"oma.lwm2m"', "ct": '"60 110 112 11542"'})


class Client:
    """One LwM2M client, registered with one server.

    `records` are the initial data model; objects 0, 1 and 3 are completed where they are missing or lack mandatory
    resources. Without an actuator the client is a simulated device. `coap` is an Endpoint for this client alone that
    has not been started; without it `open_endpoint` makes one, given the local address that leads to the server.
    `gather` is how many seconds changes of the object list are collected before the server is told of them.
    `objects` are objects that act by themselves: each is the actuator of its own object id.

    Raises ValueError for an endpoint name, a server URI, a version, a binding or records that cannot be."""

    def __init__(
        self,
        endpoint: str,
        server: str,
        records: Iterable[Record] = (),
        actuator: Actuator | None = None,
        *,
        objects: Iterable[StandardObject] = (),
        lifetime: int = 300,
        definitions: Definitions | None = None,
        coap: Endpoint | None = None,
        open_endpoint: Callable[[str], Endpoint] | None = None,
        version: str = "1.1",
        binding: str = "U",
        gather: float = GATHER,
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
        self._complete(server, lifetime, binding)
        self._actuator = actuator or self._simulated(wall_clock)
        self._versions = said_versions(self.definitions, version)
        self._events = EventStream()
        self._transport = Transport(
            coap, open_endpoint or (lambda host: AiocoapEndpoint(host, 0, limits=limits)), parse_uri(server)
        )
        self._instance = Path(1, self.data_model.instances(1)[0])
        self._binding(version)
        self._account = Account(
            server,
            self._presentation(version),
            Registration(self._settings, gather),
            self._management(version, limits, threshold_mode),
            self._transport,
            self._publish,
            clock,
        )

    @property
    def state(self) -> State:
        return self._account.state

    @property
    def server(self) -> str:
        return self._account.server

    async def start(self) -> None:
        """Begin to register; returns before the server answered. Raises OSError when a given Endpoint cannot bind."""
        await self._transport.start(self._account.handle)
        for standard in self._objects.values():
            standard.start(self)
        self._account.feed(Start())

    async def registered(self, timeout: float | None = None) -> None:
        """Wait until the client is registered. Raises TimeoutError, which says why the last try failed."""
        try:
            async with asyncio.timeout(timeout):
                await self._account.reached(State.REGISTERED, State.UPDATING)
        except TimeoutError:
            why = self._account.last_failure or "no answer yet"
            raise TimeoutError(f"{self.endpoint} is not registered with {self.server}: {why}") from None

    async def stop(self, deregister: bool = True) -> None:
        """De-register, close the socket, end every task. Takes a good second at most, with a dead server too."""
        for standard in self._objects.values():
            await standard.stop()
        await self._account.stop(deregister)
        await self._transport.stop()
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

    def update(self, records: Iterable[Record]) -> frozenset[Path]:
        """Set values; observers and the server learn of what changed. Returns the changed paths. Raises ValueError,
        with nothing changed, for a value that its definition does not allow."""
        changed = self.data_model.update([self._checked(record) for record in records])
        self._account.changed(changed, self._concerning_registration(changed))
        return changed

    def remove(self, paths: Iterable[Path]) -> frozenset[Path]:
        """Take away objects, instances, resources or resource instances. Returns every path that vanished."""
        vanished = frozenset[Path]().union(*map(self.data_model.remove, paths))
        self._account.vanished(vanished)
        self._account.changed(vanished, self._concerning_registration(vanished))
        return vanished

    def restart(self) -> None:
        """As after a reboot: register anew, once the request being served is answered."""
        self._account.feed_later(Restart())

    def _publish(self, event: ClientEvent) -> None:
        self._events.publish(event)
        if isinstance(event, Registered):
            for standard in self._objects.values():
                standard.registered()

    def _in_charge(self, path: Path) -> Actuator:
        return self._objects.get(path[0], self._actuator)

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

    def _complete(self, uri: str, lifetime: int, binding: str) -> None:
        self.data_model.update(server.account(self.data_model, lifetime, binding))
        self.data_model.update(device.completed(self.data_model, binding))
        if not self.data_model.instances(0):
            self.data_model.update(security.account(uri, server.SHORT_SERVER_ID))

    def _simulated(self, wall_clock: Callable[[], float]) -> Simulated:
        clock = device.Clock(wall_clock)
        if not self.data_model.has(device.CURRENT_TIME):
            self.data_model.live(device.CURRENT_TIME, clock.now)
        return Simulated(self, clock)

    def _settings(self) -> Settings:
        return server.settings(self.data_model, self._instance)

    def _presentation(self, version: str) -> Presentation:
        return Presentation(
            self.endpoint,
            version,
            lifetime=lambda: self._settings().lifetime,
            binding=lambda: self._binding(version),
            links=lambda: (_ROOT, *self.data_model.links(self._versions)),
        )

    def _binding(self, version: str) -> Binding:
        return server.binding(str(self.data_model.value(self._instance.child(server.BINDING))), version)

    def _management(self, version: str, limits: Limits, mode: ThresholdMode) -> DeviceManagement:
        server_object = server.ServerObject(
            self.update, self.remove, lambda event: self._account.feed_later(event), version
        )
        return DeviceManagement(
            Targets(self.data_model, self.definitions),
            lambda path: server_object if path[0] == 1 else self._in_charge(path),
            lambda: server.default_periods(self.data_model, self._instance),
            self._transport.forget,
            version=version,
            versions=self._versions,
            max_observations=limits.max_observations_per_client,
            mode=mode,
        )

    def _concerning_registration(self, changed: frozenset[Path]) -> Changed:
        periods = (self._instance.child(server.MINIMUM_PERIOD), self._instance.child(server.MAXIMUM_PERIOD))
        if not changed.isdisjoint(periods):
            self._account.defaults_changed()
        return Changed(
            objects=any(len(path) < 3 and path[0] not in UNLISTED for path in changed),
            lifetime=self._instance.child(server.LIFETIME) in changed,
            binding=self._instance.child(server.BINDING) in changed,
        )
