"""Several targets at once: Read-Composite, Write-Composite, Observe-Composite. lwm2m.md §6.9-6.11, §7.4."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from lwm2m.coap.message import Code, Request, Response, Subscription
from lwm2m.errors import InternalServerError
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.test_client_dispatch import COLOURS, LITRES, NAME, SENML_CBOR, SENML_JSON, SERVER, Bench, Recording

PAINT = Path(34000, 0)


def names(*paths: str) -> bytes:
    return json.dumps([{"n": path} for path in paths]).encode()


def pack(**values: object) -> bytes:
    """Resource ids of the paint, as `_2=5`."""
    labels: dict[type, str] = {int: "v", str: "vs", bool: "vb"}
    return json.dumps(
        [{"n": f"/34000/0/{name[1:].replace('_', '/')}", labels[type(value)]: value} for name, value in values.items()]
    ).encode()


def shown(answer: Response) -> dict[str, Any]:
    found, base = {}, ""
    for entry in json.loads(answer.payload):
        base = entry.get("bn", base)
        found[base + entry.get("n", "")] = next(entry[label] for label in ("v", "vs", "vb", "vd") if label in entry)
    return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def fetch(bench: Bench, *paths: str, **options: object) -> Response:
    return await bench.ask(Code.FETCH, "", payload=names(*paths), content_format=SENML_JSON, **options)


async def test_all_that_can_be_read_comes_once_in_one_pack(bench: Bench) -> None:
    answer = await fetch(bench, "/34000/0/1", "/34000/0/2", "/34000/0", "/34000/0/2")
    assert answer.content_format == SENML_JSON
    assert shown(answer) == {
        "/34000/0/0": "wall",
        "/34000/0/1/0": "Red",
        "/34000/0/1/1": "Green",
        "/34000/0/2": 5,
        "/34000/0/3": "P1",
    }


async def test_the_answer_has_the_format_that_was_asked_for(bench: Bench) -> None:
    assert (await fetch(bench, "/34000/0/2", accept=SENML_CBOR)).content_format == SENML_CBOR


async def test_what_is_missing_or_cannot_be_read_is_left_out(bench: Bench) -> None:
    answer = await fetch(bench, "/3339", "/34000/0/4", "/34000/0/5", "/34000/0/2", "/34000/0/2/0", "/0")
    assert shown(answer) == {"/34000/0/2": 5}
    assert (await fetch(bench, "/3339")).payload == b"[]"


async def test_the_root_has_everything_but_what_is_closed(bench: Bench) -> None:
    assert set(shown(await fetch(bench, "/"))) == {
        *(f"/34000/0/{resource}" for resource in ("0", "1/0", "1/1", "2", "3")),
        "/34001/0/7",
    }


async def test_a_list_of_what_nobody_may_read_is_refused(bench: Bench) -> None:
    payload = names("/0/0/0", "/21")
    assert await bench.code(Code.FETCH, "", payload=payload, content_format=SENML_JSON) == "4.01"


async def test_all_is_written_at_once(bench: Bench) -> None:
    answer = await bench.ask(Code.IPATCH, "", payload=pack(_0="door", _1_7="Blue", _2=9), content_format=SENML_JSON)
    assert answer.code is Code.CHANGED
    assert bench.actuator.written == [Record(NAME, "door"), Record(COLOURS.child(7), "Blue"), Record(LITRES, 9)]
    assert bench.model.value(COLOURS.child(0)) == "Red"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (pack(_2=101, _3="R"), "4.00"),
        (pack(_3="R", _2=101), "4.05"),
        (pack(_2=9, _99=1), "4.04"),
        (pack(_2=9, _5="x"), "4.05"),
        (pack(_2=9, _1="Red"), "4.00"),
        (b'[{"n":"/34000/0/2","v":9},{"n":"/34000/0","v":1}]', "4.00"),
        (b'[{"n":"/34000/0/2","v":9},{"n":"/34000/5/0","vs":"a"}]', "4.04"),
        (b'[{"n":"/34000/0/2","v":9},{"n":"/0/0/0","vs":"coap://h"}]', "4.01"),
        (b'[{"n":"/34000/0/2"}]', "4.00"),
    ],
)
async def test_the_first_refusal_counts_and_nothing_is_written(bench: Bench, payload: bytes, expected: str) -> None:
    assert await bench.code(Code.IPATCH, "", payload=payload, content_format=SENML_JSON) == expected
    assert bench.actuator.written == []


async def test_when_one_actuator_refuses_the_others_take_back_what_they_did(bench: Bench) -> None:
    other = Recording(bench.model)
    other.refusal = InternalServerError("jammed")
    bench.management._actuator_of = lambda path: bench.actuator if path[0] == 34000 else other
    payload = json.dumps(
        [{"n": "/34000/0/2", "v": 9}, {"n": "/34000/0/1/7", "vs": "Blue"}, {"n": "/34001/0/7", "vs": "x"}]
    ).encode()
    before = bench.model.read(Path())
    assert await bench.code(Code.IPATCH, "", payload=payload, content_format=SENML_JSON) == "5.00"
    assert bench.model.read(Path()) == before


def touch(bench: Bench, records: Sequence[Record], now: float) -> list[Response]:
    bench.management.changed(bench.model.update(records), now)
    return [report.response for report in bench.management.reporting.due(now)]


async def test_a_change_of_one_target_reports_all_of_them(bench: Bench) -> None:
    first = await fetch(bench, "/34000/0/0", "/34000/0/2", "/34000/7", observe=0)
    assert first.observing
    assert shown(first) == {"/34000/0/0": "wall", "/34000/0/2": 5}
    (second,) = touch(bench, [Record(LITRES, 6)], 10)
    assert (second.content_format, shown(second)) == (SENML_JSON, {"/34000/0/0": "wall", "/34000/0/2": 6})
    (third,) = touch(bench, [Record(Path(34000, 7, 0), "new")], 20)
    assert shown(third) == {"/34000/0/0": "wall", "/34000/0/2": 6, "/34000/7/0": "new"}


@pytest.mark.parametrize("token", [b"\x01", b"\x09"])
async def test_it_is_cancelled_by_token_or_by_the_same_list(bench: Bench, token: bytes) -> None:
    await fetch(bench, "/34000/0/0", "/34000/0/2", observe=0)
    answer = await fetch(bench, "/34000/0/0", "/34000/0/2", observe=1, token=token)
    assert (answer.code, answer.observing) == (Code.CONTENT, False)
    assert len(bench.management.observations) == 0
    assert bench.forgotten == [Subscription(SERVER, b"\x01")]


async def test_another_list_ends_nothing(bench: Bench) -> None:
    await fetch(bench, "/34000/0/0", "/34000/0/2", observe=0)
    await fetch(bench, "/34000/0/0", observe=1, token=b"\x09")
    assert len(bench.management.observations) == 1


async def test_new_attributes_hold_for_running_composite_observations(bench: Bench) -> None:
    await fetch(bench, "/34000/0/0", "/34000/0/2", observe=0)
    await bench.ask(Code.PUT, "/34000", query=("pmax=5",))
    assert bench.management.reporting.deadline() == 5


async def test_a_path_before_the_list_is_refused(bench: Bench) -> None:
    request = Request(Code.FETCH, ("34000",), payload=names("/34000/0"), content_format=SENML_JSON)
    assert await bench.code(request.method, "/34000", payload=request.payload, content_format=SENML_JSON) == "4.05"
