"""CoAP over TLS: what `tcp` does, with a `TlsStream` between. RFC 8323 §9."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lwm2m.coap.endpoint import Limits, Tracer, Transmission, Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Peer
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.streams.aiocoap_connection import Connection, Liveness, Owner
from lwm2m.coap.streams.connected import ConnectedEndpoint
from lwm2m.coap.streams.connection_pool import ConnectionPool
from lwm2m.coap.streams.tcp import TcpConnection, TcpPool, address_of, leaving_from
from lwm2m.coap.streams.tls_errors import TlsFailed
from lwm2m.coap.streams.tls_settings import SCHEME, Tls, accepting, reaching
from lwm2m.coap.streams.tls_stream import TlsStream
from lwm2m.dtls.connection import Closed

ENDED_AT_ONCE = (
    "the server closed the connection at once: perhaps it does not take our certificate (revoked, or without a name); "
    "its log says why"
)
"""In TLS 1.3 there is no more to hear of a server that refuses a client by checks of its own."""


class TlsConnection(TcpConnection):
    """It begins once hands are shaken: before, nothing of CoAP is written or read."""

    def __init__(self, pool: TlsPool, stream: TlsStream, *, is_ours: bool) -> None:
        super().__init__(pool)
        self._tls_pool = pool
        self._stream = stream
        self._is_ours = is_ours
        self._closed: Closed | None = None

    def failure(self) -> Unreachable:
        closed = self._closed
        if closed is None:
            return super().failure()
        return HandshakeFailed(f"no TLS with {self.peer}: {closed.reason}", closed.alert, by_peer=closed.by_peer)

    def write(self, message: bytes) -> None:
        self._stream.write(message)
        self._flush()

    def hang_up(self) -> None:
        self._stream.close()
        self._flush()
        super().hang_up()

    def there(self, transport: asyncio.Transport) -> None:
        self.peer = Peer(address_of(transport, "sockname"), address_of(transport, "peername"), self.association)
        self._timer = self._loop.call_later(
            self._tls_pool.liveness.csm_within, self._fail, Closed(None, "no handshake came to its end in time", False)
        )
        self._stream.start()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self.has_ended:
            return
        was_open = self._stream.is_open
        try:
            said = self._stream.receive(data)
        except TlsFailed as failed:
            self._fail(failed.closed)
            return
        if self._stream.is_open and not was_open:
            self._through()
        self._flush()
        if said:
            super().data_received(said)
        if self._stream.has_ended:
            self.end(ENDED_AT_ONCE if self._ends_at_once else "the peer closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._stream.is_open and not self.has_ended:
            self._fail(Closed(None, "the peer closed the connection before the handshake was through", by_peer=True))
        elif self._ends_at_once:
            self.end(ENDED_AT_ONCE)
        super().connection_lost(exc)

    @property
    def _ends_at_once(self) -> bool:
        """If it ends now, without a word of the server."""
        return self._is_ours and not self.is_ready

    def _through(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.begin(self.peer.local, self.peer.address, self._stream.identity)

    def _fail(self, closed: Closed) -> None:
        """In TLS 1.3 a client is through before the server has looked at its certificate: what is told of before the
        CSM is part of the handshake."""
        if not self.is_ready:
            self._closed = closed
        refused = self._tls_pool.tls.refused
        if not self.is_ready and not self._is_ours and refused is not None:
            refused(Peer(self.peer.local, self.peer.address), closed)
        self._flush()
        self.end(closed.reason)

    def _flush(self) -> None:
        if data := self._stream.take():
            super().write(data)


class TlsPool(TcpPool):
    """`accept` makes our end of each connection that somebody else opens."""

    def __init__(
        self,
        host: str,
        port: int | None,
        owner: Owner,
        limits: Limits,
        liveness: Liveness,
        tls: Tls,
        accept: Callable[[], TlsStream] | None,
    ) -> None:
        super().__init__(host, port, owner, limits, liveness)
        self.tls = tls
        self._accept = accept

    async def connect(self, host: str, port: int) -> Connection:
        if self.tls.client is None:
            raise Unreachable("this endpoint waits for its peers to come")
        stream = reaching(self.tls.client(host), host, port)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: TlsConnection(self, stream, is_ours=True), host, port, local_addr=leaving_from(self.host)
        )
        return connection

    def expel(self, identity: str, *, revoked: bool) -> None:
        """An alert of our choice is nothing that OpenSSL sends here: CoAP says why."""
        for connection in self.connections():
            if connection.peer.identity != identity:
                continue
            if revoked:
                connection.abort("your certificate was revoked")
            else:
                connection.leave()

    def _made(self) -> TcpConnection:
        assert self._accept is not None
        return TlsConnection(self, self._accept(), is_ours=False)


class TlsEndpoint(ConnectedEndpoint):
    """CoAP over TLS, a `Secured` endpoint. Without `Tls.server` its port is None. Raises ValueError with a sentence."""

    scheme = SCHEME

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int | None = 0,
        *,
        tls: Tls,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        liveness: Liveness = Liveness(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        oscore: Oscore | None = None,
    ) -> None:
        if port is not None and tls.server is None:
            raise ValueError("without credentials of a server nobody can be let in")
        super().__init__(
            host, port, limits=limits, transmission=transmission, liveness=liveness, tracer=tracer, oscore=oscore
        )
        self._tls = tls
        self._accept = None if tls.server is None else accepting(tls.server, tls.trust)

    def expel(self, identity: str, *, revoked: bool = False) -> None:
        pool = None if self._running is None else self._running.pool
        if isinstance(pool, TlsPool):
            pool.expel(identity, revoked=revoked)

    def new_pool(self, owner: Owner) -> ConnectionPool:
        return TlsPool(self._host, self._port, owner, self._limits, self._liveness, self._tls, self._accept)
