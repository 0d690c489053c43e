"""Composite operations and their observation: 229 to 281, 304 to 310."""

from __future__ import annotations

import asyncio
import itertools

from lwm2m.coap.message import Code
from lwm2m.model.path import Path
from lwm2m.model.record import Value
from lwm2m.operations import Body, ReadComposite, WriteComposite
from tests.conformance.bench import ENDPOINT, Bench, changed, conforms

SENML_JSON, SENML_CBOR = 110, 112
FETCH_280 = bytes.fromhex("83A100672F332F302F3136A100692F332F302F31312F30A100642F312F30")
WRITE_257 = bytes.fromhex("83A321612F0065312F302F32021865A20065312F302F3604F5A20066332F302F31330200")


@conforms("C.1")
async def test_1_1_int_229(bench: Bench) -> None:
    for accept in (SENML_JSON, SENML_CBOR):
        got = await bench.read_composite("/3", "/1/0", "/1/0/1", "/3/0/11/0", accept=accept)
        assert (got.request.code, got.request.path, got.request.accept) == (Code.FETCH, "/", accept)
        assert (got.code, got.response.content_format) == (Code.CONTENT, accept)
        values = bench.values(got)
        assert values.items() >= {"/3/0/0": "Open Mobile Alliance", "/1/0/1": 86400, "/3/0/11/0": 0}.items()


@conforms("C.1+16")
async def test_1_1_int_230(bench: Bench) -> None:
    values: dict[str, Value] = {"/1/0/1": 61, "/1/0/6": True, "/16/0/0/0": "test"}
    for content_format in (SENML_JSON, SENML_CBOR):
        got = await bench.write_composite(values, content_format)
        assert (got.request.code, got.request.path, got.code) == (Code.IPATCH, "/", Code.CHANGED)
        assert (await bench.coming(Code.POST, "/rd/")).request.query == (f"lt={values['/1/0/1']!r}",)
        assert bench.values(await bench.read("/1/0")).items() >= {"/1/0/1": values["/1/0/1"], "/1/0/6": True}.items()
        assert bench.values(await bench.read("/16/0"))["/16/0/0/0"] == "test"
        values["/1/0/1"] = 62


@conforms("C.1")
async def test_1_1_int_235(bench: Bench) -> None:
    got = await bench.ask(ReadComposite(Body(bytes.fromhex("81A100612F"), SENML_CBOR), SENML_CBOR))
    assert got.code is Code.CONTENT
    objects = {Path.parse(path)[0] for path in bench.values(got)}
    assert {1, 3} <= objects
    assert not objects & {0, 21, 23}


@conforms("C.1")
async def test_1_1_int_236(bench: Bench) -> None:
    got = await bench.read_composite("/1/0/1", "/3339/0", "/3/0/16", "/3353/0/6030")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/1/0/1": 86400, "/3/0/16": "U"})


@conforms("C.6")
async def test_1_1_int_257(bench: Bench) -> None:
    before = await bench.read_composite("/1/0/2", "/1/0/6", "/3/0/13")
    assert before.code is Code.CONTENT
    got = await bench.ask(WriteComposite(Body(WRITE_257, SENML_CBOR)))
    assert (got.request.code, got.code) == (Code.IPATCH, Code.CHANGED)
    values = bench.values(await bench.read_composite("/1/0/2", "/1/0/6", "/3/0/13"))
    assert (values["/1/0/2"], values["/1/0/6"]) == (101, True)
    assert 0 <= int(str(values["/3/0/13"])) <= 2


@conforms("C.1")
async def test_1_1_int_280(bench: Bench) -> None:
    got = await bench.ask(ReadComposite(Body(FETCH_280, SENML_CBOR), SENML_CBOR))
    values = bench.values(got)
    assert got.code is Code.CONTENT
    assert values.items() >= {"/3/0/16": "U", "/3/0/11/0": 0, "/1/0/0": 1, "/1/0/1": 86400}.items()
    assert {path for path in values if path.startswith("/3")} == {"/3/0/16", "/3/0/11/0"}


@conforms("C.1")
async def test_1_1_int_281(bench: Bench) -> None:
    got = await bench.read_composite("/1/0/1", "/1/0/7", "/1/0/8")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/1/0/1": 86400, "/1/0/7": "U"})


@conforms("C.1")
async def test_1_1_int_304(bench: Bench) -> None:
    assert (await bench.attributes("/1/0/1", pmin=30, pmax=45)).code is Code.CHANGED
    observed = await bench.observe_composite("/1/0/1", "/3/0/11/0", "/3/0/16")
    assert (observed.request.code, observed.request.observe, observed.code) == (Code.FETCH, 0, Code.CONTENT)
    three = {"/1/0/1", "/3/0/11/0", "/3/0/16"}
    assert set(bench.values(observed)) == three
    (notification,) = await bench.notified(observed, within=60)
    assert 30 <= notification.at - observed.at <= 45.5
    assert set(bench.values(notification)) == three


@conforms("C.1")
async def test_1_1_int_305(bench: Bench) -> None:
    paths = ["/1/0/1", "/3/0/16"]
    assert (await bench.attributes("/1/0/1", pmin=5, pmax=10)).code is Code.CHANGED
    observed = await bench.observe_composite(*paths)
    assert await bench.notified(observed, 2, within=60)
    bench.begin()
    await bench.server.cancel_composite_observation(ENDPOINT, paths)
    got = bench.last()
    assert (got.request.code, got.request.observe, got.code) == (Code.FETCH, 1, Code.CONTENT)
    assert got.request.payload == observed.request.payload
    count = len(bench.notifications(observed))
    await asyncio.sleep(120)
    assert len(bench.notifications(observed)) == count


@conforms("C.1+16")
async def test_1_1_int_308(bench: Bench) -> None:
    assert (await bench.attributes("/16/0", pmin=30, pmax=45)).code is Code.CHANGED
    observed = await bench.observe_composite("/16/0", "/16/1")
    assert {path[:5] for path in bench.values(observed)} == {"/16/0"}
    got = await bench.create("/16", bench.body("/16", {"1/0/0": "second"}, 11542))
    assert got.code is Code.CREATED
    (notification,) = await bench.notified(observed, within=60)
    assert 29.9 <= notification.at - observed.at <= 45.5
    assert bench.values(notification)["/16/1/0/0"] == "second"


@conforms("C.1+16")
async def test_1_1_int_309(bench: Bench) -> None:
    assert (await bench.create("/16", bench.body("/16", {"1/0/0": "second"}, 11542))).code is Code.CREATED
    observed = await bench.observe_composite("/16/0", "/16/1")
    assert {path[:5] for path in bench.values(observed)} == {"/16/0", "/16/1"}
    assert (await bench.delete("/16/1")).code is Code.DELETED
    bench.client.update(changed("/16/0/0/0", "first"))
    await asyncio.sleep(60)
    last = bench.notifications(observed)[-1]
    assert bench.values(last)["/16/0/0/0"] == "first"
    assert {path[:5] for path in bench.values(last)} == {"/16/0"}


@conforms("C.3")
async def test_1_1_int_310(bench: Bench) -> None:
    observed = await bench.observe_composite("/1/0/3", "/3/0")
    assert observed.request.observe == 0
    assert (await bench.attributes("/3", pmax=5)).code is Code.CHANGED
    await asyncio.sleep(31)
    times = [one.at for one in bench.notifications(observed)]
    assert len(times) >= 5
    assert all(4.9 <= after - before <= 5.5 for before, after in itertools.pairwise(times))
