"""The client's one CoAP endpoint, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable

from lwm2m.client.local_address import local_host
from lwm2m.coap.endpoint import Endpoint, Handler
from lwm2m.coap.message import Subscription


class Transport:
    """Either a given endpoint, or one that `make` opens on the local address that leads to the server."""

    def __init__(self, given: Endpoint | None, make: Callable[[str], Endpoint], server: tuple[str, int]) -> None:
        self._given = given
        self._make = make
        self._server = server
        self._open: Endpoint | None = None

    async def start(self, handler: Handler) -> None:
        """Bind, if that needs no name to be resolved first. Raises OSError for a given endpoint that cannot."""
        if self._given is not None:
            await self.ready(handler)

    async def ready(self, handler: Handler) -> Endpoint:
        """The running endpoint. Raises OSError, Unreachable."""
        if self._open is None:
            endpoint = self._given or self._make(await local_host(*self._server))
            await endpoint.start(handler)
            self._open = endpoint
        return self._open

    def forget(self, subscription: Subscription) -> None:
        if self._open is not None:
            self._open.forget(subscription)

    async def stop(self) -> None:
        if self._open is not None:
            endpoint, self._open = self._open, None
            await endpoint.stop()
