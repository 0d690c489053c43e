"""The CoAP stacks there are, by name: for composition roots and their `--coap-stack`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.coaps import CoapsEndpoint
from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import Endpoint, Limits, Tracer, Transmission
from lwm2m.coap.link import Link
from lwm2m.coap.links.counted_socket import Count, counted
from lwm2m.coap.links.dtls_link import MAX_IDLE, ClientSecurity, DtlsLink, OwnSessions, Refused
from lwm2m.coap.links.udp import UdpLink
from lwm2m.coap.links.udp_socket import OpenSocket, bind
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.streams.connected import ConnectedEndpoint, TcpEndpoint, WebSocketEndpoint
from lwm2m.dtls.connection import FIRST_TIMEOUT
from lwm2m.dtls.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Dtls:
    """DTLS between CoAP and UDP: `server` lets clients in, `client` reaches servers. `refused` is told of handshakes
    that failed, with the address they came from. `own_sessions` are those with servers, which outlive the endpoint. Of
    clients that were silent for `max_idle` seconds nothing is kept."""

    server: ServerSettings | None = None
    client: ClientSecurity | None = None
    refused: Refused | None = None
    own_sessions: OwnSessions | None = None
    first_timeout: float = FIRST_TIMEOUT
    max_idle: float = MAX_IDLE

    def over(self, link: Link, limits: Limits) -> DtlsLink:
        return DtlsLink(
            link,
            server=self.server,
            client=self.client,
            refused=self.refused,
            own_sessions=self.own_sessions,
            first_timeout=self.first_timeout,
            max_handshakes=limits.max_handshakes,
            max_associations=limits.max_associations,
            max_idle=self.max_idle,
        )


def datagram_endpoint(
    host: str,
    port: int,
    *,
    limits: Limits,
    transmission: Transmission,
    tracer: Tracer | None,
    open_socket: OpenSocket,
    dtls: Dtls | None = None,
    oscore: Oscore | None = None,
) -> DatagramEndpoint:
    """Our own stack over UDP."""
    udp = UdpLink(host, port, open_socket=open_socket)
    if dtls is not None:
        link = dtls.over(udp, limits)
        return CoapsEndpoint(link, limits=limits, transmission=transmission, tracer=tracer, oscore=oscore)
    return DatagramEndpoint(udp, limits=limits, transmission=transmission, tracer=tracer, oscore=oscore)


STACKS: dict[str, Callable[..., Endpoint]] = {"aiocoap": AiocoapEndpoint, "datagram": datagram_endpoint}
DEFAULT_STACK = "datagram"
WITH_DTLS = "datagram"
"""The one that has OSCORE, too."""
CONNECTED: dict[str, type[ConnectedEndpoint]] = {
    endpoint.scheme: endpoint for endpoint in (TcpEndpoint, WebSocketEndpoint)
}
"""What speaks over connections, by the scheme of its URIs: the same with every stack."""


def open_endpoint(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    stack: str | None = None,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    transmission: Transmission = Transmission(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    count: Count | None = None,
    open_socket: OpenSocket = bind,
    dtls: Dtls | None = None,
    oscore: Oscore | None = None,
) -> Endpoint:
    """An endpoint, not started yet, of this stack or of `DEFAULT_STACK`; `count` is told of each datagram.
    `open_socket` gives another network than the machine's own, see `lwm2m.testing`. With `dtls` it speaks coaps,
    with `oscore` whatever it says to peers with a context is protected. Raises ValueError with a sentence for a stack
    that does not exist, or has none of these."""
    name = DEFAULT_STACK if stack is None else stack
    if name not in STACKS:
        raise ValueError(f"there is no CoAP stack {name!r}; choose from: {', '.join(sorted(STACKS))}")
    if count is not None:
        open_socket = counted(open_socket, count)
    if dtls is None and oscore is None:
        return STACKS[name](
            host, port, limits=limits, transmission=transmission, tracer=tracer, open_socket=open_socket
        )
    if name != WITH_DTLS:
        what = "OSCORE" if dtls is None else "DTLS"
        raise ValueError(f"the CoAP stack {name!r} has no {what}; the stack {WITH_DTLS!r} has")
    return datagram_endpoint(
        host,
        port,
        limits=limits,
        transmission=transmission,
        tracer=tracer,
        open_socket=open_socket,
        dtls=dtls,
        oscore=oscore,
    )
