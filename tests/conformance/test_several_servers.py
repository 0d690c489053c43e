"""Cases with two servers and Access Control: 950, 951 and ours."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from lwm2m.client import Client
from lwm2m.coap.message import Code, Response
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Create, Delete, DeviceOperation, Execute, Read, Write
from lwm2m.server import Server
from lwm2m.testing import Network, ScriptedPeer, clock, run
from tests.conformance.bench import ENDPOINT, Bench
from tests.conformance.configurations import DEVICE as DEVICE_VALUES
from tests.conformance.configurations import SERVER as SERVER_VALUES
from tests.conformance.configurations import Values, records
from tests.wire import DEVICE

HOSTS = ("10.0.0.1", "10.0.0.2")
FULL = 65_535
TEXT, TLV = 0, 11542


def account(number: int) -> list[Record]:
    security: Values = {0: f"coap://{HOSTS[number - 1]}", 1: False, 2: 3, 3: b"", 4: b"", 5: b"", 10: number}
    server: Values = {**SERVER_VALUES, 0: number}
    return [*records(f"/0/{2 * number - 2}", security), *records(f"/1/{number - 1}", server)]


def access(instance: int, target: tuple[int, int], entries: dict[int, int], owner: int) -> list[Record]:
    listed: Values = {0: target[0], 1: target[1], 3: owner}
    path = Path(2, instance, 2)
    return [*records(f"/2/{instance}", listed), *(Record(path.child(who), bits) for who, bits in entries.items())]


C_14 = [
    *account(1),
    *account(2),
    *records("/3/0", DEVICE_VALUES),
    *access(0, (1, 0), {1: 15}, 1),
    *access(1, (1, 1), {2: 15}, 2),
    *access(2, (3, 0), {1: 15, 2: 15}, FULL),
]

Case = Callable[[Bench, Bench], Awaitable[None]]


def shared(*more: Record, registered: bool = True) -> Callable[[Case], Callable[[], None]]:
    """Make a case with two servers a test; each bench is what one of them sees of the client."""

    def decorate(case: Case) -> Callable[[], None]:
        async def on() -> None:
            network, now = Network(), clock().time
            coap = network.endpoint(DEVICE)
            client = Client(ENDPOINT, (), [*C_14, *more], coap=coap, clock=now, wall_clock=clock().wall_time)
            async with AsyncExitStack() as stack:
                benches = []
                for host in HOSTS:
                    server = Server([network.endpoint(host, 5683)], clock=now, wall=clock().wall_time)
                    await stack.enter_async_context(server)
                    benches.append(Bench(network, server, client, host, DEVICE))
                await stack.enter_async_context(client)
                if registered:
                    await client.registered(60, 1)
                    await client.registered(60, 2)
                await case(*benches)

        def test() -> None:
            run(on())

        functools.update_wrapper(test, case)
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]  # pytest reads it
        return test

    return decorate


@shared(registered=False)
async def test_1_1_int_950(first: Bench, second: Bench) -> None:
    for bench in (first, second):
        registers = await bench.until(lambda bench=bench: registers_at(bench), 60, "a Register")  # type: ignore[misc]
        assert len(registers) == 1
        assert bench.server.registration(ENDPOINT).lifetime == 86400


def registers_at(bench: Bench) -> Sequence[str] | None:
    """The locations that this server answered a Register with."""
    answered = [one.message for one in bench.wire.crossings if one.source[0] == bench.server_host]
    return [message.location for message in answered if message.code == Code.CREATED] or None


@shared()
async def test_1_1_int_951(first: Bench, second: Bench) -> None:
    assert (await first.attributes("/3/0", pmin=10, pmax=100)).code is Code.CHANGED
    assert (await second.attributes("/3/0", pmin=20, pmax=200)).code is Code.CHANGED
    assert first.links(await first.discover("/3/0"))["/3/0"] == {"pmin": "10", "pmax": "100"}
    assert second.links(await second.discover("/3/0"))["/3/0"] == {"pmin": "20", "pmax": "200"}


@shared()
async def test_x_322(first: Bench, second: Bench) -> None:
    """The nearest attribute wins, for each by itself and for each server."""
    for path, attributes in (
        ("/3", {"pmin": 1, "pmax": 11}),
        ("/3/0", {"pmin": 2}),
        ("/3/0/11", {"pmax": 13}),
        ("/3/0/11/0", {"pmin": 4}),
    ):
        assert (await first.attributes(path, **attributes)).code is Code.CHANGED
    links = first.links(await first.discover("/3/0/11"))
    assert links["/3/0/11"] == {"dim": "1", "pmin": "2", "pmax": "13"}
    assert links["/3/0/11/0"] == {"pmin": "4"}
    assert second.links(await second.discover("/3/0/11"))["/3/0/11"] == {"dim": "1"}


R, W, E, D, C = 1, 2, 4, 8, 16
SENSOR = Path(3303, 0)
OPERATIONS: dict[int, Callable[[Bench], DeviceOperation]] = {
    R: lambda _: Read(SENSOR.child(5700)),
    W: lambda bench: Write(SENSOR.child(5750), bench.body("/3303/0/5750", "warm", TEXT)),
    E: lambda _: Execute(SENSOR.child(5605)),
    D: lambda _: Delete(SENSOR),
    C: lambda bench: Create(Path(3303), bench.body("/3303", {"7/5750": "new"}, TLV)),
}
GRANTED = {R: Code.CONTENT, W: Code.CHANGED, E: Code.CHANGED, D: Code.DELETED, C: Code.CREATED}


def rights(kind: str, bits: int) -> tuple[dict[int, int], int]:
    """ACL and owner, as the second server sees them."""
    return {
        "own entry": ({0: 0, 2: bits}, 1),
        "default entry": ({0: bits}, 1),
        "owner without entry": ({}, 2),
        "none": ({1: 31}, 1),
    }[kind]


@pytest.mark.parametrize("right", OPERATIONS, ids=["R", "W", "E", "D", "C"])
@pytest.mark.parametrize("kind", ["own entry", "default entry", "owner without entry", "none"])
@pytest.mark.parametrize("has", [True, False])
def test_x_600(kind: str, right: int, has: bool) -> None:
    entries, owner = rights(kind, right if has else 31 & ~right)
    object_wide = [*access(9, (3303, FULL), entries, owner)] if right == C else []

    @shared(
        Record(SENSOR.child(5700), 21.5),
        Record(SENSOR.child(5605), None),
        Record(SENSOR.child(5750), "cold"),
        *access(8, (3303, 0), entries, owner),
        *object_wide,
    )
    async def case(_first: Bench, second: Bench) -> None:
        got = await second.ask(OPERATIONS[right](second))
        allowed = {"owner without entry": right != C, "none": False}.get(kind, has)
        assert got.code is (GRANTED[right] if allowed else Code.UNAUTHORIZED)

    case()


@shared()
async def test_x_565(first: Bench, second: Bench) -> None:
    got = await first.create("/1", first.body("/1", {"5/1": 60, "5/6": True, "5/7": "U"}, TLV))
    assert got.code in (Code.METHOD_NOT_ALLOWED, Code.UNAUTHORIZED)
    assert second.client.data_model.instances(1) == (0, 1)


@shared()
async def test_x_566(first: Bench, second: Bench) -> None:
    assert (await first.delete("/1/0")).code in (Code.METHOD_NOT_ALLOWED, Code.UNAUTHORIZED)
    assert (await second.delete("/1/0")).code in (Code.METHOD_NOT_ALLOWED, Code.UNAUTHORIZED)
    assert first.client.data_model.instances(1) == (0, 1)


RETRY: Values = {17: 3, 18: 10, 19: 100, 20: 2}
"""Three tries, 10 and 20 s apart; twice, with 100 s between."""


def times_of_registers(network: Network, host: str) -> list[float]:
    return [round(one.at) for one in network.between(DEVICE, host) if one.message.is_request]


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("delay", [0, 7])
def test_x_053(block: bool, delay: int) -> None:
    """The server of the higher priority comes first, with its tries; the second follows unless the first one blocks."""

    async def case() -> None:
        network, began = Network(), clock().time()
        order = [
            *account(1),
            *account(2),
            *records("/1/0", {13: 2}),
            *records("/1/1", {13: 1, 14: delay, 15: block, 16: False, **RETRY}),
            *records("/3/0", DEVICE_VALUES),
        ]
        refusing = ScriptedPeer(
            network.endpoint(HOSTS[1], 5683), {(Code.POST, "/rd"): Response(Code.INTERNAL_SERVER_ERROR)}
        )
        server = Server([network.endpoint(HOSTS[0], 5683)], clock=clock().time, wall=clock().wall_time)
        client = Client(ENDPOINT, (), order, coap=network.endpoint(DEVICE), clock=clock().time)
        async with refusing, server, client:
            await asyncio.sleep(3600)
            start = began + delay
            tries = [round(at - start) for at in times_of_registers(network, HOSTS[1])]
            assert tries == [0, 10, 30, 130, 140, 160]
            at_first = [round(at - start) for at in times_of_registers(network, HOSTS[0])][:1]
            assert at_first == ([] if block else [160])

    run(case())
