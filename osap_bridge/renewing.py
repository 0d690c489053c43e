"""A client that is made when there is something to show servers, and made anew when that has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from lwm2m import Path, Record
from osap_bridge.account import Account, NoCredentials
from osap_bridge.clients import HostedClient
from osap_bridge.narration import Tell

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds after which a client that is not registered looks at its credentials again."""

MakeOf: TypeAlias = Callable[[Account, Sequence[Record], Tell], HostedClient]
"""The client itself, with these records. Raises ValueError."""


class RenewingClient:
    """It keeps what its device says. As long as it is not registered it looks now and then whether `account_of` has
    something else to show: servers that refuse a key for good are asked once more with another. What is missing is told
    in the log once, and to `tell`. Raises ValueError as `make` does."""

    def __init__(
        self,
        endpoint: str,
        records: Iterable[Record],
        account_of: Callable[[str], Account],
        make: MakeOf,
        tell: Tell,
        *,
        retry: float = RETRY,
    ) -> None:
        self._endpoint = endpoint
        self._records = {record.path: record for record in records}
        self._account_of = account_of
        self._make = make
        self._tell = tell
        self._retry = retry
        self._trouble = ""
        self._over = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._account = self._known()
        self._client = None if self._account is None else self._made(self._account)

    async def start(self) -> None:
        if self._client is not None:
            await self._client.start()
        self._looking = asyncio.create_task(self._look(), name=f"credentials of {self._endpoint}")

    async def stop(self) -> None:
        self._over.set()
        if self._looking is not None:
            await asyncio.wait([self._looking])
        if self._client is not None:
            await self._client.stop()

    def update(self, records: Iterable[Record]) -> None:
        said = list(records)
        self._records |= {record.path: record for record in said}
        if self._client is not None:
            self._client.update(said)

    def remove(self, paths: Iterable[Path]) -> None:
        gone = list(paths)
        self._records = {
            path: record for path, record in self._records.items() if not any(path[: len(one)] == one for one in gone)
        }
        if self._client is not None:
            self._client.remove(gone)

    async def _look(self) -> None:
        while not self._over.is_set():
            try:
                await asyncio.wait_for(self._over.wait(), self._retry)
            except TimeoutError:
                await self._renew()

    async def _renew(self) -> None:
        if self._client is not None and not self._trouble:
            return
        account = self._known()
        if account is None or (self._account is not None and _shown(account) == _shown(self._account)):
            return
        before, self._client = self._client, None
        if before is not None:
            await before.stop()
            log.info("%s tries again with other credentials", self._endpoint)
        self._account = account
        try:
            self._client = self._made(account)
        except ValueError as error:
            self._lacks(str(error))
        else:
            await self._client.start()

    def _made(self, account: Account) -> HostedClient:
        return self._make(account, list(self._records.values()), self._told)

    def _known(self) -> Account | None:
        try:
            return self._account_of(self._endpoint)
        except NoCredentials as error:
            self._lacks(str(error))
            return None

    def _lacks(self, reason: str) -> None:
        trouble = f"it does not register: {reason}"
        if trouble != self._trouble:
            log.warning("%s does not register: %s", self._endpoint, reason)
            self._told(trouble)

    def _told(self, trouble: str) -> None:
        self._trouble = trouble
        self._tell(trouble)


def _shown(account: Account) -> object:
    """A private key beside it is that of the public key or certificate."""
    return account.security, account.oscore
