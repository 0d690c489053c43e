"""Sequence numbers in a file of SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lwm2m.security.sequence_numbers import SequenceNumbersError

FILE = "oscore.sqlite"
_SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (context BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID"
_RESERVE = (
    "INSERT INTO numbers VALUES (:context, :count) "
    "ON CONFLICT (context) DO UPDATE SET next = next + :count RETURNING next"
)


class SqliteNumbers:
    """In `folder`, in a file for its owner only; both are made where they are missing. Several processes may use it.
    Raises SequenceNumbersError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._database = sqlite3.connect(self._path, isolation_level=None)
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    def reserve(self, context: bytes, count: int) -> int:
        try:
            rows = self._database.execute(_RESERVE, {"context": context, "count": count}).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from None
        following: int = rows[0][0]
        return following - count

    def close(self) -> None:
        self._database.close()

    def _failed(self, error: Exception) -> SequenceNumbersError:
        return SequenceNumbersError(f"the OSCORE sequence numbers in {self._path} cannot be kept: {error}")
