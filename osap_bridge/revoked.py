"""Servers whose certificates are revoked while the gateway's clients are connected with them."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from lwm2m.client import Client


class RevokedServers:
    """What `Revoking.end` asks, for all clients of the gateway; they come and go with their devices."""

    def __init__(self) -> None:
        self._clients: WeakValueDictionary[str, Client] = WeakValueDictionary()

    def watch(self, client: Client) -> None:
        self._clients[client.endpoint] = client

    def revoked(self) -> set[str]:
        """The identities of servers that were revoked since; called in a thread."""
        return {identity for client in self._all() for identity in client.revoked()}

    async def revoke(self, identities: frozenset[str]) -> None:
        await asyncio.gather(*(client.revoke(identities) for client in self._all()))

    def _all(self) -> list[Client]:
        """A copy in one step, since threads look."""
        return [client for reference in self._clients.valuerefs() if (client := reference()) is not None]
