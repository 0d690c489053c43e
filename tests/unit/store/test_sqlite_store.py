"""The SQLite store as a file: who may read it, who may have it, what is in it after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path as FilePath

import pytest

from lwm2m.server import StoreError
from lwm2m.server.store.sqlite import FILE_NAME, SqliteStore
from tests.unit.store.test_server_stores import added, registration

ENDLESS_WRITER = """
import asyncio, sys
from pathlib import Path
from lwm2m.server.store.sqlite import SqliteStore
from tests.unit.store.test_server_stores import added, registration

async def write():
    store = SqliteStore(Path(sys.argv[1]))
    await store.load()
    for number in range(1_000_000):
        await store.commit([added(registration(f"client{number}", f"id{number}")._replace(lifetime=number))])
        print(number, flush=True)

asyncio.run(write())
"""


async def test_only_the_owner_may_read_the_file_and_its_folder(tmp_path: FilePath) -> None:
    store = SqliteStore(tmp_path / "state")
    await store.load()
    await store.commit([added(registration("a"))])
    files = list((tmp_path / "state").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}, files
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    await store.close()


async def test_what_was_kept_is_there_for_the_next_process(tmp_path: FilePath) -> None:
    first = SqliteStore(tmp_path)
    await first.load()
    await first.commit([added(registration("a"))])
    await first.close()
    second = SqliteStore(tmp_path)
    (found,) = (await second.load()).registrations
    assert found._replace(expires_at=12.5) == registration("a")
    await second.close()


async def test_a_second_process_is_refused(tmp_path: FilePath) -> None:
    first, second = SqliteStore(tmp_path), SqliteStore(tmp_path)
    await first.load()
    with pytest.raises(StoreError, match="another process has it"):
        await second.load()
    await first.close()
    assert (await second.load()).registrations == ()
    await second.close()


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: FilePath) -> None:
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version = 99")
    database.close()
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="newer version"):
        await store.load()
    await store.close()


async def test_a_file_that_is_no_database_is_a_store_error(tmp_path: FilePath) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 100)
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="cannot be used"):
        await store.load()
    await store.close()


async def test_content_that_nobody_here_wrote_is_a_store_error(tmp_path: FilePath) -> None:
    store = SqliteStore(tmp_path)
    await store.load()
    await store.close()
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("INSERT INTO registration VALUES ('a', '{}')")
    database.commit()
    database.close()
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="did not write"):
        await store.load()
    await store.close()


async def test_nothing_of_a_batch_is_kept_when_a_part_of_it_fails(tmp_path: FilePath) -> None:
    store = SqliteStore(tmp_path)
    await store.load()
    with pytest.raises(StoreError):
        await store.commit(
            [added(registration("a")), added(registration("b")._replace(lifetime=2**70, endpoint="\udc80"))]
        )
    assert (await store.load()).registrations == ()
    await store.close()


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: FilePath) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ENDLESS_WRITER,
        str(tmp_path),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert writer.stdout is not None
    async with asyncio.timeout(30):
        acknowledged = [await writer.stdout.readline() for _ in range(25)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += (await writer.stdout.read()).splitlines()
        await writer.wait()
    store = SqliteStore(tmp_path)
    found = {kept.endpoint: kept.lifetime for kept in (await store.load()).registrations}
    await store.close()
    numbers = [int(line) for line in acknowledged if line.strip().isdigit()]
    assert len(numbers) >= 25
    assert {f"client{number}": number for number in numbers}.items() <= found.items()
