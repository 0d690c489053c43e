"""Object 4, Connectivity Monitoring. lwm2m.md §12.4."""

from __future__ import annotations

from dataclasses import dataclass

from lwm2m.client.standard_objects.stored import Stored
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_INSTANCE = Path(4, 0)
WLAN, ETHERNET = 21, 41


@dataclass(frozen=True, slots=True)
class Network:
    """How the device is connected; what is None it does not know. Strength in dBm, utilization in percent."""

    bearer: int
    addresses: tuple[str, ...]
    strength: int = 0
    available: tuple[int, ...] = ()
    quality: int | None = None
    routers: tuple[str, ...] = ()
    utilization: int | None = None
    access_points: tuple[str, ...] = ()
    cell: int | None = None
    network_code: int | None = None
    country_code: int | None = None
    signal_to_noise: int | None = None


class ConnectivityMonitoring(Stored):
    def __init__(self, network: Network) -> None:
        super().__init__(4)
        self.connected(network)

    def connected(self, network: Network) -> None:
        """This is the network from now on."""
        self.show_list(_INSTANCE.child(1), network.available or (network.bearer,))
        self.show_list(_INSTANCE.child(4), network.addresses)
        self.show_list(_INSTANCE.child(5), network.routers)
        self.show_list(_INSTANCE.child(7), network.access_points)
        known = {
            0: network.bearer,
            2: network.strength,
            3: network.quality,
            6: network.utilization,
            8: network.cell,
            9: network.network_code,
            10: network.country_code,
            11: network.signal_to_noise,
        }
        self.show([Record(_INSTANCE.child(number), value) for number, value in known.items() if value is not None])
        if self._host is not None:
            self._host.remove([_INSTANCE.child(number) for number, value in known.items() if value is None])
