"""The operations of LwM2M as values, and their CoAP form both ways."""

from lwm2m.operations.body import Body
from lwm2m.operations.bootstrap import (
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapRequest,
    BootstrapWrite,
)
from lwm2m.operations.composite import (
    CancelCompositeObservation,
    ObserveComposite,
    ReadComposite,
    WriteComposite,
    path_list,
    paths_of,
)
from lwm2m.operations.creation import Creation, records_to_create
from lwm2m.operations.device_management import (
    CancelObservation,
    Create,
    Delete,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    Read,
    Write,
    WriteAttributes,
)
from lwm2m.operations.registration import Binding, Deregister, Register, RegistrationOperation, Send, Update

__all__ = [
    "Binding",
    "Body",
    "BootstrapDelete",
    "BootstrapDiscover",
    "BootstrapFinish",
    "BootstrapOperation",
    "BootstrapRead",
    "BootstrapRequest",
    "BootstrapWrite",
    "CancelCompositeObservation",
    "CancelObservation",
    "Create",
    "Creation",
    "Delete",
    "Deregister",
    "DeviceOperation",
    "Discover",
    "Execute",
    "Observe",
    "ObserveComposite",
    "Read",
    "ReadComposite",
    "Register",
    "RegistrationOperation",
    "Send",
    "Update",
    "Write",
    "WriteAttributes",
    "WriteComposite",
    "path_list",
    "paths_of",
    "records_to_create",
]
