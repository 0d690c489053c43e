"""Which server may do what: object 2, Access Control. No IO. Core 1.1.1 §8, appendix E.3; lwm2m.md §8A, §4.10."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntFlag
from typing import NamedTuple

from lwm2m.client.data_model import DataModel
from lwm2m.client.pairing import SERVER, server_accounts, value_of
from lwm2m.errors import Unauthorized
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record

ACCESS_CONTROL = 2
OBJECT, INSTANCE, ACL, OWNER = 0, 1, 2, 3
DEFAULT = 0
"""The entry of an ACL for servers without one of their own."""
ANYWHERE = NOBODY = 65_535
"""As the instance: those that are still to be created. As the owner: bootstrap servers only."""


class Right(IntFlag):
    NONE = 0
    READ = 1
    WRITE = 2
    EXECUTE = 4
    DELETE = 8
    CREATE = 16


ALL = Right.READ | Right.WRITE | Right.EXECUTE | Right.DELETE | Right.CREATE
OF_OWNER = ALL & ~Right.CREATE


class Access:
    """What the server with this Short Server ID may do."""

    def __init__(self, model: DataModel, short_server_id: int) -> None:
        self._model = model
        self._server = short_server_id

    def rights(self, target: Path) -> Right:
        """For an object the right to create, for anything longer the rights on its object instance."""
        if len(server_accounts(self._model)) == 1:
            return ALL
        if target[0] == ACCESS_CONTROL:
            return self._rights_on_access_control(target)
        if len(target) == 1:
            control = _control_of(self._model, target[0], ANYWHERE)
            return Right.NONE if control is None else _entry_for(self._model, control, self._server) & Right.CREATE
        control = _control_of(self._model, target[0], target[1])
        return Right.NONE if control is None else _granted(self._model, control, self._server) & OF_OWNER

    def allows(self, right: Right, target: Path) -> bool:
        return right in self.rights(target)

    def require(self, right: Right, target: Path) -> None:
        """Raises Unauthorized."""
        if right and not self.allows(right, target):
            raise Unauthorized(f"server {self._server} has no right to {(right.name or '').lower()} {target}")

    def of_new_instance(self, instance: Path) -> list[Record]:
        """The Access Control instance of an instance that this server created; nothing where it is the only server."""
        if len(server_accounts(self._model)) == 1:
            return []
        control = Path(ACCESS_CONTROL, _free(self._model))
        return [
            Record(control.child(OBJECT), instance[0]),
            Record(control.child(INSTANCE), instance[1]),
            Record(control.child(ACL, self._server), int(OF_OWNER)),
            Record(control.child(OWNER), self._server),
        ]

    def _rights_on_access_control(self, target: Path) -> Right:
        """Its owner alone reads and changes who may do what."""
        owner = value_of(self._model, Path(*target[:2]).child(OWNER)) if len(target) > 1 else None
        return Right.READ | Right.WRITE if owner == self._server else Right.NONE


def controls_of(model: DataModel, gone: Iterable[Path]) -> list[Path]:
    """The Access Control instances of object instances that are gone."""
    instances = {tuple(path[:2]) for path in gone if len(path) > 1}
    return [control for control, target in _controls(model) if target in instances and not model.has(Path(*target))]


class Unbootstrapping(NamedTuple):
    """What follows from the removal of a server account: remove these paths, then store these records."""

    removed: tuple[Path, ...]
    records: tuple[Record, ...]


def after_account(model: DataModel, server: int, definitions: Definitions) -> Unbootstrapping:
    """`model` is that from which the account of `server` is already gone. Instances that no other server had a right
    to go as well, but for those that a client always has; the owner that follows is who may write and delete most."""
    removed: list[Path] = []
    records: list[Record] = []
    for control, target in _controls(model):
        owned = value_of(model, control.child(OWNER)) == server
        others = {other: rights for other, rights in _entries(model, control) if other != server}
        entry = control.child(ACL, server)
        if not owned and not model.has(entry):
            continue
        if not any(others.values()):
            removed += [control, *_removable(target, definitions)]
            continue
        removed += [entry] if model.has(entry) else []
        records += [Record(control.child(OWNER), _heir(others))] if owned else []
    return Unbootstrapping(tuple(removed), tuple(records))


def _heir(entries: dict[int, Right]) -> int:
    """The lowest of those with the most. An instance that only has a default entry belongs to nobody."""
    servers = sorted(other for other in entries if other != DEFAULT)
    return max(servers, key=lambda server: (_weight(entries[server]), -server), default=NOBODY)


def _weight(rights: Right) -> int:
    return int(rights & (Right.WRITE | Right.DELETE))


def _removable(target: tuple[int, int], definitions: Definitions) -> list[Path]:
    object_id, instance = target
    definition = definitions.object(object_id)
    if instance == ANYWHERE or object_id == SERVER or (definition is not None and definition.mandatory):
        return []
    return [Path(object_id, instance)]


def _control_of(model: DataModel, object_id: int, instance: int) -> Path | None:
    return next((control for control, target in _controls(model) if target == (object_id, instance)), None)


def _controls(model: DataModel) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Each Access Control instance with the object and instance ids it is about."""
    for number in model.instances(ACCESS_CONTROL):
        control = Path(ACCESS_CONTROL, number)
        object_id = value_of(model, control.child(OBJECT))
        instance = value_of(model, control.child(INSTANCE))
        if isinstance(object_id, int) and isinstance(instance, int):
            yield control, (object_id, instance)


def _entries(model: DataModel, control: Path) -> Iterator[tuple[int, Right]]:
    for server in model.resource_instances(control.child(ACL)) or ():
        entry = _entry(model, control, server)
        if entry is not None:
            yield server, entry


def _entry(model: DataModel, control: Path, server: int) -> Right | None:
    value = value_of(model, control.child(ACL, server))
    return Right(value & ALL) if isinstance(value, int) else None


def _entry_for(model: DataModel, control: Path, server: int) -> Right:
    own = _entry(model, control, server)
    return own if own is not None else _entry(model, control, DEFAULT) or Right.NONE


def _granted(model: DataModel, control: Path, server: int) -> Right:
    """An owner without an entry of its own may do everything."""
    is_owner = value_of(model, control.child(OWNER)) == server
    return OF_OWNER if is_owner and _entry(model, control, server) is None else _entry_for(model, control, server)


def _free(model: DataModel) -> int:
    taken = model.instances(ACCESS_CONTROL)
    return next(number for number in range(len(taken) + 1) if number not in taken)
