"""The LwM2M client: a data model, an actuator, and a registration that keeps itself."""

from lwm2m.client.client import Client
from lwm2m.client.data_model import Actuator, DataModel
from lwm2m.client.dispatch import Creating, Deleting, Guarding, Removing
from lwm2m.client.events import (
    Asleep,
    Awake,
    BootstrapFailed,
    Bootstrapped,
    Bootstrapping,
    BootstrapServed,
    ClientEvent,
    Deregistered,
    Disabled,
    Notified,
    ObservationEnded,
    Registered,
    Registering,
    RegistrationFailed,
    Served,
    Updated,
    UpdateFailed,
)
from lwm2m.client.key_files import KeyFiles
from lwm2m.client.network import Network
from lwm2m.client.registration import State
from lwm2m.client.security import AccountSecurity
from lwm2m.client.sending import SendRefused

__all__ = [
    "AccountSecurity",
    "Actuator",
    "Asleep",
    "Awake",
    "BootstrapFailed",
    "BootstrapServed",
    "Bootstrapped",
    "Bootstrapping",
    "Client",
    "ClientEvent",
    "Creating",
    "DataModel",
    "Deleting",
    "Deregistered",
    "Disabled",
    "Guarding",
    "KeyFiles",
    "Network",
    "Notified",
    "ObservationEnded",
    "Registered",
    "Registering",
    "RegistrationFailed",
    "Removing",
    "SendRefused",
    "Served",
    "State",
    "UpdateFailed",
    "Updated",
]
