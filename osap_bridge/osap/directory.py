"""What the platform's ends ask of storage: who may connect, with which keys, and which events are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """What the LBS keeps of an authenticated device: 32 characters of dev_id, 16 bytes of master key. osap.md §3."""

    dev_id: str
    master_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionGrant:
    """What the LBS tells the DAS: this serial may connect with this key. `granted_at` is monotonic. osap.md §5."""

    serial: str
    dev_id: str
    session_key: bytes = field(repr=False)
    granted_at: float


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as it was reported. `key` is unique: serial, child and UUID. `time` is Unix seconds."""

    key: str
    serial: str
    child: str
    resource_type: str
    resource_id: str
    domain: str
    identifier: str
    content: dict[str, Any]
    time: float


class Directory(Protocol):
    """The devices that may connect. Durable when a call returns."""

    def verification_code(self, serial: str) -> str | None:
        """None: this serial is not ours."""
        ...

    def keys(self, serial: str) -> DeviceKeys | None: ...

    def keep_keys(self, serial: str, keys: DeviceKeys) -> None: ...


class EventLog(Protocol):
    """Events between the moment they are acknowledged and the moment the gateway has taken them in."""

    def keep(self, event: KeptEvent, now: float) -> bool:
        """Durable when it returns. False: seen within the last 24 h, so not kept again. `now` is Unix seconds."""
        ...

    def settle(self, key: str) -> None: ...

    def unsettled(self) -> Iterable[KeptEvent]:
        """In the order they were kept."""
        ...
