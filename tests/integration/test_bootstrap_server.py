"""The bootstrap server on a real socket, judged by a client that shares no code with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.stacks import open_endpoint
from lwm2m.codec import decode
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import BootstrapDiscover, BootstrapRead
from lwm2m.server import BootstrapConfig, BootstrapConfigs, BootstrapServer, Overflow, PreSharedKey, ServerAccount
from lwm2m.server.bootstrap import BootstrapEvent, BootstrapEventStream, BootstrapLimits
from lwm2m.server.bootstrap_accounts import account_config
from lwm2m.server.bootstrap_config import BootstrapStep, WriteRecords, in_order
from lwm2m.server.bootstrap_log import SessionEvent, SessionOutcome
from tests.integration.foreign_bootstrap_client import ForeignBootstrapClient

KEY = b"sixteen secrets!"
PSK = ServerAccount("coaps://192.0.2.1", 101, PreSharedKey("dev1", KEY), lifetime=300)
FAST = Transmission(ack_timeout=0.05, ack_random_factor=1.0, max_retransmit=1)
CONFIGS = BootstrapConfigs({"dev1": account_config([PSK])})


@pytest.fixture
async def server() -> AsyncIterator[BootstrapServer]:
    endpoint = open_endpoint("127.0.0.1", 0, transmission=FAST)
    async with BootstrapServer([endpoint], CONFIGS) as server:
        yield server


@pytest.fixture
async def client(server: BootstrapServer) -> AsyncIterator[ForeignBootstrapClient]:
    async with ForeignBootstrapClient(server.endpoints[0].uri) as client:
        yield client


async def until(events: BootstrapEventStream, *names: SessionEvent) -> BootstrapEvent:
    async with asyncio.timeout(10):
        async for event in events:
            assert not isinstance(event, Overflow)
            if event.entry.event in names:
                return event
    raise AssertionError("the events ended")


async def ended(events: BootstrapEventStream) -> SessionEvent:
    return (await until(events, SessionEvent.FINISHED, SessionEvent.FAILED)).entry.event


def written(client: ForeignBootstrapClient, path: str) -> dict[str, object]:
    asked = next(asked for asked in client.asked if (asked.code, asked.path) == (Code.PUT, path))
    assert asked.content_format is not None
    records = decode(asked.payload, asked.content_format, Path.parse(path), shipped())
    return {str(record.path): record.value for record in records}


async def test_a_client_gets_its_account(server: BootstrapServer, client: ForeignBootstrapClient) -> None:
    events = server.events()
    assert (await client.ask("ep=dev1")).code == Code.CHANGED
    assert await ended(events) is SessionEvent.FINISHED

    assert client.operations == ["GET /0", "DELETE /0", "DELETE /1", "PUT /0/1", "PUT /1/0", "POST /bs"]
    assert client.most_outstanding == 1
    assert {asked.content_format for asked in client.asked if asked.code == Code.PUT} == {ContentFormat.TLV}
    security = written(client, "/0/1")
    assert (security["/0/1/0"], security["/0/1/3"], security["/0/1/5"]) == ("coaps://192.0.2.1", b"dev1", KEY)
    assert written(client, "/1/0")["/1/0/1"] == 300

    (log,) = server.log("dev1")
    assert (log.outcome, log.endpoint) == (SessionOutcome.FINISHED, "dev1")
    assert KEY.decode() not in repr(server.sessions())


async def test_the_preferred_format_is_used(server: BootstrapServer, client: ForeignBootstrapClient) -> None:
    events = server.events()
    await client.ask("ep=dev1", "pct=112")
    await ended(events)
    assert {asked.content_format for asked in client.asked if asked.code == Code.PUT} == {112}
    assert written(client, "/0/1")["/0/1/5"] == KEY


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (("ep=nobody",), Code.BAD_REQUEST),
        ((), Code.BAD_REQUEST),
        (("ep=dev1", "pct=60"), Code.UNSUPPORTED_CONTENT_FORMAT),
        (("ep=dev1", "ep=dev1"), Code.BAD_REQUEST),
    ],
)
async def test_a_request_that_is_refused_begins_nothing(
    server: BootstrapServer, client: ForeignBootstrapClient, query: tuple[str, ...], code: Code
) -> None:
    assert (await client.ask(*query)).code == code
    assert client.asked == []
    assert all(log.outcome is SessionOutcome.REFUSED for log in server.sessions())


async def test_a_refused_endpoint_is_in_the_log(server: BootstrapServer, client: ForeignBootstrapClient) -> None:
    events = server.events()
    await client.ask("ep=nobody")
    assert (await until(events, SessionEvent.NO_CONFIG)).endpoint == "nobody"
    assert [log.outcome for log in server.log("nobody")] == [SessionOutcome.REFUSED]


async def test_a_second_request_starts_over(server: BootstrapServer, client: ForeignBootstrapClient) -> None:
    client.free.clear()
    await client.ask("ep=dev1")
    await asyncio.wait_for(client.waiting.wait(), 5)
    await client.ask("ep=dev1")
    client.free.set()
    events = server.events()
    assert await ended(events) is SessionEvent.FINISHED
    assert [log.outcome for log in server.log("dev1")] == [SessionOutcome.RESTARTED, SessionOutcome.FINISHED]
    assert client.operations.count("GET /0") == 2
    assert client.operations.count("POST /bs") == 1


async def test_everything_is_written_again_when_the_client_finds_it_inconsistent(
    server: BootstrapServer, client: ForeignBootstrapClient
) -> None:
    events = server.events()
    client.answers["POST /bs"] = [aiocoap.Message(code=Code.NOT_ACCEPTABLE)]
    await client.ask("ep=dev1")
    assert await ended(events) is SessionEvent.FINISHED
    assert client.operations.count("PUT /0/1") == 2
    assert client.operations.count("POST /bs") == 2


async def test_a_client_that_goes_silent_fails_its_session(
    server: BootstrapServer, client: ForeignBootstrapClient
) -> None:
    events = server.events()
    await client.ask("ep=dev1")
    await client.__aexit__()
    assert await ended(events) is SessionEvent.FAILED
    await client.__aenter__()


async def test_objects_1_and_2_are_read_and_what_was_read_is_in_the_log() -> None:
    """ETS 1.1-int-8: write an access control instance, read both objects."""
    entry = {0: 3, 1: 0, 3: 65535}
    access = [Record(Path(2, 0, number), value) for number, value in entry.items()] + [Record(Path(2, 0, 2, 0), 31)]
    steps = [
        WriteRecords(Path(2, 0), tuple(access)),
        BootstrapRead(Path(1)),
        BootstrapRead(Path(2), ContentFormat.TLV),
        BootstrapDiscover(Path()),
    ]
    configs = BootstrapConfigs(patterns={"dev*": BootstrapConfig(in_order(steps))})
    async with (
        BootstrapServer([open_endpoint()], configs) as server,
        ForeignBootstrapClient(server.endpoints[0].uri) as client,
    ):
        events = server.events()
        senml = b'[{"bn":"/1/0/","n":"0","v":101},{"n":"1","v":300}]'
        client.answers["GET /1"] = [aiocoap.Message(code=Code.CONTENT, payload=senml, content_format=110)]
        client.answers["GET /2"] = [aiocoap.Message(code=Code.NOT_FOUND)]
        await client.ask("ep=dev9")
        assert await ended(events) is SessionEvent.FAILED
        (log,) = server.log("dev9")
        assert {str(value.path): value.text for value in log.entries[-4].values}["/1/0/1"] == "300"
        assert log.entries[-1].message == "the client refused the read with 4.04"


async def test_a_step_that_may_fail_does_not_end_the_session() -> None:
    steps = (BootstrapStep(BootstrapRead(Path(2)), continue_on_error=True), *in_order([]))
    configs = BootstrapConfigs(default=BootstrapConfig(steps))
    async with (
        BootstrapServer([open_endpoint()], configs) as server,
        ForeignBootstrapClient(server.endpoints[0].uri) as client,
    ):
        events = server.events()
        await client.ask("ep=any")
        assert await ended(events) is SessionEvent.FINISHED
        assert client.operations == ["GET /2", "POST /bs"]


async def test_too_many_sessions_are_put_off() -> None:
    endpoint = open_endpoint()
    configs = BootstrapConfigs(default=account_config([PSK]))
    async with (
        BootstrapServer([endpoint], configs, limits=BootstrapLimits(max_sessions=1)) as server,
        ForeignBootstrapClient(endpoint.uri) as client,
    ):
        client.free.clear()
        await client.ask("ep=dev1")
        await asyncio.wait_for(client.waiting.wait(), 5)
        answer = await client.ask("ep=dev2")
        assert (answer.code, answer.opt.max_age) == (Code.SERVICE_UNAVAILABLE, 60)
        assert (await client.ask("ep=dev1")).code == Code.CHANGED
        client.free.set()
        await ended(server.events())


async def test_a_server_that_stops_ends_its_sessions() -> None:
    endpoint = open_endpoint()
    server = BootstrapServer([endpoint], CONFIGS)
    await server.start()
    async with ForeignBootstrapClient(endpoint.uri) as client:
        client.free.clear()
        await client.ask("ep=dev1")
        await asyncio.wait_for(client.waiting.wait(), 5)
        await server.stop()
        client.free.set()
    assert [log.outcome for log in server.sessions()] == [SessionOutcome.STOPPED]
    await server.stop()


async def test_a_configuration_can_change_while_the_server_runs(
    server: BootstrapServer, client: ForeignBootstrapClient
) -> None:
    await server.configure("dev2", BootstrapConfig(in_order([])))
    events = server.events()
    assert (await client.ask("ep=dev2")).code == Code.CHANGED
    await ended(events)
    assert client.operations == ["POST /bs"]
    await server.remove("dev2")
    assert (await client.ask("ep=dev2")).code == Code.BAD_REQUEST
