"""Endpoints of clients that reach a server by other ways than UDP."""

from __future__ import annotations

from lwm2m.coap.counted_socket import Count
from lwm2m.coap.dtls_link import ClientSecurity, OwnSessions
from lwm2m.coap.endpoint import Endpoint, Limits, Tracer
from lwm2m.coap.line import SCHEME as SERIAL
from lwm2m.coap.line import Line
from lwm2m.coap.stacks import CONNECTED, WITH_DTLS, Dtls, open_endpoint


def connecting(
    scheme: str,
    where: str,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
) -> Endpoint:
    """What reaches servers by this scheme: over connections from a local address, over a line with its URI. It is not
    started yet. Raises ValueError."""
    if scheme == SERIAL:
        from lwm2m.coap.serial_line import serial_endpoint  # not every platform has terminals

        return serial_endpoint(Line.parse(where), limits=limits, tracer=tracer)
    return CONNECTED[scheme](where, None, limits=limits, tracer=tracer)


def connecting_securely(
    scheme: str,
    where: str,
    show: ClientSecurity,
    own_sessions: OwnSessions,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    count: Count | None = None,
) -> Endpoint:
    """The same for schemes with keys: `show` tells what a server is shown and has to show. Raises ValueError."""
    if scheme != "coaps":
        raise ValueError(f"{scheme}:// is not spoken here")
    dtls = Dtls(client=show, own_sessions=own_sessions)
    return open_endpoint(where, 0, stack=WITH_DTLS, limits=limits, tracer=tracer, count=count, dtls=dtls)
