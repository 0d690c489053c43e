"""Revocation lists from files and from HTTP, at hand before they are needed. lwm2m.md §9.7"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from cryptography import x509

from lwm2m.security.crl import RevocationList
from lwm2m.security.fetching import Fetch, NotFetched, Wanted, fetch

LONGEST_LIST = 8 * 1024 * 1024
LOOK_AFTER = 60.0
"""Seconds until a file is looked at again, and until what failed is tried again."""
FETCH_AFTER = 3600.0
"""Seconds until a list is fetched again, if it does not end before."""

Refreshed: TypeAlias = Callable[[], Awaitable[None]]

log = logging.getLogger("lwm2m.security")


@dataclass(slots=True)
class _Source:
    """`due` is in seconds since 1970; `seen` is what a file looked like when it was read last."""

    place: str
    due: float = 0.0
    seen: tuple[int, int] | None = None
    read: RevocationList | None = None

    @property
    def is_remote(self) -> bool:
        return self.place.startswith(("http://", "https://"))


class RevocationLists:
    """Lists from `sources`, files or http URIs, each signed by one of `issuers`. What is at hand stays until something
    newer comes."""

    def __init__(
        self,
        sources: Sequence[str],
        issuers: Iterable[x509.Certificate],
        *,
        wall: Callable[[], float] = time.time,
        fetch: Fetch = fetch,
    ) -> None:
        self._sources = [_Source(place) for place in sources]
        self._issuers = tuple(issuers)
        self._refreshed: Refreshed | None = None
        self._wall = wall
        self._fetch = fetch
        self._task: asyncio.Task[None] | None = None

    def when_refreshed(self, refreshed: Refreshed) -> None:
        """It is called whenever something newer has come."""
        self._refreshed = refreshed

    def lists(self) -> list[RevocationList]:
        return [source.read for source in self._sources if source.read is not None]

    async def __aenter__(self) -> RevocationLists:
        """Reads all that can be read now; what cannot is told in the log and tried again."""
        await self.refresh()
        if self._sources:
            self._task = asyncio.create_task(self._keep_fresh(), name="revocation lists")
        return self

    async def __aexit__(self, *_: object) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def refresh(self) -> None:
        """Reads what is due."""
        now = self._wall()
        due = [source for source in self._sources if source.due <= now]
        changed = await asyncio.gather(*(self._read(source, now) for source in due))
        if any(changed) and self._refreshed is not None:
            await self._refreshed()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER)
            try:
                await self.refresh()
            except Exception:  # whatever became of those who were revoked, the next list has to come
                log.exception("what follows from new revocation lists could not be done")

    async def _read(self, source: _Source, now: float) -> bool:
        """Whether there is something new."""
        source.due = now + LOOK_AFTER
        try:
            data = await self._fetch(Wanted(source.place, LONGEST_LIST)) if source.is_remote else _changed(source)
            if data is None:
                return False
            found = await asyncio.to_thread(RevocationList.read, data, self._issuers)
        except (OSError, ValueError, NotFetched) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            log.warning("the revocation list %s cannot be used: %s", source.place, reason)
            return False
        if source.is_remote:
            source.due = max(source.due, min(now + FETCH_AFTER, found.ends or now + FETCH_AFTER))
        return self._take(source, found)

    def _take(self, source: _Source, found: RevocationList) -> bool:
        before = source.read
        if before is not None and before.issuer_key == found.issuer_key and not found.replaces(before):
            log.warning("the revocation list %s is older than the one at hand, which stays", source.place)
            return False
        source.read = found
        return found != before


class Taking(Protocol):
    """Who has taken peers by their certificates: a server's `ClientCheck`, a client for its servers."""

    def revoked(self) -> set[str]:
        """The identities whose certificates were revoked since. Called in a thread."""
        ...


def end_revoked(taking: Taking, revoke: Callable[[frozenset[str]], Awaitable[None]]) -> Refreshed:
    """What to do when lists have changed: end what goes on under identities that were revoked since."""

    async def refreshed() -> None:
        identities = frozenset(await asyncio.to_thread(taking.revoked))
        if identities:
            log.info("revoked: %s", ", ".join(sorted(identities)))
            await revoke(identities)

    return refreshed


def _changed(source: _Source) -> bytes | None:
    """What is in a file, None when it is what it was. Raises OSError, ValueError."""
    path = Path(source.place)
    status = path.stat()
    looks = status.st_mtime_ns, status.st_size
    if looks == source.seen:
        return None
    if status.st_size > LONGEST_LIST:
        raise ValueError(f"it has more than {LONGEST_LIST} bytes")
    data = path.read_bytes()
    source.seen = looks
    return data
