"""What time it is for certificates, on a device: lwm2m.md §9.4, §9.7. No IO; the clocks are handed in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from lwm2m.client.standard_objects.device import CURRENT_TIME
from lwm2m.codec import decode
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.operations import Write, WriteComposite
from lwm2m.operations.device_management import DeviceOperation
from lwm2m.security.secure_time import SecureTime

_log = logging.getLogger(__name__)


class SecureClock:
    """The clock of the platform, unless it is earlier than this program was made; a server that has shown who it is may
    set another by writing Current Time. `clock` is monotonic, `wall_clock` the platform's."""

    def __init__(self, definitions: Definitions, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._definitions = definitions
        self._clock = clock
        self._wall_clock = wall_clock
        self._time = SecureTime()

    def wall(self) -> float | None:
        """Seconds since 1970; None as long as nobody knows."""
        told = self._time.wall(self._clock())
        if told is not None:
            return told
        platform = self._wall_clock()
        return platform if platform >= self._time.earliest else None

    def served(self, operation: DeviceOperation | None, identity: str | None) -> None:
        """A server that has shown this asked for this, and it was done."""
        if identity is None or not isinstance(operation, Write | WriteComposite):
            return
        for time in self._times(operation):
            try:
                self._time = self._time.told(time, self._clock())
            except ValueError as error:
                _log.warning("%s wrote a time of day: %s", identity, error)

    def _times(self, operation: Write | WriteComposite) -> Iterator[int]:
        """What is in it for Current Time."""
        if not operation.path.contains(CURRENT_TIME):
            return
        body = operation.body
        form = ContentFormat.TEXT if body.content_format is None else body.content_format
        for path, value, _ in decode(body.payload, form, operation.path, self._definitions):
            if path == CURRENT_TIME and isinstance(value, int):
                yield value
