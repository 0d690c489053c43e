"""Who is registered, since when, until when. Pure: `now` and `wall` are arguments, and what changed is returned.

* An endpoint has at most one registration; a second Register replaces it, and the old id is known no more.
* A registration belongs to the identity that made it; nobody else updates, ends or replaces it. One that was made
  without an identity yields to a Register of whoever has proved one.
* Its address is that of the latest Register or Update.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from lwm2m.coap.message import Peer
from lwm2m.errors import BadRequest, NotFound, RequestEntityTooLarge, ServiceUnavailable
from lwm2m.link_format import Link
from lwm2m.operations.registration import Binding, Deregister, Register, Standing, Update
from lwm2m.server.limits import DEFAULT_LIMITS, ServerLimits
from lwm2m.server.object_list import ObjectList, ObjectLists


class NotRegistered(Exception):
    """No client of that name is registered."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"{endpoint!r} is not registered")
        self.endpoint = endpoint


class Registration(NamedTuple):
    """`lifetime` in seconds, 0 is infinite. `registered_at` and `updated_at` are Unix seconds; `expires_at` is
    monotonic, None for never. `additional` holds the parameters that the specification does not know."""

    id: str
    endpoint: str
    peer: Peer
    lifetime: int
    version: str
    binding: str
    queue_mode: bool
    sms: str | None
    object_list: ObjectList
    additional: Mapping[str, str]
    registered_at: float
    updated_at: float
    expires_at: float | None

    @property
    def location(self) -> tuple[str, ...]:
        return "rd", self.id

    @property
    def identity(self) -> str | None:
        return self.peer.identity

    @property
    def links(self) -> tuple[Link, ...]:
        return self.object_list.links

    @property
    def root(self) -> tuple[str, ...]:
        """Segments of the alternate path, () when there is none."""
        return self.object_list.root

    @property
    def formats(self) -> tuple[int, ...]:
        """Content formats that the client listed beyond the mandatory ones; () says nothing."""
        return self.object_list.formats

    @property
    def objects(self) -> Mapping[int, tuple[int, ...]]:
        return self.object_list.objects

    @property
    def versions(self) -> Mapping[int, tuple[int, int]]:
        return self.object_list.versions

    @property
    def standing(self) -> Standing:
        return _standing(self.version, self.binding, self.queue_mode, self.sms)


@lru_cache(maxsize=1024)
def _standing(version: str, binding: str, queue_mode: bool, sms: str | None) -> Standing:
    return Standing(version, Binding(binding, queue_mode), sms)


class RegistrationChange(NamedTuple):
    """An endpoint's registration before and after; None: there is none."""

    endpoint: str
    before: Registration | None
    after: Registration | None


class _Deadline(NamedTuple):
    at: float
    endpoint: str


class Registry:
    """`new_id` makes an opaque id that is safe in a URL and cannot be guessed.

    Of each registration that ends there is a deadline in the heap, and it is never too late: an Update moves the end on
    and leaves it alone, so that it is looked at once a lifetime."""

    def __init__(self, new_id: Callable[[], str], limits: ServerLimits = DEFAULT_LIMITS) -> None:
        self._new_id = new_id
        self._limits = limits
        self._object_lists = ObjectLists(limits.kept_object_lists)
        self._by_endpoint: dict[str, Registration] = {}
        self.get: Callable[[str], Registration | None] = self._by_endpoint.get
        self._by_id: dict[str, str] = {}
        self._by_peer: dict[Peer, str | dict[str, None]] = {}
        self._identities: dict[Peer, str] = {}
        self._deadlines: list[_Deadline] = []

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def __iter__(self) -> Iterator[Registration]:
        """In no order; do not change the registry meanwhile."""
        return iter(self._by_endpoint.values())

    def at(self, location: tuple[str, ...]) -> Registration | None:
        if len(location) != 2 or location[0] != "rd":
            return None
        endpoint = self._by_id.get(location[1])
        return None if endpoint is None else self._by_endpoint[endpoint]

    def of_peer(self, peer: Peer) -> tuple[Registration, ...]:
        """The registrations that this peer, with this identity, speaks for; several clients may share a socket."""
        names = self._by_peer.get(peer, ())
        found = (self._by_endpoint[endpoint] for endpoint in ((names,) if isinstance(names, str) else names))
        return tuple(registration for registration in found if registration.identity == peer.identity)

    def is_reachable(self, registration: Registration) -> bool:
        """False once somebody of another identity has registered from the same peer."""
        return self._identities.get(registration.peer) == registration.identity

    def register(self, operation: Register, peer: Peer, now: float, wall: float) -> RegistrationChange:
        """Whether the peer may be this endpoint was asked before. Raises BadRequest when the endpoint is another
        identity's, RequestEntityTooLarge, ServiceUnavailable."""
        before = self._by_endpoint.get(operation.endpoint)
        if before is not None and before.identity not in (None, peer.identity):
            raise BadRequest("the endpoint name is not yours")
        if before is None and len(self) >= self._limits.max_registrations:
            raise ServiceUnavailable("no more registrations")
        after = Registration(
            self._new_id(),
            operation.endpoint if before is None else before.endpoint,
            peer,
            operation.lifetime,
            operation.version,
            operation.binding.letters,
            operation.binding.queue_mode,
            operation.sms,
            self._read(operation.links, operation.version),
            operation.additional,
            registered_at=wall,
            updated_at=wall,
            expires_at=self._expiry(operation.lifetime, now),
        )
        return self._apply(RegistrationChange(operation.endpoint, before, after))

    def update(self, operation: Update, peer: Peer, now: float, wall: float) -> RegistrationChange:
        """Raises NotFound for an unknown location, BadRequest for another identity, RequestEntityTooLarge."""
        before = self._owned(operation.location, peer)
        lifetime = before.lifetime if operation.lifetime is None else operation.lifetime
        binding, links = operation.binding, operation.links
        after = Registration(
            before.id,
            before.endpoint,
            peer,
            lifetime,
            before.version,
            before.binding if binding is None else binding.letters,
            before.queue_mode if binding is None else binding.queue_mode,
            before.sms if operation.sms is None else operation.sms,
            before.object_list if links is None else self._read(links, before.version),
            {**before.additional, **operation.additional} if operation.additional else before.additional,
            before.registered_at,
            wall,
            self._expiry(lifetime, now),
        )
        return self._apply(RegistrationChange(before.endpoint, before, after))

    def deregister(self, operation: Deregister, peer: Peer) -> RegistrationChange:
        """Raises NotFound for an unknown location, BadRequest for another identity."""
        before = self._owned(operation.location, peer)
        return self._apply(RegistrationChange(before.endpoint, before, None))

    def end(self, endpoint: str) -> RegistrationChange | None:
        """End it whoever's it is; None: there was none."""
        before = self._by_endpoint.get(endpoint)
        return None if before is None else self._apply(RegistrationChange(endpoint, before, None))

    def expire(self, now: float) -> tuple[RegistrationChange, ...]:
        """End every registration whose time is up."""
        gone = []
        while (nearest := self.deadline()) is not None and nearest <= now:
            before = self._by_endpoint[heapq.heappop(self._deadlines).endpoint]
            gone.append(self._apply(RegistrationChange(before.endpoint, before, None)))
        return tuple(gone)

    def deadline(self) -> float | None:
        """When to call `expire` next, at the latest."""
        while self._deadlines:
            nearest = self._deadlines[0]
            registration = self._by_endpoint.get(nearest.endpoint)
            if registration is None or registration.expires_at is None or registration.expires_at < nearest.at:
                heapq.heappop(self._deadlines)
            elif registration.expires_at > nearest.at:
                heapq.heapreplace(self._deadlines, _Deadline(registration.expires_at, registration.endpoint))
            else:
                return nearest.at
        return None

    def nearest(self) -> float | None:
        """No registration ends before this; None: none ends."""
        return self._deadlines[0].at if self._deadlines else None

    def undo(self, change: RegistrationChange) -> None:
        """Take a change back that could not be stored; nothing happens when another one came on top of it."""
        if self._by_endpoint.get(change.endpoint) is change.after:
            self._apply(RegistrationChange(change.endpoint, change.after, change.before))

    def restore(self, registrations: Iterable[Registration], now: float, wall: float) -> None:
        """Take in what a store kept: their lifetimes went on meanwhile, and the monotonic clock is another one."""
        for kept in registrations:
            age = max(0.0, wall - kept.updated_at)
            after = kept._replace(expires_at=self._expiry(kept.lifetime, now - age))
            self._apply(RegistrationChange(kept.endpoint, self._by_endpoint.get(kept.endpoint), after))

    def recall(self, endpoint: str, peer: Peer) -> None:
        """What a store kept is another value for the same peer now. Nothing changes for the store."""
        before = self._by_endpoint[endpoint]
        self._apply(RegistrationChange(endpoint, before, before._replace(peer=peer)))

    def _read(self, links: tuple[Link, ...], version: str) -> ObjectList:
        if len(links) > self._limits.max_links:
            raise RequestEntityTooLarge(f"more than {self._limits.max_links} links")
        return self._object_lists.read(links, version)

    def _expiry(self, lifetime: int, now: float) -> float | None:
        return now + lifetime + self._limits.grace if lifetime else None

    def _owned(self, location: tuple[str, ...], peer: Peer) -> Registration:
        registration = self.at(location)
        if registration is None:
            raise NotFound("no such registration")
        if registration.identity != peer.identity:
            raise BadRequest("not your registration")
        return registration

    def _apply(self, change: RegistrationChange) -> RegistrationChange:
        _, before, after = change
        if after is None:
            if before is not None:
                self._forget(before)
            return change
        if before is None or before.id != after.id or before.peer is not after.peer:
            if before is not None:
                self._forget(before)
            self._by_id[after.id] = after.endpoint
            self._live_at(after.peer, after.endpoint)
        self._by_endpoint[after.endpoint] = after
        if after.expires_at is not None:
            self._note_deadline(before, after.expires_at, after.endpoint)
        return change

    def _forget(self, registration: Registration) -> None:
        endpoint, peer = registration.endpoint, registration.peer
        del self._by_endpoint[endpoint]
        del self._by_id[registration.id]
        names = self._by_peer[peer]
        if not isinstance(names, str):
            del names[endpoint]
        if isinstance(names, str) or not names:
            del self._by_peer[peer]
            self._identities.pop(peer, None)

    def _live_at(self, peer: Peer, endpoint: str) -> None:
        """Nearly every peer is one client: then its name alone is kept, which takes 200 bytes less."""
        names = self._by_peer.setdefault(peer, endpoint)
        if names is not endpoint:
            if isinstance(names, str):
                names = self._by_peer[peer] = {names: None}
            names[endpoint] = None
        if peer.identity is None:
            self._identities.pop(peer, None)
        else:
            self._identities[peer] = peer.identity

    def _note_deadline(self, before: Registration | None, at: float, endpoint: str) -> None:
        if before is not None and before.expires_at is not None and before.expires_at <= at:
            return
        heapq.heappush(self._deadlines, _Deadline(at, endpoint))
        if len(self._deadlines) > 2 * len(self) + 64:
            self._deadlines = [
                _Deadline(registration.expires_at, registration.endpoint)
                for registration in self
                if registration.expires_at is not None
            ]
            heapq.heapify(self._deadlines)
