"""X. Notifications that could not be delivered."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from lwm2m.coap.message import Code
from tests.conformance.bench import Bench, changed, conforms

VOLTAGE, SENML_CBOR = "/3/0/7", 112


@pytest.mark.parametrize("storing", [True, False])
def test_x_560(storing: bool) -> None:
    """All values with their times after the return; without storing the latest only."""

    @conforms("C.4")
    async def case(bench: Bench) -> None:
        for path, value in (("/1/0/2", 0), ("/1/0/3", 0), ("/1/0/6", storing)):
            assert (await bench.write(path, value, 0)).code is Code.CHANGED
        await bench.observe(VOLTAGE, SENML_CBOR)
        bench.wire.cut(bench.server_host)  # type: ignore[attr-defined]  # this one is in memory only
        bench.client.restart()
        await asyncio.sleep(20)
        for number in (1, 2, 3):
            await asyncio.sleep(190)
            bench.client.update(changed("/3/0/7/0", 3800 + number))
        bench.begin()
        bench.wire.mend(bench.server_host)  # type: ignore[attr-defined]
        register = await bench.coming(Code.POST, "/rd", within=3600)
        assert (register.request.path, register.code) == ("/rd", Code.CREATED)
        await asyncio.sleep(30)
        again = bench.last()
        assert (again.request.path, again.request.observe) == (VOLTAGE, 0)
        assert bench.values(again)["/3/0/7/0"] == 3803
        records = [bench.records(one, VOLTAGE) for one in bench.notifications(again)]
        told = [(one.value, one.time) for record in records for one in record if str(one.path) == "/3/0/7/0"]
        assert [value for value, _ in told] == ([3801, 3802, 3803] if storing else [])
        times = [time for _, time in told if time is not None]
        assert len(times) == len(told)
        assert [round(after - before) for before, after in pairwise(times)] == [190] * len(told[1:])

    case()
