"""What a device keeps over a restart: dev_id, master key, and the events that nobody confirmed. osap.md §§5, 7.3"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from osap_bridge.osap.directory import DeviceKeys

MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class CachedEvent:
    """`topic` and `body` as they will be sent; the Seq is new with every attempt. `number` grows."""

    number: int
    topic: str
    body: bytes = field(repr=False)


class DeviceStorage(Protocol):
    """Durable, as far as the storage is, when a call returns."""

    def keys(self) -> DeviceKeys | None: ...

    def keep_keys(self, keys: DeviceKeys | None) -> None:
        """None: forget them."""
        ...

    def append_event(self, topic: str, body: bytes) -> None:
        """A full FIFO drops its oldest event and counts it."""
        ...

    def first_event(self) -> CachedEvent | None: ...

    def remove_event(self, number: int) -> None: ...

    @property
    def dropped_events(self) -> int: ...

    def close(self) -> None: ...


class MemoryStorage:
    """Lives as long as the object."""

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._keys: DeviceKeys | None = None
        self._events: deque[CachedEvent] = deque()
        self._max_events = max_events
        self._next = 1
        self._dropped = 0

    def keys(self) -> DeviceKeys | None:
        return self._keys

    def keep_keys(self, keys: DeviceKeys | None) -> None:
        self._keys = keys

    def append_event(self, topic: str, body: bytes) -> None:
        self._events.append(CachedEvent(self._next, topic, body))
        self._next += 1
        if len(self._events) > self._max_events:
            self._events.popleft()
            self._dropped += 1

    def first_event(self) -> CachedEvent | None:
        return self._events[0] if self._events else None

    def remove_event(self, number: int) -> None:
        if self._events and self._events[0].number == number:
            self._events.popleft()

    @property
    def dropped_events(self) -> int:
        return self._dropped

    def close(self) -> None:
        pass


_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (serial TEXT PRIMARY KEY, dev_id TEXT NOT NULL, master_key BLOB);
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL,
                                   topic TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (serial TEXT PRIMARY KEY, events INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS events_of ON events (serial, number);
"""


class FileStorage:
    """An SQLite file of mode 0600, which may be shared by devices of one process. Raises OSError, sqlite3.Error.

    `close` releases the file; it is opened again when it is used again.
    """

    def __init__(self, path: Path, serial: str, max_events: int = MAX_EVENTS) -> None:
        self._path = path
        self._serial = serial
        self._max_events = max_events
        self._opened: sqlite3.Connection | None = None

    @property
    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._path.chmod(0o600)
            self._opened = sqlite3.connect(self._path, timeout=5.0)
            self._opened.executescript(_SCHEMA)
        return self._opened

    def keys(self) -> DeviceKeys | None:
        row = self._database.execute("SELECT dev_id, master_key FROM keys WHERE serial = ?", (self._serial,)).fetchone()
        return None if row is None else DeviceKeys(*row)

    def keep_keys(self, keys: DeviceKeys | None) -> None:
        with self._database:
            if keys is None:
                self._database.execute("DELETE FROM keys WHERE serial = ?", (self._serial,))
            else:
                row = (self._serial, keys.dev_id, keys.master_key)
                self._database.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", row)

    def append_event(self, topic: str, body: bytes) -> None:
        with self._database:
            row = (self._serial, topic, body)
            self._database.execute("INSERT INTO events (serial, topic, body) VALUES (?, ?, ?)", row)
            excess = self._count() - self._max_events
            if excess > 0:
                self._drop(excess)

    def _count(self) -> int:
        found = self._database.execute("SELECT count(*) FROM events WHERE serial = ?", (self._serial,)).fetchone()
        return int(found[0])

    def _drop(self, count: int) -> None:
        oldest = "SELECT number FROM events WHERE serial = ? ORDER BY number LIMIT ?"
        self._database.execute(f"DELETE FROM events WHERE number IN ({oldest})", (self._serial, count))
        counted = (
            "INSERT INTO dropped VALUES (?, ?) ON CONFLICT (serial) DO UPDATE SET events = events + excluded.events"
        )
        self._database.execute(counted, (self._serial, count))

    def first_event(self) -> CachedEvent | None:
        query = "SELECT number, topic, body FROM events WHERE serial = ? ORDER BY number LIMIT 1"
        row = self._database.execute(query, (self._serial,)).fetchone()
        return None if row is None else CachedEvent(*row)

    def remove_event(self, number: int) -> None:
        with self._database:
            self._database.execute("DELETE FROM events WHERE number = ? AND serial = ?", (number, self._serial))

    @property
    def dropped_events(self) -> int:
        row = self._database.execute("SELECT events FROM dropped WHERE serial = ?", (self._serial,)).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
