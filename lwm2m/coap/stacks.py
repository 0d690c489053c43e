"""The CoAP stacks there are, by name: for composition roots and their `--coap-stack`."""

from __future__ import annotations

from collections.abc import Callable

from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.connected import ConnectedEndpoint, TcpEndpoint, WebSocketEndpoint
from lwm2m.coap.counted_socket import Count, counted
from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import Endpoint, Limits, Tracer, Transmission
from lwm2m.coap.udp import UdpLink
from lwm2m.coap.udp_socket import OpenSocket, bind


def datagram_endpoint(
    host: str,
    port: int,
    *,
    limits: Limits,
    transmission: Transmission,
    tracer: Tracer | None,
    open_socket: OpenSocket,
) -> DatagramEndpoint:
    """Our own stack over UDP."""
    link = UdpLink(host, port, open_socket=open_socket)
    return DatagramEndpoint(link, limits=limits, transmission=transmission, tracer=tracer)


STACKS: dict[str, Callable[..., Endpoint]] = {"aiocoap": AiocoapEndpoint, "datagram": datagram_endpoint}
DEFAULT_STACK = "datagram"
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
) -> Endpoint:
    """An endpoint, not started yet, of this stack or of `DEFAULT_STACK`; `count` is told of each datagram.
    `open_socket` gives another network than the machine's own, see `lwm2m.testing`. Raises ValueError with a sentence
    for a stack that does not exist."""
    name = DEFAULT_STACK if stack is None else stack
    if name not in STACKS:
        raise ValueError(f"there is no CoAP stack {name!r}; choose from: {', '.join(sorted(STACKS))}")
    if count is not None:
        open_socket = counted(open_socket, count)
    return STACKS[name](host, port, limits=limits, transmission=transmission, tracer=tracer, open_socket=open_socket)
