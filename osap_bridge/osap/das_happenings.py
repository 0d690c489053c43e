"""What the DAS tells of its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from osap_bridge.osap.bodies import Child
from osap_bridge.osap.directory import KeptEvent
from osap_bridge.osap.registration import DeviceInformation
from osap_bridge.protocol import Report


@dataclass(frozen=True, slots=True)
class Online:
    """Also told when what it says of itself, or the list of its children, is new."""

    serial: str
    information: DeviceInformation
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Offline:
    serial: str
    orderly: bool


@dataclass(frozen=True, slots=True)
class DeviceState:
    """`last_seen` is Unix seconds."""

    serial: str
    product: str
    online: bool
    last_seen: float | None
    last_error: str


DasHappening: TypeAlias = Online | Offline | Report | KeptEvent
