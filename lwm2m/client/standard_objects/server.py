"""Object 1, LwM2M Server: what the engine reads there, and what writing and executing there does.

lwm2m.md §5.6, §5.9, §5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lwm2m.attributes import Attributes
from lwm2m.client.data_model import DataModel
from lwm2m.client.registration import Disable, Settings, Triggered
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations.registration import Binding

SHORT_SERVER_ID = 1

LIFETIME, MINIMUM_PERIOD, MAXIMUM_PERIOD, DISABLE, DISABLE_TIMEOUT = 1, 2, 3, 4, 5
STORING, BINDING, UPDATE_TRIGGER, MUTE_SEND = 6, 7, 8, 23

_SETTINGS = {
    LIFETIME: "lifetime",
    DISABLE_TIMEOUT: "disable_timeout",
    14: "initial_delay",
    17: "retry_count",
    18: "retry_timer",
    19: "sequence_delay",
    20: "sequence_count",
}
_NEVER_NEGATIVE = frozenset({LIFETIME, MINIMUM_PERIOD, MAXIMUM_PERIOD, DISABLE_TIMEOUT})

PERSISTENT: dict[int, Value] = {17: 5, 18: 5, 19: 60, 20: 65_535}
"""Retry five times, 5 s to 40 s apart, again and again with a minute between: for an account that nobody described,
because a client without a bootstrap server that gives up would stay away for good."""


def account(given: DataModel, lifetime: int, binding: str) -> list[Record]:
    """The records that complete object 1 of a caller, or make its only instance."""
    instances = given.instances(1)
    instance = Path(1, instances[0] if instances else 0)
    values: dict[int, Value | None] = {
        0: SHORT_SERVER_ID,
        LIFETIME: lifetime,
        DISABLE: None,
        STORING: True,
        BINDING: binding,
        UPDATE_TRIGGER: None,
        MUTE_SEND: False,
        **({} if instances else PERSISTENT),
    }
    missing = {number: value for number, value in values.items() if not given.has(instance.child(number))}
    return [Record(instance.child(number), value) for number, value in missing.items()]


def settings(model: DataModel, instance: Path) -> Settings:
    known: dict[str, int] = {}
    for number, name in _SETTINGS.items():
        value = _number(model, instance.child(number))
        if value is not None:
            known[name] = value
    return Settings(**known)


def default_periods(model: DataModel, instance: Path) -> Attributes:
    return Attributes(
        pmin=_number(model, instance.child(MINIMUM_PERIOD)), pmax=_number(model, instance.child(MAXIMUM_PERIOD))
    )


def _number(model: DataModel, path: Path) -> int | None:
    if not model.has(path):
        return None
    value = model.value(path)
    assert isinstance(value, int)
    return value


class ServerObject:
    """The actuator of object 1. `store` and `discard` change the data model; `tell` hands an event to the registration
    once the answer is on its way. `version` is the client's LwM2M version."""

    def __init__(
        self,
        store: Callable[[Iterable[Record]], object],
        discard: Callable[[Iterable[Path]], object],
        tell: Callable[[Disable | Triggered], None],
        version: str,
    ) -> None:
        self._store = store
        self._discard = discard
        self._tell = tell
        self._version = version

    async def write(self, records: Sequence[Record]) -> None:
        for record in records:
            _check(record, self._version)
        self._store(records)

    async def remove(self, paths: Sequence[Path]) -> None:
        self._discard(paths)

    async def execute(self, path: Path, arguments: str) -> None:
        if path[2] == DISABLE:
            self._tell(Disable())
        elif path[2] == UPDATE_TRIGGER:
            if arguments not in ("", "0='U'"):
                raise BadRequest("this client has no other transport than UDP")
            self._tell(Triggered())
        else:
            raise MethodNotAllowed(f"{path} is not offered")


def binding(text: str, version: str) -> Binding:
    """What the Binding resource says of a client of this LwM2M version; 1.0 has queue mode in it. Raises ValueError."""
    return Binding.parse(text, False, version)


def _check(record: Record, version: str) -> None:
    number, value = record.path[2], record.value
    if number in _NEVER_NEGATIVE and isinstance(value, int) and value < 0:
        raise BadRequest(f"{record.path} is a number of seconds")
    if number == BINDING and isinstance(value, str):
        try:
            binding(value, version)
        except ValueError as error:
            raise BadRequest(str(error)) from None
