"""The CoAP stacks there are, by name: for composition roots and their `--coap-stack`."""

from __future__ import annotations

from collections.abc import Callable

from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.counted_socket import Count, counted
from lwm2m.coap.endpoint import Endpoint, Limits, Tracer, Transmission
from lwm2m.coap.udp_socket import bind

STACKS: dict[str, Callable[..., Endpoint]] = {"aiocoap": AiocoapEndpoint}
DEFAULT_STACK = "aiocoap"


def open_endpoint(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    stack: str = DEFAULT_STACK,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    transmission: Transmission = Transmission(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    count: Count | None = None,
) -> Endpoint:
    """An endpoint, not started yet; `count` is told of each datagram. Raises ValueError with a sentence for a stack
    that does not exist."""
    if stack not in STACKS:
        raise ValueError(f"there is no CoAP stack {stack!r}; choose from: {', '.join(sorted(STACKS))}")
    open_socket = bind if count is None else counted(bind, count)
    return STACKS[stack](host, port, limits=limits, transmission=transmission, tracer=tracer, open_socket=open_socket)
