"""Which peer may speak as which endpoint, and what follows when that changes. lwm2m.md §9.2, §10.2."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from lwm2m.coap.endpoint import Endpoint, Secured
from lwm2m.coap.message import Peer
from lwm2m.errors import BadRequest, Unauthorized
from lwm2m.security.credentials import x509_identity
from lwm2m.security.info import OscoreSecurity, SecurityInfo, oscore_identity
from lwm2m.security.store import MemorySecurity, SecurityStore, SecurityStoreError
from lwm2m.server.store import StoreError

log = logging.getLogger(__name__)

TOLD_A_SECOND = 10
"""So many refusals are told; strangers make as many as they like."""


class Refused(NamedTuple):
    """Somebody was not let in, and why: a handshake failed, what is protected does not verify, or a peer that is not
    `endpoint` said that it is. The reason is for the people who run the server."""

    peer: Peer
    reason: str
    endpoint: str | None = None


class NotServed(ValueError):
    """Credentials of a kind that this server cannot serve, with the reason."""


class Admission:
    """An endpoint with credentials in `store` is served over these and nothing else. One without is served over a
    certificate of its own name, and, where `nosec` allows it (None: where there is no store), over NoSec until it has
    come with such a certificate; credentials that are added say otherwise. Whatever fails is a no. Where nothing speaks
    OSCORE, `no_oscore` says why, and no credentials for it are added."""

    def __init__(
        self,
        store: SecurityStore | None = None,
        *,
        nosec: bool | None = None,
        no_oscore: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store: SecurityStore = MemorySecurity() if store is None else store
        self._nosec = store is None if nosec is None else nosec
        self._no_oscore = no_oscore
        self._clock = clock
        self._endpoints: Sequence[Endpoint] = ()
        self._changed: Callable[[str, frozenset[str]], Awaitable[None]] | None = None
        self._listener: Callable[[Refused], None] | None = None
        self._proving: set[asyncio.Task[None]] = set()
        self._second = 0.0
        self._told = 0

    async def open(
        self,
        endpoints: Sequence[Endpoint],
        changed: Callable[[str, frozenset[str]], Awaitable[None]],
        refused: Callable[[Refused], None],
    ) -> None:
        """`changed` hears of each endpoint whose credentials are others now, and of the identities that are valid no
        more. Raises StoreError."""
        try:
            await self._store.load()
        except SecurityStoreError as error:
            raise StoreError(str(error)) from error
        self._endpoints, self._changed, self._listener = endpoints, changed, refused

    async def close(self) -> None:
        self._changed = self._listener = None
        await asyncio.gather(*self._proving)
        try:
            await self._store.close()
        except SecurityStoreError:
            log.exception("the credentials could not be closed")

    def permits(self, endpoint: str, identity: str | None) -> bool:
        return self.objection(endpoint, identity) == ""

    def check(self, endpoint: str, peer: Peer) -> None:
        """Raises BadRequest or Unauthorized, after telling why."""
        reason = self.objection(endpoint, peer.identity)
        if not reason:
            self._prove(endpoint, peer.identity)
            return
        self.refuse(peer, reason, endpoint)
        if self._needs_oscore(endpoint) and not (peer.identity or "").startswith("oscore:"):
            raise Unauthorized("requests of this endpoint are protected by OSCORE")
        raise BadRequest(_foreign_name(endpoint, peer.identity))

    def objection(self, endpoint: str, identity: str | None) -> str:
        """What speaks against it, "" when nothing does."""
        try:
            return self._objection(endpoint, identity)
        except Exception:  # whatever keeps the store from an answer, it is no yes
            log.exception("the credentials of %r could not be looked up", endpoint)
            return "its credentials could not be looked up: see the log"

    def endpoint_of(self, identity: str | None) -> str | None:
        """The name of a peer that does not say one."""
        if identity is None:
            return None
        try:
            owner = self._store.endpoint_of(identity)
        except Exception:  # as above
            log.exception("the endpoint of %r could not be looked up", identity)
            return None
        kind, _, name = identity.partition(":")
        return owner or (name if kind == "x509" else None)

    def admits(self, identity: str) -> bool:
        """Whether any endpoint may show this."""
        return self._store.endpoint_of(identity) is not None

    def psk(self, identity: bytes) -> bytes | None:
        return self._store.psk(identity)

    def oscore(self, recipient_id: bytes, id_context: bytes | None) -> OscoreSecurity | None:
        """The context of whoever names itself so."""
        owner = self._store.endpoint_of(oscore_identity(recipient_id, id_context))
        info = None if owner is None else self._store.get(owner)
        return None if info is None else info.oscore

    def list(self) -> tuple[SecurityInfo, ...]:
        return self._store.list()

    async def add(self, info: SecurityInfo) -> None:
        """In place of what the endpoint had. Its sessions end unless nothing changed. Raises IdentityTaken, NotServed,
        StoreError."""
        if self._no_oscore and info.oscore is not None:
            raise NotServed(self._no_oscore)
        try:
            before = await self._store.add(info)
        except SecurityStoreError as error:
            raise StoreError(str(error)) from error
        if before != info:
            await self._follow(info.endpoint, before)

    def is_proved(self, endpoint: str) -> bool:
        """Whether it has come with a certificate of its name, so that nobody has that name without security."""
        return self._store.is_proved(endpoint)

    async def remove(self, endpoint: str) -> SecurityInfo | None:
        """What it had; that its name was proved counts no more. Somebody else may have the keys: the sessions and the
        registration end. Raises StoreError."""
        try:
            before = await self._store.remove(endpoint)
        except SecurityStoreError as error:
            raise StoreError(str(error)) from error
        if before is not None:
            await self._follow(endpoint, before)
        return before

    async def revoke(self, identities: frozenset[str]) -> None:
        """End what goes on under these identities, whose certificates are valid no more. Raises StoreError."""
        self._expel(identities, revoked=True)
        if self._changed is not None:
            for identity in identities:
                endpoint = self.endpoint_of(identity)
                if endpoint is not None:
                    await self._changed(endpoint, identities)

    def refuse(self, peer: Peer, reason: str, endpoint: str | None = None) -> None:
        """Tell of it, unless there are too many."""
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._told = now, 0
        self._told += 1
        if self._told > TOLD_A_SECOND:
            return
        who = str(peer) if endpoint is None else f"{endpoint!r} at {peer}"
        log.info("refused %s: %s", who, reason)
        if self._listener is not None:
            self._listener(Refused(peer, reason, endpoint))

    def refuse_claim(self, peer: Peer, reason: str, identity: str | None) -> None:
        """The same of a peer that named this identity and did not show that it has it: `Oscore.refused`."""
        self.refuse(peer, reason, self.endpoint_of(identity))

    async def _follow(self, endpoint: str, before: SecurityInfo | None) -> None:
        gone = frozenset(() if before is None else before.identities)
        self._expel(gone, revoked=False)
        if self._changed is not None:
            await self._changed(endpoint, gone)

    def _expel(self, identities: frozenset[str], *, revoked: bool) -> None:
        for endpoint in self._endpoints:
            if isinstance(endpoint, Secured):
                for identity in identities:
                    endpoint.expel(identity, revoked=revoked)

    def _objection(self, endpoint: str, identity: str | None) -> str:
        store = self._store
        if store.get(endpoint) is not None:
            if store.permits(endpoint, identity):
                return ""
            if identity is None:
                return "it came without security although it has credentials: let it use them, or remove them"
            return f"it has shown {identity!r}, but its credentials are others: mend the client's, or add these"
        if identity is None:
            return self._objection_without_security(endpoint)
        owner = store.endpoint_of(identity)
        if owner is not None:
            return (
                f"it has shown {identity!r}, the identity of {owner!r}: let it use that name, or give {endpoint!r} "
                "credentials of its own"
            )
        if identity == x509_identity(endpoint):
            return ""
        return f"it has shown {identity!r}: add credentials that say so, or use the name of the certificate"

    def _objection_without_security(self, endpoint: str) -> str:
        """For an endpoint that has no credentials here."""
        if not self._nosec:
            return "there are no credentials for it: add some"
        if self._store.is_proved(endpoint):
            return (
                "it came without security, and with a certificate before: let it use that, or have this forgotten by "
                "removing it from the credentials"
            )
        return ""

    def _prove(self, endpoint: str, identity: str | None) -> None:
        """Whoever comes with a certificate of this name, and no credentials here, shows that it is its own."""
        store = self._store
        if identity is None or store.get(endpoint) is not None or store.is_proved(endpoint):
            return
        durable = store.prove(endpoint)
        if durable is not None:
            task = asyncio.get_running_loop().create_task(_kept(endpoint, durable), name="proved names")
            self._proving.add(task)
            task.add_done_callback(self._proving.discard)

    def _needs_oscore(self, endpoint: str) -> bool:
        try:
            info = self._store.get(endpoint)
        except Exception:  # `objection` has logged it
            return False
        return info is not None and info.oscore is not None


def _foreign_name(endpoint: str, identity: str | None) -> str:
    """The same for whatever speaks against it, so that nobody learns which endpoints have credentials."""
    if identity is None:
        return f"{endpoint!r} is not served without security: use its credentials, or have the server told of some"
    return (
        f"{identity!r} may not speak as {endpoint!r}: use the endpoint name of these credentials, or those of that name"
    )


async def _kept(endpoint: str, durable: Awaitable[None]) -> None:
    try:
        await durable
    except SecurityStoreError:
        log.exception("that %r has come with a certificate could not be kept: it counts until the next start", endpoint)
