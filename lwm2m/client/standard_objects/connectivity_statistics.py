"""Object 7, Connectivity Statistics. lwm2m.md §12.4."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from lwm2m.client.standard_objects.standard_object import Host
from lwm2m.client.standard_objects.stored import Stored
from lwm2m.errors import BadRequest
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_INSTANCE = Path(7, 0)
START, STOP, PERIOD = 6, 7, 8
_KILOBYTE = 1000


class Counters:
    """What was counted between Start and Stop: bytes, messages, text messages."""

    def __init__(self) -> None:
        self.sent = self.received = self.messages = self.largest = self.texts_sent = self.texts_received = 0

    def message(self, sent: int, received: int) -> None:
        self.sent += sent
        self.received += received
        self.messages += 1
        self.largest = max(self.largest, sent, received)

    def values(self) -> dict[int, int]:
        """By resource; data in kB, sizes in bytes."""
        average = round((self.sent + self.received) / self.messages) if self.messages else 0
        return {
            0: self.texts_sent,
            1: self.texts_received,
            2: self.sent // _KILOBYTE,
            3: self.received // _KILOBYTE,
            4: self.largest,
            5: average,
        }


class ConnectivityStatistics(Stored):
    """Call `count` for each message that passes. It counts from Start to Stop, or until the Collection Period is
    over."""

    def __init__(self, period: int = 0) -> None:
        super().__init__(7)
        self._period = period
        self._counters = Counters()
        self._collecting = False
        self._until: asyncio.TimerHandle | None = None

    def records(self) -> list[Record]:
        values = {START: None, STOP: None, PERIOD: self._period} | self._counters.values()
        return [Record(_INSTANCE.child(number), value) for number, value in values.items()]

    def start(self, host: Host) -> None:
        super().start(host)
        for number in self._counters.values():
            host.data_model.live(_INSTANCE.child(number), partial(self._value, number))

    async def stop(self) -> None:
        self._clear_end()

    @property
    def collecting(self) -> bool:
        return self._collecting

    def count(self, *, sent: int = 0, received: int = 0) -> None:
        """One message of so many bytes, in one of the directions."""
        if self._collecting:
            self._counters.message(sent, received)

    def count_text(self, *, sent: int = 0, received: int = 0) -> None:
        """So many short messages."""
        if self._collecting:
            self._counters.texts_sent += sent
            self._counters.texts_received += received

    async def write(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.path[2] == PERIOD and isinstance(record.value, int):
                if record.value < 0:
                    raise BadRequest("a period is a number of seconds")
                self._period = record.value
        await super().write(records)
        if self._collecting:
            self._set_end()

    async def execute(self, path: Path, arguments: str) -> None:
        if arguments:
            raise BadRequest("this takes no arguments")
        if path[2] == START:
            self._counters = Counters()
            self._collecting = True
            self._set_end()
            self._tell()
        elif path[2] == STOP:
            self._stop_collecting()
        else:
            await super().execute(path, arguments)

    def _value(self, number: int) -> int:
        return self._counters.values()[number]

    def _set_end(self) -> None:
        self._clear_end()
        if self._period:
            self._until = asyncio.get_running_loop().call_later(self._period, self._stop_collecting)

    def _clear_end(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _stop_collecting(self) -> None:
        self._clear_end()
        if self._collecting:
            self._collecting = False
            self._tell()

    def _tell(self) -> None:
        """Observers learn of the values at the start and at the end; between, a Read has them."""
        values = self._counters.values()
        self.host.update([Record(_INSTANCE.child(number), value) for number, value in values.items()])
