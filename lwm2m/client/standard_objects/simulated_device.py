"""Everything that a simulated device has of the standard objects, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from lwm2m.client.data_model import DataModel
from lwm2m.client.download import Downloader
from lwm2m.client.standard_objects.binary_app_data import BinaryAppDataContainer
from lwm2m.client.standard_objects.connectivity_monitoring import ETHERNET, ConnectivityMonitoring, Network
from lwm2m.client.standard_objects.connectivity_statistics import ConnectivityStatistics
from lwm2m.client.standard_objects.device import Device
from lwm2m.client.standard_objects.event_log import EventLog
from lwm2m.client.standard_objects.firmware import CONFIRM_WITHIN, FIRMWARE_VERSION, FirmwareUpdate
from lwm2m.client.standard_objects.location import Location, Position
from lwm2m.client.standard_objects.portfolio import Portfolio
from lwm2m.client.standard_objects.simulated_installer import SimulatedInstaller
from lwm2m.client.standard_objects.simulated_updater import SimulatedUpdater
from lwm2m.client.standard_objects.software import SoftwareManagement
from lwm2m.client.standard_objects.standard_object import Host, StandardObject
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_MODEL = Path(3, 0, 1)
_SERVER = 1
_KEPT = frozenset({0, 2, 5, 7, 9, 20, 21})
"""Objects that a factory reset leaves as they are: the accounts, and those whose values tell what the device did."""
_SYSTEM = 1
"""The log class of what the device itself does."""


class SimulatedDevice:
    """`objects` are 3, 4, 5, 6, 7, 9, 16, 19 and 20. `records` are those the client will be given: the firmware version
    and the model that packages have to bear are taken from them. An install takes `pace` seconds, and a new firmware
    has `confirm_within` seconds to register; `addresses` are the device's own."""

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        addresses: tuple[str, ...] = ("127.0.0.1",),
        pace: float = 1.0,
        confirm_within: float = CONFIRM_WITHIN,
        wall_clock: Callable[[], float] = time.time,
        download: Downloader = Downloader(),  # noqa: B008  # immutable
    ) -> None:
        given = DataModel(records)
        version, model = _text(given, FIRMWARE_VERSION, "1.0"), _text(given, _MODEL, "simulated device")
        self.updater = SimulatedUpdater(version, model, pace=pace)
        self.device = _FactoryDevice(
            {0: "lwm2m-toolkit", 1: model, 2: "1", 3: version},
            reboot=self._reboot,
            factory_reset=self._factory_reset,
            wall_clock=wall_clock,
        )
        self.firmware = FirmwareUpdate(
            self.updater,
            download,
            protocols=download.protocols,
            confirm_within=confirm_within,
            wall_clock=wall_clock,
        )
        self.statistics = ConnectivityStatistics()
        self.log = EventLog(wall_clock=wall_clock)
        self.objects: tuple[StandardObject, ...] = (
            self.device,
            ConnectivityMonitoring(Network(ETHERNET, addresses)),
            self.firmware,
            Location(Position(0.0, 0.0), wall_clock),
            self.statistics,
            SoftwareManagement(SimulatedInstaller(pace=pace), download),
            Portfolio({0: {0: "1", 1: "lwm2m-toolkit", 2: model, 3: version}}),
            BinaryAppDataContainer(),
            self.log,
        )

    def passed(self, sent: int, received: int) -> None:
        """A datagram of so many bytes."""
        self.statistics.count(sent=sent, received=received)

    def _reboot(self) -> None:
        self.log.record("reboot", _SYSTEM)
        self.updater.boot()
        self.firmware.power_returned()
        self.device.host.restart()

    def _factory_reset(self) -> None:
        self.log.record("factory reset", _SYSTEM)
        _restore(self.device.host, self.device.factory)
        self.device.host.restart()


class _FactoryDevice(Device):
    """Knows the values that the client began with."""

    factory: tuple[Record, ...] = ()

    def start(self, host: Host) -> None:
        super().start(host)
        self.factory = tuple(record for record in host.data_model.read(Path()) if record.path[0] not in _KEPT)


def _restore(host: Host, factory: Iterable[Record]) -> None:
    """Accounts that a bootstrap server made or removed are left to the bootstrap; those that are as they were have
    their first settings again."""
    before = DataModel(factory)
    now = [record.path for record in host.data_model.read(Path()) if record.path[0] not in _KEPT | {_SERVER}]
    host.remove([path for path in now if not before.has(path)])
    host.update([record for record in factory if record.path[0] != _SERVER or host.data_model.has(record.path)])


def _text(model: DataModel, path: Path, otherwise: str) -> str:
    return str(model.value(path)) if model.has(path) else otherwise
