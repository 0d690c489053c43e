"""The credentials of the clients of a server: the contract of every store, and one that forgets.

* Looking something up never waits: it happens in the middle of a handshake or of a request.
* What `add` and `remove` did is durable when they return.
* Anything unknown, missing or raising is a no.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from typing import Protocol

from lwm2m.security.credentials import PreSharedKey, psk_identity
from lwm2m.security.info import SecurityInfo

MOST_PROVED = 100_000


class IdentityTaken(ValueError):
    """Two endpoints cannot show the same: nobody could tell who it is."""


class SecurityStoreError(Exception):
    """The store did not take it or does not answer."""


class SecurityStore(Protocol):
    async def load(self) -> None:
        """Called once, before anything else. Raises SecurityStoreError."""
        ...

    def psk(self, identity: bytes) -> bytes | None:
        """The key of a pre-shared key's identity, None when there is none."""
        ...

    def permits(self, endpoint: str, identity: str | None) -> bool:
        """Whether a peer that has shown this identity may speak as this endpoint."""
        ...

    def get(self, endpoint: str) -> SecurityInfo | None:
        """The credentials of this endpoint: it shows these, and nothing else will do."""
        ...

    def endpoint_of(self, identity: str) -> str | None:
        """Who shows this identity."""
        ...

    def list(self) -> tuple[SecurityInfo, ...]:
        """All, in the order of the endpoint names."""
        ...

    async def add(self, info: SecurityInfo) -> SecurityInfo | None:
        """In place of what the endpoint had, which is returned. Raises IdentityTaken when another endpoint shows the
        same, SecurityStoreError; then nothing changed."""
        ...

    async def remove(self, endpoint: str) -> SecurityInfo | None:
        """What the endpoint had; that its name was proved is forgotten too. Raises SecurityStoreError; then nothing
        changed."""
        ...

    def is_proved(self, endpoint: str) -> bool:
        """Whether somebody without credentials here has shown, by a certificate, that this name is its own."""
        ...

    def prove(self, endpoint: str) -> Awaitable[None] | None:
        """That has happened. It counts at once, and is durable once the awaitable is over, which may raise
        SecurityStoreError; None where there is nothing to wait for. The latest `MOST_PROVED` are kept."""
        ...

    async def close(self) -> None:
        """Called once, after everything else."""
        ...


class MemorySecurity:
    """Forgets when the process ends. Raises IdentityTaken."""

    def __init__(self, infos: Iterable[SecurityInfo] = ()) -> None:
        self._infos: dict[str, SecurityInfo] = {}
        self._owners: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._proved: OrderedDict[str, None] = OrderedDict()
        for info in infos:
            self.put(info)

    async def load(self) -> None:
        """Nothing to load."""

    def psk(self, identity: bytes) -> bytes | None:
        tls = self._tls_of(psk_identity(identity))
        return tls.key if isinstance(tls, PreSharedKey) and tls.identity == identity else None

    def permits(self, endpoint: str, identity: str | None) -> bool:
        return identity is not None and self._shown.get(endpoint) == identity

    def get(self, endpoint: str) -> SecurityInfo | None:
        return self._infos.get(endpoint)

    def endpoint_of(self, identity: str) -> str | None:
        return self._owners.get(identity)

    def list(self) -> tuple[SecurityInfo, ...]:
        return tuple(info for _, info in sorted(self._infos.items()))

    async def add(self, info: SecurityInfo) -> SecurityInfo | None:
        return self.put(info)

    async def remove(self, endpoint: str) -> SecurityInfo | None:
        self._proved.pop(endpoint, None)
        return self.drop(endpoint)

    def is_proved(self, endpoint: str) -> bool:
        return endpoint in self._proved

    def prove(self, endpoint: str) -> Awaitable[None] | None:
        self._proved[endpoint] = None
        if len(self._proved) > MOST_PROVED:
            self._proved.popitem(last=False)
        return None

    async def close(self) -> None:
        """Nothing to give back."""

    def put(self, info: SecurityInfo) -> SecurityInfo | None:
        """As `add`, at once."""
        self.check(info)
        before = self.drop(info.endpoint)
        self._infos[info.endpoint] = info
        self._shown[info.endpoint] = info.identity
        for identity in info.identities:
            self._owners[identity] = info.endpoint
        return before

    def drop(self, endpoint: str) -> SecurityInfo | None:
        """As `remove`, at once."""
        before = self._infos.pop(endpoint, None)
        if before is not None:
            del self._shown[endpoint]
            for identity in before.identities:
                del self._owners[identity]
        return before

    def check(self, info: SecurityInfo) -> None:
        """Raises IdentityTaken when `add` would."""
        for identity in info.identities:
            if self._owners.get(identity, info.endpoint) != info.endpoint:
                raise IdentityTaken(
                    f"{info.endpoint!r} cannot have the identity {identity!r}: another endpoint has it already"
                )

    def _tls_of(self, identity: str) -> object:
        info = self._infos.get(self._owners.get(identity, ""))
        return None if info is None else info.tls
