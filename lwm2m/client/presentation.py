"""How the client presents itself to one server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lwm2m.client.registration import Action, SendDeregister, SendRegister, SendUpdate
from lwm2m.link_format import Link
from lwm2m.operations.registration import Binding, Deregister, Register, RegistrationOperation, Update


@dataclass(frozen=True, slots=True)
class Presentation:
    """The functions are asked for each message, with the LwM2M version in use where that matters."""

    endpoint: str
    lifetime: Callable[[], int]
    binding: Callable[[str], Binding]
    links: Callable[[str], tuple[Link, ...]]
    sms: str | None = None

    def operation(self, action: Action, version: str) -> RegistrationOperation:
        """What the action says to the server now."""
        match action:
            case SendRegister():
                return Register(
                    self.endpoint,
                    self.lifetime(),
                    self.links(version),
                    version,
                    self.binding(version),
                    self.sms,
                )
            case SendUpdate(location, objects, lifetime, binding):
                return Update(
                    location,
                    self.lifetime() if lifetime else None,
                    self.links(version) if objects else None,
                    self.binding(version) if binding else None,
                    version=version,
                )
            case SendDeregister(location):
                return Deregister(location)
