"""Queue mode: 108, 109 and ours."""

from __future__ import annotations

import asyncio

from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.operations import Read
from tests.conformance.bench import ENDPOINT, Bench, conforms


@conforms("C.1", registered=False, queue_mode=True)
async def test_1_1_int_108(bench: Bench) -> None:
    await bench.client.start()
    register = await bench.coming(Code.POST, "/rd")
    assert {"b=U", "Q"} <= set(register.request.query)
    assert register.code is Code.CREATED
    assert bench.server.registration(ENDPOINT).queue_mode


@conforms("C.1", queue_mode=True)
async def test_1_1_int_109(bench: Bench) -> None:
    assert (await bench.write("/1/0/1", 240, 0)).code is Code.CHANGED
    update = await bench.coming(Code.POST, "/rd/")
    assert update.request.query == ("lt=240",)
    await asyncio.sleep(120)
    reading = asyncio.create_task(bench.server.read(ENDPOINT, "/3/0/0"))
    await asyncio.sleep(1)
    assert not asked(bench, update.at)
    wakes = await bench.coming(Code.POST, "/rd/", within=240)
    assert (await reading)[0].value == "Open Mobile Alliance"
    (read,) = asked(bench, update.at)
    assert read > wakes.at


def asked(bench: Bench, since: float) -> list[float]:
    """When the server asked something."""
    sent = bench.wire.crossings
    return [one.at for one in sent if one.source[0] == bench.server_host and one.at > since and one.message.is_request]


@conforms("C.1", queue_mode=True, lifetime=600)
async def test_x_118(bench: Bench) -> None:
    """Many requests in their order and one at a time, a deadline that passes, and a Register instead of the Update."""
    await asyncio.sleep(200)
    assert bench.server.is_sleeping(ENDPOINT)
    late = asyncio.create_task(bench.server.ask(ENDPOINT, Read(Path(3, 0, 3)), timeout=30))
    queued = [asyncio.create_task(bench.server.ask(ENDPOINT, Read(Path(3, 0, n % 3)))) for n in range(10)]
    await asyncio.sleep(100)
    assert isinstance(late.exception(), Exception)
    assert not any(task.done() for task in queued)
    bench.begin()
    bench.client.restart()
    register = await bench.coming(Code.POST, "/rd", within=30)
    assert register.request.path == "/rd"
    await asyncio.gather(*queued)
    reads = [one for one in bench.exchanges() if one.source == bench.server_host]
    assert [one.request.path for one in reads] == [f"/3/0/{n % 3}" for n in range(10)]
    times = [(one.at, one.code) for one in reads]
    assert times == sorted(times)
    assert all(code is Code.CONTENT for _, code in times)
