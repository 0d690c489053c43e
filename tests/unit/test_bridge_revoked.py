"""Servers that lose their certificates while the gateway's clients are connected with them."""

from __future__ import annotations

import gc
from typing import cast

from lwm2m.client import Client
from osap_bridge.revoked import RevokedServers


class Connected:
    """A client that has taken a server which was revoked since."""

    def __init__(self, endpoint: str, server: str) -> None:
        self.endpoint = endpoint
        self._server = server
        self.ended: list[frozenset[str]] = []

    def revoked(self) -> set[str]:
        return {self._server}

    async def revoke(self, identities: frozenset[str]) -> None:
        self.ended.append(identities)


async def test_every_client_that_is_there_is_asked_and_told():
    servers = RevokedServers()
    clients = [Connected("osap:Z1", "x509:a"), Connected("osap:Z2", "x509:b"), Connected("osap:Z3", "x509:c")]
    for client in clients:
        servers.watch(cast(Client, client))
    del clients[2], client
    gc.collect()
    assert servers.revoked() == {"x509:a", "x509:b"}
    await servers.revoke(frozenset({"x509:a"}))
    assert [client.ended for client in clients] == [[{"x509:a"}], [{"x509:a"}]]
