"""X. Software Management: the life cycle of a component, with its states and results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lwm2m.client.objects import Flag, SimulatedPackage
from lwm2m.coap.message import Code, Response
from lwm2m.testing import ScriptedPeer
from tests.conformance.bench import Bench, conforms

TEXT, OPAQUE = 0, 42
INSTALL, UNINSTALL, ACTIVATE, DEACTIVATE = "/9/0/4", "/9/0/6", "/9/0/10", "/9/0/11"
INITIAL, DOWNLOAD_STARTED, DELIVERED, INSTALLED = 0, 1, 3, 4
FILES = "10.0.0.9"


def package(flags: Flag = Flag.NONE, size: int = 3000) -> bytes:
    return SimulatedPackage("clock", "2.0", bytes(size), flags).to_bytes()


async def shows(bench: Bench, state: int, result: int, *, active: bool = False) -> None:
    """Soon; polled, as a server does it."""
    expected = {"/9/0/7": state, "/9/0/9": result, "/9/0/12": active}
    for _ in range(1200):
        values = bench.values(await bench.read("/9/0"))
        if values.items() >= expected.items():
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"{ {path: values[path] for path in expected} } instead of {expected}")


async def push(bench: Bench, body: bytes) -> None:
    assert (await bench.write_bytes("/9/0/2", body, OPAQUE)).code is Code.CHANGED


async def does(bench: Bench, path: str, arguments: str = "") -> None:
    assert (await bench.execute(path, arguments)).code is Code.CHANGED


async def refuses(bench: Bench, *paths: str) -> None:
    for path in paths:
        assert (path, (await bench.execute(path)).code) == (path, Code.METHOD_NOT_ALLOWED)


@asynccontextmanager
async def pull(bench: Bench, served: bytes, uri: str = f"coap://{FILES}/sw") -> AsyncIterator[None]:
    answers = {(Code.GET, "/sw"): Response(Code.CONTENT, served)}
    async with ScriptedPeer(bench.wire.endpoint(FILES, 5683), answers):
        assert (await bench.write("/9/0/3", uri, TEXT)).code is Code.CHANGED
        yield


@conforms("C.1", working=True)
async def test_x_900(bench: Bench) -> None:
    await shows(bench, INITIAL, 0)
    await refuses(bench, INSTALL, ACTIVATE, DEACTIVATE)
    await push(bench, package())
    await shows(bench, DELIVERED, 3)
    await refuses(bench, ACTIVATE, DEACTIVATE)
    await does(bench, INSTALL)
    await shows(bench, INSTALLED, 2)
    values = bench.values(await bench.read("/9/0"))
    assert (values["/9/0/0"], values["/9/0/1"]) == ("clock", "2.0")
    await refuses(bench, INSTALL)
    await does(bench, ACTIVATE)
    await shows(bench, INSTALLED, 2, active=True)
    await does(bench, DEACTIVATE)
    await shows(bench, INSTALLED, 2)
    await does(bench, UNINSTALL)
    await shows(bench, INITIAL, 0)


@conforms("C.1", working=True)
async def test_x_900_pull(bench: Bench) -> None:
    async with pull(bench, package(size=100_000)):
        await asyncio.sleep(1)
        await shows(bench, DOWNLOAD_STARTED, 1)
        await shows(bench, DELIVERED, 3)
        await does(bench, UNINSTALL)
        await shows(bench, INITIAL, 0)


@pytest.mark.parametrize(
    ("body", "result"),
    [(package(Flag.EXHAUSTS_MEMORY), 51), (package()[:-1] + b"\0", 53), (b"no package", 54)],
    ids=["memory", "integrity", "type"],
)
def test_x_900_of_what_is_not_taken(body: bytes, result: int) -> None:
    @conforms("C.1", working=True)
    async def case(bench: Bench) -> None:
        await push(bench, body)
        await shows(bench, INITIAL, result)

    case()


@conforms("C.1", working=True)
async def test_x_900_of_a_download_that_fails(bench: Bench) -> None:
    async with pull(bench, package(size=300_000)):
        await shows(bench, INITIAL, 50)
    async with pull(bench, package(), "coap://no such host/x"):
        await shows(bench, INITIAL, 56)
    async with pull(bench, package(size=200_000)):
        await asyncio.sleep(1)
        bench.wire.cut(FILES)  # type: ignore[attr-defined]  # this one is in memory only
        await shows(bench, INITIAL, 52)


@conforms("C.1", working=True)
async def test_x_900_of_an_install_and_a_removal_that_fail(bench: Bench) -> None:
    await push(bench, package(Flag.FAILS_TO_INSTALL))
    await shows(bench, DELIVERED, 3)
    await does(bench, INSTALL)
    await shows(bench, DELIVERED, 58)
    await does(bench, UNINSTALL)
    await shows(bench, INITIAL, 0)
    await push(bench, package(Flag.FAILS_TO_BE_REMOVED))
    await shows(bench, DELIVERED, 3)
    await does(bench, INSTALL)
    await shows(bench, INSTALLED, 2)
    await does(bench, UNINSTALL)
    await shows(bench, INSTALLED, 59)
