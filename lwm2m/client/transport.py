"""The client's one CoAP endpoint, opened when it is first needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from lwm2m.client.local_address import local_hosts
from lwm2m.coap.endpoint import Endpoint, Handler, Unreachable
from lwm2m.coap.message import Subscription


class Transport:
    """Either a given endpoint, or one that `make` opens on a local address that leads to the server."""

    def __init__(self, given: Endpoint | None, make: Callable[[str], Endpoint], server: tuple[str, int]) -> None:
        self._given = given
        self._make = make
        self._server = server
        self._host = ""
        self._open: Endpoint | None = None

    async def start(self, handler: Handler) -> None:
        """Bind a given endpoint; one of our own waits until it is needed. Raises OSError."""
        if self._given is not None:
            await self._given.start(handler)
            self._open = self._given

    async def ways(self, handler: Handler) -> AsyncGenerator[Endpoint, None]:
        """The endpoint on each local address from which the server may be reached, the one in use first; going on to
        the next closes the one before. Raises Unreachable, OSError."""
        if self._given is not None:
            yield self.running
            return
        hosts = await local_hosts(*self._server)
        for host in sorted(hosts, key=lambda host: host != self._host):
            if host != self._host or self._open is None:
                await self._reopen(host, handler)
            yield self.running

    @property
    def running(self) -> Endpoint:
        """Raises Unreachable when nothing has been opened yet, or all is closed."""
        if self._open is None:
            raise Unreachable("the socket is closed")
        return self._open

    def forget(self, subscription: Subscription) -> None:
        if self._open is not None:
            self._open.forget(subscription)

    async def stop(self) -> None:
        if self._open is not None:
            endpoint, self._open = self._open, None
            await endpoint.stop()

    async def _reopen(self, host: str, handler: Handler) -> None:
        await self.stop()
        endpoint = self._make(host)
        await endpoint.start(handler)
        self._host, self._open = host, endpoint
