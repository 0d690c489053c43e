"""Object 3, Device: what has to be there, and what a simulated device does. lwm2m.md §12.1."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from lwm2m.client.data_model import DataModel
from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value

REBOOT, FACTORY_RESET, RESET_ERROR_CODE = Path(3, 0, 4), Path(3, 0, 5), Path(3, 0, 12)
ERROR_CODE, CURRENT_TIME, UTC_OFFSET, TIMEZONE = Path(3, 0, 11), Path(3, 0, 13), Path(3, 0, 14), Path(3, 0, 15)
NO_ERROR, LOW_BATTERY = 0, 1
STATUS_LOW = 4
"""The Battery Status of a low battery."""

_OFFSET = re.compile(r"Z|(UTC)?[+-][0-9]{1,2}(:?[0-9]{2})?")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")

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


@dataclass(frozen=True, slots=True)
class ErrorCodes:
    """Resource 11, by resource instance. The first error takes the place of "no error", later ones get instances of
    their own. A condition holds until it is cleared and so comes back after a reset; an error that was only reported
    does not."""

    shown: Mapping[int, int] = field(default_factory=lambda: {0: NO_ERROR})
    conditions: tuple[int, ...] = ()

    def reported(self, code: int) -> ErrorCodes:
        """Raises ValueError for "no error"."""
        if code == NO_ERROR:
            raise ValueError("0 is no error")
        if code in self.shown.values():
            return self
        shown = {number: other for number, other in self.shown.items() if other != NO_ERROR}
        free = next(number for number in range(len(shown) + 1) if number not in shown)
        return replace(self, shown=shown | {free: code})

    def holding(self, code: int) -> ErrorCodes:
        with_it = self.reported(code)
        return with_it if code in self.conditions else replace(with_it, conditions=(*self.conditions, code))

    def cleared(self, code: int) -> ErrorCodes:
        shown = {number: other for number, other in self.shown.items() if other != code}
        return ErrorCodes(shown or {0: NO_ERROR}, tuple(other for other in self.conditions if other != code))

    def reset(self) -> ErrorCodes:
        after = ErrorCodes()
        for code in self.conditions:
            after = after.holding(code)
        return after


class Device(Stored):
    """Object 3 that works. `values` are its resources by number, a mapping for a multiple one.

    `reboot` is what Reboot does once it is answered, by default a new registration; `factory_reset` what Factory Reset
    does: without it the device has none."""

    def __init__(
        self,
        values: Mapping[int, Value | Mapping[int, Value]] = MappingProxyType({}),
        *,
        reboot: Callable[[], None] | None = None,
        factory_reset: Callable[[], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        executables: dict[Path, Value | None] = {REBOOT: None, RESET_ERROR_CODE: None}
        if factory_reset is not None:
            executables[FACTORY_RESET] = None
        super().__init__(3, [Record(path, value) for path, value in (executables | _flat(values)).items()])
        self.errors = ErrorCodes()
        self._reboot = reboot
        self._factory_reset = factory_reset
        self._clock = Clock(wall_clock)

    def records(self) -> list[Record]:
        return [*super().records(), *_error_records(self.errors), Record(CURRENT_TIME, self._clock.now())]

    def start(self, host: Host) -> None:
        super().start(host)
        host.data_model.live(CURRENT_TIME, self._clock.now)
        self._show_errors(self.errors if self.errors != ErrorCodes() else ErrorCodes(_given_errors(host.data_model)))

    # The device

    def report_error(self, code: int) -> None:
        """Something went wrong once: shown until the server resets it. Raises ValueError."""
        self._show_errors(self.errors.reported(code))

    def set_error(self, code: int, holds: bool) -> None:
        """Something is wrong, or no longer is. Raises ValueError."""
        self._show_errors(self.errors.holding(code) if holds else self.errors.cleared(code))

    def battery(self, level: int, status: int = 0) -> None:
        """Percent, and Battery Status 0 to 6; a low battery (4) is an error as long as it lasts."""
        self.show([Record(Path(3, 0, 9), level), Record(Path(3, 0, 20), status)])
        self.set_error(LOW_BATTERY, status == STATUS_LOW)

    # The server

    async def write(self, records: Sequence[Record]) -> None:
        for path, value, _time in records:
            if path == UTC_OFFSET and not _OFFSET.fullmatch(str(value)):
                raise BadRequest("a UTC offset looks like +02:00")
            if path == TIMEZONE and not _ZONE.fullmatch(str(value)):
                raise BadRequest("a time zone looks like Europe/Paris")
        for path, value, _time in records:
            if path == CURRENT_TIME and isinstance(value, int):
                self._clock.set(value)
        await super().write(records)

    async def execute(self, path: Path, arguments: str) -> None:
        if arguments:
            raise BadRequest("this takes no arguments")
        if path == REBOOT:
            (self._reboot or self.host.restart)()
        elif path == RESET_ERROR_CODE:
            self._show_errors(self.errors.reset())
        elif path == FACTORY_RESET and self._factory_reset is not None:
            self._factory_reset()
        else:
            await super().execute(path, arguments)

    def _show_errors(self, errors: ErrorCodes) -> None:
        if self._host is not None:
            self._host.update(_error_records(errors))
            before = self._host.data_model.resource_instances(ERROR_CODE) or ()
            self._host.remove([ERROR_CODE.child(number) for number in before if number not in errors.shown])
        self.errors = errors


def _given_errors(model: DataModel) -> dict[int, int]:
    """Those that the client was made with."""
    given = ((record.path[3], record.value) for record in model.read(ERROR_CODE) if len(record.path) == 4)
    return {number: value for number, value in given if isinstance(value, int)} or {0: NO_ERROR}


def _error_records(errors: ErrorCodes) -> list[Record]:
    return [Record(ERROR_CODE.child(number), code) for number, code in sorted(errors.shown.items())]


def _flat(values: Mapping[int, Value | Mapping[int, Value]]) -> dict[Path, Value | None]:
    flat: dict[Path, Value | None] = {}
    for number, value in values.items():
        resource = Path(3, 0, number)
        if isinstance(value, Mapping):
            flat |= {resource.child(instance): item for instance, item in value.items()}
        else:
            flat[resource] = value
    return flat
