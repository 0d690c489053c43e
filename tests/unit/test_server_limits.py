"""Each limit of the servers: so much is taken, and one more is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace

import pytest

from lwm2m.coap.endpoint import TimedOut, TooBusy
from lwm2m.coap.message import Code, Request
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import Read
from lwm2m.server import BootstrapConfigs, BootstrapServer, Overflow, PreSharedKey, Server, ServerAccount, ServerLimits
from lwm2m.server.bootstrap import BootstrapLimits
from lwm2m.server.bootstrap_accounts import account_config
from lwm2m.testing.virtual_time import clock, in_virtual_time
from tests.unit.server_endpoint import MemoryEndpoint, peer, text

TWO_LINKS = b"</1/0>,</3/0>"
LIFETIME = 1000
CONFIG = account_config([ServerAccount("coaps://192.0.2.1", 101, PreSharedKey("dev1", b"sixteen secrets!"))])


class World:
    """A server and its clients, whose endpoint names are numbers."""

    def __init__(self, server: Server, endpoint: MemoryEndpoint) -> None:
        self.server = server
        self.endpoint = endpoint

    async def registers(self, client: int = 0, links: bytes = TWO_LINKS, *flags: str) -> Code:
        query = (f"ep={client}", f"lt={LIFETIME}", "lwm2m=1.1", *flags)
        request = Request(Code.POST, ("rd",), query, links, ContentFormat.LINK)
        return (await self.endpoint.receive(request, peer(40000 + client))).code

    def registered(self) -> int:
        return len(self.server.registrations())


@asynccontextmanager
async def world(limits: ServerLimits) -> AsyncIterator[World]:
    endpoint = MemoryEndpoint()
    async with Server([endpoint], limits=limits, clock=clock().time, wall=clock().wall_time) as server:
        yield World(server, endpoint)


# A server


async def max_registrations(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        codes = [await w.registers(client) for client in range(n)]
        assert codes.count(Code.CREATED) == w.registered()
        return Code.SERVICE_UNAVAILABLE not in codes


async def max_links(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        code = await w.registers(0, b",".join(b"</3/%d>" % number for number in range(n)))
        assert code in (Code.CREATED, Code.REQUEST_ENTITY_TOO_LARGE)
        return code == Code.CREATED


async def max_observations_per_client(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        await w.registers()
        w.endpoint.answers = {f"/3/0/{number}": text("1")._replace(observing=True) for number in range(n)}
        try:
            for number in range(n):
                await w.server.observe("0", Path(3, 0, number))
        except TooBusy:
            return False
        return True


async def max_events(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        events = w.server.events()
        for client in range(n):
            await w.registers(client)
        await asyncio.sleep(1)
        return Overflow() not in [await anext(events) for _ in range(n)]


async def kept_object_lists(n: int, limits: ServerLimits) -> bool:
    """Whether the first is still known, so that an equal client shares it."""
    async with world(limits) as w:
        for client in range(n):
            await w.registers(client, TWO_LINKS + b",</%d/0>" % (3300 + client))
        await w.registers(n, TWO_LINKS + b",</3300/0> ")
        first, last = w.server.registration("0"), w.server.registration(str(n))
        assert first.object_list == last.object_list
        return first.object_list is last.object_list


async def max_queued_per_client(n: int, limits: ServerLimits) -> bool:
    async with asleep(limits) as w:
        try:
            for _ in range(n):
                await w.server.submit("0", Read(Path(3, 0, 0)))
        except TooBusy:
            return False
        return True


async def queue_patience(n: int, limits: ServerLimits) -> bool:
    """Whether somebody who asked nearly so many seconds ago still waits."""
    async with asleep(limits) as w:
        reading = asyncio.create_task(w.server.read("0", "/3/0/0"))
        await asyncio.sleep(n - 0.5)
        waits = not reading.done()
        reading.cancel()
        (end,) = await asyncio.gather(reading, return_exceptions=True)
        assert isinstance(end, asyncio.CancelledError if waits else TimedOut)
        return waits


async def awake_for(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        await w.registers(0, TWO_LINKS, "Q")
        await asyncio.sleep(n - 0.5)
        return not w.server.is_sleeping("0")


async def grace(n: int, limits: ServerLimits) -> bool:
    async with world(limits) as w:
        await w.registers()
        await asyncio.sleep(LIFETIME + n - 0.5)
        return w.registered() == 1


@asynccontextmanager
async def asleep(limits: ServerLimits) -> AsyncIterator[World]:
    async with world(replace(limits, awake_for=1.0)) as w:
        await w.registers(0, TWO_LINKS, "Q")
        await asyncio.sleep(1.5)
        assert w.server.is_sleeping("0")
        yield w


SERVER = {
    limit.__name__: limit
    for limit in (
        max_registrations,
        max_links,
        max_observations_per_client,
        max_events,
        kept_object_lists,
        max_queued_per_client,
        queue_patience,
        awake_for,
        grace,
    )
}
"""Whether so much is taken under these limits; of seconds, nearly so many."""


def test_no_limit_of_a_server_is_left_out() -> None:
    assert SERVER.keys() == {field.name for field in fields(ServerLimits)}


@pytest.mark.parametrize("name", SERVER)
@in_virtual_time
async def test_so_much_is_taken_and_one_more_is_not(name: str) -> None:
    limits = replace(ServerLimits(), **{name: 4})
    assert [await SERVER[name](n, limits) for n in (4, 5)] == [True, False]


# A bootstrap server


@asynccontextmanager
async def bootstrap(limits: BootstrapLimits) -> AsyncIterator[tuple[BootstrapServer, MemoryEndpoint]]:
    """Every client has a configuration unless its name begins with "x"."""
    endpoint = MemoryEndpoint()
    configs = BootstrapConfigs(patterns={"[!x]*": CONFIG})
    async with BootstrapServer([endpoint], configs, limits=limits, wall=clock().wall_time) as server:
        yield server, endpoint


async def asks(endpoint: MemoryEndpoint, client: str) -> Code:
    """And has what it asked for, or not, when this returns."""
    code = (await endpoint.receive(Request(Code.POST, ("bs",), (f"ep={client}",)), peer())).code
    await asyncio.sleep(1)
    return code


async def max_sessions(n: int, limits: BootstrapLimits) -> bool:
    async with bootstrap(limits) as (_, endpoint):
        endpoint.answers["/0"] = asyncio.get_running_loop().create_future()
        codes = [await asks(endpoint, str(client)) for client in range(n)]
        assert endpoint.waiting.is_set()
        return Code.SERVICE_UNAVAILABLE not in codes


async def max_endpoints(n: int, limits: BootstrapLimits) -> bool:
    async with bootstrap(limits) as (server, endpoint):
        for client in range(n):
            await asks(endpoint, str(client))
        assert server.log(str(n - 1))
        return bool(server.log("0"))


async def max_logs_per_endpoint(n: int, limits: BootstrapLimits) -> bool:
    async with bootstrap(limits) as (server, endpoint):
        for _ in range(n):
            await asks(endpoint, "0")
        return len(server.log("0")) == n


async def max_refused(n: int, limits: BootstrapLimits) -> bool:
    async with bootstrap(limits) as (server, endpoint):
        for client in range(n):
            assert await asks(endpoint, f"x{client}") == Code.BAD_REQUEST
        return bool(server.log("x0"))


async def max_bootstrap_events(n: int, limits: BootstrapLimits) -> bool:
    async with bootstrap(limits) as (server, endpoint):
        events = server.events()
        for client in range(n):
            await asks(endpoint, f"x{client}")
        return Overflow() not in [await anext(events) for _ in range(n)]


BOOTSTRAP = {
    "max_sessions": max_sessions,
    "max_endpoints": max_endpoints,
    "max_logs_per_endpoint": max_logs_per_endpoint,
    "max_refused": max_refused,
    "max_events": max_bootstrap_events,
}


def test_no_limit_of_a_bootstrap_server_is_left_out() -> None:
    assert BOOTSTRAP.keys() == {field.name for field in fields(BootstrapLimits)}


@pytest.mark.parametrize("name", BOOTSTRAP)
@in_virtual_time
async def test_a_bootstrap_server_takes_so_much_and_one_more_not(name: str) -> None:
    limits = replace(BootstrapLimits(), **{name: 4})
    assert [await BOOTSTRAP[name](n, limits) for n in (4, 5)] == [True, False]
