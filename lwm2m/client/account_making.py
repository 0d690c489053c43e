"""How a client makes the account of each of its servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from lwm2m.attributes import ThresholdMode
from lwm2m.client.access_control import Access
from lwm2m.client.account import Account, Surroundings
from lwm2m.client.data_model import Actuator, DataModel
from lwm2m.client.dispatch import DeviceManagement
from lwm2m.client.pairing import ServerAccount
from lwm2m.client.presentation import Presentation
from lwm2m.client.registration import Registration
from lwm2m.client.standard_objects import server as server_object
from lwm2m.client.targets import Targets
from lwm2m.client.transport import Transport
from lwm2m.client.versions import down_from
from lwm2m.link_format import Link
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_ROOT = Link("/", {"rt": '"oma.lwm2m"', "ct": '"60 110 112 11542"'})


@dataclass(frozen=True, slots=True)
class AccountMaking:
    """What the accounts of one client have in common. `said` gives the object versions to tell a server that speaks an
    LwM2M version; `gather` is in seconds; the rest is as in `DeviceManagement` and `Account`."""

    endpoint: str
    data_model: DataModel
    definitions: Definitions
    version: str
    said: Callable[[str], Mapping[int, str]]
    queue_mode: bool
    sms: str | None
    gather: float
    max_observations: int
    threshold_mode: ThresholdMode
    actuator_of: Callable[[Path], Actuator]
    update: Callable[[Iterable[Record]], object]
    reach: Callable[[str, Path], Transport]
    surroundings: Surroundings
    clock: Callable[[], float]
    wall_clock: Callable[[], float]

    def account(self, pair: ServerAccount) -> Account:
        """One that has not said anything yet."""
        transport = self.reach(pair.uri, pair.security)
        return Account(
            pair,
            self._presentation(pair.server),
            Registration(
                lambda: server_object.settings(self.data_model, pair.server), self.gather, down_from(self.version)
            ),
            lambda version: self._management(pair, transport, version),
            transport,
            self.surroundings,
            self.clock,
        )

    def _presentation(self, instance: Path) -> Presentation:
        model = self.data_model
        return Presentation(
            self.endpoint,
            lifetime=lambda: server_object.settings(model, instance).lifetime,
            binding=lambda version: server_object.presented_binding(model, instance, version, self.queue_mode),
            links=lambda version: (_ROOT, *model.links(self.said(version))),
            sms=self.sms,
        )

    def _management(self, pair: ServerAccount, transport: Transport, version: str) -> DeviceManagement:
        return DeviceManagement(
            Targets(self.data_model, self.definitions, Access(self.data_model, pair.short_server_id)),
            self.actuator_of,
            lambda: server_object.default_periods(self.data_model, pair.server),
            transport.forget,
            update=self.update,
            storing=lambda: server_object.stores_reports(self.data_model, pair.server),
            wall_clock=self.wall_clock,
            muted=lambda: version == "1.0" or server_object.is_muted(self.data_model, pair.server),
            version=version,
            versions=self.said(version),
            max_observations=self.max_observations,
            mode=self.threshold_mode,
        )
