"""G. Additional objects: 1200 to 2001."""

from __future__ import annotations

import asyncio
import itertools

from lwm2m.coap.message import Code
from lwm2m.model.record import Value
from lwm2m.operations import Body
from tests.conformance.bench import Bench, Exchange, changed, conforms, links_of

TLV = 11542


@conforms("C.10")
async def test_1_1_int_1200(bench: Bench) -> None:
    got = await bench.read("/10/0", TLV)
    assert got.code is Code.CONTENT
    values = bench.values(got)
    expected = {"/10/0/4": 3600, "/10/0/5": 600, "/10/0/8": b"\x14", "/10/0/9": b"\x33"}
    assert values.items() >= expected.items()


@conforms("C.11")
async def test_1_1_int_1201(bench: Bench) -> None:
    links = bench.links(await bench.discover("/10"))
    assert links["/10"]["ver"] == "1.1"
    assert {"/10/0", "/10/0/4", "/10/0/5", "/10/0/11", "/10/0/13", "/10/0/14"} <= set(links)
    got = await bench.read("/10/0", TLV)
    values = bench.values(got)
    assert (got.code, values["/10/0/13"], values["/10/0/14"]) == (Code.CONTENT, 3, 1)
    assert str(values["/10/0/11/0"]) == "11:0"


@conforms("C.11")
async def test_1_1_int_1202(bench: Bench) -> None:
    assert (await bench.discover("/10")).code is Code.CONTENT
    assert bench.values(await bench.read("/10/0/13")) == {"/10/0/13": 3}
    got = await bench.write_bytes("/10/0/14", bytes.fromhex("C10E02"), TLV)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    assert bench.values(await bench.read("/10/0/14")) == {"/10/0/14": 2}


async def within(bench: Bench, paths: dict[str, tuple[Value, Value]], pmin: int, pmax: int) -> None:
    """Attributes on each path, an observation of each, two other values of each: notified in the window."""
    observed: dict[str, Exchange] = {}
    for path in paths:
        assert (await bench.attributes(path, pmin=pmin, pmax=pmax)).code is Code.CHANGED
    for path in paths:
        observed[path] = await bench.observe(path)
        assert observed[path].response.observe is not None
    for number in range(2):
        for path, values in paths.items():
            bench.client.update(changed(path, values[number]))
        await asyncio.sleep(2 * pmin + 1)
    await asyncio.sleep(2 * pmax)
    for path, first in observed.items():
        notifications = bench.notifications(first)
        assert [bench.values(one, path)[path] for one in notifications[:2]] == list(paths[path])
        times = [first.at, *(one.at for one in notifications)]
        assert all(pmin - 0.1 <= b - a <= pmax + 0.5 for a, b in itertools.pairwise(times))


@conforms("C.11")
async def test_1_1_int_1203(bench: Bench) -> None:
    await within(bench, {"/10/0/13": (1, 2), "/10/0/14": (0, 2)}, 5, 30)


@conforms("C.10")
async def test_1_1_int_1204(bench: Bench) -> None:
    resources: dict[str, tuple[Value, Value]] = {
        "/10/0/4": (7200, 3600),
        "/10/0/5": (300, 600),
        "/10/0/8": (b"\x15", b"\x16"),
        "/10/0/9": (b"\x34", b"\x35"),
    }
    await within(bench, resources, 5, 30)


@conforms("C.15")
async def test_1_1_int_1900(bench: Bench) -> None:
    links = bench.links(await bench.discover("/19"))
    assert {"/19", "/19/0", "/19/0/0", "/19/1", "/19/1/0"} <= set(links)
    assert (await bench.attributes("/19/0/0", pmin=300, pmax=3600)).code is Code.CHANGED
    observed = await bench.observe("/19/0/0")
    assert observed.response.observe is not None
    bench.client.update(changed("/19/0/0/0", b"\x03"))
    (notification,) = await bench.notified(observed, within=310)
    assert 299 <= notification.at - observed.at <= 301
    assert bench.values(notification, "/19/0/0") == {"/19/0/0/0": b"\x03"}
    (repeated,) = await bench.notified(observed, within=3700)
    assert 3599 <= repeated.at - notification.at <= 3601


@conforms("C.15")
async def test_1_1_int_1901(bench: Bench) -> None:
    got = await bench.write("/19/1/0", {"0": b"\x09\x08\x07"}, TLV)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    assert bench.values(await bench.read("/19/1/0")) == {"/19/1/0/0": b"\x09\x08\x07"}


@conforms("C.16", working=True)
async def test_1_1_int_2000(bench: Bench) -> None:
    """The registry calls 4011 executable, so it is executed; the printed write is refused."""
    assert (await bench.write_bytes("/20/0/4011", b"1", 0)).code is Code.METHOD_NOT_ALLOWED
    got = await bench.execute("/20/0/4011", "0='1'")
    assert (got.request.payload, got.code) == (b"0='1'", Code.CHANGED)
    bench.device.log.record("something happened")
    values = bench.values(await bench.read("/20/0/4013"))
    assert values == {"/20/0/4013": 2}


@conforms("C.16", working=True)
async def test_1_1_int_2001(bench: Bench) -> None:
    assert (await bench.execute("/20/0/4011")).code is Code.CHANGED
    bench.device.log.record("something happened")
    got = await bench.read("/20/0", TLV)
    values = bench.values(got)
    assert (got.code, values["/20/0/4010"], values["/20/0/4013"]) == (Code.CONTENT, 0, 2)
    assert b"something happened" in bytes(values["/20/0/4014"])  # type: ignore[arg-type]  # it is Opaque


IDENTITY_2 = (
    bytes.fromhex("08012E88002B480011") + b"Host Device ID #2" + bytes.fromhex("480114") + b"Host Device Model #2"
)


@conforms("C.10")
async def test_conmgmt_1_1_int_1250(bench: Bench) -> None:
    got = await bench.create("/11", bench.body("/11", {"1/0": "second", "1/1": "iot.two", "1/4": 0}, TLV))
    assert (got.request.code, got.request.path, got.code) == (Code.POST, "/11", Code.CREATED)
    update = await bench.coming(Code.POST, "/rd/")
    assert "/11/1" in links_of(update.request.payload)
    assert (await bench.execute("/1/0/8")).code is Code.CHANGED
    assert (await bench.coming(Code.POST, "/rd/")).code is Code.CHANGED
    assert (await bench.write("/11/1/3", True, 0)).code is Code.CHANGED
    got = await bench.read("/10/0/11")
    assert got.code is Code.CONTENT
    assert str(bench.values(got)["/10/0/11/0"]) == "11:0"


@conforms("C.12")
async def test_1_1_int_1630(bench: Bench) -> None:
    assert bench.links(await bench.discover("/16/0"))["/16/0/0"]["dim"] == "4"
    got = await bench.create("/16", Body(IDENTITY_2, TLV))
    assert (got.request.code, got.request.path, got.code) == (Code.POST, "/16", Code.CREATED)
    assert bench.links(await bench.discover("/16/1"))["/16/1/0"]["dim"] == "2"
    values = bench.values(await bench.read("/16"))
    assert values["/16/1/0/0"] == "Host Device ID #2"
    assert values["/16/0/0/0"] == "Host Device ID #1"


@conforms("C.12")
async def test_1_1_int_1635(bench: Bench) -> None:
    assert (await bench.create("/16", Body(IDENTITY_2, TLV))).code is Code.CREATED
    assert {"/16/0", "/16/1"} <= set(bench.links(await bench.discover("/16")))
    for path in ("/16/0", "/16/1"):
        got = await bench.delete(path)
        assert (got.request.code, got.code) == (Code.DELETE, Code.DELETED)
    assert set(bench.links(await bench.discover("/16"))) == {"/16"}


@conforms("C.12")
async def test_x_271(bench: Bench) -> None:
    for number, content_format in ((1, TLV), (2, 110), (3, 112)):
        values: dict[str, Value] = {f"{number}/0/{n}": f"text {n}" for n in range(3)}
        got = await bench.create("/16", bench.body("/16", values, content_format))
        assert (got.request.content_format, got.code) == (content_format, Code.CREATED)
        assert bench.links(await bench.discover(f"/16/{number}"))[f"/16/{number}/0"]["dim"] == "3"
