"""OSCORE: 1.1-int-405 and 1.2-int-11, through a proxy that looks at every message, and ours, X-410."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from lwm2m.client import Client
from lwm2m.coap.message import Code
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.packet import OBSERVE
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record
from lwm2m.operations.bootstrap import BootstrapDiscover
from lwm2m.security.info import OscoreSecurity, SecurityInfo
from lwm2m.security.sequence_numbers import MemoryNumbers
from lwm2m.security.store import MemorySecurity
from lwm2m.server import (
    Admission,
    BootstrapConfigs,
    BootstrapServer,
    Refused,
    Server,
    ServerAccount,
    WriteRecords,
    account_config,
)
from lwm2m.server.bootstrap_log import SessionOutcome
from tests.coap_proxy import Proxy

ENDPOINT = "urn:conformance:oscore"
SHARED = OscoreSecurity(b"0123456789abcdef", b"client", b"server", b"salt")
MODEL = [Record(Path.parse("/3/0/0"), "Open Mobile Alliance"), Record(Path.parse("/3303/0/5750"), "x" * 3000)]
PATIENCE = 15.0


def admission(shared: OscoreSecurity = SHARED) -> Admission:
    info = SecurityInfo(ENDPOINT, oscore=replace(shared, sender_id=shared.recipient_id, recipient_id=shared.sender_id))
    return Admission(MemorySecurity([info]))


@asynccontextmanager
async def server(numbers: MemoryNumbers, shared: OscoreSecurity = SHARED) -> AsyncIterator[Server]:
    admitted = admission(shared)
    endpoint = open_endpoint(oscore=Oscore(numbers, admitted.oscore, refused=admitted.refuse_claim))
    async with Server([endpoint], admission=admitted) as running:
        yield running


@asynccontextmanager
async def watched(uri: str) -> AsyncIterator[tuple[str, Proxy]]:
    proxy = Proxy()
    try:
        yield await proxy.start(uri), proxy
    finally:
        await proxy.stop()


def client(uri: str, shared: OscoreSecurity = SHARED, numbers: MemoryNumbers | None = None) -> Client:
    return Client(ENDPOINT, uri, MODEL, oscore=shared, numbers=numbers or MemoryNumbers())


def require_protected(proxy: Proxy, *secrets: bytes) -> None:
    assert proxy.seen
    for packet in proxy.seen:
        assert OSCORE in packet.options
        assert set(packet.options) <= {OSCORE, OBSERVE}
        assert packet.code in (Code.POST, Code.CHANGED)
        assert not any(secret in packet.payload for secret in secrets)


async def test_1_1_int_405() -> None:
    async with server(MemoryNumbers()) as running, watched(running.endpoints[0].uri) as (uri, proxy), client(uri) as it:
        await it.registered(PATIENCE)
        assert await running.read(ENDPOINT, "/3/0/0") == [MODEL[0]]
        require_protected(proxy, b"rd", ENDPOINT.encode(), b"Open Mobile Alliance")


async def test_1_2_int_11() -> None:
    """The bootstrap server writes an account that is protected by another context."""
    bootstrapping = replace(SHARED, master_secret=b"another of 16 by")
    admitted = admission(bootstrapping)
    there = open_endpoint(oscore=Oscore(MemoryNumbers(), admitted.oscore))
    async with server(MemoryNumbers()) as running:
        account = account_config([ServerAccount(running.endpoints[0].uri, 102)])
        link = Record(Path(0, 1, 17), ObjectLink(21, 1))
        values = {0: SHARED.master_secret, 1: SHARED.sender_id, 2: SHARED.recipient_id, 5: SHARED.master_salt}
        context = tuple(Record(Path(21, 1, number), value) for number, value in values.items())
        more = [WriteRecords(Path(21, 1), context), WriteRecords(link.path, (link,)), BootstrapDiscover(Path())]
        config = replace(
            account_config([], more=[*(step.operation for step in account.steps[:-1]), *more]), auto_id=False
        )
        bootstrap = BootstrapServer([there], BootstrapConfigs({ENDPOINT: config}), admission=admitted)
        async with bootstrap, watched(bootstrap.endpoints[0].uri) as (uri, proxy):
            device = Client(ENDPOINT, records=MODEL, bootstrap=uri, oscore=bootstrapping, numbers=MemoryNumbers())
            async with device:
                await device.registered(PATIENCE)
                assert (running.registration(ENDPOINT).peer.identity or "").startswith("oscore:")
                require_protected(proxy, b"bs", ENDPOINT.encode(), SHARED.master_secret)
                (told,) = (log for log in bootstrap.log(ENDPOINT) if log.outcome is SessionOutcome.FINISHED)
                listed = {str(value.path): value.text for entry in told.entries for value in entry.values}
                assert listed["/21/1"] == "</21/1>;ssid=102"
                assert "ssid" not in listed["/21/0"], "that of the bootstrap server"


async def test_x_410_replay() -> None:
    async with server(MemoryNumbers()) as running, watched(running.endpoints[0].uri) as (uri, proxy), client(uri) as it:
        await it.registered(PATIENCE)
        registration = running.registration(ENDPOINT)
        happenings = running.events()
        for packet in [packet for packet in proxy.seen if packet.is_request]:
            proxy.say(packet)
        assert await running.read(ENDPOINT, "/3/0/0") == [MODEL[0]]
        assert running.registration(ENDPOINT).id == registration.id
        async with asyncio.timeout(PATIENCE):
            refused = await anext(aiter(happenings))
        assert isinstance(refused, Refused)
        assert refused.endpoint == ENDPOINT
        assert "came again" in refused.reason


async def test_x_410_wrong_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwm2m.coap.object_security.verifying.GRACE", 0.1)
    wrong = replace(SHARED, master_secret=b"of somebody else")
    async with server(MemoryNumbers()) as running, client(running.endpoints[0].uri, wrong) as it:
        with pytest.raises(TimeoutError, match=r"4\.00 Decryption failed"):
            await it.registered(1)
        assert running.registrations() == []


async def test_x_410_lost_state() -> None:
    """Both lose their replay windows, neither its numbers."""
    of_server, of_client = MemoryNumbers(), MemoryNumbers()
    for _ in range(2):
        async with server(of_server) as running, client(running.endpoints[0].uri, numbers=of_client) as it:
            await it.registered(PATIENCE)
            assert await running.read(ENDPOINT, "/3/0/0") == [MODEL[0]]


async def test_x_410_block_wise() -> None:
    """The blocks are inner ones: the proxy sees none, and each message is protected by itself."""
    async with server(MemoryNumbers()) as running, watched(running.endpoints[0].uri) as (uri, proxy), client(uri) as it:
        await it.registered(PATIENCE)
        assert await running.read(ENDPOINT, "/3303/0/5750") == [MODEL[1]]
        await running.write(ENDPOINT, "/3303/0/5750", "y" * 3000)
        require_protected(proxy, b"xxxx", b"yyyy")
        assert max(len(packet.payload) for packet in proxy.seen) < 1200
