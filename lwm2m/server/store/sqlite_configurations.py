"""The configurations of a bootstrap server in one SQLite file, which holds keys and is readable by its owner only."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path as FilePath
from typing import TypeVar

from lwm2m.server.bootstrap_config import BootstrapConfig
from lwm2m.server.store import StoreError
from lwm2m.server.store.configuration_json import configuration_from_json, configuration_to_json

FILE_NAME = "lwm2m-bootstrap.sqlite3"
_VERSION = 1
_TABLE = "CREATE TABLE configuration (endpoint TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"

Result = TypeVar("Result")


class SqliteConfigurations:
    """`folder` is made when it is missing. Nothing is opened before `load`. The file belongs to one process at a
    time; writes reach the disk before they return."""

    def __init__(self, folder: FilePath) -> None:
        self.path = folder / FILE_NAME
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lwm2m-sqlite")
        self._database: sqlite3.Connection | None = None

    async def load(self) -> Mapping[str, BootstrapConfig]:
        """Raises StoreError, also when another process has the file."""
        return await self._run(self._load)

    async def keep(self, endpoint: str, config: BootstrapConfig) -> None:
        row = (endpoint, configuration_to_json(config))
        await self._run(lambda: self._write("INSERT OR REPLACE INTO configuration VALUES (?, ?)", row))

    async def drop(self, endpoint: str) -> None:
        await self._run(lambda: self._write("DELETE FROM configuration WHERE endpoint = ?", (endpoint,)))

    async def close(self) -> None:
        try:
            await self._run(self._close)
        finally:
            self._thread.shutdown()

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            taken = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            reason = "another process has it" if taken else str(error)
            raise StoreError(f"{self.path} cannot be used: {reason}") from error
        except (OSError, sqlite3.Error, UnicodeError) as error:
            raise StoreError(f"{self.path} cannot be used: {error}") from error

    def _load(self) -> dict[str, BootstrapConfig]:
        rows = self._open().execute("SELECT endpoint, content FROM configuration ORDER BY endpoint").fetchall()
        try:
            return {endpoint: configuration_from_json(content) for endpoint, content in rows}
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{self.path} holds what this program did not write") from None

    def _write(self, statement: str, row: tuple[str, ...]) -> None:
        self._open().execute(statement, row)

    def _open(self) -> sqlite3.Connection:
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
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            database.execute(f"PRAGMA {pragma}")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError(f"{self.path} was written by a newer version of this program")
        if version == 0:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.execute("COMMIT")

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
