"""The client's sockets, and how each server is reached through them.

A client has one socket for each local address that leads to a server of its: almost always one. Servers share it, and
are told apart by their own addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from lwm2m.client.local_address import local_hosts
from lwm2m.coap.endpoint import Endpoint, Handler, Unreachable
from lwm2m.coap.message import Subscription
from lwm2m.coap.uri import parse_uri


class Sockets:
    """Either a given endpoint, or those that `make` opens on local addresses, each as long as somebody uses it."""

    def __init__(self, given: Endpoint | None, make: Callable[[str], Endpoint], handler: Handler) -> None:
        self.given = given
        self._make = make
        self._handler = handler
        self._open: dict[str, Endpoint] = {}
        self._users: dict[str, set[Transport]] = {}
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Bind a given endpoint; those of our own wait until they are needed. Raises OSError."""
        if self.given is not None:
            await self.given.start(self._handler)

    async def take(self, host: str, user: Transport) -> Endpoint:
        """Raises OSError."""
        async with self._opening:
            if host not in self._open:
                endpoint = self._make(host)
                await endpoint.start(self._handler)
                self._open[host] = endpoint
            self._users.setdefault(host, set()).add(user)
            return self._open[host]

    async def release(self, host: str, user: Transport) -> None:
        async with self._opening:
            users = self._users.get(host, set())
            users.discard(user)
            if not users and host in self._open:
                await self._open.pop(host).stop()

    def listen(self, listening: bool) -> None:
        for endpoint in (self.given,) if self.given is not None else self._open.values():
            endpoint.listen(listening)

    async def stop(self) -> None:
        async with self._opening:
            endpoints = [self.given] if self.given is not None else list(self._open.values())
            self._open.clear()
            self._users.clear()
            for endpoint in endpoints:
                await endpoint.stop()


class Transport:
    """The way to one server."""

    def __init__(self, sockets: Sockets, uri: str) -> None:
        self._sockets = sockets
        self.uri = uri
        self._host = ""
        self._endpoint: Endpoint | None = None

    async def ways(self) -> AsyncGenerator[Endpoint, None]:
        """The endpoint on each local address from which the server may be reached, the one in use first; going on to
        the next gives up the one before. Raises Unreachable, OSError."""
        try:
            server = parse_uri(self.uri)
        except ValueError as error:
            raise Unreachable(str(error)) from None
        if self._sockets.given is not None:
            self._endpoint = self._sockets.given
            yield self._endpoint
            return
        hosts = await local_hosts(*server)
        for host in sorted(hosts, key=lambda host: host != self._host):
            if host != self._host or self._endpoint is None:
                await self.release()
                self._endpoint = await self._sockets.take(host, self)
                self._host = host
            yield self._endpoint

    @property
    def running(self) -> Endpoint:
        """Raises Unreachable when nothing has been opened yet, or all is closed."""
        if self._endpoint is None:
            raise Unreachable("the socket is closed")
        return self._endpoint

    def forget(self, subscription: Subscription) -> None:
        if self._endpoint is not None:
            self._endpoint.forget(subscription)

    async def release(self) -> None:
        """This server needs no socket any more."""
        if self._endpoint is not None:
            self._endpoint = None
            await self._sockets.release(self._host, self)
