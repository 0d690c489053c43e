"""CoAP with DTLS below it, as an `Endpoint`."""

from __future__ import annotations

from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import Limits, Tracer, Transmission
from lwm2m.coap.links.dtls_link import DtlsLink
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.dtls.alerts import Alert


class CoapsEndpoint(DatagramEndpoint):
    """A `Secured` endpoint."""

    def __init__(
        self,
        link: DtlsLink,
        *,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        transmission: Transmission = Transmission(),  # noqa: B008  # immutable
        tracer: Tracer | None = None,
        oscore: Oscore | None = None,
    ) -> None:
        super().__init__(link, limits=limits, transmission=transmission, tracer=tracer, oscore=oscore)
        self._dtls = link

    def expel(self, identity: str, *, revoked: bool = False) -> None:
        self._dtls.forget(identity, Alert.CERTIFICATE_REVOKED if revoked else Alert.CLOSE_NOTIFY)
