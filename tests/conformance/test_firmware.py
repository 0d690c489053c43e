"""F. Firmware Update: 751 to 779, and ours, with a simulated device of two slots and one package format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lwm2m.client.objects import Flag, SimulatedPackage
from lwm2m.coap.message import Code, Response
from lwm2m.testing import ScriptedPeer
from tests.conformance.bench import Bench, conforms

TEXT, OPAQUE, TLV = 0, 42, 11542
MODEL = "Lightweight M2M Client"
FILES = "10.0.0.9"
"""Where packages are fetched from."""
URI = f"coap://{FILES}/fw"


def package(flags: Flag = Flag.NONE, model: str = MODEL, size: int = 3000) -> bytes:
    return SimulatedPackage(model, "2.0", bytes(size), flags).to_bytes()


async def state_and_result(bench: Bench) -> tuple[object, object]:
    values = bench.values(await bench.read("/5/0", TLV))
    return values["/5/0/3"], values["/5/0/5"]


async def reaches(bench: Bench, state: int, result: int, within: int = 600) -> None:
    """Polled, as the suite does it."""
    for _ in range(2 * within):
        if await state_and_result(bench) == (state, result):
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"{await state_and_result(bench)} instead of {(state, result)}")


async def push(bench: Bench, body: bytes) -> None:
    got = await bench.write_bytes("/5/0/0", body, OPAQUE)
    assert (got.request.code, got.request.path, got.code) == (Code.PUT, "/5/0/0", Code.CHANGED)
    codes = [one.code for one in bench.exchanges() if one.request.path == "/5/0/0"]
    assert codes == [Code.CONTINUE] * (len(codes) - 1) + [Code.CHANGED]
    assert len(codes) == max(1, -(-len(body) // 1024))


@asynccontextmanager
async def pull(bench: Bench, served: bytes) -> AsyncIterator[None]:
    """The URI written, with a server of packages behind it."""
    answers = {(Code.GET, "/fw"): Response(Code.CONTENT, served)}
    async with ScriptedPeer(bench.wire.endpoint(FILES, 5683), answers):
        assert (await bench.write("/5/0/1", URI, TEXT)).code is Code.CHANGED
        yield


async def installs(bench: Bench) -> None:
    assert bench.values(await bench.read("/3/0/3")) == {"/3/0/3": "1.0"}
    assert (await bench.execute("/5/0/2")).code is Code.CHANGED
    assert await state_and_result(bench) == (3, 0)
    register = await bench.coming(Code.POST, "/rd", within=60)
    assert (register.request.path, register.code) == ("/rd", Code.CREATED)
    await reaches(bench, 0, 1)
    assert bench.values(await bench.read("/3/0/3")) == {"/3/0/3": "2.0"}


async def stays(bench: Bench, result: int) -> None:
    """The update does not come about, and the package is still there."""
    await reaches(bench, 2, 0)
    assert (await bench.execute("/5/0/2")).code is Code.CHANGED
    await reaches(bench, 2, result)
    assert bench.values(await bench.read("/3/0/3")) == {"/3/0/3": "1.0"}


@conforms("C.8", working=True)
async def test_1_1_int_751(bench: Bench) -> None:
    got = await bench.read("/5/0", TLV)
    values = bench.values(got)
    assert (got.code, values["/5/0/3"], values["/5/0/5"]) == (Code.CONTENT, 0, 0)
    assert (values["/5/0/8/0"], values["/5/0/9"]) == (0, 2)


@conforms("C.8", working=True)
async def test_1_1_int_755(bench: Bench) -> None:
    await push(bench, b"\0")
    assert await state_and_result(bench) == (0, 0)
    await push(bench, package())
    await reaches(bench, 2, 0)


@conforms("C.8", working=True)
async def test_1_1_int_756(bench: Bench) -> None:
    assert (await bench.write("/5/0/1", "", TEXT)).code is Code.CHANGED
    assert await state_and_result(bench) == (0, 0)
    async with pull(bench, package()):
        await reaches(bench, 2, 0)


@conforms("C.8", working=True)
async def test_1_1_int_760(bench: Bench) -> None:
    assert (await bench.attributes("/5/0/3", pmin=1, pmax=200)).code is Code.CHANGED
    observed = await bench.observe("/5/0/3")
    assert bench.values(observed) == {"/5/0/3": 0}
    await push(bench, package())
    await asyncio.sleep(10)
    assert bench.values(bench.notifications(observed)[-1], "/5/0/3") == {"/5/0/3": 2}


@conforms("C.8", working=True)
async def test_1_1_int_770(bench: Bench) -> None:
    await push(bench, b"\0")
    await push(bench, package())
    await reaches(bench, 2, 0)
    await installs(bench)


@conforms("C.8", working=True)
async def test_1_1_int_771(bench: Bench) -> None:
    assert (await bench.write("/5/0/1", "", TEXT)).code is Code.CHANGED
    async with pull(bench, package()):
        await reaches(bench, 2, 0)
        sent = [one.message for one in bench.wire.crossings if one.source[0] == FILES and one.message.is_response]
        assert [message.block2.more for message in sent if message.block2] == [True, True, False]
        await installs(bench)


@conforms("C.8", working=True)
async def test_1_1_int_772(bench: Bench) -> None:
    assert (await bench.execute("/5/0/2")).code is Code.METHOD_NOT_ALLOWED
    assert await state_and_result(bench) == (0, 0)


@conforms("C.8", working=True)
async def test_1_1_int_773(bench: Bench) -> None:
    async with pull(bench, package(size=300_000)):
        await reaches(bench, 0, 2)


@conforms("C.8", working=True)
async def test_1_1_int_774(bench: Bench) -> None:
    await push(bench, package(Flag.EXHAUSTS_MEMORY))
    await reaches(bench, 0, 3)


@conforms("C.8", working=True)
async def test_1_1_int_775(bench: Bench) -> None:
    async with pull(bench, package(size=200_000)):
        await asyncio.sleep(1)
        assert await state_and_result(bench) == (1, 0)
        bench.wire.cut(FILES)  # type: ignore[attr-defined]  # this one is in memory only
        await reaches(bench, 0, 4, within=3600)


@conforms("C.8", working=True)
async def test_1_1_int_776(bench: Bench) -> None:
    await push(bench, package()[:-1] + b"\0")
    await reaches(bench, 0, 5)


@conforms("C.8", working=True)
async def test_1_1_int_777(bench: Bench) -> None:
    await push(bench, package(model="Another Device"))
    await reaches(bench, 0, 6)


@conforms("C.8", working=True)
async def test_1_1_int_778(bench: Bench) -> None:
    assert (await bench.write("/5/0/1", "coap://no such host/x", TEXT)).code is Code.CHANGED
    await reaches(bench, 0, 7)


@conforms("C.8", working=True)
async def test_1_1_int_779(bench: Bench) -> None:
    await push(bench, package(Flag.FAILS_TO_INSTALL))
    await stays(bench, 8)


@conforms("C.8", working=True)
async def test_x_780(bench: Bench) -> None:
    assert (await bench.write("/5/0/1", "ftp://192.0.2.1/fw", TEXT)).code is Code.CHANGED
    await reaches(bench, 0, 9)


@conforms("C.8", working=True)
async def test_x_781(bench: Bench) -> None:
    assert (await bench.execute("/5/0/10")).code is Code.METHOD_NOT_ALLOWED
    await push(bench, package())
    await reaches(bench, 2, 0)
    assert (await bench.execute("/5/0/10")).code is Code.CHANGED
    assert await state_and_result(bench) == (0, 10)
    async with pull(bench, package(size=200_000)):
        await asyncio.sleep(1)
        assert await state_and_result(bench) == (1, 0)
        assert (await bench.execute("/5/0/10")).code is Code.CHANGED
        assert await state_and_result(bench) == (0, 10)


@conforms("C.8", working=True)
async def test_x_782(bench: Bench) -> None:
    bench.device.updater.severe_only = True
    await push(bench, package())
    await stays(bench, 11)


@conforms("C.8", working=True)
async def test_x_783(bench: Bench) -> None:
    await push(bench, package(Flag.DOES_NOT_COME_UP))
    await stays(bench, 8)
