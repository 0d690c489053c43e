"""Object 6, Location. lwm2m.md §12.4."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from lwm2m.client.standard_objects.stored import Stored
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

_INSTANCE = Path(6, 0)
_FASTEST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees, metres, metres a second; `bearing` in degrees clockwise from north gives a velocity its direction."""

    latitude: float
    longitude: float
    altitude: float | None = None
    radius: float | None = None
    speed: float | None = None
    bearing: float | None = None

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError(f"{self.latitude}, {self.longitude} is nowhere on earth")


class Location(Stored):
    def __init__(self, position: Position, wall_clock: Callable[[], float] = time.time) -> None:
        super().__init__(6)
        self._wall_clock = wall_clock
        self.moved(position)

    def moved(self, position: Position) -> None:
        """Here is the device now."""
        known: dict[int, Value | None] = {
            0: float(position.latitude),
            1: float(position.longitude),
            2: position.altitude,
            3: position.radius,
            4: velocity(position.speed, position.bearing),
            5: int(self._wall_clock()),
            6: position.speed,
        }
        self.show([Record(_INSTANCE.child(number), value) for number, value in known.items() if value is not None])
        if self._host is not None:
            self._host.remove([_INSTANCE.child(number) for number, value in known.items() if value is None])


def velocity(speed: float | None, bearing: float | None) -> bytes | None:
    """Horizontal velocity as 3GPP TS 23.032 §8 has it: type 0, 9 bits of bearing, 16 bits of km/h."""
    if speed is None or bearing is None:
        return None
    return (round(bearing) % 360).to_bytes(2, "big") + min(round(speed * 3.6), _FASTEST).to_bytes(2, "big")
