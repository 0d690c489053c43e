"""What must outlive the process: the contract of every store.

* Every call may be a network call. Calls of one server come one after the other.
* `commit` is all or nothing, and durable when it is over: the server answers a client only then. A store that has
  nothing to wait for returns None instead of an awaitable, and costs the server no task.
* Changes say the whole new value, so that committing one twice does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from lwm2m.server.observations import ObservationChange, Observed
from lwm2m.server.queued import QueueChange, QueuedRequest
from lwm2m.server.registry import Registration, RegistrationChange

Change: TypeAlias = RegistrationChange | ObservationChange | QueueChange
"""A registration is kept by its endpoint; when it ends (`after` is None), the endpoint's observations and its queue end
with it."""


class StoreError(Exception):
    """The store did not take it or does not answer."""


class KeptObservation(NamedTuple):
    endpoint: str
    path: Observed
    accept: int | None
    list_format: int | None = None


class Kept(NamedTuple):
    """All that a store holds, observations and queued requests in the order they were made. `expires_at` of the
    registrations means nothing in another process."""

    registrations: tuple[Registration, ...] = ()
    observations: tuple[KeptObservation, ...] = ()
    queue: tuple[QueuedRequest, ...] = ()


class Store(Protocol):
    async def load(self) -> Kept:
        """Called once, before any `commit`. Raises StoreError."""
        ...

    def commit(self, changes: Sequence[Change]) -> Awaitable[None] | None:
        """None: done. Raises StoreError; then none of the changes happened."""
        ...

    async def close(self) -> None:
        """Called once, after the last `commit`."""
        ...
