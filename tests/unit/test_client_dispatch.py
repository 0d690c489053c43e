"""What a server may do with a client, request by request: codes, formats, and what the actuator gets.

lwm2m.md §6 has the order of checks, §13 the answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lwm2m.attributes import Attributes
from lwm2m.client.data_model import Actuator, DataModel
from lwm2m.client.dispatch import DeviceManagement
from lwm2m.client.targets import Targets
from lwm2m.client.versions import in_force, said_versions
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.errors import InternalServerError, LwM2MError
from lwm2m.model.definition import Definitions, ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record

TLV, SENML_JSON, SENML_CBOR = 11542, 110, 112
SERVER = Peer(("127.0.0.1", 1), ("127.0.0.1", 2))

PAINT = ObjectDefinition(
    34000,
    "Paint",
    multiple=True,
    resources={
        definition.id: definition
        for definition in (
            ResourceDefinition(0, "Name", Type.STRING, Operations.RW, mandatory=True),
            ResourceDefinition(1, "Colours", Type.STRING, Operations.RW, multiple=True),
            ResourceDefinition(2, "Litres", Type.INTEGER, Operations.RW, range="0..100"),
            ResourceDefinition(3, "Serial", Type.STRING, Operations.R),
            ResourceDefinition(4, "Secret", Type.OPAQUE, Operations.W),
            ResourceDefinition(5, "Mix", Type.NONE, Operations.E),
        )
    },
)
DEFINITIONS = in_force(shipped().with_objects([PAINT]), "1.1")
NAME, COLOURS, LITRES, SERIAL, SECRET, MIX = (Path(34000, 0, number) for number in range(6))
RECORDS = (
    Record(Path(0, 0, 0), "coap://127.0.0.1"),
    Record(NAME, "wall"),
    Record(COLOURS.child(0), "Red"),
    Record(COLOURS.child(1), "Green"),
    Record(LITRES, 5),
    Record(SERIAL, "P1"),
    Record(SECRET, None),
    Record(MIX, None),
    Record(Path(34000, 1), None),
    Record(Path(5), None),
    Record(Path(34001, 0, 7), "no definition"),
)


class Recording:
    """Keeps what it is asked and does it in the data model."""

    def __init__(self, model: DataModel) -> None:
        self.model = model
        self.written: list[Record] = []
        self.removed: list[Path] = []
        self.executed: list[tuple[Path, str]] = []
        self.refusal: LwM2MError | None = None

    async def write(self, records: Sequence[Record]) -> None:
        if self.refusal:
            raise self.refusal
        self.written += records
        self.model.update(records)

    async def remove(self, paths: Sequence[Path]) -> None:
        self.removed += paths
        for path in paths:
            self.model.remove(path)

    async def execute(self, path: Path, arguments: str) -> None:
        self.executed.append((path, arguments))


class Bench:
    def __init__(self, definitions: Definitions = DEFINITIONS, max_observations: int = 8) -> None:
        self.model = DataModel(RECORDS)
        self.actuator = Recording(self.model)
        self.forgotten: list[Subscription] = []
        self.management = self.make(definitions, max_observations, self.actuator)

    def make(self, definitions: Definitions, max_observations: int, actuator: Actuator) -> DeviceManagement:
        return DeviceManagement(
            Targets(self.model, definitions),
            lambda _path: actuator,
            lambda: Attributes(pmin=3),
            self.forgotten.append,
            version="1.1",
            update=self.model.update,
            storing=lambda: True,
            wall_clock=lambda: 1_000_000.0,
            muted=lambda: False,
            versions=said_versions(definitions, "1.1"),
            max_observations=max_observations,
        )

    async def ask(self, method: Code, path: str, token: bytes = b"\x01", **options: object) -> Response:
        request = Request(method, tuple(path.strip("/").split("/")) if path else (), token=token, **options)  # type: ignore[arg-type]
        operation = self.management.operation(request)
        answer = self.management.perform(operation, Subscription(SERVER, token), now=0.0)
        return answer if isinstance(answer, Response) else await answer

    async def code(self, method: Code, path: str, **options: object) -> str:
        try:
            return (await self.ask(method, path, **options)).code.dotted
        except LwM2MError as error:
            return error.code.dotted

    async def links(self, path: str) -> list[str]:
        return (await self.ask(Code.GET, path, accept=40)).payload.decode().split(",")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/34000/0/2", None, (0, b"5")),
        ("/34000/0/2", TLV, (TLV, bytes.fromhex("c10205"))),
        ("/34000/0/1/1", None, (0, b"Green")),
        ("/34000/0/1", TLV, (TLV, bytes.fromhex("88010c 4300526564 4501477265656e"))),
        ("/34000/1", TLV, (TLV, b"")),
        ("/5", TLV, (TLV, b"")),
        ("/5", SENML_JSON, (SENML_JSON, b"[]")),
        ("/5", None, (SENML_CBOR, b"\x80")),
        ("/34001/0/7", None, (0, b"no definition")),
    ],
)
async def test_reads_come_in_the_format_asked_for_or_in_ours(
    bench: Bench, path: str, accept: int | None, expected: tuple[int, bytes]
) -> None:
    answer = await bench.ask(Code.GET, path, accept=accept)
    assert (answer.code, answer.content_format, answer.payload) == (Code.CONTENT, *expected)


async def test_aggregates_leave_out_what_cannot_be_read(bench: Bench) -> None:
    answer = await bench.ask(Code.GET, "/34000/0", accept=SENML_JSON)
    assert b"P1" in answer.payload
    assert b'"4"' not in answer.payload
    assert b'"5"' not in answer.payload
    bench.model.remove(Path(34000))
    bench.model.update([Record(SECRET, None)])
    assert await bench.code(Code.GET, "/34000/0") == "4.01"


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        (Code.GET, "", {}, "4.05"),
        (Code.GET, "/77", {}, "4.04"),
        (Code.GET, "/0", {}, "4.01"),
        (Code.GET, "/21/0/1", {}, "4.01"),
        (Code.PUT, "/0/0/0", {"payload": b"x"}, "4.01"),
        (Code.GET, "/34000/9", {}, "4.04"),
        (Code.GET, "/34000/0/9", {}, "4.04"),
        (Code.GET, "/34000/1/3", {}, "4.04"),
        (Code.GET, "/34000/1/2", {}, "4.04"),
        (Code.GET, "/34000/0/4", {}, "4.05"),
        (Code.GET, "/34000/0/5", {}, "4.05"),
        (Code.GET, "/34000/0/2/0", {}, "4.05"),
        (Code.GET, "/34000/0/1/9", {}, "4.04"),
        (Code.GET, "/34000/0/1", {"accept": 0}, "4.06"),
        (Code.GET, "/34000/0", {"accept": 42}, "4.06"),
        (Code.GET, "/34000/0/2", {"accept": 4711}, "4.06"),
        (Code.GET, "/a", {}, "4.04"),
        (Code.GET, "/3/0/1/2/3", {}, "4.05"),
        (Code.GET, "/34000/0/1/0", {"accept": 40}, "4.05"),
        (Code.PUT, "/34000", {"payload": b"x"}, "4.05"),
        (Code.PUT, "/34000/9", {"payload": b"", "content_format": TLV}, "4.04"),
        (Code.PUT, "/34000/0/9", {"payload": b"x"}, "4.04"),
        (Code.PUT, "/34000/0/3", {"payload": b"x"}, "4.05"),
        (Code.PUT, "/34000/0/5", {"payload": b"x"}, "4.05"),
        (Code.PUT, "/34000/0/2/0", {"payload": b"1"}, "4.05"),
        (Code.PUT, "/34000/0/3", {"payload": b"x", "content_format": 4711}, "4.05"),
        (Code.PUT, "/34000/0/2", {"payload": b"1", "content_format": 4711}, "4.15"),
        (Code.PUT, "/34000/0", {"payload": b"1"}, "4.15"),
        (Code.PUT, "/34000/0", {"payload": b"1", "content_format": 0}, "4.15"),
        (Code.PUT, "/34000/0/1", {"payload": b"1"}, "4.15"),
        (Code.PUT, "/34000/0/2", {"payload": b"x"}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b"101"}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b"\xc1\x03\x05", "content_format": TLV}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b'[{"n":"/34000/0/3","v":1}]', "content_format": SENML_JSON}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b'[{"n":"/34000/0/2"}]', "content_format": SENML_JSON}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b"[]", "content_format": SENML_JSON}, "4.00"),
        (Code.PUT, "/34000/0/2", {"payload": b"1", "query": ("pmin=1",)}, "4.00"),
        (Code.POST, "/34000/0/2", {}, "4.05"),
        (Code.POST, "/34000/0/2", {"payload": b"1", "content_format": TLV}, "4.05"),
        (Code.POST, "/34000/0/5", {"payload": b"1", "content_format": TLV}, "4.15"),
        (Code.POST, "/34000/0/5", {"payload": b"a"}, "4.00"),
        (Code.POST, "/34000/0/5", {"payload": b"1,1"}, "4.00"),
        (Code.POST, "/34000/0/5", {"payload": b"1,"}, "4.00"),
        (Code.POST, "/34000/0/9", {}, "4.04"),
        (Code.POST, "/34000/0/1/0", {}, "4.05"),
        (Code.POST, "/34000", {"payload": b"", "content_format": TLV}, "4.05"),
        (Code.DELETE, "/34000/0", {}, "4.05"),
        (Code.PATCH, "", {}, "4.05"),
        (Code.PUT, "/34000/9", {"query": ("pmin=1",)}, "4.04"),
        (Code.PUT, "/34000/0", {"query": ("gt=1",)}, "4.00"),
        (Code.PUT, "/34000/0/0", {"query": ("st=1",)}, "4.00"),
        (Code.PUT, "/34000/0/2", {"query": ("nope=1",)}, "4.00"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    bench: Bench, method: Code, path: str, options: dict[str, object], expected: str
) -> None:
    before = bench.model.read(Path())
    assert await bench.code(method, path, **options) == expected
    assert bench.model.read(Path()) == before
    assert (bench.actuator.written, bench.actuator.removed, bench.actuator.executed) == ([], [], [])


async def test_a_single_value_is_written(bench: Bench) -> None:
    assert await bench.code(Code.PUT, "/34000/0/2", payload=b"7") == "2.04"
    assert bench.actuator.written == [Record(LITRES, 7)]


async def test_a_writable_resource_that_is_not_there_yet_is_the_actuators_business(bench: Bench) -> None:
    assert await bench.code(Code.PUT, "/34000/1/2", payload=b"7") == "2.04"
    assert bench.actuator.written == [Record(Path(34000, 1, 2), 7)]


YELLOW_AND_BLUE = b'[{"bn":"/34000/0/1/","n":"1","vs":"Yellow"},{"n":"3","vs":"Blue"}]'


async def test_put_replaces_a_multiple_resource_and_post_merges_it(bench: Bench) -> None:
    """The example of lwm2m.md §6.3."""
    assert await bench.code(Code.POST, "/34000/0/1", payload=YELLOW_AND_BLUE, content_format=SENML_JSON) == "2.04"
    assert colours(bench) == {0: "Red", 1: "Yellow", 3: "Blue"}
    assert await bench.code(Code.PUT, "/34000/0/1", payload=YELLOW_AND_BLUE, content_format=SENML_JSON) == "2.04"
    assert colours(bench) == {1: "Yellow", 3: "Blue"}
    assert bench.actuator.removed == [COLOURS.child(0)]


async def test_put_on_a_resource_instance_leaves_the_others(bench: Bench) -> None:
    assert await bench.code(Code.PUT, "/34000/0/1/5", payload=b"Pink") == "2.04"
    assert colours(bench) == {0: "Red", 1: "Green", 5: "Pink"}


async def test_an_empty_multiple_resource_can_be_written(bench: Bench) -> None:
    assert await bench.code(Code.PUT, "/34000/0/1", payload=bytes.fromhex("8001"), content_format=TLV) == "2.04"
    assert bench.model.read(COLOURS) == [Record(COLOURS, None)]


def colours(bench: Bench) -> dict[int, object]:
    return {record.path[3]: record.value for record in bench.model.read(COLOURS)}


async def test_post_on_an_instance_writes_what_it_names_and_skips_what_it_does_not_know(bench: Bench) -> None:
    payload = b'[{"bn":"/34000/0/","n":"2","v":9},{"n":"77","vs":"of a later version"}]'
    assert await bench.code(Code.POST, "/34000/0", payload=payload, content_format=SENML_JSON) == "2.04"
    assert bench.actuator.written == [Record(LITRES, 9)]
    assert bench.actuator.removed == []


async def test_put_on_an_instance_takes_away_what_it_does_not_name(bench: Bench) -> None:
    payload = b'[{"bn":"/34000/0/","n":"0","vs":"door"}]'
    assert await bench.code(Code.PUT, "/34000/0", payload=payload, content_format=SENML_JSON) == "2.04"
    assert bench.model.value(NAME) == "door"
    assert set(bench.actuator.removed) == {COLOURS, LITRES, SECRET}
    assert bench.model.value(SERIAL) == "P1"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'[{"bn":"/34000/0/","n":"2","v":9}]', "4.00"),
        (b'[{"bn":"/34000/0/","n":"0","vs":"a"},{"n":"3","vs":"read-only"},{"n":"2","v":9}]', "4.05"),
        (b'[{"bn":"/34000/0/","n":"0","vs":"a"},{"n":"2","v":900}]', "4.00"),
    ],
)
async def test_an_instance_is_written_whole_or_not_at_all(bench: Bench, payload: bytes, expected: str) -> None:
    before = bench.model.read(Path())
    assert await bench.code(Code.PUT, "/34000/0", payload=payload, content_format=SENML_JSON) == expected
    assert bench.model.read(Path()) == before


async def test_an_actuator_that_cannot_remove_keeps_what_the_device_has(bench: Bench) -> None:
    class WriteOnly:
        async def write(self, records: Sequence[Record]) -> None:
            bench.model.update(records)

        async def execute(self, _path: Path, _arguments: str) -> None: ...

    bench.management = bench.make(DEFINITIONS, 8, WriteOnly())
    assert await bench.code(Code.PUT, "/34000/0/1", payload=YELLOW_AND_BLUE, content_format=SENML_JSON) == "2.04"
    assert colours(bench) == {0: "Red", 1: "Yellow", 3: "Blue"}


async def test_a_refusing_actuator_decides_the_answer_and_the_data_model_keeps_the_truth(bench: Bench) -> None:
    bench.actuator.refusal = InternalServerError("the device did not answer")
    assert await bench.code(Code.PUT, "/34000/0/2", payload=b"7") == "5.00"
    assert bench.model.value(LITRES) == 5


@pytest.mark.parametrize("arguments", ["", "5", "2='10.3'", "7,0='https://www.oma.org'", "0,1,2,3,4", "1='a b'"])
async def test_arguments_reach_the_actuator_as_they_came(bench: Bench, arguments: str) -> None:
    assert await bench.code(Code.POST, "/34000/0/5", payload=arguments.encode()) == "2.04"
    assert bench.actuator.executed == [(MIX, arguments)]


async def test_discover_shows_what_is_there_with_attached_attributes(bench: Bench) -> None:
    await bench.ask(Code.PUT, "/34000", query=("pmin=10",))
    await bench.ask(Code.PUT, "/34000/0", query=("pmax=200",))
    await bench.ask(Code.PUT, "/34000/0/2", query=("lt=1", "gt=6", "st=1"))
    await bench.ask(Code.PUT, "/34000/0/1/0", query=("pmin=7",))
    assert await bench.links("/34000") == [
        "</34000>;pmin=10",
        "</34000/0>;pmax=200",
        "</34000/0/0>",
        "</34000/0/1>;dim=2",
        "</34000/0/2>;gt=6;lt=1;st=1",
        "</34000/0/3>",
        "</34000/0/4>",
        "</34000/0/5>",
        "</34000/1>",
    ]
    assert await bench.links("/34000/0/2") == ["</34000/0/2>;pmin=10;pmax=200;gt=6;lt=1;st=1"]
    assert await bench.links("/34000/0/1") == [
        "</34000/0/1>;dim=2;pmin=10;pmax=200",
        "</34000/0/1/0>;pmin=7",
        "</34000/0/1/1>",
    ]
    assert await bench.links("/34000/1") == ["</34000/1>"]


async def test_attributes_go_with_what_they_were_attached_to(bench: Bench) -> None:
    await bench.ask(Code.PUT, "/34000/0/2", query=("pmin=1",))
    bench.management.vanished(bench.model.remove(Path(34000, 0)))
    bench.model.update([Record(LITRES, 1)])
    assert await bench.links("/34000/0/2") == ["</34000/0/2>"]


async def test_a_removed_attribute_is_gone(bench: Bench) -> None:
    await bench.ask(Code.PUT, "/34000/0/2", query=("pmin=1", "pmax=9"))
    await bench.ask(Code.PUT, "/34000/0/2", query=("pmin", "pmax="))
    assert await bench.links("/34000/0/2") == ["</34000/0/2>"]


async def test_observing_uses_the_defaults_of_the_account(bench: Bench) -> None:
    answer = await bench.ask(Code.GET, "/34000/0/2", observe=0)
    assert (answer.observing, answer.payload) == (True, b"5")
    bench.management.changed(bench.model.update([Record(LITRES, 6)]), now=1.0)
    assert bench.management.observations.deadline() == 1.0
    assert bench.management.reporting.due(1.0) == []
    assert bench.management.observations.deadline() == 3.0
    (report,) = bench.management.reporting.due(3.0)
    assert report.response == Response(Code.CONTENT, b"6", 0)


async def test_changes_of_what_cannot_be_read_notify_nobody(bench: Bench) -> None:
    await bench.ask(Code.GET, "/34000/0", observe=0)
    bench.management.changed(bench.model.update([Record(SECRET, b"x")]), now=10.0)
    assert bench.management.observations.deadline() is None


async def test_cancelling_goes_by_token_and_else_by_path(bench: Bench) -> None:
    await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x01")
    answer = await bench.ask(Code.GET, "/34000/0", observe=1, token=b"\x01")
    assert (answer.observing, answer.code) == (False, Code.CONTENT)
    assert len(bench.management.observations) == 0
    await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x02")
    await bench.ask(Code.GET, "/34000/0/2", observe=1, token=b"\x03")
    assert len(bench.management.observations) == 0
    assert bench.forgotten == [Subscription(SERVER, b"\x01"), Subscription(SERVER, b"\x02")]


async def test_a_new_token_takes_over_an_observed_path(bench: Bench) -> None:
    await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x01")
    await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x02")
    assert bench.forgotten == [Subscription(SERVER, b"\x01")]
    assert len(bench.management.observations) == 1


async def test_beyond_the_limit_an_observe_is_a_read() -> None:
    bench = Bench(max_observations=1)
    assert (await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x01")).observing
    assert not (await bench.ask(Code.GET, "/34000/0/3", observe=0, token=b"\x02")).observing
    assert (await bench.ask(Code.GET, "/34000/0/2", observe=0, token=b"\x03")).observing
