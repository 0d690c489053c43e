"""A store in one SQLite file; one transaction a `commit`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

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
from lwm2m.server.store.sqlite_file import SqliteFile, transaction

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


class SqliteStore:
    """`folder` is made when it is missing. Nothing is opened before `load`."""

    def __init__(self, folder: FilePath) -> None:
        self.path = folder / FILE_NAME
        self._file = SqliteFile(self.path, _SCHEMA, _VERSION)

    async def load(self) -> Kept:
        """Raises StoreError, also when another process has the file."""
        return await self._file.run(self._load)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Raises StoreError; then none of the changes happened."""
        await self._file.run(lambda database: _commit(database, changes))

    async def close(self) -> None:
        await self._file.close()

    def _load(self, database: sqlite3.Connection) -> Kept:
        try:
            return Kept(tuple(_registrations(database)), tuple(_observations(database)), tuple(_queue(database)))
        except (ValueError, TypeError, KeyError, LwM2MError) as error:
            raise StoreError(f"{self.path} holds what this program did not write: {error!r}") from error


def _commit(database: sqlite3.Connection, changes: Sequence[Change]) -> None:
    with transaction(database):
        for change in changes:
            _apply(database, change)


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
