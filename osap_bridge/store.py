"""What must outlive the gateway, in one SQLite file: devices and their keys, instance numbers, events.

Every write is one transaction and durable when the call returns. The file is readable by its owner only, since it
holds keys. Several processes may open it: a running gateway, and commands that add devices or show their state.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath

from osap_bridge.osap.directory import DeviceKeys, KeptEvent
from osap_bridge.placement import Owner, Slot
from osap_bridge.protocol import Entity, FunctionPoint

EVENT_MEMORY = 24 * 3600.0
"""Seconds for which an event is known again. osap.md §7.3."""

FILE_NAME = "osap-bridge.sqlite3"
_VERSION = 1

_SCHEMA = """
CREATE TABLE device (serial TEXT PRIMARY KEY, code TEXT NOT NULL, source TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE keys (serial TEXT PRIMARY KEY, dev_id TEXT NOT NULL, master_key BLOB) WITHOUT ROWID;
CREATE TABLE status (
    serial TEXT PRIMARY KEY, product TEXT NOT NULL, state TEXT NOT NULL, endpoint TEXT NOT NULL,
    last_seen REAL, last_error TEXT NOT NULL, left_out INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE instance (
    endpoint TEXT, object_id INTEGER, instance_id INTEGER,
    serial TEXT NOT NULL, child TEXT NOT NULL, resource_type TEXT NOT NULL, resource_id TEXT NOT NULL,
    own_instance INTEGER NOT NULL,
    PRIMARY KEY (endpoint, object_id, instance_id)
) WITHOUT ROWID;
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kept_at REAL NOT NULL, settled INTEGER NOT NULL,
    serial TEXT NOT NULL, child TEXT NOT NULL, resource_type TEXT NOT NULL, resource_id TEXT NOT NULL,
    domain TEXT NOT NULL, identifier TEXT NOT NULL, content TEXT NOT NULL, time REAL NOT NULL
);
CREATE INDEX event_age ON event (settled, kept_at);
CREATE TABLE occurrences (
    serial TEXT, child TEXT, resource_type TEXT, resource_id TEXT, domain TEXT, identifier TEXT,
    count INTEGER NOT NULL, last_key TEXT NOT NULL, last_record BLOB NOT NULL,
    PRIMARY KEY (serial, child, resource_type, resource_id, domain, identifier)
) WITHOUT ROWID;
CREATE TABLE gateway (one INTEGER PRIMARY KEY CHECK (one = 1), process INTEGER NOT NULL, alive_at REAL NOT NULL);
"""


class StoreError(Exception):
    """The file cannot be used. The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a gateway knows of a device. `state` is "online", "offline" or "never seen"; times are Unix seconds;
    `left_out` counts the reports and events that had no place in the data model."""

    serial: str
    product: str = ""
    state: str = "never seen"
    endpoint: str = ""
    last_seen: float | None = None
    last_error: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Occurrences:
    """How often an event happened, and the last one as JSON bytes."""

    count: int = 0
    last_record: bytes = b""


class Store:
    """Implements `osap.directory.Directory` and `EventLog`. Raises StoreError when the file cannot be used."""

    def __init__(self, folder: FilePath) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.path.chmod(0o600)
            self._database = sqlite3.connect(self.path, timeout=5.0, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the state in {self.path} cannot be used: {error}") from error

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            self._database.execute(f"PRAGMA {pragma}")
        with _transaction(self._database):
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise StoreError(f"{self.path} was written by a newer version of this program")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        self._database.close()

    # Devices

    def add_device(self, serial: str, code: str, source: str = "command") -> None:
        """Known from now on; another code for a known serial replaces the old one and ends the use of its keys."""
        with _transaction(self._database):
            if self.verification_code(serial) not in (None, code):
                self._database.execute("DELETE FROM keys WHERE serial = ?", (serial,))
            self._database.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?)", (serial, code, source))

    def remove_device(self, serial: str) -> bool:
        """Forget the device, its keys, instance numbers and events. False: it was not known."""
        with _transaction(self._database):
            removed = self._database.execute("DELETE FROM device WHERE serial = ?", (serial,)).rowcount
            for table in ("keys", "status", "instance", "event", "occurrences"):
                self._database.execute(f"DELETE FROM {table} WHERE serial = ?", (serial,))
        return bool(removed)

    def configure_devices(self, codes: Iterable[tuple[str, str]], source: str) -> None:
        """Make the devices of one source exactly these; those of other sources stay."""
        wanted = dict(codes)
        for serial in self._serials_of(source) - wanted.keys():
            self.remove_device(serial)
        for serial, code in wanted.items():
            self.add_device(serial, code, source)

    def _serials_of(self, source: str) -> set[str]:
        return {serial for (serial,) in self._database.execute("SELECT serial FROM device WHERE source = ?", (source,))}

    def source_of(self, serial: str) -> str | None:
        """Where the device was named: "command" or a configuration; None when it is not known."""
        row = self._database.execute("SELECT source FROM device WHERE serial = ?", (serial,)).fetchone()
        return row[0] if row else None

    def serials(self) -> frozenset[str]:
        return frozenset(serial for (serial,) in self._database.execute("SELECT serial FROM device"))

    def changed_elsewhere(self) -> int:
        """A number that differs after another process has written."""
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        return int(version)

    def verification_code(self, serial: str) -> str | None:
        row = self._database.execute("SELECT code FROM device WHERE serial = ?", (serial,)).fetchone()
        return row[0] if row else None

    def keys(self, serial: str) -> DeviceKeys | None:
        row = self._database.execute("SELECT dev_id, master_key FROM keys WHERE serial = ?", (serial,)).fetchone()
        return DeviceKeys(*row) if row else None

    def keep_keys(self, serial: str, keys: DeviceKeys) -> None:
        self._database.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", (serial, keys.dev_id, keys.master_key))

    # What people ask for

    def keep_status(self, statuses: Iterable[DeviceStatus], process: int, now: float) -> None:
        """`now` says when the gateway was alive last. Devices removed meanwhile are not brought back."""
        with _transaction(self._database):
            self._database.execute("INSERT OR REPLACE INTO gateway VALUES (1, ?, ?)", (process, now))
            self._database.executemany(
                "INSERT OR REPLACE INTO status"
                " SELECT :serial, :product, :state, :endpoint, :last_seen, :last_error, :left_out"
                " WHERE :serial IN (SELECT serial FROM device)",
                [asdict(status) for status in statuses],
            )

    def statuses(self) -> list[DeviceStatus]:
        """Every known device, by serial."""
        rows = self._database.execute(
            "SELECT serial, coalesce(product, ''), coalesce(state, 'never seen'), coalesce(endpoint, ''), last_seen,"
            " coalesce(last_error, ''), coalesce(left_out, 0)"
            " FROM device LEFT JOIN status USING (serial) ORDER BY serial"
        )
        return [DeviceStatus(*row) for row in rows]

    def alive_at(self) -> float | None:
        """When a gateway last said that it runs on this state; None: it never did, or it ended in good order."""
        row = self._database.execute("SELECT alive_at FROM gateway").fetchone()
        return row[0] if row else None

    def gone(self) -> None:
        """The gateway ends in good order: nothing is online any more."""
        with _transaction(self._database):
            self._database.execute("DELETE FROM gateway")
            self._database.execute("UPDATE status SET state = 'offline' WHERE state = 'online'")

    # Instance numbers

    def instances(self, endpoint: str) -> dict[Slot, Owner]:
        rows = self._database.execute(
            "SELECT object_id, instance_id, serial, child, resource_type, resource_id, own_instance"
            " FROM instance WHERE endpoint = ?",
            (endpoint,),
        )
        return {Slot(row[0], row[1]): Owner(Entity(*row[2:6]), Slot(row[0], row[6])) for row in rows}

    def keep_instances(self, endpoint: str, owners: dict[Slot, Owner]) -> None:
        with _transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO instance VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(endpoint, *slot, *owner.entity, owner.slot.instance_id) for slot, owner in owners.items()],
            )

    # Events

    def keep(self, event: KeptEvent, now: float) -> bool:
        with _transaction(self._database):
            self._database.execute("DELETE FROM event WHERE settled AND kept_at < ?", (now - EVENT_MEMORY,))
            return bool(
                self._database.execute(
                    "INSERT OR IGNORE INTO event VALUES (NULL, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (event.key, now, *_entity(event), event.domain, event.identifier, _json(event), event.time),
                ).rowcount
            )

    def settle(self, key: str) -> None:
        self._database.execute("UPDATE event SET settled = 1 WHERE key = ?", (key,))

    def unsettled(self) -> list[KeptEvent]:
        rows = self._database.execute(
            "SELECT key, serial, child, resource_type, resource_id, domain, identifier, content, time"
            " FROM event WHERE NOT settled ORDER BY number"
        )
        return [
            KeptEvent(key, serial, child, kind, number, domain, identifier, json.loads(content), time)
            for key, serial, child, kind, number, domain, identifier, content, time in rows.fetchall()
        ]

    def occurrences(self, entity: Entity, point: FunctionPoint) -> Occurrences:
        row = self._database.execute(
            "SELECT count, last_record FROM occurrences WHERE (serial, child, resource_type, resource_id, domain,"
            " identifier) = (?, ?, ?, ?, ?, ?)",
            (*entity, *point),
        ).fetchone()
        return Occurrences(*row) if row else Occurrences()

    def count(self, entity: Entity, point: FunctionPoint, key: str, record: bytes) -> Occurrences:
        """One more, unless the event of that key was the last one counted: after a crash it comes again."""
        self._database.execute(
            "INSERT INTO occurrences VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?)"
            " ON CONFLICT DO UPDATE SET count = count + 1, last_key = excluded.last_key,"
            " last_record = excluded.last_record WHERE last_key <> excluded.last_key OR excluded.last_key = ''",
            (*entity, *point, key, record),
        )
        return self.occurrences(entity, point)


def _entity(event: KeptEvent) -> tuple[str, str, str, str]:
    return event.serial, event.child, event.resource_type, event.resource_id


def _json(event: KeptEvent) -> str:
    return json.dumps(event.content, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and taken for writing at once, so that no reader has to be upgraded."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


__all__ = ["EVENT_MEMORY", "DeviceStatus", "Occurrences", "Store", "StoreError"]
