"""Object 3, Device: what has to be there, and what a simulated device does. lwm2m.md §12.1."""

from __future__ import annotations

from collections.abc import Callable

from lwm2m.client.data_model import DataModel
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

REBOOT, RESET_ERROR_CODE = Path(3, 0, 4), Path(3, 0, 12)
ERROR_CODE, CURRENT_TIME = Path(3, 0, 11), Path(3, 0, 13)
NO_ERROR = 0

_TEXTS = {0: "lwm2m-toolkit", 1: "lwm2m client", 2: "0", 3: "0.1.0"}


def completed(given: DataModel, binding: str) -> list[Record]:
    """The mandatory resources and the four names that a caller left out; the names only if it said nothing of 3."""
    values: dict[Path, Value | None] = {REBOOT: None, ERROR_CODE.child(0): NO_ERROR, Path(3, 0, 16): binding}
    if not given.has(Path(3, 0)):
        values |= {Path(3, 0, number): text for number, text in _TEXTS.items()}
    if given.has(ERROR_CODE):
        del values[ERROR_CODE.child(0)]
    return [Record(path, value) for path, value in values.items() if not given.has(path)]


class Clock:
    """Current Time: the wall clock, and what a server corrected it by."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._correction = 0

    def now(self) -> int:
        return int(self._wall_clock()) + self._correction

    def set(self, time: int) -> None:
        self._correction = time - int(self._wall_clock())
