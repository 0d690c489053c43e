"""Operations on their way to clients, and the answers on their way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from lwm2m.coap.endpoint import Endpoint, Observation, Recalling, Unreachable
from lwm2m.coap.message import Ended, Peer, Response
from lwm2m.model.definition import Definitions
from lwm2m.operations.composite import ObserveComposite
from lwm2m.operations.device_management import DeviceOperation, Observe, to_coap
from lwm2m.server.admission import Admission
from lwm2m.server.answers import Answer, read_answer
from lwm2m.server.by_identity import ByIdentity
from lwm2m.server.object_list import ObjectList
from lwm2m.server.registry import Registration, Registry

KEPT_DEFINITIONS = 1024


class Requests:
    """Sends from the endpoint that a client registered at, to where it was last heard, and to nobody else."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        registry: Registry,
        admission: Admission,
        definitions: Definitions,
        wall: Callable[[], float],
    ) -> None:
        self._endpoints = endpoints
        self._admission = admission
        self._registry = registry
        self._definitions = definitions
        self._wall = wall
        self._heard_at: dict[str, Endpoint] = {}
        self._chosen = ByIdentity[ObjectList, Definitions](KEPT_DEFINITIONS)
        self._choose = lru_cache(maxsize=256)(self._choose_versions)

    def heard(self, endpoint: str, at: Endpoint) -> None:
        """The client registered or updated at this endpoint of ours."""
        self._heard_at[endpoint] = at

    def forget(self, endpoint: str) -> None:
        self._heard_at.pop(endpoint, None)

    def recall(self) -> None:
        """After a restart, once the endpoints serve: who is protected message by message has lost no session."""
        for way in self._endpoints:
            if isinstance(way, Recalling):
                self._recall(way, way.recall)

    def _recall(self, way: Endpoint, recall: Callable[[Peer], Peer | None]) -> None:
        for registration in list(self._registry):
            kept = registration.peer
            peer = recall(kept) if kept.below is not None and _is_of(kept, way) else None
            if peer is not None:
                self._registry.recall(registration.endpoint, peer)
                self.heard(registration.endpoint, way)

    async def ask(self, registration: Registration, operation: DeviceOperation, timeout: float | None) -> Answer:
        """Raises RequestFailed, InvalidAnswer."""
        way = self._way_to(registration)
        response = await way.request(registration.peer, to_coap(operation, registration.root), timeout)
        return self.read(registration, operation, response)

    async def observe(
        self, registration: Registration, operation: Observe | ObserveComposite, timeout: float | None
    ) -> Observation:
        """Raises RequestFailed."""
        way = self._way_to(registration)
        return await way.observe(registration.peer, to_coap(operation, registration.root), timeout)

    def read(self, registration: Registration, operation: DeviceOperation, response: Response) -> Answer:
        """Raises InvalidAnswer."""
        definitions = self.definitions(registration)
        return read_answer(registration.endpoint, operation, response, definitions, self._wall(), registration.root)

    def definitions(self, registration: Registration) -> Definitions:
        """In the versions that the client registered."""
        found = self._chosen.get(registration.object_list)
        if found is None:
            versions = tuple(registration.versions.items())
            found = self._chosen.keep(registration.object_list, self._choose(versions))
        return found

    def _choose_versions(self, versions: tuple[tuple[int, tuple[int, int]], ...]) -> Definitions:
        return self._definitions.choose(dict(versions))

    def _way_to(self, registration: Registration) -> Endpoint:
        if not self._registry.is_reachable(registration):
            raise Unreachable(f"{registration.peer} belongs to another identity now")
        if not self._admission.permits(registration.endpoint, registration.identity):
            raise Unreachable(f"{registration.endpoint} has other credentials now than it registered with")
        if isinstance(registration.peer.association, Ended):
            raise Unreachable(f"the connection with {registration.endpoint} has ended")
        found = self._heard_at.get(registration.endpoint) or self._serving(registration.peer)
        if found is None:
            raise Unreachable(f"{registration.endpoint} registered at an address that is not served any more")
        return found

    def _serving(self, peer: Peer) -> Endpoint | None:
        """For a registration from before a restart."""
        return next((one for one in self._endpoints if _is_of(peer, one)), None)


def _is_of(peer: Peer, way: Endpoint) -> bool:
    """Whether the peer came there in an earlier process. What has no ports is known by its name."""
    host, port = peer.local
    return way.address[1] == port and (bool(port) or way.address[0] == host)
