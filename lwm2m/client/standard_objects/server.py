"""Object 1, LwM2M Server: what the engine reads there, and what writing and executing there does.

lwm2m.md §5.6, §5.9, §5.10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from lwm2m.attributes import Attributes
from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import bootstrap_account, value_of
from lwm2m.client.registration import Disable, Settings, Triggered
from lwm2m.client.registration_order import Turn
from lwm2m.errors import BadRequest, MethodNotAllowed
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value
from lwm2m.operations.registration import Binding

FIRST_SHORT_SERVER_ID = 1

SHORT_SERVER_ID, LIFETIME, MINIMUM_PERIOD, MAXIMUM_PERIOD, DISABLE, DISABLE_TIMEOUT = 0, 1, 2, 3, 4, 5
STORING, BINDING, UPDATE_TRIGGER, BOOTSTRAP_TRIGGER, APN_LINK, ALERT, LAST_BOOTSTRAPPED = 6, 7, 8, 9, 10, 11, 12
PRIORITY, FAILURE_BLOCK, BOOTSTRAP_ON_FAILURE, MUTE_SEND = 13, 15, 16, 23

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


def completed(given: DataModel, instance: Path, lifetime: int, binding: str) -> list[Record]:
    """The records that complete a Server instance that says which server's it is."""
    values: dict[int, Value | None] = {LIFETIME: lifetime, STORING: True, BINDING: binding, MUTE_SEND: False}
    return [*_missing(given, instance, values), *executables(given, instance)]


def executables(given: DataModel, instance: Path) -> list[Record]:
    """What a server may execute in a Server instance: no bootstrap server can write that."""
    trigger = {BOOTSTRAP_TRIGGER: None} if bootstrap_account(given) is not None else {}
    return _missing(given, instance, {DISABLE: None, UPDATE_TRIGGER: None, **trigger})


def _missing(given: DataModel, instance: Path, values: Mapping[int, Value | None]) -> list[Record]:
    missing = {number: value for number, value in values.items() if not given.has(instance.child(number))}
    return [Record(instance.child(number), value) for number, value in missing.items()]


def turn(model: DataModel, instance: Path) -> Turn:
    """When a client registers with this server. The instance has a Short Server ID."""
    number = model.value(instance.child(SHORT_SERVER_ID))
    assert isinstance(number, int)
    return Turn(
        number,
        _number(model, instance.child(PRIORITY)),
        _flag(model, instance.child(FAILURE_BLOCK), False),
        _flag(model, instance.child(BOOTSTRAP_ON_FAILURE), True),
    )


def apn_link(model: DataModel, instance: Path) -> ObjectLink | None:
    """The instance of object 11 that the server is to be reached through."""
    path = instance.child(APN_LINK)
    value = model.value(path) if model.has(path) else NO_LINK
    return value if isinstance(value, ObjectLink) and value != NO_LINK else None


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


def stores_reports(model: DataModel, instance: Path) -> bool:
    """Notification Storing When Disabled or Offline."""
    return _flag(model, instance.child(STORING), True)


def is_muted(model: DataModel, instance: Path) -> bool:
    """Mute Send: unless it says no, the server wants no Send."""
    return _flag(model, instance.child(MUTE_SEND), True)


def _number(model: DataModel, path: Path) -> int | None:
    if not model.has(path):
        return None
    value = model.value(path)
    assert isinstance(value, int)
    return value


def _flag(model: DataModel, path: Path, otherwise: bool) -> bool:
    return model.value(path) is True if model.has(path) else otherwise


class ServerObject:
    """The actuator of object 1. `store` and `discard` change the data model; `tell` hands an event to the registration
    that an instance is about, once the answer is on its way; `bootstrap` asks the bootstrap server for a new
    configuration then. Both raise LwM2MError where that cannot be. `version` is the client's LwM2M version, `letters`
    gives the transports by which the server of an instance may be reached."""

    def __init__(
        self,
        store: Callable[[Iterable[Record]], object],
        discard: Callable[[Iterable[Path]], object],
        tell: Callable[[Path, Disable | Triggered], None],
        bootstrap: Callable[[], None],
        version: str,
        letters: Callable[[Path], frozenset[str]],
    ) -> None:
        self._store = store
        self._discard = discard
        self._tell = tell
        self._bootstrap = bootstrap
        self._version = version
        self._letters = letters

    async def write(self, records: Sequence[Record]) -> None:
        for record in records:
            _check(record, self._version, self._letters)
        self._store(records)

    async def remove(self, paths: Sequence[Path]) -> None:
        self._discard(paths)

    async def execute(self, path: Path, arguments: str) -> None:
        if path[2] == DISABLE:
            self._tell(path.parent, Disable())
        elif path[2] == UPDATE_TRIGGER:
            self._trigger(path.parent, arguments)
        elif path[2] == BOOTSTRAP_TRIGGER:
            if arguments:
                raise BadRequest("the Bootstrap-Request Trigger takes no arguments")
            self._bootstrap()
        else:
            raise MethodNotAllowed(f"{path} is not offered")

    def _trigger(self, instance: Path, arguments: str) -> None:
        """The argument says which transport the Update takes. lwm2m.md §5.10"""
        letters = {f"0='{letter}'": letter for letter in self._letters(instance)}
        if arguments and arguments not in letters:
            raise BadRequest("this client has no such transport to this server")
        self._tell(instance, Triggered(letters.get(arguments, "")))


def binding(model: DataModel, instance: Path, version: str) -> Binding:
    """What the Binding resource says to a server of this LwM2M version; 1.0 has queue mode in it. Raises ValueError."""
    return Binding.parse(str(value_of(model, instance.child(BINDING)) or "U"), False, version)


def presented_binding(model: DataModel, instance: Path, version: str, queue_mode: bool) -> Binding:
    """What a server of this version is told; where it has no word for our binding, what we do."""
    try:
        known = binding(model, instance, version)
    except ValueError:
        known = Binding("U")
    return replace(known, queue_mode=known.queue_mode or queue_mode)


def _check(record: Record, version: str, letters: Callable[[Path], frozenset[str]]) -> None:
    number, value = record.path[2], record.value
    if number in _NEVER_NEGATIVE and isinstance(value, int) and value < 0:
        raise BadRequest(f"{record.path} is a number of seconds")
    if number == BINDING and isinstance(value, str):
        try:
            parsed = Binding.parse(value, False, version)
        except ValueError as error:
            raise BadRequest(str(error)) from None
        if set(parsed.letters) - letters(record.path.parent):
            raise BadRequest(f"{value!r} names a transport that this client does not have")
