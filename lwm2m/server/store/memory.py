"""A store that forgets when the process ends."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from lwm2m.server.observations import ObservationChange, Observed, Wish
from lwm2m.server.queued import QueueChange, QueuedRequest
from lwm2m.server.registry import Registration, RegistrationChange
from lwm2m.server.store import Change, Kept, KeptObservation


class MemoryStore:
    """Two servers, one after the other, may be given the same one."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}
        self._observations: dict[str, dict[Observed, Wish]] = {}
        self._queue: dict[str, QueuedRequest] = {}

    async def load(self) -> Kept:
        observations = (
            KeptObservation(endpoint, observed, *wish)
            for endpoint, wishes in self._observations.items()
            for observed, wish in wishes.items()
        )
        return Kept(tuple(self._registrations.values()), tuple(observations), tuple(self._queue.values()))

    def commit(self, changes: Sequence[Change]) -> Awaitable[None] | None:
        for change in changes:
            if isinstance(change, RegistrationChange):
                if change.after is None:
                    self._forget(change.endpoint)
                else:
                    self._registrations[change.endpoint] = change.after
                continue
            match change:
                case ObservationChange(endpoint=endpoint, path=observed, wanted=True):
                    self._observations.setdefault(endpoint, {})[observed] = Wish(change.accept, change.list_format)
                case ObservationChange(endpoint=endpoint, path=observed):
                    self._observations.get(endpoint, {}).pop(observed, None)
                case QueueChange(id=number, request=None):
                    self._queue.pop(number, None)
                case QueueChange(id=number, request=QueuedRequest() as request):
                    self._queue[number] = request
        return None

    def _forget(self, endpoint: str) -> None:
        self._registrations.pop(endpoint, None)
        self._observations.pop(endpoint, None)
        for number in [number for number, request in self._queue.items() if request.endpoint == endpoint]:
            del self._queue[number]

    async def close(self) -> None:
        """Nothing to give back."""
