"""A store in one SQLite file, readable by its owner only.

Writes happen in a thread of their own, one transaction a `commit`, and reach the disk before it returns. The file
belongs to one process at a time.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import TypeVar

from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from lwm2m.server.limits import DEFAULT_LIMITS
from lwm2m.server.object_list import ObjectLists
from lwm2m.server.observations import ObservationChange, Observed
from lwm2m.server.queued import QueueChange, QueuedRequest
from lwm2m.server.registry import Registration, RegistrationChange
from lwm2m.server.store import Change, Kept, KeptObservation, StoreError
from lwm2m.server.store.operation_json import operation_from_json, operation_to_json
from lwm2m.server.store.registration_json import registration_from_json, registration_to_json

FILE_NAME = "lwm2m-server.sqlite3"
_VERSION = 1

_SCHEMA = """
CREATE TABLE registration (endpoint TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE observation (
    number INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, composite INTEGER NOT NULL, paths TEXT NOT NULL,
    accept INTEGER, list_format INTEGER, UNIQUE (endpoint, composite, paths)
);
CREATE TABLE request (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL, operation TEXT NOT NULL,
    timeout REAL, queued_at REAL NOT NULL, until REAL NOT NULL
);
CREATE INDEX request_endpoint ON request (endpoint);
"""

Result = TypeVar("Result")


class SqliteStore:
    """`folder` is made when it is missing. Nothing is opened before `load`."""

    def __init__(self, folder: FilePath) -> None:
        self.path = folder / FILE_NAME
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lwm2m-sqlite")
        self._database: sqlite3.Connection | None = None

    async def load(self) -> Kept:
        """Raises StoreError, also when another process has the file."""
        return await self._run(self._load)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Raises StoreError; then none of the changes happened."""
        await self._run(lambda: self._commit(changes))

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

    def _load(self) -> Kept:
        database = self._open()
        try:
            return Kept(tuple(_registrations(database)), tuple(_observations(database)), tuple(_queue(database)))
        except (ValueError, TypeError, KeyError, LwM2MError) as error:
            raise StoreError(f"{self.path} holds what this program did not write: {error!r}") from error

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
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        with _transaction(database):
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StoreError(f"{self.path} was written by a newer version of this program")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")

    def _commit(self, changes: Sequence[Change]) -> None:
        with _transaction(self._open()) as database:
            for change in changes:
                _apply(database, change)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _apply(database: sqlite3.Connection, change: Change) -> None:
    match change:
        case RegistrationChange(endpoint=endpoint, after=None):
            for table in ("registration", "observation", "request"):
                database.execute(f"DELETE FROM {table} WHERE endpoint = ?", (endpoint,))
        case RegistrationChange(endpoint=endpoint, after=Registration() as registration):
            row = (endpoint, registration_to_json(registration))
            database.execute("INSERT OR REPLACE INTO registration VALUES (?, ?)", row)
        case ObservationChange(wanted=True):
            database.execute(
                "INSERT INTO observation (endpoint, composite, paths, accept, list_format) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET accept = excluded.accept, list_format = excluded.list_format",
                (change.endpoint, *_observed_row(change.path), change.accept, change.list_format),
            )
        case ObservationChange():
            database.execute(
                "DELETE FROM observation WHERE endpoint = ? AND composite = ? AND paths = ?",
                (change.endpoint, *_observed_row(change.path)),
            )
        case QueueChange(id=number, request=None):
            database.execute("DELETE FROM request WHERE id = ?", (number,))
        case QueueChange(request=QueuedRequest() as request):
            _keep(database, request)


def _keep(database: sqlite3.Connection, request: QueuedRequest) -> None:
    operation = operation_to_json(request.operation)
    database.execute(
        "INSERT OR IGNORE INTO request (id, endpoint, operation, timeout, queued_at, until) VALUES (?, ?, ?, ?, ?, ?)",
        (request.id, request.endpoint, operation, request.timeout, request.queued_at, request.until),
    )


def _observed_row(observed: Observed) -> tuple[bool, str]:
    if isinstance(observed, Path):
        return False, str(observed)
    return True, " ".join(map(str, observed))


def _observed(composite: int, paths: str) -> Observed:
    return tuple(map(Path.parse, paths.split())) if composite else Path.parse(paths)


def _registrations(database: sqlite3.Connection) -> Iterator[Registration]:
    object_lists = ObjectLists(DEFAULT_LIMITS.kept_object_lists)
    for (content,) in database.execute("SELECT content FROM registration"):
        yield registration_from_json(content, object_lists)


def _observations(database: sqlite3.Connection) -> Iterator[KeptObservation]:
    rows = database.execute("SELECT endpoint, composite, paths, accept, list_format FROM observation ORDER BY number")
    for endpoint, composite, paths, accept, list_format in rows:
        yield KeptObservation(endpoint, _observed(composite, paths), accept, list_format)


def _queue(database: sqlite3.Connection) -> Iterator[QueuedRequest]:
    rows = database.execute("SELECT id, endpoint, operation, timeout, queued_at, until FROM request ORDER BY number")
    for number, endpoint, operation, timeout, queued_at, until in rows:
        yield QueuedRequest(number, endpoint, operation_from_json(operation), timeout, queued_at, until)
