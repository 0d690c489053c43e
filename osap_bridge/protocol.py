"""What a protocol has to offer: its devices come and go, report, and can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias


class Entity(NamedTuple):
    """What a function point belongs to: the device itself (`child` "global"), a channel of it, or a sub-device."""

    serial: str
    child: str = "global"
    resource_type: str = "global"
    resource_id: str = "0"


class FunctionPoint(NamedTuple):
    """Written "LightControl/Switch". osap.md §6.3."""

    domain: str
    identifier: str

    @classmethod
    def parse(cls, text: str) -> FunctionPoint:
        """Raises ValueError."""
        domain, slash, identifier = text.partition("/")
        if not (domain and slash and identifier) or "/" in identifier:
            raise ValueError(f"{text!r} is not a function point, which is written domain/identifier")
        return cls(domain, identifier)

    def __str__(self) -> str:
        return f"{self.domain}/{self.identifier}"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device says of itself when it comes online. An empty text is not known."""

    product: str
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Appeared:
    """A device is online. `entities` are all that it offers now; sent again when they change. `children` gives the
    product of each sub-device by its serial."""

    serial: str
    facts: DeviceFacts
    entities: tuple[Entity, ...]
    children: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Disappeared:
    """`orderly`: the device said goodbye. Otherwise its connection broke and it may be back in a minute."""

    serial: str
    orderly: bool


@dataclass(frozen=True, slots=True)
class Report:
    entity: Entity
    point: FunctionPoint
    value: Any


@dataclass(frozen=True, slots=True)
class EventReport:
    """Something happened, at `time` (Unix seconds). `key` tells it apart from every other event of the entity;
    it is durable already and comes again after a restart until `ProtocolTranslator.settle(key)`."""

    entity: Entity
    point: FunctionPoint
    content: Mapping[str, Any]
    time: float
    key: str = field(default="")


Happening: TypeAlias = Appeared | Disappeared | Report | EventReport


class ProtocolTranslator(Protocol):
    """The devices of one protocol. Raise an lwm2m error to refuse; the gateway passes it on to the server."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def happenings(self) -> AsyncIterator[Happening]: ...

    async def settle(self, event: EventReport) -> None:
        """The event is part of the data model: it need not come again."""
        ...

    async def get(self, entity: Entity, point: FunctionPoint) -> Any: ...

    async def set(self, entity: Entity, point: FunctionPoint, value: Any) -> None: ...

    async def operate(self, entity: Entity, point: FunctionPoint, arguments: Any) -> Any: ...
