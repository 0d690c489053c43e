"""From the registry to the store, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lwm2m.server.store import Change, Store


class _Waiting(NamedTuple):
    changes: Sequence[Change]
    done: asyncio.Future[None]


class Commits:
    """Hands changes to the store in the order they were made. What comes while a call runs goes with the next call.
    `undo` takes back, the last first, what the store did not take."""

    def __init__(self, store: Store, undo: Callable[[Change], None]) -> None:
        self._store = store
        self._undo = undo
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def commit(self, changes: Sequence[Change]) -> None:
        """Returns when they are durable. Raises what the store raised. A cancelled wait cancels no change."""
        if not changes:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(changes, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="lwm2m-store")
        await done

    async def drain(self) -> None:
        """Wait until nothing waits."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for waiting in batch for change in waiting.changes]
            try:
                await self._store.commit(changes)
            except Exception as error:  # each waiting caller gets it
                for change in reversed(changes):
                    self._undo(change)
                _finish(batch, error)
            else:
                _finish(batch, None)


def _finish(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for waiting in batch:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)
