"""Which observations the server wants of whom. Pure.

A client forgets its observations with its registration; the server's wish lives on until it is cancelled, refused, or
the client is gone, and is asked again after every Register.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import (
    CancelCompositeObservation,
    CancelObservation,
    Observe,
    ObserveComposite,
    path_list,
    paths_of,
)

Observed: TypeAlias = Path | tuple[Path, ...]
"""What is observed: a path, or the paths of a composite observation in their order."""


class Wish(NamedTuple):
    """The content format asked for; of a composite observation also that of its list of paths."""

    accept: int | None = None
    list_format: int | None = None


class ObservationChange(NamedTuple):
    endpoint: str
    path: Observed
    wanted: bool
    accept: int | None = None
    list_format: int | None = None


_NONE: Mapping[Observed, Wish] = MappingProxyType({})


class Observations:
    """Wishes by endpoint and what is observed, in the order they were made."""

    def __init__(self) -> None:
        self._wanted: dict[str, dict[Observed, Wish]] = {}

    def want(self, endpoint: str, path: Observed, wish: Wish) -> ObservationChange:
        self._wanted.setdefault(endpoint, {})[path] = wish
        return ObservationChange(endpoint, path, True, *wish)

    def drop(self, endpoint: str, path: Observed) -> ObservationChange | None:
        """None when there was no such wish."""
        paths = self._wanted.get(endpoint, {})
        if path not in paths:
            return None
        del paths[path]
        if not paths:
            del self._wanted[endpoint]
        return ObservationChange(endpoint, path, False)

    def drop_all(self, endpoint: str) -> tuple[Observed, ...]:
        """What was wanted."""
        return tuple(self._wanted.pop(endpoint, ()))

    def of(self, endpoint: str) -> Mapping[Observed, Wish]:
        wanted = self._wanted.get(endpoint)
        return _NONE if wanted is None else MappingProxyType(wanted)


def observed_by(operation: Observe | ObserveComposite, root: tuple[str, ...]) -> tuple[Observed, Wish]:
    """`root` is the alternate path that names in a list of paths begin with. Raises LwM2MError for a list of paths
    that is none."""
    match operation:
        case Observe(path=path, accept=accept):
            return path, Wish(accept)
        case ObserveComposite(body=body, accept=accept):
            return paths_of(body, root), Wish(accept, body.content_format)


def observing(observed: Observed, wish: Wish, root: tuple[str, ...]) -> Observe | ObserveComposite:
    if isinstance(observed, Path):
        return Observe(observed, wish.accept)
    return ObserveComposite(path_list(observed, _list_format(wish), root), wish.accept)


def cancelling(observed: Observed, wish: Wish, root: tuple[str, ...]) -> CancelObservation | CancelCompositeObservation:
    if isinstance(observed, Path):
        return CancelObservation(observed, wish.accept)
    return CancelCompositeObservation(path_list(observed, _list_format(wish), root), wish.accept)


def _list_format(wish: Wish) -> int:
    return ContentFormat.SENML_CBOR if wish.list_format is None else wish.list_format


def text_of(observed: Observed) -> str:
    """For people."""
    return str(observed) if isinstance(observed, Path) else " ".join(map(str, observed))
