"""One SQLite file that belongs to this process alone and is readable by its owner only.

Work on it happens in a thread of its own, and has reached the disk when it is over.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import TypeVar

from lwm2m.server.store import StoreError

_PRAGMAS = ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL")

Result = TypeVar("Result")


class SqliteFile:
    """Opened, and made with its folder where it is missing, when there is work for the first time. `schema` are
    statements with a semicolon between them; a file of a higher `version` is refused. `erasing`: what is deleted is
    overwritten too."""

    def __init__(self, path: FilePath, schema: str, version: int, *, erasing: bool = False) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._pragmas = (*_PRAGMAS, "secure_delete = ON") if erasing else _PRAGMAS
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lwm2m-sqlite")
        self._database: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Raises StoreError, also when another process has the file."""
        return await self._in_thread(lambda: work(self._opened()))

    async def close(self) -> None:
        """Raises StoreError."""
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            taken = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            reason = "another process has it" if taken else str(error)
            raise StoreError(f"{self.path} cannot be used: {reason}") from error
        except (OSError, sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be used: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            database = sqlite3.connect(self.path, timeout=0.5, isolation_level=None)
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def _prepare(self, database: sqlite3.Connection) -> None:
        for pragma in self._pragmas:
            database.execute(f"PRAGMA {pragma}")
        with transaction(database):
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > self._version:
                raise StoreError(f"{self.path} was written by a newer version of this program")
            if version == 0:
                for statement in self._schema.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {self._version}")

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
