"""F. Core objects: 651 to 951, but for Firmware Update."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from lwm2m.coap.message import Code
from tests.conformance.bench import Bench, changed, conforms

TEXT, TLV = 0, 11542
DEVICE_SET = bytes.fromhex("C40D5182428FC60E2B30323A3030C80F0C4575726F70652F5061726973")
PERIODS = {"pmin": 2, "pmax": 10}


@conforms("C.6")
async def test_1_1_int_651(bench: Bench) -> None:
    before = bench.values(await bench.read("/3/0", TLV))
    got = await bench.write_bytes("/3/0", DEVICE_SET, TLV, replace=False)
    assert (got.request.code, got.code) == (Code.POST, Code.CHANGED)
    values = bench.values(await bench.read("/3/0", TLV))
    assert abs(int(str(values["/3/0/13"])) - 1367491215) <= 1
    assert (values["/3/0/14"], values["/3/0/15"]) == ("+02:00", "Europe/Paris")
    old = {"13": before["/3/0/13"], "14": "+01:00", "15": "Europe/London"}
    got = await bench.write("/3/0", old, TLV)  # type: ignore[arg-type]  # a Time is an int
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    values = bench.values(await bench.read("/3/0", TLV))
    assert (values["/3/0/14"], values["/3/0/15"]) == ("+01:00", "Europe/London")


@conforms("C.6")
async def test_1_1_int_652(bench: Bench) -> None:
    got = await bench.read("/3/0/3")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/3/0/3": "1.0"})


@conforms("C.1")
async def test_1_1_int_680(bench: Bench) -> None:
    got = await bench.create("/3", bench.body("/3", {"1/0": "Acme"}, TLV))
    assert (got.request.code, got.request.path, got.code) == (Code.POST, "/3", Code.METHOD_NOT_ALLOWED)


@conforms("C.1")
async def test_1_1_int_685(bench: Bench) -> None:
    got = await bench.delete("/3/0")
    assert (got.request.code, got.code) == (Code.DELETE, Code.METHOD_NOT_ALLOWED)
    assert (await bench.read("/3/0/0")).code is Code.CONTENT


@conforms("C.5")
async def test_1_1_int_701(bench: Bench) -> None:
    got = await bench.read("/4/0")
    assert got.code is Code.CONTENT
    assert set(bench.values(got)) >= {"/4/0/0", "/4/0/1/0", "/4/0/2", "/4/0/4/0"}


async def in_window(bench: Bench, instance: str, resource: str, values: list[int | float]) -> None:
    """710, 810: the first value, then between 2 and 10 s whatever changes."""
    assert (await bench.attributes(instance, **PERIODS)).code is Code.CHANGED
    observed = await bench.observe(instance)
    assert observed.code is Code.CONTENT
    assert observed.response.observe is not None
    await asyncio.sleep(25)
    for value in values:
        bench.client.update(changed(resource, value))
        await asyncio.sleep(1)
    notifications = bench.notifications(observed)
    times = [observed.at, *(one.at for one in notifications)]
    assert len(notifications) >= 4
    assert all(1.9 <= after - before <= 10.5 for before, after in pairwise(times))
    await asyncio.sleep(3)
    assert bench.values(bench.notifications(observed)[-1], instance)[resource] == values[-1]


@conforms("C.5")
async def test_1_1_int_710(bench: Bench) -> None:
    await in_window(bench, "/4/0", "/4/0/2", [91, 90, 89, 88, 87])


@conforms("C.7")
async def test_1_1_int_801(bench: Bench) -> None:
    got = await bench.read("/6/0")
    assert got.code is Code.CONTENT
    values = bench.values(got)
    assert values["/6/0/0"] == 43.5723
    assert values.keys() >= {"/6/0/0", "/6/0/1", "/6/0/5"}


@conforms("C.7")
async def test_1_1_int_810(bench: Bench) -> None:
    await in_window(bench, "/6/0", "/6/0/0", [43.6, 43.7, 43.8, 43.9, 44.0])


@conforms("C.9", working=True)
async def test_1_1_int_901(bench: Bench) -> None:
    assert (await bench.execute("/7/0/6")).code is Code.CHANGED
    bench.device.passed(5000, 0)
    bench.device.passed(0, 3000)
    assert (await bench.execute("/7/0/7")).code is Code.CHANGED
    got = await bench.read("/7/0")
    values = bench.values(got)
    assert (got.code, values["/7/0/2"], values["/7/0/3"]) == (Code.CONTENT, 5, 3)
    assert (values["/7/0/4"], values["/7/0/5"]) == (5000, 4000)


@conforms("C.9", working=True)
async def test_1_1_int_905(bench: Bench) -> None:
    got = await bench.write("/7/0/8", 600, TEXT)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    assert bench.values(await bench.read("/7/0/8")) == {"/7/0/8": 600}


@conforms("C.9", working=True)
async def test_1_1_int_910(bench: Bench) -> None:
    assert (await bench.attributes("/7/0", **PERIODS)).code is Code.CHANGED
    assert (await bench.write("/7/0/8", 0, TEXT)).code is Code.CHANGED
    observed = await bench.observe("/7/0")
    assert observed.response.observe is not None
    assert (await bench.execute("/7/0/6")).code is Code.CHANGED
    await asyncio.sleep(25)
    assert (await bench.execute("/7/0/7")).code is Code.CHANGED
    times = [observed.at, *(one.at for one in bench.notifications(observed))]
    assert len(times) >= 3
    assert all(1.9 <= after - before <= 10.5 for before, after in pairwise(times))


@conforms("C.6", working=True)
async def test_x_656(bench: Bench) -> None:
    """Factory reset: the device's own values are those it was made with, and it registers anew."""
    assert (await bench.write("/3/0/15", "Asia/Shanghai", TEXT)).code is Code.CHANGED
    assert (await bench.execute("/3/0/5")).code is Code.CHANGED
    register = await bench.coming(Code.POST, "/rd", within=30)
    assert (register.request.path, register.code) == ("/rd", Code.CREATED)
    assert bench.values(await bench.read("/3/0/15")) == {"/3/0/15": "Europe/Paris"}


@conforms("C.6", working=True)
async def test_x_657(bench: Bench) -> None:
    assert set(bench.values(await bench.read("/3/0/11")).values()) == {0}
    device = bench.device.device
    device.report_error(2)
    assert list(bench.values(await bench.read("/3/0/11")).values()) == [2]
    device.report_error(6)
    assert set(bench.values(await bench.read("/3/0/11")).values()) == {2, 6}
    assert (await bench.execute("/3/0/12")).code is Code.CHANGED
    assert bench.values(await bench.read("/3/0/11")) == {"/3/0/11/0": 0}
    device.set_error(1, True)
    assert (await bench.execute("/3/0/12")).code is Code.CHANGED
    assert set(bench.values(await bench.read("/3/0/11")).values()) == {1}
