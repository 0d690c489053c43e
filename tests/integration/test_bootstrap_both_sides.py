"""Our client and our bootstrap server, and the management server that the one sends the other to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lwm2m.client import Client
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server import (
    AccessControl,
    BootstrapConfig,
    BootstrapConfigs,
    BootstrapServer,
    Overflow,
    Registered,
    Server,
    ServerAccount,
    SessionLog,
    SessionOutcome,
    StepOperation,
    WriteRecords,
    account_config,
)
from lwm2m.server.bootstrap_config import in_order
from lwm2m.server.bootstrap_log import SessionEvent

ENDPOINT = "urn:dev:lamp"
PATIENCE = 15.0


@asynccontextmanager
async def bootstrapped(config: BootstrapConfig) -> AsyncIterator[tuple[BootstrapServer, Client]]:
    """A bootstrap server with this configuration, and a client that has nothing but its address."""
    server = BootstrapServer([open_endpoint()], BootstrapConfigs({ENDPOINT: config}))
    async with server, Client(ENDPOINT, bootstrap=server.endpoints[0].uri) as client:
        yield server, client


async def ended(server: BootstrapServer) -> SessionLog:
    """The newest session once it has come to its end."""
    events = server.events()
    async with asyncio.timeout(PATIENCE):
        while not (logs := server.log(ENDPOINT)) or logs[-1].outcome is SessionOutcome.RUNNING:
            await anext(events)
    return logs[-1]


def answers(log: SessionLog, asked: SessionEvent) -> list[dict[str, str]]:
    """What the client told to requests of this kind: path to text."""
    pairs = zip(log.entries, log.entries[1:], strict=False)
    return [{str(value.path): value.text for value in after.values} for before, after in pairs if before.event is asked]


def write(path: str, values: dict[str, Value]) -> WriteRecords:
    base = Path.parse(path)
    return WriteRecords(base, tuple(Record(Path.parse(f"{path}/{name}"), value) for name, value in values.items()))


async def test_a_client_is_sent_to_its_server_and_registers_there() -> None:
    async with Server([open_endpoint()]) as server:
        happenings = server.events()
        account = ServerAccount(server.endpoints[0].uri, 101, lifetime=300)
        config = account_config([account], more=[BootstrapDiscover(Path())])
        async with bootstrapped(config) as (bootstrap_server, client):
            log = await ended(bootstrap_server)
            assert log.outcome is SessionOutcome.FINISHED, log
            told = answers(log, SessionEvent.SEND_DISCOVER)[-1]
            assert told["/"].startswith("</>;lwm2m=1.1")
            assert "ssid=101" in told["/1/0"]
            assert "/3/0" in told
            (own,) = (path for path, text in told.items() if path.startswith("/0/") and "ssid" not in text)
            (other,) = (path for path, text in told.items() if path.startswith("/0/") and "ssid=101" in text)
            assert own != other
            async with asyncio.timeout(PATIENCE):
                async for event in happenings:
                    assert not isinstance(event, Overflow)
                    if isinstance(event, Registered):
                        break
            registration = server.registration(ENDPOINT)
            assert registration.lifetime == 300
            assert client.data_model.value(Path(1, 0, 0)) == 101


async def test_deleted_accounts_are_gone_and_the_bootstrap_account_stays() -> None:
    """ETS 1.1-int-4."""
    operations: list[StepOperation] = [
        *(step.operation for step in account_config([ServerAccount("coap://127.0.0.1:9", 101)]).steps[:-1]),
        BootstrapRead(Path(1)),
        BootstrapDelete(Path(0)),
        BootstrapDelete(Path(1)),
        BootstrapDiscover(Path()),
        *(step.operation for step in account_config([ServerAccount("coap://127.0.0.1:9", 102)]).steps[:-1]),
    ]
    async with bootstrapped(BootstrapConfig(in_order(operations), auto_id=True)) as (server, client):
        log = await ended(server)
        assert log.outcome is SessionOutcome.FINISHED, log
        (read,) = answers(log, SessionEvent.SEND_READ)
        assert (read["/1/0/0"], read["/1/0/1"]) == ("101", "86400")
        told = answers(log, SessionEvent.SEND_DISCOVER)[-1]
        assert [path for path in told if path.startswith(("/1/", "/0/"))] == ["/0/0"]
        assert client.data_model.value(Path(1, 0, 0)) == 102


async def test_objects_1_and_2_are_read() -> None:
    """ETS 1.1-int-8."""
    access = AccessControl(3, 0, {0: 31})
    config = account_config(
        [ServerAccount("coap://127.0.0.1:9", 1)], [access], more=[BootstrapRead(Path(1)), BootstrapRead(Path(2))]
    )
    async with bootstrapped(config) as (server, _):
        log = await ended(server)
        assert log.outcome is SessionOutcome.FINISHED, log
        servers, entries = answers(log, SessionEvent.SEND_READ)
        assert (servers["/1/0/0"], servers["/1/0/1"]) == ("1", "86400")
        assert entries == {"/2/0/0": "3", "/2/0/1": "0", "/2/0/2/0": "31", "/2/0/3": "65535"}


async def test_an_account_that_is_none_is_refused_twice_and_reported() -> None:
    """ETS 1.1-int-9: only /1/0/5 is written."""
    config = BootstrapConfig(in_order([write("/1/0", {"5": 86400})]))
    async with bootstrapped(config) as (server, _):
        log = await ended(server)
        assert log.outcome is SessionOutcome.FAILED
        codes = [entry.code.dotted for entry in log.entries if entry.code is not None]
        assert codes == ["2.04", "4.06", "2.04", "4.06"]
