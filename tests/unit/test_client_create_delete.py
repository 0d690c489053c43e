"""Instances that servers make and take away. lwm2m.md §6.7, §6.8."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lwm2m.client.dispatch import Creating, Deleting
from lwm2m.client.targets import Targets
from lwm2m.coap.message import Code, Request
from lwm2m.errors import Forbidden
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from tests.unit.fake_endpoint import FakeEndpoint
from tests.unit.test_client_dispatch import DEFINITIONS, SENML_JSON, TLV, Bench, Recording
from tests.unit.test_client_shell import make

NAMED_TWO = bytes.fromhex("080205 c300 616263".replace(" ", ""))
"""Instance 2 with Name "abc"."""
NAME_ONLY = bytes.fromhex("c300616263")


class Making(Recording):
    """Also makes and takes away instances, unless told to refuse."""

    async def create(self, instance: Path, records: Sequence[Record]) -> None:
        if self.refusal:
            raise self.refusal
        self.model.update([Record(instance, None), *records])

    async def delete(self, instance: Path) -> None:
        if self.refusal:
            raise self.refusal
        self.model.remove(instance)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.actuator = Making(bench.model)
    bench.management = bench.make(DEFINITIONS, 8, bench.actuator)
    return bench


async def test_a_server_names_the_instance_and_learns_where_it_is(bench: Bench) -> None:
    answer = await bench.ask(Code.POST, "/34000", payload=NAMED_TWO, content_format=TLV)
    assert (answer.code, answer.location) == (Code.CREATED, ("34000", "2"))
    assert bench.model.read(Path(34000, 2)) == [Record(Path(34000, 2, 0), "abc")]


async def test_without_an_id_the_lowest_free_one_is_taken(bench: Bench) -> None:
    answer = await bench.ask(Code.POST, "/34000", payload=NAME_ONLY, content_format=TLV)
    assert answer.location == ("34000", "2")


async def test_what_servers_do_not_write_is_passed_over(bench: Bench) -> None:
    payload = b'[{"bn":"/34000/7/","n":"0","vs":"a"},{"n":"3","vs":"serial"},{"n":"99","v":1},{"n":"1/4","vs":"Red"}]'
    assert await bench.code(Code.POST, "/34000", payload=payload, content_format=SENML_JSON) == "2.01"
    assert bench.model.read(Path(34000, 7)) == [
        Record(Path(34000, 7, 0), "a"),
        Record(Path(34000, 7, 1, 4), "Red"),
    ]


@pytest.mark.parametrize(
    ("path", "payload", "content_format", "expected"),
    [
        ("/34000", b'[{"n":"/34000/0/0","vs":"a"}]', SENML_JSON, "4.00"),
        ("/34000", b'[{"n":"/34000/2/2","v":5}]', SENML_JSON, "4.00"),
        ("/34000", b'[{"bn":"/34000/","n":"2/0","vs":"a"},{"n":"3/0","vs":"b"}]', SENML_JSON, "4.00"),
        ("/34000", b'[{"bn":"/34000/2/","n":"0","vs":"a"},{"n":"2","v":101}]', SENML_JSON, "4.00"),
        ("/34000", b'[{"bn":"/34000/2/","n":"0","vs":"a"},{"n":"1","vs":"Red"}]', SENML_JSON, "4.00"),
        ("/34000", b'[{"n":"/34001/2/0","vs":"a"}]', SENML_JSON, "4.00"),
        ("/34000", b"\xc3\x00", TLV, "4.00"),
        ("/34000", b"abc", 0, "4.15"),
        ("/34000", b"abc", 4711, "4.15"),
        ("/34000", NAME_ONLY, None, "4.15"),
        ("/5", b'[{"n":"/5/1/1","vs":"coap://h"}]', SENML_JSON, "4.00"),
        ("/34002", NAME_ONLY, TLV, "4.04"),
        ("/0", NAME_ONLY, TLV, "4.01"),
        ("/3", bytes.fromhex("c10005"), TLV, "4.05"),
        ("/1", NAME_ONLY, TLV, "4.05"),
    ],
)
async def test_what_cannot_be_created_leaves_nothing(
    bench: Bench, path: str, payload: bytes, content_format: int | None, expected: str
) -> None:
    bench.model.update([Record(Path(3, 0, 0), "Acme"), Record(Path(1, 0, 0), 1)])
    before = bench.model.read(Path())
    assert await bench.code(Code.POST, path, payload=payload, content_format=content_format) == expected
    assert bench.model.read(Path()) == before


async def test_an_instance_is_deleted_once(bench: Bench) -> None:
    assert await bench.code(Code.DELETE, "/34000/0") == "2.02"
    assert not bench.model.has(Path(34000, 0))
    assert await bench.code(Code.DELETE, "/34000/0") == "4.04"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/34000", "4.05"), ("/34000/0/0", "4.05"), ("/3/0", "4.05"), ("/1/0", "4.05"), ("/0/0", "4.01"), ("/9", "4.04")],
)
async def test_what_stays(bench: Bench, path: str, expected: str) -> None:
    bench.model.update([Record(Path(3, 0, 0), "Acme"), Record(Path(1, 0, 0), 1)])
    assert await bench.code(Code.DELETE, path) == expected


async def test_a_device_may_refuse_either(bench: Bench) -> None:
    bench.actuator.refusal = Forbidden("not now")
    assert await bench.code(Code.POST, "/34000", payload=NAME_ONLY, content_format=TLV) == "4.03"
    assert await bench.code(Code.DELETE, "/34000/0") == "4.03"
    assert bench.model.instances(34000) == (0, 1)


async def test_a_device_of_fixed_instances_allows_neither() -> None:
    bench = Bench()
    assert not isinstance(bench.actuator, Creating | Deleting)
    assert await bench.code(Code.POST, "/34000", payload=NAME_ONLY, content_format=TLV) == "4.05"
    assert await bench.code(Code.DELETE, "/34000/0") == "4.05"


async def test_the_server_is_told_of_the_new_list_of_objects() -> None:
    coap = FakeEndpoint()
    async with make(coap, gather=0) as client:
        await client.registered(5)
        await coap.next_request()
        payload = b'[{"n":"/3303/4/5700","v":1}]'
        await coap.ask(Request(Code.POST, ("3303",), payload=payload, content_format=SENML_JSON, token=b"\x02"))
        assert b"</3303/4>" in (await coap.next_request()).payload
        await coap.ask(Request(Code.DELETE, ("3303", "4"), token=b"\x03"))
        assert b"</3303/4>" not in (await coap.next_request()).payload


async def test_what_is_observed_beneath_a_deleted_instance_ends() -> None:
    coap = FakeEndpoint()
    async with make(coap) as client:
        await client.registered(5)
        await coap.ask(Request(Code.GET, ("3303", "0", "5700"), observe=0, token=b"\x02"))
        await coap.ask(Request(Code.DELETE, ("3303", "0"), token=b"\x03"))
        _, response, _ = await coap.next_notification()
        assert response.code is Code.NOT_FOUND


async def test_a_created_instance_can_be_executed_where_its_object_demands_it() -> None:
    coap = FakeEndpoint()
    async with make(coap, [Record(Path(9), None)]) as client:
        await client.registered(5)
        await coap.ask(Request(Code.POST, ("9",), payload=b"", content_format=TLV, token=b"\x02"))
        targets = Targets(client.data_model, client.definitions)
        assert all(client.data_model.has(Path(9, 0, number)) for number in (4, 6, 10, 11))
        assert targets.operations(Path(9, 0, 4)).executable
