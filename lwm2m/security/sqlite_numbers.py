"""Sequence numbers in a file of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lwm2m.security.sequence_numbers import SequenceNumbersError

FILE_NAME = "lwm2m-oscore.sqlite3"
_SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (context BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID"
_RESERVE = (
    "INSERT INTO numbers VALUES (:context, :count) "
    "ON CONFLICT (context) DO UPDATE SET next = next + :count RETURNING next"
)


class SqliteNumbers:
    """In `folder`, in a file for its owner only; both are made when they are missing and first needed. Several
    processes may use it: it is open only while numbers are reserved."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def reserve(self, context: bytes, count: int) -> int:
        with self._told(), self._open() as database:
            rows = database.execute(_RESERVE, {"context": context, "count": count}).fetchall()
            following: int = rows[0][0]
        return following - count

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.execute(_SCHEMA)
            yield database

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise SequenceNumbersError(f"OSCORE cannot keep its numbers in {self._path}: {error}") from None
