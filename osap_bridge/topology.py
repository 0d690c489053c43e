"""The two designs of a legacy gateway. This is all that differs between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lwm2m import Path, Record
from osap_bridge.protocol import DeviceFacts, Entity

DEVICE = 3
HOST_DEVICE_INFO = 10241

_SERIAL_OF_PATTERN = "{serial}"
_MANUFACTURER, _MODEL, _SERIAL, _FIRMWARE, _DEVICE_TYPE, _HARDWARE = 0, 1, 2, 3, 17, 18
_ERROR_CODE, _BINDING = 11, 16
_HOST_MANUFACTURER, _HOST_MODEL, _HOST_ID, _HOST_SOFTWARE = 5905, 5906, 5907, 5908


class Topology(Protocol):
    """`introduces` is the object that `introduce` writes to; paths are numbered as in a translator. `serial_of` is None
    where no device of its own has this endpoint name."""

    @property
    def introduces(self) -> int: ...

    def endpoint_of(self, serial: str) -> str: ...

    def serial_of(self, endpoint: str) -> str | None: ...

    def introduce(self, serial: str, facts: DeviceFacts) -> list[Record]: ...

    def application_type(self, entity: Entity, name: str) -> str: ...


@dataclass(frozen=True, slots=True)
class ClientPerDevice:
    """Each device is an LwM2M client of its own, beside the gateway's. `pattern` names it."""

    pattern: str = "osap:{serial}"
    introduces: int = DEVICE

    def __post_init__(self) -> None:
        if _SERIAL_OF_PATTERN not in self.pattern:
            raise ValueError(f"the endpoint pattern {self.pattern!r} does not hold {{serial}}")

    def endpoint_of(self, serial: str) -> str:
        return self.pattern.replace(_SERIAL_OF_PATTERN, serial)

    def serial_of(self, endpoint: str) -> str | None:
        begin, *others = self.pattern.split(_SERIAL_OF_PATTERN)
        length = (len(endpoint) - len(begin) - sum(map(len, others))) // len(others)
        serial = endpoint[len(begin) : len(begin) + max(length, 0)]
        return serial if serial and self.endpoint_of(serial) == endpoint else None

    def introduce(self, serial: str, facts: DeviceFacts) -> list[Record]:
        return device_object(serial, facts)

    def application_type(self, entity: Entity, name: str) -> str:
        return " ".join([*_part_of_device(entity), name])


@dataclass(frozen=True, slots=True)
class SingleClient:
    """The gateway is one LwM2M client; devices are instances in it, and each has one of object 10241."""

    endpoint: str
    introduces: int = HOST_DEVICE_INFO

    def endpoint_of(self, serial: str) -> str:  # noqa: ARG002
        return self.endpoint

    def serial_of(self, endpoint: str) -> None:  # noqa: ARG002
        return None

    def introduce(self, serial: str, facts: DeviceFacts) -> list[Record]:
        values = {
            _HOST_MANUFACTURER: facts.manufacturer,
            _HOST_MODEL: facts.model or facts.product,
            _HOST_ID: serial,
            _HOST_SOFTWARE: facts.firmware,
        }
        return [Record(Path(HOST_DEVICE_INFO, 0, resource, 0), value) for resource, value in values.items()]

    def application_type(self, entity: Entity, name: str) -> str:
        return " ".join([entity.serial, *_part_of_device(entity), name])


def _part_of_device(entity: Entity) -> list[str]:
    child = [] if entity.child == "global" else [entity.child]
    channel = [] if entity.resource_type == "global" else [f"{entity.resource_type} {entity.resource_id}"]
    return child + channel


def device_object(serial: str, facts: DeviceFacts) -> list[Record]:
    """Object 3 as a device's facts give it: what is not known is left out."""
    texts = {
        _MANUFACTURER: facts.manufacturer,
        _MODEL: facts.model or facts.product,
        _SERIAL: serial,
        _FIRMWARE: facts.firmware,
        _DEVICE_TYPE: facts.product,
        _HARDWARE: facts.hardware,
    }
    return [
        *(Record(Path(DEVICE, 0, resource), text) for resource, text in texts.items() if text),
        Record(Path(DEVICE, 0, _ERROR_CODE, 0), 0),
        Record(Path(DEVICE, 0, _BINDING), "U"),
    ]
