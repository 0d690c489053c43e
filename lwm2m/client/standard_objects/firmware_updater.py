"""What a device author implements for firmware updates."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from lwm2m.client.standard_objects.firmware_machine import PackageInfo


class Running(NamedTuple):
    """The firmware that runs. `confirmed` is False while it is on trial: then the next boot may bring the one before.
    `objects` are the ids that it supports; None: all that the client has."""

    version: str
    image: str
    confirmed: bool = True
    objects: frozenset[int] | None = None


class FirmwareUpdater(Protocol):
    """Raise PackageError to refuse a package or to fail; `install` may fail at any time without harm to what runs.

    A new image is on trial until `confirm`: the boot loader goes back by itself when it does not come up, or when the
    device boots again unconfirmed."""

    @property
    def max_package(self) -> int:
        """The largest package that there is room for, in bytes."""
        ...

    def running(self) -> Running: ...

    async def check(self, package: bytes) -> PackageInfo:
        """Is it whole, and for this device? Nothing is applied. Asked again right before `install`."""
        ...

    def may_install(self, severity: int) -> bool:
        """Whether an update that the server orders may begin now (severity 0 critical, 1 mandatory, 2 optional). False
        defers it, for as long as Maximum Defer Period allows."""
        ...

    async def install(self, package: bytes) -> None:
        """Write the image where the next boot looks for it."""
        ...

    async def reboot(self) -> None:
        """Boot what is installed. A device that ends its process here never returns; else `running` is asked next."""
        ...

    async def confirm(self) -> None:
        """Keep the running image for good."""
        ...

    async def roll_back(self) -> None:
        """Let the next boot bring the image from before."""
        ...
