"""D. Information reporting, one path at a time: 301 to 303."""

from __future__ import annotations

import asyncio
import itertools

from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.testing import Kind
from tests.conformance.bench import ENDPOINT, Bench, Exchange, changed, conforms

VOLTAGE, CURRENT = "/3/0/7", "/3/0/8"


async def observing(bench: Bench) -> tuple[Exchange, Exchange]:
    """301 up to the first answers."""
    got = await bench.read("/3/0/6")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/3/0/6/0": 1, "/3/0/6/1": 2})
    assert (await bench.attributes(VOLTAGE, pmin=5, pmax=15)).code is Code.CHANGED
    assert (await bench.attributes(CURRENT, pmin=10, pmax=20)).code is Code.CHANGED
    voltage, current = await bench.observe(VOLTAGE), await bench.observe(CURRENT)
    for first in (voltage, current):
        assert (first.request.observe, first.code) == (0, Code.CONTENT)
        assert first.response.observe is not None
    return voltage, current


def intervals(bench: Bench, observed: Exchange) -> list[float]:
    times = [observed.at, *(notification.at for notification in bench.notifications(observed))]
    return [after - before for before, after in itertools.pairwise(times)]


@conforms("C.4")
async def test_1_1_int_301(bench: Bench) -> None:
    voltage, current = await observing(bench)
    await asyncio.sleep(60)
    assert all(14.5 <= gap <= 15.5 for gap in intervals(bench, voltage))
    assert all(19.5 <= gap <= 20.5 for gap in intervals(bench, current))
    assert (len(intervals(bench, voltage)), len(intervals(bench, current))) == (4, 3) or bench.notifications(current)
    before = len(bench.notifications(voltage))
    for number in range(12):
        bench.client.update(changed("/3/0/7/0", 3800 - number))
        await asyncio.sleep(1)
    new = bench.notifications(voltage)[before:]
    assert 2 <= len(new) <= 3
    assert all(4.9 <= gap <= 15.5 for gap in intervals(bench, voltage))
    assert bench.values(new[-1], VOLTAGE).keys() == {"/3/0/7/0", "/3/0/7/1"}


@conforms("C.4")
async def test_1_1_int_302(bench: Bench) -> None:
    voltage, current = await observing(bench)
    for ended, left in ((voltage, [current]), (current, [])):
        path = ended.request.path
        await bench.server.cancel_observation(ENDPOINT, path, active=False)
        notification = (await bench.notified(ended, within=30))[0]
        await asyncio.sleep(1)
        resets = [one.message for one in bench.wire.crossings if one.message.kind is Kind.RST]
        assert notification.message.mid in {reset.mid for reset in resets}
        count = len(bench.notifications(ended))
        others = [len(bench.notifications(one)) for one in left]
        await asyncio.sleep(60)
        assert len(bench.notifications(ended)) == count
        assert all(len(bench.notifications(one)) > seen for one, seen in zip(left, others, strict=True))
    assert bench.server.observations(ENDPOINT) == ()


@conforms("C.4")
async def test_1_1_int_303(bench: Bench) -> None:
    voltage, current = await observing(bench)
    for ended, left in ((voltage, 1), (current, 0)):
        bench.begin()
        await bench.server.cancel_observation(ENDPOINT, ended.request.path)
        got = bench.last()
        assert (got.request.observe, got.request.path) == (1, ended.request.path)
        assert got.request.token == ended.request.token
        assert (got.code, got.response.observe) == (Code.CONTENT, None)
        assert len(bench.server.observations(ENDPOINT)) == left
        count = len(bench.notifications(ended))
        await asyncio.sleep(60)
        assert len(bench.notifications(ended)) == count


@conforms("C.4")
async def test_x_114(bench: Bench) -> None:
    """A Register ends the observations; the server asks anew."""
    first = await bench.observe(VOLTAGE)
    bench.begin()
    bench.client.restart()
    register = await bench.coming(Code.POST, "/rd")
    assert (register.request.path, register.code) == ("/rd", Code.CREATED)
    await asyncio.sleep(5)
    again = bench.last()
    assert (again.request.path, again.request.observe) == (VOLTAGE, 0)
    assert again.request.token != first.request.token
    old = len(bench.notifications(first))
    bench.client.update([Record(Path(3, 0, 7, 0), 3700)])
    assert await bench.notified(again, within=30)
    assert len(bench.notifications(first)) == old


@conforms("C.4")
async def test_x_321(bench: Bench) -> None:
    """pmin defers, pmax repeats, pmax below pmin and 0 are ignored, pmin = pmax is a clock."""
    await bench.attributes(VOLTAGE, pmin=10, pmax=60)
    observed = await bench.observe(VOLTAGE)
    start = observed.at
    for at, value in ((3, 1), (12, 2), (15, 1)):
        await asyncio.sleep(start + at - asyncio.get_running_loop().time())
        bench.client.update(changed("/3/0/7/0", value))
    await asyncio.sleep(70)
    assert [round(one.at - start) for one in bench.notifications(observed)] == [10, 20, 80]
    await bench.attributes(VOLTAGE, pmin=10, pmax=5)
    count = len(bench.notifications(observed))
    await asyncio.sleep(300)
    assert len(bench.notifications(observed)) == count
    await bench.attributes(VOLTAGE, pmin=20, pmax=20)
    await asyncio.sleep(1)
    begin = len(bench.notifications(observed))
    for number in range(10):
        bench.client.update(changed("/3/0/7/0", 100 + number))
        await asyncio.sleep(7)
    times = [one.at for one in bench.notifications(observed)[begin:]]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(gaps) >= 2
    assert all(19.9 <= gap <= 20.1 for gap in gaps)
