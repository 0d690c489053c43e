"""Everything that a simulated device has of the standard objects, put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from lwm2m.client.account import ANSWER_FIRST
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
from lwm2m.model.record import Record, Value

_MODEL = Path(3, 0, 1)
_SERVER = 1
_KEPT = frozenset({5, 7, 9, 20})
"""Objects that a factory reset leaves as they are: their values tell what the device did."""
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
            self._reboot,
            self._log_reset,
            wall_clock,
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

    def _log_reset(self) -> None:
        self.log.record("factory reset", _SYSTEM)


class _FactoryDevice(Device):
    """Brings back what the client began with, once Factory Reset is answered, its accounts included."""

    def __init__(
        self,
        values: Mapping[int, Value],
        reboot: Callable[[], None],
        told: Callable[[], None],
        wall_clock: Callable[[], float],
    ) -> None:
        super().__init__(values, reboot=reboot, factory_reset=self._reset_later, wall_clock=wall_clock)
        self._told = told
        self._factory: list[Record] = []
        self._later: asyncio.TimerHandle | None = None

    def start(self, host: Host) -> None:
        super().start(host)
        self._factory = [record for record in host.data_model.read(Path()) if record.path[0] not in _KEPT]

    async def stop(self) -> None:
        if self._later is not None:
            self._later.cancel()
        await super().stop()

    def _reset_later(self) -> None:
        self._told()
        self._later = asyncio.get_running_loop().call_later(ANSWER_FIRST, self._reset)

    def _reset(self) -> None:
        before, host = DataModel(self._factory), self.host
        now = [record.path for record in host.data_model.read(Path()) if record.path[0] not in _KEPT]
        foreign = [path for path in now if not before.has(path)]
        host.remove(dict.fromkeys(path if before.has(Path(*path[:2])) else Path(*path[:2]) for path in foreign))
        host.update(self._factory)
        if before.instances(_SERVER):
            host.restart()
        else:
            host.bootstrap()


def _text(model: DataModel, path: Path, otherwise: str) -> str:
    return str(model.value(path)) if model.has(path) else otherwise
