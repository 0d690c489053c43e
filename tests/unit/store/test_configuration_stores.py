"""What every store of bootstrap configurations must do, over every one there is."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path as FilePath

import pytest

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server import (
    AccessControl,
    BootstrapConfig,
    BootstrapServer,
    BootstrapStep,
    PreSharedKey,
    ServerAccount,
    StoreError,
    WriteRecords,
    account_config,
)
from lwm2m.server.bootstrap_config import in_order
from lwm2m.server.store.configurations import ConfigurationStore, MemoryConfigurations
from lwm2m.server.store.sqlite_configurations import SqliteConfigurations

STORES: dict[str, Callable[[FilePath], ConfigurationStore]] = {
    "memory": lambda _folder: MemoryConfigurations(),
    "sqlite": SqliteConfigurations,
}
ACCOUNTS = account_config(
    [ServerAccount("coaps://a", 101, PreSharedKey("dev", b"\x00\xffsecret"), more={2: 5})],
    [AccessControl(3, 0, {}, owner=101)],
    content_format=ContentFormat.SENML_CBOR,
)
EVERYTHING = BootstrapConfig(
    in_order(
        [
            BootstrapDiscover(Path(0)),
            BootstrapStep(BootstrapRead(Path(2, 1), 110), continue_on_error=True),
            BootstrapDelete(Path()),
            WriteRecords(
                Path(9999, 0),
                tuple(
                    Record(Path(9999, 0, number), value)
                    for number, value in enumerate((True, 2**64 - 1, -0.1, "ä\0", b"", ObjectLink(21, 3), None))
                ),
            ),
        ]
    )
)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: FilePath) -> AsyncIterator[ConfigurationStore]:
    opened = STORES[request.param](tmp_path / "state")
    yield opened
    await opened.close()


async def test_an_empty_store_holds_nothing(store: ConfigurationStore) -> None:
    assert await store.load() == {}


async def test_configurations_are_kept_replaced_and_dropped(store: ConfigurationStore) -> None:
    await store.load()
    await store.keep("a/ü", ACCOUNTS)
    await store.keep("b", ACCOUNTS)
    await store.keep("b", EVERYTHING)
    await store.drop("c")
    assert await store.load() == {"a/ü": ACCOUNTS, "b": EVERYTHING}
    await store.drop("b")
    assert await store.load() == {"a/ü": ACCOUNTS}


async def test_values_keep_their_types(store: ConfigurationStore) -> None:
    await store.load()
    await store.keep("x", EVERYTHING)
    kept = (await store.load())["x"].written[0].records
    assert [type(record.value) for record in kept] == [bool, int, float, str, bytes, ObjectLink, type(None)]


async def test_a_file_outlives_its_store_and_is_for_its_owner_only(tmp_path: FilePath) -> None:
    first = SqliteConfigurations(tmp_path)
    await first.load()
    await first.keep("x", EVERYTHING)
    with pytest.raises(StoreError, match="another process"):
        await SqliteConfigurations(tmp_path).load()
    await first.close()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    second = SqliteConfigurations(tmp_path)
    assert await second.load() == {"x": EVERYTHING}
    await second.close()


async def test_a_file_that_makes_no_sense_is_told_without_what_it_holds(tmp_path: FilePath) -> None:
    store = SqliteConfigurations(tmp_path)
    await store.load()
    await store.keep("x", EVERYTHING)
    await store.close()
    database = sqlite3.connect(store.path)
    database.execute('UPDATE configuration SET content = \'{"steps": "topsecret"}\'')
    database.commit()
    database.close()
    broken = SqliteConfigurations(tmp_path)
    with pytest.raises(StoreError, match="did not write") as refused:
        await broken.load()
    assert "topsecret" not in str(refused.value)
    await broken.close()


async def test_a_server_begins_with_what_was_kept(tmp_path: FilePath) -> None:
    async with BootstrapServer([], store=SqliteConfigurations(tmp_path)) as server:
        await server.configure("x", EVERYTHING)
        await server.configure("y", ACCOUNTS)
        await server.remove("x")
        with pytest.raises(KeyError):
            await server.remove("x")
    async with BootstrapServer([], store=SqliteConfigurations(tmp_path)) as server:
        assert server.configs.endpoints == {"y": ACCOUNTS}
