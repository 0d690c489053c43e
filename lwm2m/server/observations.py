"""Which observations the server wants of whom. Pure.

A client forgets its observations with its registration; the server's wish lives on until it is cancelled, refused, or
the client is gone, and is asked again after every Register.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from lwm2m.model.path import Path


class ObservationChange(NamedTuple):
    endpoint: str
    path: Path
    wanted: bool
    accept: int | None = None


class Observations:
    """Wishes by endpoint and path, in the order they were made."""

    def __init__(self) -> None:
        self._wanted: dict[str, dict[Path, int | None]] = {}

    def want(self, endpoint: str, path: Path, accept: int | None) -> ObservationChange:
        self._wanted.setdefault(endpoint, {})[path] = accept
        return ObservationChange(endpoint, path, True, accept)

    def drop(self, endpoint: str, path: Path) -> ObservationChange | None:
        """None when there was no such wish."""
        paths = self._wanted.get(endpoint, {})
        if path not in paths:
            return None
        del paths[path]
        if not paths:
            del self._wanted[endpoint]
        return ObservationChange(endpoint, path, False)

    def drop_all(self, endpoint: str) -> tuple[Path, ...]:
        """The paths that were wanted."""
        return tuple(self._wanted.pop(endpoint, ()))

    def of(self, endpoint: str) -> Mapping[Path, int | None]:
        """Path -> the content format asked for."""
        return MappingProxyType(self._wanted.get(endpoint, {}))
