"""The LwM2M server and the bootstrap server: `Server`, `BootstrapServer` and the values they speak in."""

from lwm2m.server.admission import Admission, NotServed, Refused
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
    shared_access,
)
from lwm2m.server.bootstrap_config import (
    BootstrapConfig,
    BootstrapConfigs,
    BootstrapStep,
    StepOperation,
    WriteRecords,
)
from lwm2m.server.bootstrap_log import LogEntry, SessionEvent, SessionLog, SessionOutcome, ShownValue
from lwm2m.server.delivery import ClientGone
from lwm2m.server.events import (
    Awake,
    Deregistered,
    DeregistrationReason,
    EndReason,
    EventStream,
    InvalidNotification,
    Notified,
    ObservationEnded,
    Registered,
    RequestAnswered,
    Sent,
    ServerEvent,
    Sleeping,
    Updated,
)
from lwm2m.server.limits import ServerLimits
from lwm2m.server.observer import NotObserved
from lwm2m.server.queued import QueuedRequest
from lwm2m.server.registry import NotRegistered, Registration
from lwm2m.server.server import Server
from lwm2m.server.store import Store, StoreError
from lwm2m.server.streams import Overflow
from lwm2m.server.submissions import NotQueued

__all__ = [
    "AccessControl",
    "Admission",
    "Answer",
    "Awake",
    "BootstrapConfig",
    "BootstrapConfigs",
    "BootstrapEvent",
    "BootstrapEventStream",
    "BootstrapLimits",
    "BootstrapServer",
    "BootstrapStep",
    "ClientGone",
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
    "NotQueued",
    "NotRegistered",
    "NotServed",
    "Notified",
    "ObservationEnded",
    "Overflow",
    "PreSharedKey",
    "QueuedRequest",
    "Refused",
    "Registered",
    "Registration",
    "RequestAnswered",
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
    "Sleeping",
    "StepOperation",
    "Store",
    "StoreError",
    "Updated",
    "WriteRecords",
    "account_config",
    "shared_access",
]
