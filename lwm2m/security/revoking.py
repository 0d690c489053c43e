"""Whether certificates were taken back, for a command that runs: lists that were named, and OCSP answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress

from cryptography import x509

from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CertificateChain
from lwm2m.security.ocsp import responder
from lwm2m.security.ocsp_answers import OcspAnswers
from lwm2m.security.paths import TrustStore, has_signed
from lwm2m.security.revocation import Refreshed, RevocationLists, Taking, end_revoked

ASK_AFTER = 3600.0
"""Seconds until OCSP is asked again about those who were taken."""


class Revoking:
    """`policy` is off, soft or hard; None: soft where there are lists. `lists` are files or http URIs. While it is
    entered, lists are read again and answers are fetched."""

    def __init__(self, policy: str | None, lists: Sequence[str], trust: TrustStore) -> None:
        self._trust = trust
        self._lists = RevocationLists(lists, trust.anchors)
        self._answers = OcspAnswers()
        self._open = AsyncExitStack()
        self._ended: Refreshed | None = None
        chosen = RevocationPolicy(policy or ("soft" if lists else "off"))
        self.revocation = Revocation(chosen, self._lists.lists, self._answers.find, self._answers.kept)

    async def __aenter__(self) -> Revoking:
        if self.revocation.is_checked:
            await self._open.enter_async_context(self._answers)
            await self._open.enter_async_context(self._lists)
            if self._ended is not None:
                asking = asyncio.create_task(self._ask_again(self._ended), name="OCSP of peers")
                self._open.push_async_callback(_cancel, asking)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    def end(
        self, taking: Taking, revoke: Callable[[frozenset[str]], Awaitable[None]], *, ask_again: bool = False
    ) -> None:
        """Whoever was taken there and is revoked later is handed to `revoke`. With `ask_again` OCSP is asked about them
        each hour; else as others come."""
        refreshed = end_revoked(taking, revoke)
        self._lists.when_refreshed(refreshed)
        self._answers.when_revoked(refreshed)
        self._ended = refreshed if ask_again else None

    def stapled(self, chain: CertificateChain | None) -> Callable[[], bytes | None] | None:
        """What to staple to our own chain; None where nobody answers for it, or nothing is checked."""
        if chain is None or not self.revocation.is_checked:
            return None
        leaf, *others = (x509.load_der_x509_certificate(certificate) for certificate in chain.certificates)
        issuer = next((one for one in (*others, *self._trust.anchors) if has_signed(one, leaf)), None)
        return None if issuer is None or responder(leaf) is None else self._answers.stapled(leaf, issuer)

    async def _ask_again(self, ended: Refreshed) -> None:
        while True:
            await asyncio.sleep(ASK_AFTER)
            await ended()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
