"""The client's sockets, and how each server is reached through them.

A client has one socket for each local address that leads to a server of its: almost always one. Servers share it, and
are told apart by their own addresses. Servers on TCP or WebSockets share what connects from there; each has a
connection of its own. An account with keys shares nothing: its socket lives as long as its keys stay what they are,
and that of an account with OSCORE as long as its context.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import NamedTuple

from lwm2m.client.local_address import local_hosts
from lwm2m.client.security import SECURED, AccountSecurity, UnusableSecurity
from lwm2m.coap.endpoint import Endpoint, Handler, Secured, Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.links.line import SCHEME as SERIAL
from lwm2m.coap.message import Peer, Subscription
from lwm2m.coap.streams.connected import ConnectedEndpoint
from lwm2m.coap.streams.tls_settings import Unfit
from lwm2m.coap.uri import Place, place_of
from lwm2m.model.path import Path
from lwm2m.security.info import OscoreSecurity


class Way(NamedTuple):
    """Scheme and local address; a serial line has none but its URI. `security` is what the Security instance `account`
    says, where the scheme needs keys; `oscore` what it says of OSCORE."""

    scheme: str
    where: str
    account: Path | None = None
    security: AccountSecurity | None = None
    oscore: OscoreSecurity | None = None


class Sockets:
    """A given endpoint, for the URIs of its scheme, and those that `make` opens for a scheme on local addresses, each
    as long as somebody uses it. `lost` learns of each peer whose connection has ended."""

    def __init__(
        self,
        given: Endpoint | None,
        make: Callable[[Way], Endpoint],
        handler: Handler,
        lost: Callable[[Peer], None],
    ) -> None:
        self.given = given
        self._make = make
        self._handler = handler
        self._lost = lost
        self._open: dict[Way, Endpoint] = {}
        self._users: dict[Way, set[Transport]] = {}
        self._opening = asyncio.Lock()
        self._watching: dict[Endpoint, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Bind a given endpoint; those of our own wait until they are needed. Raises OSError."""
        if self.given is not None:
            await self._start(self.given)

    def given_for(self, uri: str) -> Endpoint | None:
        """The given endpoint, where this is a URI of its scheme."""
        scheme = uri.partition(":")[0]
        return self.given if self.given is not None and self.given.uri.partition(":")[0] == scheme else None

    async def take(self, way: Way, user: Transport) -> Endpoint:
        """Raises OSError."""
        async with self._opening:
            if way not in self._open:
                endpoint = self._make(way)
                await self._start(endpoint)
                self._open[way] = endpoint
            self._users.setdefault(way, set()).add(user)
            return self._open[way]

    async def release(self, way: Way, user: Transport) -> None:
        async with self._opening:
            users = self._users.get(way, set())
            users.discard(user)
            if not users and way in self._open:
                await self._stop(self._open.pop(way))

    def listen(self, listening: bool) -> None:
        for endpoint in self._all():
            endpoint.listen(listening)

    def expel(self, identities: Iterable[str]) -> None:
        """End the sessions with servers that are these, whose certificates were revoked."""
        for endpoint in self._all():
            if isinstance(endpoint, Secured):
                for identity in identities:
                    endpoint.expel(identity, revoked=True)

    async def stop(self) -> None:
        async with self._opening:
            endpoints = self._all()
            self._open.clear()
            self._users.clear()
            for endpoint in endpoints:
                await self._stop(endpoint)

    def _all(self) -> list[Endpoint]:
        return [*self._open.values(), *([self.given] if self.given is not None else [])]

    async def _start(self, endpoint: Endpoint) -> None:
        await endpoint.start(self._handler)
        if isinstance(endpoint, ConnectedEndpoint) or endpoint.uri.partition(":")[0] in SECURED:
            watching = self._watch(endpoint)
            self._watching[endpoint] = asyncio.get_running_loop().create_task(watching, name="lwm2m-connections")

    async def _stop(self, endpoint: Endpoint) -> None:
        await endpoint.stop()
        watching = self._watching.pop(endpoint, None)
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self, endpoint: Endpoint) -> None:
        async for event in endpoint.events():
            self._lost(event.peer)


class Transport:
    """The way to one server, at `uri` now. `secure` says what is shown there, None for nothing, and `protect` what
    protects what is said, if anything; both raise UnusableSecurity."""

    def __init__(
        self,
        sockets: Sockets,
        uri: str,
        secure: Callable[[str], tuple[Path, AccountSecurity] | None],
        protect: Callable[[str], OscoreSecurity | None],
    ) -> None:
        self._sockets = sockets
        self.uri = uri
        self._secure = secure
        self._protect = protect
        self._way = Way("", "")
        self._endpoint: Endpoint | None = None

    async def ways(self) -> AsyncGenerator[Endpoint, None]:
        """The endpoint on each local address from which the server may be reached, the one in use first; going on to
        the next gives up the one before. Raises Unreachable, OSError."""
        given = self._sockets.given_for(self.uri)
        if given is not None and self._protect(self.uri) is None:
            await self.release()
            self._endpoint = given
            yield given
            return
        for way in sorted(await self._possible(), key=lambda way: way != self._way):
            if way != self._way or self._endpoint is None:
                await self.release()
                self._endpoint = await self._sockets.take(way, self)
                self._way = way
            yield self._endpoint

    async def peers(self) -> AsyncGenerator[tuple[Endpoint, Peer], None]:
        """The same, with the server there. What cannot be connected is left out. Raises Unreachable where nothing can
        be, OSError; a server that has refused us is not looked for elsewhere."""
        failure: Exception | None = None
        found = False
        async with aclosing(self.ways()) as ways:
            async for endpoint in ways:
                try:
                    peer = await endpoint.peer(self.uri)
                except (UnusableSecurity, Unfit):
                    raise
                except HandshakeFailed as error:
                    failure = error
                    if error.alert is not None:
                        break
                except (Unreachable, ValueError) as error:
                    failure = error
                else:
                    found = True
                    yield endpoint, peer
        if isinstance(failure, HandshakeFailed) and not found:
            raise failure
        if not found and failure is not None:
            raise Unreachable(str(failure)) from failure

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
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None and endpoint is not self._sockets.given:
            await self._sockets.release(self._way, self)

    async def _possible(self) -> list[Way]:
        """Raises Unreachable."""
        account, security = self._secure(self.uri) or (None, None)
        oscore = self._protect(self.uri)
        if self.uri.partition(":")[0] == SERIAL:
            return [Way(SERIAL, self.uri, oscore=oscore)]
        place = self._place()
        hosts = await local_hosts(place.host, place.port)
        return [Way(place.scheme, host, account, security, oscore) for host in hosts]

    def _place(self) -> Place:
        """Raises Unreachable."""
        try:
            return place_of(self.uri)
        except ValueError as error:
            raise Unreachable(str(error)) from None
