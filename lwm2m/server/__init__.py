"""The LwM2M server: `Server` and the values it speaks in."""

from lwm2m.server.answers import Answer, InvalidAnswer
from lwm2m.server.events import (
    Deregistered,
    DeregistrationReason,
    EndReason,
    EventStream,
    InvalidNotification,
    Notified,
    ObservationEnded,
    Registered,
    Sent,
    ServerEvent,
    Updated,
)
from lwm2m.server.limits import ServerLimits
from lwm2m.server.observer import NotObserved
from lwm2m.server.registry import Registration
from lwm2m.server.server import NotRegistered, Server
from lwm2m.server.store import Store, StoreError
from lwm2m.server.streams import Overflow

__all__ = [
    "Answer",
    "Deregistered",
    "DeregistrationReason",
    "EndReason",
    "EventStream",
    "InvalidAnswer",
    "InvalidNotification",
    "NotObserved",
    "NotRegistered",
    "Notified",
    "ObservationEnded",
    "Overflow",
    "Registered",
    "Registration",
    "Sent",
    "Server",
    "ServerEvent",
    "ServerLimits",
    "Store",
    "StoreError",
    "Updated",
]
