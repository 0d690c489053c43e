"""Object 20, Event Log 2.x. lwm2m.md §12.5.

LogStart takes 0='1' to go on with what was collected and 1='60' to stop by itself after so many seconds; LogStop takes
0='1' to empty what was collected.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntFlag

from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest, NotFound
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.arguments import parse_arguments

_INSTANCE = Path(20, 0)
LOG_CLASS, LOG_START, LOG_STOP, LOG_STATUS, LOG_DATA, LOG_DATA_FORMAT = 4010, 4011, 4012, 4013, 4014, 4015
GENERIC = 0
NO_SPECIFIC_FORMAT = 0
_LONGEST_PERIOD = 10 * 365 * 86400


class Status(IntFlag):
    RUNNING = 0
    STOPPED = 1
    HAS_DATA = 2
    FAILED = 4


class EventLog(Stored):
    """Collects lines while it runs. `record` is given everything that happens, with its class; the log keeps what is
    of the class that the server chose (0, generic, is every class), the newest `max_size` bytes of it, as UTF-8 lines
    of a time in seconds and a text."""

    def __init__(self, max_size: int = 16_384, wall_clock: Callable[[], float] = time.time) -> None:
        super().__init__(20)
        self._max_size = max_size
        self._wall_clock = wall_clock
        self._log_class = GENERIC
        self._running = False
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._until: asyncio.TimerHandle | None = None

    def records(self) -> list[Record]:
        values = {
            LOG_CLASS: self._log_class,
            LOG_START: None,
            LOG_STOP: None,
            LOG_STATUS: int(self.status),
            LOG_DATA: self.data,
            LOG_DATA_FORMAT: NO_SPECIFIC_FORMAT,
        }
        return [Record(_INSTANCE.child(number), value) for number, value in values.items()]

    def start(self, host: Host) -> None:
        super().start(host)
        host.data_model.live(_INSTANCE.child(LOG_DATA), lambda: self.data)

    async def stop(self) -> None:
        self._clear_end()

    @property
    def status(self) -> Status:
        data = Status.HAS_DATA if self._lines else Status.RUNNING
        return data if self._running else data | Status.STOPPED

    @property
    def data(self) -> bytes:
        return b"".join(self._lines)

    def record(self, text: str, log_class: int = GENERIC) -> None:
        """Something happened."""
        if not self._running or self._log_class not in (GENERIC, log_class):
            return
        line = f"{self._wall_clock():.3f} {' '.join(text.splitlines())}\n".encode(errors="replace")
        if len(line) > self._max_size:
            return
        had_data = bool(self._lines)
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._max_size:
            self._size -= len(self._lines.popleft())
        if not had_data:
            self._tell()

    async def write(self, records: Sequence[Record]) -> None:
        for path, value, _time in records:
            if path[2] not in (LOG_CLASS, LOG_DATA_FORMAT):
                raise NotFound(f"there is no {path}")
            if not isinstance(value, int) or not 0 <= value <= 255:
                raise BadRequest(f"{path} is a number from 0 to 255")
            if path[2] == LOG_DATA_FORMAT and value != NO_SPECIFIC_FORMAT:
                raise BadRequest("this log has no other format than 0")
        await super().write(records)
        for path, value, _time in records:
            if path[2] == LOG_CLASS and isinstance(value, int):
                self._log_class = value

    async def remove(self, paths: Sequence[Path]) -> None:
        if _INSTANCE.child(LOG_CLASS) in paths:
            self._log_class = GENERIC
        await super().remove(paths)

    async def execute(self, path: Path, arguments: str) -> None:
        given = parse_arguments(arguments)
        if path[2] == LOG_START:
            self._start_collecting(extend=_choice(given.pop(0, None)), seconds=_seconds(given.pop(1, None)), rest=given)
        elif path[2] == LOG_STOP:
            empty = _choice(given.pop(0, None))
            _nothing_else(given)
            self._stop_collecting(empty=empty)
        else:
            await super().execute(path, arguments)

    def _start_collecting(self, extend: bool, seconds: int, rest: dict[int, str | None]) -> None:
        _nothing_else(rest)
        if not extend:
            self._empty()
        self._clear_end()
        self._running = True
        if seconds:
            self._until = asyncio.get_running_loop().call_later(seconds, self._stop_collecting)
        self._tell()

    def _stop_collecting(self, empty: bool = False) -> None:
        self._clear_end()
        self._running = False
        if empty:
            self._empty()
        self._tell()

    def _empty(self) -> None:
        self._lines.clear()
        self._size = 0

    def _clear_end(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _tell(self) -> None:
        """Observers of the data learn of it with the status; each line would be too much."""
        status = Record(_INSTANCE.child(LOG_STATUS), int(self.status))
        self.host.update([status, Record(_INSTANCE.child(LOG_DATA), self.data)])


def _choice(text: str | None) -> bool:
    if text not in (None, "", "0", "1"):
        raise BadRequest("argument 0 is 0 or 1")
    return text == "1"


def _seconds(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= _LONGEST_PERIOD):
        raise BadRequest("argument 1 is a number of seconds")
    return int(text)


def _nothing_else(arguments: dict[int, str | None]) -> None:
    if arguments:
        raise BadRequest("there is no such argument")
