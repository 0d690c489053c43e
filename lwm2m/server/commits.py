"""From the registry to the store, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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

    def give(self, changes: Sequence[Change]) -> Awaitable[None] | None:
        """None: they are durable. Otherwise they are once that is awaited, which raises what the store raised; a
        cancelled wait cancels no change. Raises what a store raises that does not wait."""
        if not changes:
            return None
        if self._writer is not None and not self._writer.done():
            waiting = _Waiting(changes, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            return waiting.done
        running = self._call_store(changes)
        if running is None:
            return None
        waiting = _Waiting(changes, asyncio.get_running_loop().create_future())
        self._writer = asyncio.create_task(self._write(waiting, running), name="lwm2m-store")
        return waiting.done

    async def commit(self, changes: Sequence[Change]) -> None:
        """Returns when they are durable. Raises what the store raised. A cancelled wait cancels no change."""
        durable = self.give(changes)
        if durable is not None:
            await durable

    async def drain(self) -> None:
        """Wait until nothing waits."""
        if self._writer is not None:
            await self._writer

    def _call_store(self, changes: Sequence[Change]) -> Awaitable[None] | None:
        try:
            return self._store.commit(changes)
        except Exception:
            self._take_back(changes)
            raise

    async def _write(self, first: _Waiting, running: Awaitable[None]) -> None:
        await self._settle([first], first.changes, running)
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for waiting in batch for change in waiting.changes]
            await self._settle(batch, changes, self._ask_store(changes))

    async def _ask_store(self, changes: Sequence[Change]) -> None:
        running = self._store.commit(changes)
        if running is not None:
            await running

    async def _settle(self, batch: Sequence[_Waiting], changes: Sequence[Change], running: Awaitable[None]) -> None:
        try:
            await running
        except Exception as error:  # each waiting caller gets it
            self._take_back(changes)
            _finish(batch, error)
        else:
            _finish(batch, None)

    def _take_back(self, changes: Sequence[Change]) -> None:
        for change in reversed(changes):
            self._undo(change)


def _finish(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for waiting in batch:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)
