"""A store that forgets when the process ends."""

from __future__ import annotations

from collections.abc import Sequence

from lwm2m.model.path import Path
from lwm2m.server.observations import ObservationChange
from lwm2m.server.registry import Registration, RegistrationChange
from lwm2m.server.store import Change, Kept, KeptObservation


class MemoryStore:
    """Two servers, one after the other, may be given the same one."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}
        self._observations: dict[str, dict[Path, int | None]] = {}

    async def load(self) -> Kept:
        observations = (
            KeptObservation(endpoint, path, accept)
            for endpoint, paths in self._observations.items()
            for path, accept in paths.items()
        )
        return Kept(tuple(self._registrations.values()), tuple(observations))

    async def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case RegistrationChange(endpoint=endpoint, after=None):
                    self._registrations.pop(endpoint, None)
                    self._observations.pop(endpoint, None)
                case RegistrationChange(endpoint=endpoint, after=Registration() as registration):
                    self._registrations[endpoint] = registration
                case ObservationChange(endpoint=endpoint, path=path, wanted=True, accept=accept):
                    self._observations.setdefault(endpoint, {})[path] = accept
                case ObservationChange(endpoint=endpoint, path=path):
                    self._observations.get(endpoint, {}).pop(path, None)

    async def close(self) -> None:
        """Nothing to give back."""
