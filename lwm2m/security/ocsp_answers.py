"""OCSP answers that are at hand when a handshake asks: the first one begins to fetch, later ones find. lwm2m.md §9.7"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from math import inf
from typing import NamedTuple, TypeAlias

from cryptography import x509

from lwm2m.security.certificates import called, fingerprint
from lwm2m.security.fetching import Fetch, NotFetched, Wanted, fetch
from lwm2m.security.finding import Status
from lwm2m.security.ocsp import LONGEST_ANSWER, OcspRefused, ocsp_request, ocsp_status, responder

MOST_ANSWERS = 10_000
MOST_FETCHES = 8
"""At a time; who comes then has to come again."""
PAUSE = 60.0
"""Seconds until what failed is tried again."""

_Key: TypeAlias = tuple[str, str]

log = logging.getLogger("lwm2m.security")


class _Kept(NamedTuple):
    """`again` and `until` are in seconds since 1970: when to fetch another, and when this one is out of date."""

    answer: bytes | None
    again: float
    until: float


class OcspAnswers:
    """`find` and `kept` are for `Revocation`, `stapled` for `ServerSettings`. They find nothing new unless this is
    entered."""

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        fetch: Fetch = fetch,
    ) -> None:
        self._revoked: Callable[[], Awaitable[None]] | None = None
        self._wall = wall
        self._fetch = fetch
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._fetching: dict[_Key, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> OcspAnswers:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop = None
        tasks = self.fetching
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def when_revoked(self, revoked: Callable[[], Awaitable[None]]) -> None:
        """It is called when an answer says that a certificate is."""
        self._revoked = revoked

    @property
    def fetching(self) -> list[asyncio.Task[None]]:
        """What is under way."""
        return [*self._fetching.values()]

    def find(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bytes | None:
        """None while nothing is known that is not out of date. May be called in a thread."""
        key = fingerprint(certificate), fingerprint(issuer)
        kept = self._kept.get(key)
        if (kept is None or kept.again <= self._wall()) and self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin, key, certificate, issuer)
        return self.kept(certificate, issuer)

    def kept(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bytes | None:
        """The same without beginning to fetch."""
        kept = self._kept.get((fingerprint(certificate), fingerprint(issuer)))
        return None if kept is None or kept.until < self._wall() else kept.answer

    def stapled(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Callable[[], bytes | None]:
        """For a server's own certificate."""
        return lambda: self.find(certificate, issuer)

    def _begin(self, key: _Key, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        if key in self._fetching or len(self._fetching) >= MOST_FETCHES or self._loop is None:
            return
        task = self._loop.create_task(self._ask(key, certificate, issuer), name="OCSP")
        self._fetching[key] = task
        task.add_done_callback(lambda _: self._fetching.pop(key, None))

    async def _ask(self, key: _Key, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        before = self._kept.get(key)
        answer = None if before is None else before.answer
        until = 0.0 if before is None else before.until
        self._keep(key, _Kept(answer, self._wall() + PAUSE, until))
        uri = responder(certificate)
        if uri is None:
            return
        try:
            question = ocsp_request(certificate, issuer)
            answer = await self._fetch(Wanted(uri, LONGEST_ANSWER, question, "application/ocsp-request"))
            now = self._wall()
            finding = ocsp_status(answer, certificate, issuer, now)
        except (NotFetched, OcspRefused) as error:
            log.warning("no OCSP answer for %s: %s", called(certificate.subject), error)
            return
        if finding.status is Status.UNKNOWN or finding.until is None:
            log.warning("no OCSP answer for %s: %s", called(certificate.subject), finding.reason)
            return
        is_revoked = finding.status is Status.REVOKED
        again = now + max(PAUSE, (finding.until - now) / 2)
        self._keep(key, _Kept(answer, again, inf if is_revoked else finding.until))
        if is_revoked and self._revoked is not None:
            await self._revoked()

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_ANSWERS:
            self._kept.popitem(last=False)
