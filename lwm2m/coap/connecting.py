"""Endpoints of clients that reach a server by other ways than UDP."""

from __future__ import annotations

from lwm2m.coap.endpoint import Endpoint, Limits, Tracer
from lwm2m.coap.links.counted_socket import Count
from lwm2m.coap.links.dtls_link import ClientSecurity, OwnSessions
from lwm2m.coap.links.line import SCHEME as SERIAL
from lwm2m.coap.links.line import Line
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import CONNECTED, WITH_DTLS, Dtls, open_endpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls


def connecting(
    scheme: str,
    where: str,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    oscore: Oscore | None = None,
) -> Endpoint:
    """What reaches servers by this scheme: over connections from a local address, over a line with its URI. It is not
    started yet. Raises ValueError."""
    if scheme == SERIAL:
        from lwm2m.coap.links.serial_line import serial_endpoint  # not every platform has terminals

        return serial_endpoint(Line.parse(where), limits=limits, tracer=tracer, oscore=oscore)
    return CONNECTED[scheme](where, None, limits=limits, tracer=tracer, oscore=oscore)


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
    if scheme == TlsEndpoint.scheme:
        return TlsEndpoint(where, None, tls=Tls(client=show), limits=limits, tracer=tracer)
    if scheme != "coaps":
        raise ValueError(f"{scheme}:// is not spoken here")
    dtls = Dtls(client=show, own_sessions=own_sessions)
    return open_endpoint(where, 0, stack=WITH_DTLS, limits=limits, tracer=tracer, count=count, dtls=dtls)


def connecting_protected(
    scheme: str,
    where: str,
    oscore: Oscore,
    dtls: Dtls | None,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    count: Count | None = None,
) -> Endpoint:
    """The same where everything is protected by OSCORE; what `dtls` shows is for schemes with keys, around it. Raises
    ValueError."""
    if scheme == TlsEndpoint.scheme and dtls is not None:
        return TlsEndpoint(where, None, tls=Tls(client=dtls.client), limits=limits, tracer=tracer, oscore=oscore)
    if scheme not in ("coap", "coaps"):
        return connecting(scheme, where, limits=limits, tracer=tracer, oscore=oscore)
    return open_endpoint(where, 0, stack=WITH_DTLS, limits=limits, tracer=tracer, count=count, dtls=dtls, oscore=oscore)
