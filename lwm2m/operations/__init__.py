"""The operations of LwM2M as values, and their CoAP form both ways."""

from lwm2m.operations.device_management import (
    Body,
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
    "CancelObservation",
    "Create",
    "Delete",
    "Deregister",
    "DeviceOperation",
    "Discover",
    "Execute",
    "Observe",
    "Read",
    "Register",
    "RegistrationOperation",
    "Send",
    "Update",
    "Write",
    "WriteAttributes",
]
