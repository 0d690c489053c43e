"""C. Device management and service enablement, one path at a time: 201 to 261."""

from __future__ import annotations

import pytest

from lwm2m.coap.message import Code
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.record import Value
from tests.conformance.bench import ENDPOINT, Bench, conforms

TEXT, CBOR, SENML_JSON, SENML_CBOR, TLV, OMA_JSON = 0, 60, 110, 112, 11542, 11543
DEVICE_IDS = {"/3/0/0", "/3/0/1", "/3/0/2", "/3/0/11/0", "/3/0/16"}
WRITE_SET = bytes.fromhex("C10265C20303F2C20507D0C10601C10755")
WRITTEN: dict[str, Value] = {"/1/0/2": 101, "/1/0/3": 1010, "/1/0/5": 2000, "/1/0/6": True, "/1/0/7": "U"}
BEFORE: dict[str, Value] = {"2": 1, "3": 10, "5": 86400, "6": False, "7": "U"}


@conforms("C.1")
async def test_1_1_int_201(bench: Bench) -> None:
    for path, expected in (
        ("/3/0/0", b"Open Mobile Alliance"),
        ("/3/0/1", b"Lightweight M2M Client"),
        ("/3/0/2", b"345000123"),
    ):
        got = await bench.read(path, TEXT)
        assert (got.request.path, got.request.accept) == (path, TEXT)
        assert (got.code, got.response.content_format, got.payload) == (Code.CONTENT, TEXT, expected)


@conforms("C.1")
async def test_1_1_int_203(bench: Bench) -> None:
    got = await bench.read("/3/0", TLV)
    assert (got.code, got.response.content_format) == (Code.CONTENT, TLV)
    assert set(bench.values(got)) >= DEVICE_IDS
    assert got.payload[0] >> 6 in (0b00, 0b11)
    assert b"\xc8\x00\x14Open Mobile Alliance" in got.payload
    assert b"\x83\x0b\x41\x00\x00" in got.payload
    assert b"\xc1\x10U" in got.payload


@conforms("C.1")
async def test_1_1_int_204(bench: Bench) -> None:
    got = await bench.read("/3/0", OMA_JSON)
    assert (got.code, got.response.content_format) == (Code.CONTENT, OMA_JSON)
    assert set(bench.values(got)) >= DEVICE_IDS


@conforms("C.3")
async def test_1_1_int_205(bench: Bench) -> None:
    for path, value in (("/1/0/2", 101), ("/1/0/3", 1010), ("/1/0/5", 2000)):
        got = await bench.write(path, value, TEXT)
        assert (got.request.code, got.request.content_format) == (Code.PUT, TEXT)
        assert (got.request.payload, got.code) == (str(value).encode(), Code.CHANGED)
    got = await bench.read("/1/0", TLV)
    values = bench.values(got)
    assert (values["/1/0/2"], values["/1/0/3"], values["/1/0/5"]) == (101, 1010, 2000)
    for path, value in (("/1/0/2", 1), ("/1/0/3", 10), ("/1/0/5", 86400)):
        assert (await bench.write(path, value, TEXT)).code is Code.CHANGED
    values = bench.values(await bench.read("/1/0", TLV))
    assert (values["/1/0/2"], values["/1/0/3"], values["/1/0/5"]) == (1, 10, 86400)


@conforms("C.1")
async def test_1_1_int_211(bench: Bench) -> None:
    for path, expected in (("/1/0/0", "01"), ("/1/0/6", "f4"), ("/1/0/7", "6155")):
        got = await bench.read(path, CBOR)
        assert (got.code, got.response.content_format, got.payload.hex()) == (Code.CONTENT, CBOR, expected)


@conforms("C.3")
async def test_1_1_int_212(bench: Bench) -> None:
    for path, value, encoded in (("/1/0/2", 101, "1865"), ("/1/0/3", 1010, "1903f2"), ("/1/0/6", True, "f5")):
        got = await bench.write(path, value, CBOR)
        assert (got.request.content_format, got.request.payload.hex()) == (CBOR, encoded)
        assert got.code is Code.CHANGED
    values = bench.values(await bench.read("/1/0", TLV))
    assert (values["/1/0/2"], values["/1/0/3"], values["/1/0/6"]) == (101, 1010, True)


async def write_and_restore(bench: Bench, content_format: int, payload: bytes) -> None:
    """215 and 220: a partial update, and a replacement by the old values."""
    got = await bench.write_bytes("/1/0", payload, content_format, replace=False)
    assert (got.request.code, got.request.content_format, got.code) == (Code.POST, content_format, Code.CHANGED)
    values = bench.values(await bench.read("/1/0", content_format))
    assert {path: values[path] for path in WRITTEN} == WRITTEN
    got = await bench.write("/1/0", BEFORE, content_format)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    values = bench.values(await bench.read("/1/0", content_format))
    assert {path.removeprefix("/1/0/"): value for path, value in values.items()}.items() >= BEFORE.items()
    assert values["/1/0/0"] == 1


@conforms("C.3")
async def test_1_1_int_215(bench: Bench) -> None:
    await write_and_restore(bench, TLV, WRITE_SET)


@conforms("C.3")
async def test_1_1_int_220(bench: Bench) -> None:
    written = b'{"bn":"/1/0/","e":[{"n":"2","v":101},{"n":"3","v":1010},{"n":"5","v":2000},{"n":"6","bv":true},'
    await write_and_restore(bench, OMA_JSON, written + b'{"n":"7","sv":"U"}]}')


@conforms("C.1")
async def test_1_1_int_221(bench: Bench) -> None:
    assert (await bench.read("/0")).code is Code.UNAUTHORIZED
    assert (await bench.write("/0/0/0", "coap://192.0.2.1", TEXT)).code is Code.UNAUTHORIZED
    assert (await bench.attributes("/0", pmin=10)).code is Code.UNAUTHORIZED


@conforms("C.1")
async def test_1_1_int_222(bench: Bench) -> None:
    got = await bench.read("/1")
    assert got.code is Code.CONTENT
    assert set(bench.values(got)) >= {"/1/0/0", "/1/0/1", "/1/0/6", "/1/0/7"}
    got = await bench.read("/3")
    assert got.code is Code.CONTENT
    assert set(bench.values(got)) >= DEVICE_IDS


@conforms("C.1")
async def test_1_1_int_223(bench: Bench) -> None:
    got = await bench.read("/1/0")
    assert (got.code, bench.values(got)["/1/0/1"]) == (Code.CONTENT, 86400)
    got = await bench.read("/3/0")
    assert got.code is Code.CONTENT
    assert set(bench.values(got)) >= DEVICE_IDS


@conforms("C.1")
async def test_1_1_int_224(bench: Bench) -> None:
    expected: dict[str, Value] = {"/1/0/0": 1, "/1/0/1": 86400, "/1/0/6": False, "/1/0/7": "U", "/3/0/16": "U"}
    for path, value in expected.items():
        got = await bench.read(path)
        assert (got.code, bench.values(got)) == (Code.CONTENT, {path: value})


@conforms("C.1")
async def test_1_1_int_225(bench: Bench) -> None:
    got = await bench.read("/3/0/11/0")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/3/0/11/0": 0})


@conforms("C.1")
async def test_1_1_int_226(bench: Bench) -> None:
    got = await bench.write("/1/0", {"1": 61, "6": True}, TLV, replace=False)
    assert (got.request.code, got.code) == (Code.POST, Code.CHANGED)
    update = await bench.coming(Code.POST, "/rd/")
    assert (update.request.query, update.code) == (("lt=61",), Code.CHANGED)
    values = bench.values(await bench.read("/1/0"))
    assert (values["/1/0/1"], values["/1/0/6"]) == (61, True)
    assert (await bench.write("/1/0", {"1": 86400, "6": False}, TLV, replace=False)).code is Code.CHANGED
    assert (await bench.coming(Code.POST, "/rd/")).request.query == ("lt=86400",)


@conforms("C.1")
async def test_1_1_int_227(bench: Bench) -> None:
    for lifetime in (63, 86400):
        got = await bench.write("/1/0/1", lifetime, TEXT)
        assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
        update = await bench.coming(Code.POST, "/rd/")
        assert (update.request.query, update.code) == ((f"lt={lifetime}",), Code.CHANGED)
        assert bench.values(await bench.read("/1/0/1")) == {"/1/0/1": lifetime}


@conforms("C.1+16")
async def test_1_1_int_228(bench: Bench) -> None:
    got = await bench.write("/16/0/0/0", "test", TEXT)
    assert (got.request.code, got.request.path, got.code) == (Code.PUT, "/16/0/0/0", Code.CHANGED)
    got = await bench.read("/16/0/0/0")
    assert (got.code, bench.values(got)) == (Code.CONTENT, {"/16/0/0/0": "test"})
    assert bench.values(await bench.read("/16/0/0"))["/16/0/0/1"] == "Host Device Model #1"


async def read_four_levels(bench: Bench, content_format: int) -> None:
    for path, expected in (("/1", "/1/0/1"), ("/3", "/3/0/0"), ("/3/0/16", "/3/0/16"), ("/3/0/11/0", "/3/0/11/0")):
        got = await bench.read(path, content_format)
        assert (got.request.accept, got.response.content_format) == (content_format, content_format)
        assert got.code is Code.CONTENT
        assert expected in bench.values(got)


@conforms("C.1")
async def test_1_1_int_231(bench: Bench) -> None:
    await read_four_levels(bench, SENML_JSON)


@conforms("C.1")
async def test_1_1_int_232(bench: Bench) -> None:
    await read_four_levels(bench, SENML_CBOR)


async def write_three_levels(bench: Bench, content_format: int) -> None:
    got = await bench.write("/1/0", {"1": 61, "6": True}, content_format, replace=False)
    assert (got.request.content_format, got.code) == (content_format, Code.CHANGED)
    assert (await bench.coming(Code.POST, "/rd/")).request.query == ("lt=61",)
    values = bench.values(await bench.read("/1/0", content_format))
    assert (values["/1/0/1"], values["/1/0/6"]) == (61, True)
    got = await bench.write("/16/0/0/0", "test", content_format)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    assert bench.values(await bench.read("/16/0/0/0", content_format)) == {"/16/0/0/0": "test"}
    got = await bench.write("/16/0/0", {"0": "again"}, content_format, replace=False)
    assert (got.request.code, got.code) == (Code.POST, Code.CHANGED)
    assert bench.values(await bench.read("/16/0/0/0", content_format)) == {"/16/0/0/0": "again"}
    got = await bench.write("/1/0/1", 63, content_format)
    assert (got.request.code, got.code) == (Code.PUT, Code.CHANGED)
    assert (await bench.coming(Code.POST, "/rd/")).request.query == ("lt=63",)
    assert bench.values(await bench.read("/1/0/1", content_format)) == {"/1/0/1": 63}


@conforms("C.1+16")
async def test_1_1_int_233(bench: Bench) -> None:
    await write_three_levels(bench, SENML_CBOR)


@conforms("C.1+16")
async def test_1_1_int_234(bench: Bench) -> None:
    await write_three_levels(bench, SENML_JSON)


@conforms("C.1")
async def test_1_1_int_237(bench: Bench) -> None:
    for path in ("/1", "/3"):
        got = await bench.read(path)
        assert (got.request.accept, got.code) == (None, Code.CONTENT)
        assert bench.values(got)


@conforms("C.1")
async def test_1_1_int_241(bench: Bench) -> None:
    before = bench.server.registration(ENDPOINT)
    assert (await bench.execute("/3/0/4")).code is Code.CHANGED
    register = await bench.coming(Code.POST, "/rd")
    assert (register.request.path, register.code) == ("/rd", Code.CREATED)
    (now,) = bench.server.registrations()
    assert now.id != before.id
    assert register.response.location == f"/rd/{now.id}"


@conforms("C.1")
async def test_1_1_int_256(bench: Bench) -> None:
    got = await bench.write_bytes("/1/0/0", b"123", TEXT)
    assert (got.request.code, got.code) == (Code.PUT, Code.METHOD_NOT_ALLOWED)
    assert bench.values(await bench.read("/1/0/0")) == {"/1/0/0": 1}


@conforms("C.4")
async def test_1_1_int_260(bench: Bench) -> None:
    got = await bench.discover("/3")
    assert (got.request.accept, got.code) == (ContentFormat.LINK, Code.CONTENT)
    links = bench.links(got)
    assert {"/3", "/3/0", "/3/0/0", "/3/0/1", "/3/0/2", "/3/0/4", "/3/0/16"} <= set(links)
    assert {links[f"/3/0/{number}"]["dim"] for number in (6, 7, 8)} == {"2"}
    assert (await bench.attributes("/3", pmin=10, pmax=60)).code is Code.CHANGED
    assert bench.links(await bench.discover("/3"))["/3"].items() >= {"pmin": "10", "pmax": "60"}.items()
    assert bench.links(await bench.discover("/3/0"))["/3/0/6"] == {"dim": "2"}
    got = await bench.attributes("/3/0/7", gt=50, lt="42.2")
    assert set(got.request.query) == {"gt=50", "lt=42.2"}
    assert got.code is Code.CHANGED
    expected = {"dim": "2", "gt": "50", "lt": "42.2"}
    assert bench.links(await bench.discover("/3/0"))["/3/0/7"].items() >= expected.items()
    alone = bench.links(await bench.discover("/3/0/7"))
    assert alone["/3/0/7"].items() >= {**expected, "pmin": "10", "pmax": "60"}.items()


@conforms("C.1")
async def test_1_1_int_261(bench: Bench) -> None:
    assert (await bench.attributes("/3", pmin=10, pmax=200)).code is Code.CHANGED
    assert (await bench.attributes("/3/0", pmax=320)).code is Code.CHANGED
    assert (await bench.attributes("/3/0/11/0", pmax=100, epmin=1, epmax=20)).code is Code.CHANGED
    links = bench.links(await bench.discover("/3/0/11"))
    assert links["/3/0/11"].items() >= {"dim": "1", "pmin": "10", "pmax": "320"}.items()
    assert links["/3/0/11/0"].items() >= {"pmax": "100", "epmin": "1", "epmax": "20"}.items()


def test_a_case_that_sees_the_wrong_answer_fails() -> None:
    @conforms("C.1")
    async def expects_nonsense(bench: Bench) -> None:
        assert (await bench.read("/3/0/0", TEXT)).code is Code.NOT_FOUND

    with pytest.raises(AssertionError):
        expects_nonsense()
