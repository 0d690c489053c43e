"""The configurations of a bootstrap server in one SQLite file, which holds keys and is readable by its owner only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path as FilePath

from lwm2m.server.bootstrap_config import BootstrapConfig
from lwm2m.server.store import StoreError
from lwm2m.server.store.configuration_json import configuration_from_json, configuration_to_json
from lwm2m.server.store.sqlite_file import SqliteFile

FILE_NAME = "lwm2m-bootstrap.sqlite3"
_VERSION = 1
_TABLE = "CREATE TABLE configuration (endpoint TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID"


class SqliteConfigurations:
    """`folder` is made when it is missing. Nothing is opened before `load`. The file belongs to one process at a
    time; writes reach the disk before they return."""

    def __init__(self, folder: FilePath) -> None:
        self.path = folder / FILE_NAME
        self._file = SqliteFile(self.path, _TABLE, _VERSION, erasing=True)

    async def load(self) -> Mapping[str, BootstrapConfig]:
        """Raises StoreError, also when another process has the file."""
        return await self._file.run(self._load)

    async def keep(self, endpoint: str, config: BootstrapConfig) -> None:
        row = (endpoint, configuration_to_json(config))
        await self._write("INSERT OR REPLACE INTO configuration VALUES (?, ?)", row)

    async def drop(self, endpoint: str) -> None:
        await self._write("DELETE FROM configuration WHERE endpoint = ?", (endpoint,))

    async def close(self) -> None:
        await self._file.close()

    def _load(self, database: sqlite3.Connection) -> dict[str, BootstrapConfig]:
        rows = database.execute("SELECT endpoint, content FROM configuration ORDER BY endpoint").fetchall()
        try:
            return {endpoint: configuration_from_json(content) for endpoint, content in rows}
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{self.path} holds what this program did not write") from None

    async def _write(self, statement: str, row: tuple[str, ...]) -> None:
        await self._file.run(lambda database: database.execute(statement, row).close())
