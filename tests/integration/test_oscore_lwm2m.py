"""Registration, device management and bootstrap where every message is protected by OSCORE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from lwm2m.client import Client
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.coap.streams.connected import TcpEndpoint
from lwm2m.dtls.settings import ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import OscoreSecurity, SecurityInfo
from lwm2m.security.sequence_numbers import MemoryNumbers
from lwm2m.security.store import MemorySecurity
from lwm2m.server import (
    Admission,
    BootstrapConfigs,
    BootstrapServer,
    Notified,
    Server,
    ServerAccount,
    WriteRecords,
    account_config,
)

ENDPOINT = "urn:dev:lamp"
CONTEXT = OscoreSecurity(bytes(range(16)), b"lamp", b"srv", b"salt", b"\x37\xcb")
AT_SERVER = replace(CONTEXT, sender_id=b"srv", recipient_id=b"lamp")
TEMPERATURE = Path.parse("/3303/0/5700")
LAMP = [Record(TEMPERATURE, 21.5)]
PATIENCE = 15.0


def admission(context: OscoreSecurity = AT_SERVER) -> Admission:
    return Admission(MemorySecurity([SecurityInfo(ENDPOINT, oscore=context)]))


def endpoint(scheme: str, admitted: Admission) -> Endpoint:
    oscore = Oscore(MemoryNumbers(), admitted.oscore)
    return open_endpoint(oscore=oscore) if scheme == "coap" else TcpEndpoint("127.0.0.1", 0, oscore=oscore)


@asynccontextmanager
async def serving(scheme: str = "coap", context: OscoreSecurity = AT_SERVER) -> AsyncIterator[Server]:
    admitted = admission(context)
    async with Server([endpoint(scheme, admitted)], admission=admitted) as server:
        yield server


def lamp(server: str, context: OscoreSecurity | None = CONTEXT, records: Sequence[Record] = LAMP) -> Client:
    return Client(ENDPOINT, server, records, oscore=context, numbers=MemoryNumbers())


@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
async def test_a_client_registers_and_is_read_written_and_observed(scheme: str) -> None:
    async with serving(scheme) as server, lamp(server.endpoints[0].uri) as client:
        await client.registered(PATIENCE)
        assert server.registration(ENDPOINT).peer.identity == "oscore:6c616d70/37cb"
        assert await server.read(ENDPOINT, TEMPERATURE) == [Record(TEMPERATURE, 21.5)]
        await server.write(ENDPOINT, "/1/0/1", 200)
        happenings = server.events()
        await server.observe(ENDPOINT, TEMPERATURE)
        client.update([Record(TEMPERATURE, 22.5)])
        async with asyncio.timeout(PATIENCE):
            notified = [event async for event in _until_notified(happenings)][-1]
        assert notified.records == (Record(TEMPERATURE, 22.5),)
        assert (await client.send([TEMPERATURE])) == {1: 0x44}


async def _until_notified(happenings: AsyncIterator[object]) -> AsyncIterator[Notified]:
    async for event in happenings:
        if isinstance(event, Notified):
            yield event
            return


async def test_an_endpoint_with_a_context_is_not_served_in_the_clear() -> None:
    async with serving() as server, lamp(server.endpoints[0].uri, None) as client:
        with pytest.raises(TimeoutError, match=r"4\.01"):
            await client.registered(1)
        assert server.registrations() == []


async def test_nobody_registers_as_somebody_else() -> None:
    async with serving() as server:
        impostor = Client("urn:dev:door", server.endpoints[0].uri, LAMP, oscore=CONTEXT, numbers=MemoryNumbers())
        async with impostor:
            with pytest.raises(TimeoutError, match=r"4\.00"):
                await impostor.registered(1)


async def test_without_a_place_for_its_numbers_a_client_says_nothing() -> None:
    async with serving() as server, Client(ENDPOINT, server.endpoints[0].uri, LAMP, oscore=CONTEXT) as client:
        with pytest.raises(TimeoutError, match="nowhere to keep its sequence numbers"):
            await client.registered(1)


async def test_a_server_is_sent_nothing_once_its_context_is_taken_back() -> None:
    admitted = admission()
    server = Server([endpoint("coap", admitted)], admission=admitted)
    async with server, lamp(server.endpoints[0].uri) as client:
        await client.registered(PATIENCE)
        await admitted.remove(ENDPOINT)
        assert server.registrations() == []


async def test_a_context_comes_from_bootstrap_which_is_protected_itself() -> None:
    own = replace(CONTEXT, master_secret=b"of the bootstrap server")
    admitted = admission(replace(AT_SERVER, master_secret=b"of the bootstrap server"))
    async with serving() as server:
        config = account_config([ServerAccount(server.endpoints[0].uri, 101, lifetime=300)], more=[_oscore(CONTEXT)])
        steps = [_linked(step.operation) for step in config.steps[:-1]]
        config = account_config([], more=steps)
        there = endpoint("coap", admitted)
        async with BootstrapServer([there], BootstrapConfigs({ENDPOINT: config}), admission=admitted) as bootstrap:
            client = Client(ENDPOINT, bootstrap=bootstrap.endpoints[0].uri, oscore=own, numbers=MemoryNumbers())
            async with client:
                await client.registered(PATIENCE)
                assert server.registration(ENDPOINT).peer.identity == "oscore:6c616d70/37cb"
                assert bootstrap.log(ENDPOINT)


def _oscore(context: OscoreSecurity) -> WriteRecords:
    values: dict[int, Value] = {
        0: context.master_secret,
        1: context.sender_id,
        2: context.recipient_id,
        5: context.master_salt,
        6: context.id_context or b"",
    }
    base = Path(21, 7)
    return WriteRecords(base, tuple(Record(base.child(number), value) for number, value in values.items()))


def _linked(operation: object) -> object:
    """With the OSCORE instance named where an account is written."""
    if isinstance(operation, WriteRecords) and operation.path[0] == 0:
        link = Record(operation.path.child(17), ObjectLink(21, 7))
        return WriteRecords(operation.path, (*operation.records, link))
    return operation


async def test_oscore_inside_of_dtls_is_who_the_client_is() -> None:
    key = PreSharedKey(b"lamp", b"a key of sixteen")
    admitted = Admission(MemorySecurity([SecurityInfo(ENDPOINT, key, AT_SERVER)]))
    dtls = Dtls(ServerSettings(admitted.psk))
    there = open_endpoint(dtls=dtls, oscore=Oscore(MemoryNumbers(), admitted.oscore))
    shown = AccountSecurity(Mode.PSK, key.identity, secret_key=key.key)
    async with Server([there], admission=admitted) as server:
        uri = server.endpoints[0].uri
        both = Client(ENDPOINT, uri, LAMP, security=shown, oscore=CONTEXT, numbers=MemoryNumbers())
        async with both:
            await both.registered(PATIENCE)
            assert server.registration(ENDPOINT).peer.identity == "oscore:6c616d70/37cb"
            assert await server.read(ENDPOINT, TEMPERATURE) == [Record(TEMPERATURE, 21.5)]
        async with Client(ENDPOINT, uri, LAMP, security=shown) as outer_only:
            with pytest.raises(TimeoutError, match=r"4\.01"):
                await outer_only.registered(1)
