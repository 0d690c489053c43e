"""The ways to a client's servers: what its data model says of each, and what makes the endpoints for that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from lwm2m.client.data_model import DataModel
from lwm2m.client.oscore import oscore_of
from lwm2m.client.pairing import security_at
from lwm2m.client.security import SECURED, AccountSecurity, Own, UnusableSecurity
from lwm2m.client.transport import Way
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.dtls_link import ClientSecurity, OwnSessions
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import Dtls
from lwm2m.model.path import Path
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import SequenceNumbers


class Connectors(NamedTuple):
    """What makes an endpoint: for UDP at a local address; for a scheme of connections, or for a line; for a scheme with
    keys, by what to show; and for OSCORE, with keys or without."""

    open_endpoint: Callable[[str], Endpoint]
    connect: Callable[[str, str], Endpoint]
    connect_securely: Callable[[str, str, ClientSecurity, OwnSessions], Endpoint]
    connect_protected: Callable[[str, str, Oscore, Dtls | None], Endpoint]


class Reaching:
    """`own` is what the client has itself, `numbers` keeps sequence numbers of OSCORE, `wall` is the time by which
    certificates are judged."""

    def __init__(
        self,
        model: DataModel,
        own: Own,
        numbers: SequenceNumbers | None,
        connectors: Connectors,
        wall: Callable[[], float | None],
    ) -> None:
        self._model = model
        self._own = own
        self._numbers = numbers
        self._connectors = connectors
        self._wall = wall
        self._sessions: OwnSessions = {}

    def endpoint(self, way: Way) -> Endpoint:
        """One that has not been started."""
        make = self._connectors
        show = self._shown(way)
        if way.oscore is not None and self._numbers is not None:
            dtls = None if show is None else Dtls(client=show, own_sessions=self._sessions)
            return make.connect_protected(way.scheme, way.where, Oscore.of_server(way.oscore, self._numbers), dtls)
        if show is not None:
            return make.connect_securely(way.scheme, way.where, show, self._sessions)
        return make.open_endpoint(way.where) if way.scheme == "coap" else make.connect(way.scheme, way.where)

    def secured(self, security: Path, uri: str) -> tuple[Path, AccountSecurity] | None:
        """What the Security instance with this URI says; None where it says that there is no security. Raises
        UnusableSecurity."""
        instance = security_at(self._model, security, uri)
        found = AccountSecurity.of(self._model, instance)
        found.require_fitting(uri, instance)
        return (instance, found) if uri.partition(":")[0] in SECURED else None

    def protected(self, security: Path, uri: str) -> OscoreSecurity | None:
        """What protects what is said at this URI, None: nothing. Raises UnusableSecurity."""
        instance = security_at(self._model, security, uri)
        found = oscore_of(self._model, instance)
        if found is not None and self._numbers is None:
            raise UnusableSecurity(
                f"{instance} has OSCORE, and there is nowhere to keep its sequence numbers: give the client a folder "
                "for its state"
            )
        return found

    def forget(self, identities: frozenset[str]) -> None:
        """No session with these is resumed: what comes next begins with a whole handshake, and so with a look at the
        certificate."""
        for place in [place for place, (_, session) in self._sessions.items() if session.identity in identities]:
            del self._sessions[place]

    def _shown(self, way: Way) -> ClientSecurity | None:
        if way.account is None or way.security is None:
            return None
        return partial(way.security.client_settings, way.account, own=self._own, wall=self._wall)
