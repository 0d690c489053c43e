"""Requests that wait at the server until their client can be reached. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lwm2m.operations.device_management import DeviceOperation


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """`queued_at` and `until` are Unix seconds: when it came, and when it is given up. `timeout` in seconds is how long
    the client may take for its answer once it was asked; None: as long as CoAP retransmits."""

    id: str
    endpoint: str
    operation: DeviceOperation
    timeout: float | None
    queued_at: float
    until: float


class QueueChange(NamedTuple):
    """A request waits, or, None, waits no more."""

    endpoint: str
    id: str
    request: QueuedRequest | None
