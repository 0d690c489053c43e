"""The LwM2M server and the bootstrap server: `Server`, `BootstrapServer` and the values they speak in."""

from lwm2m.server.answers import Answer, InvalidAnswer
from lwm2m.server.bootstrap import BootstrapEvent, BootstrapEventStream, BootstrapLimits, BootstrapServer
from lwm2m.server.bootstrap_accounts import (
    AccessControl,
    KeyPair,
    NoSecurity,
    PreSharedKey,
    SecurityMode,
    ServerAccount,
    account_config,
)
from lwm2m.server.bootstrap_config import (
    BootstrapConfig,
    BootstrapConfigs,
    BootstrapStep,
    StepOperation,
    WriteRecords,
)
from lwm2m.server.bootstrap_log import LogEntry, SessionEvent, SessionLog, SessionOutcome, ShownValue
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
    "AccessControl",
    "Answer",
    "BootstrapConfig",
    "BootstrapConfigs",
    "BootstrapEvent",
    "BootstrapEventStream",
    "BootstrapLimits",
    "BootstrapServer",
    "BootstrapStep",
    "Deregistered",
    "DeregistrationReason",
    "EndReason",
    "EventStream",
    "InvalidAnswer",
    "InvalidNotification",
    "KeyPair",
    "LogEntry",
    "NoSecurity",
    "NotObserved",
    "NotRegistered",
    "Notified",
    "ObservationEnded",
    "Overflow",
    "PreSharedKey",
    "Registered",
    "Registration",
    "SecurityMode",
    "Sent",
    "Server",
    "ServerAccount",
    "ServerEvent",
    "ServerLimits",
    "SessionEvent",
    "SessionLog",
    "SessionOutcome",
    "ShownValue",
    "StepOperation",
    "Store",
    "StoreError",
    "Updated",
    "WriteRecords",
    "account_config",
]
