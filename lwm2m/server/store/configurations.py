"""Where a bootstrap server keeps the configurations that it was given while it ran.

* Every call may be a network call. Calls of one server come one after the other.
* What `keep` and `drop` did is durable when they return: the server answers only then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lwm2m.server.bootstrap_config import BootstrapConfig


class ConfigurationStore(Protocol):
    async def load(self) -> Mapping[str, BootstrapConfig]:
        """By endpoint. Called once, before anything else. Raises StoreError."""
        ...

    async def keep(self, endpoint: str, config: BootstrapConfig) -> None:
        """In place of what was kept for the endpoint. Raises StoreError; then nothing changed."""
        ...

    async def drop(self, endpoint: str) -> None:
        """Also of an endpoint that nothing is kept for. Raises StoreError; then nothing changed."""
        ...

    async def close(self) -> None:
        """Called once, after everything else."""
        ...


class MemoryConfigurations:
    """Forgets when the process ends. Two servers, one after the other, may be given the same one."""

    def __init__(self) -> None:
        self._configs: dict[str, BootstrapConfig] = {}

    async def load(self) -> Mapping[str, BootstrapConfig]:
        return dict(self._configs)

    async def keep(self, endpoint: str, config: BootstrapConfig) -> None:
        self._configs[endpoint] = config

    async def drop(self, endpoint: str) -> None:
        self._configs.pop(endpoint, None)

    async def close(self) -> None:
        """Nothing to give back."""
