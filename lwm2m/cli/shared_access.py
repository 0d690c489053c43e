"""Access Control for a simulated client with several servers: without any, none of them might do a thing.

lwm2m.md §8A.
"""

from __future__ import annotations

from lwm2m.client import DataModel
from lwm2m.client.access_control import (
    ACCESS_CONTROL,
    ACL,
    ANYWHERE,
    DEFAULT,
    INSTANCE,
    NOBODY,
    OBJECT,
    OF_OWNER,
    OWNER,
    Right,
)
from lwm2m.model.path import Path
from lwm2m.model.record import Record

_UNCONTROLLED = frozenset({0, ACCESS_CONTROL, 21})


def open_to_all(model: DataModel) -> list[Record]:
    """What lets every server do everything, creating included; nothing where the model has Access Control already."""
    if model.instances(ACCESS_CONTROL):
        return []
    objects = [number for number in model.objects() if number not in _UNCONTROLLED]
    targets = [(number, instance) for number in objects for instance in model.instances(number)]
    rights = [(target, OF_OWNER) for target in targets]
    rights += [((number, ANYWHERE), Right.CREATE) for number in objects]
    return [record for n, (target, right) in enumerate(rights) for record in _control(n, target, right)]


def open_instance(model: DataModel, instance: Path) -> list[Record]:
    """The same for an instance that came later, if the model has Access Control at all."""
    taken = model.instances(ACCESS_CONTROL)
    if not taken:
        return []
    return _control(max(taken) + 1, (instance[0], instance[1]), OF_OWNER)


def _control(number: int, target: tuple[int, int], rights: Right) -> list[Record]:
    control = Path(ACCESS_CONTROL, number)
    return [
        Record(control.child(OBJECT), target[0]),
        Record(control.child(INSTANCE), target[1]),
        Record(control.child(ACL, DEFAULT), int(rights)),
        Record(control.child(OWNER), NOBODY),
    ]
