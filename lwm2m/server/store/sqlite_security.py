"""The credentials of a server's clients in one SQLite file, which holds keys and is readable by its owner only."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path as FilePath
from typing import TypeVar

from lwm2m.security.info import SecurityInfo
from lwm2m.security.store import MOST_PROVED, IdentityTaken, MemorySecurity, SecurityStoreError
from lwm2m.server.store import StoreError
from lwm2m.server.store.security_json import security_from_json, security_to_json
from lwm2m.server.store.sqlite_file import SqliteFile

FILE_NAME = "lwm2m-security.sqlite3"
_VERSION = 1

Result = TypeVar("Result")
_TABLE = "CREATE TABLE security (endpoint TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID"
"""The content is NULL where credentials were taken from an endpoint that is given some at each start."""
_PROVED_TABLE = "CREATE TABLE IF NOT EXISTS proved (number INTEGER PRIMARY KEY, endpoint TEXT NOT NULL UNIQUE)"
"""Programs that know nothing of it go on as before."""


class SqliteSecurity:
    """`given` are credentials from elsewhere: what was added or removed here goes before them. `folder` is made when it
    is missing. Nothing is opened before `load`. The file belongs to one process at a time."""

    def __init__(self, folder: FilePath, given: Iterable[SecurityInfo] = (), *, file_name: str = FILE_NAME) -> None:
        self.path = folder / file_name
        self._file = SqliteFile(self.path, _TABLE, _VERSION, erasing=True)
        self._given = {info.endpoint: info for info in given}
        self._memory = MemorySecurity()
        self._changing = asyncio.Lock()

        self.psk = self._memory.psk
        self.permits = self._memory.permits
        self.get = self._memory.get
        self.endpoint_of = self._memory.endpoint_of
        self.list = self._memory.list
        self.is_proved = self._memory.is_proved

    async def load(self) -> None:
        rows = await self._run(lambda database: database.execute("SELECT endpoint, content FROM security").fetchall())
        for endpoint in await self._run(_proved):
            self._memory.prove(endpoint)
        infos = dict(self._given)
        try:
            for endpoint, content in rows:
                infos.pop(endpoint, None)
                if content is not None:
                    infos[endpoint] = security_from_json(endpoint, content)
        except (ValueError, KeyError, TypeError):
            raise SecurityStoreError(f"{self.path} holds what this program did not write") from None
        try:
            for info in infos.values():
                self._memory.put(info)
        except IdentityTaken as error:
            raise SecurityStoreError(f"{error}, in {self.path} or among what is given at the start") from None

    async def add(self, info: SecurityInfo) -> SecurityInfo | None:
        async with self._changing:
            self._memory.check(info)
            await self._write(info.endpoint, security_to_json(info))
            return self._memory.put(info)

    async def remove(self, endpoint: str) -> SecurityInfo | None:
        async with self._changing:
            if self._memory.is_proved(endpoint):
                await self._delete("proved", endpoint)
            if self._memory.get(endpoint) is not None:
                if endpoint in self._given:
                    await self._write(endpoint, None)
                else:
                    await self._delete("security", endpoint)
            return await self._memory.remove(endpoint)

    def prove(self, endpoint: str) -> Awaitable[None]:
        self._memory.prove(endpoint)
        return self._run(lambda database: _keep_proved(database, endpoint))

    async def close(self) -> None:
        try:
            await self._file.close()
        except StoreError as error:
            raise SecurityStoreError(str(error)) from error

    async def _write(self, endpoint: str, content: str | None) -> None:
        statement = "INSERT OR REPLACE INTO security VALUES (?, ?)"
        await self._run(lambda database: database.execute(statement, (endpoint, content)).close())

    async def _delete(self, table: str, endpoint: str) -> None:
        statement = f"DELETE FROM {table} WHERE endpoint = ?"
        await self._run(lambda database: database.execute(statement, (endpoint,)).close())

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await self._file.run(work)
        except StoreError as error:
            raise SecurityStoreError(str(error)) from error


def _proved(database: sqlite3.Connection) -> list[str]:
    """In the order in which it happened."""
    database.execute(_PROVED_TABLE)
    return [endpoint for (endpoint,) in database.execute("SELECT endpoint FROM proved ORDER BY number")]


def _keep_proved(database: sqlite3.Connection, endpoint: str) -> None:
    database.execute("INSERT OR IGNORE INTO proved (endpoint) VALUES (?)", (endpoint,))
    database.execute("DELETE FROM proved WHERE number <= (SELECT MAX(number) FROM proved) - ?", (MOST_PROVED,))
