"""Who may do what: the matrix of rights, the Access Control instances that come and go, the removal of an account.

lwm2m.md §8A, §4.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from lwm2m.attributes import Attributes
from lwm2m.client.access_control import Access, Right, after_account, controls_of
from lwm2m.client.data_model import DataModel
from lwm2m.client.dispatch import DeviceManagement
from lwm2m.client.observation import Notify
from lwm2m.client.targets import Targets
from lwm2m.client.versions import said_versions
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.errors import LwM2MError
from lwm2m.model.path import Path
from lwm2m.model.record import Record, Value
from tests.unit.test_client_create_delete import NAME_ONLY, Making
from tests.unit.test_client_dispatch import DEFINITIONS, PAINT, TLV

HERE, OTHER = 101, 102
NOBODY = 65_535
PEER = Peer(("127.0.0.1", 1), ("127.0.0.1", 2))
INSTANCE = Path(PAINT.id, 0)


def accounts(*numbers: int) -> list[Record]:
    records = []
    for index, number in enumerate(numbers):
        records += [Record(Path(0, index, 1), False), Record(Path(0, index, 10), number)]
        records += [Record(Path(0, index, 0), f"coap://h{number}"), Record(Path(1, index, 0), number)]
    return records


def control(index: int, target: tuple[int, int], entries: dict[int, int], owner: int = NOBODY) -> list[Record]:
    values: dict[int, Value] = {0: target[0], 1: target[1], 3: owner}
    records = [Record(Path(2, index, number), value) for number, value in values.items()]
    return records + [Record(Path(2, index, 2, server), rights) for server, rights in entries.items()]


class Bench:
    """A client of two servers, asked by the first."""

    def __init__(self, *controls: Sequence[Record], servers: tuple[int, ...] = (HERE, OTHER)) -> None:
        paint = [Record(INSTANCE.child(0), "wall"), Record(INSTANCE.child(5), None)]
        self.model = DataModel([*accounts(*servers), *paint, *(record for each in controls for record in each)])
        self.executed = False
        self.actuator = Making(self.model)
        self.management = DeviceManagement(
            Targets(self.model, DEFINITIONS, Access(self.model, HERE)),
            lambda _path: self.actuator,
            Attributes,
            lambda _subscription: None,
            update=self.model.update,
            storing=lambda: True,
            wall_clock=lambda: 1_000_000.0,
            muted=lambda: False,
            version="1.1",
            versions=said_versions(DEFINITIONS, "1.1"),
            max_observations=8,
        )

    async def ask(self, method: Code, path: str, **options: object) -> Response:
        request = Request(method, tuple(path.strip("/").split("/")), token=b"\x01", **options)  # type: ignore[arg-type]
        try:
            operation = self.management.operation(request)
            answer = self.management.perform(operation, Subscription(PEER, b"\x01"), now=0.0)
            return answer if isinstance(answer, Response) else await answer
        except LwM2MError as error:
            return Response(error.code)


REQUESTS = {
    Right.READ: ((Code.GET, "/34000/0/0", {}), Code.CONTENT),
    Right.WRITE: ((Code.PUT, "/34000/0/0", {"payload": b"x", "content_format": 0}), Code.CHANGED),
    Right.EXECUTE: ((Code.POST, "/34000/0/5", {}), Code.CHANGED),
    Right.DELETE: ((Code.DELETE, "/34000/0", {}), Code.DELETED),
    Right.CREATE: ((Code.POST, "/34000", {"payload": NAME_ONLY, "content_format": TLV}), Code.CREATED),
}
"""A request that needs the right, and the code it gets with it."""

CASES = ("own entry", "default entry", "owner without entry", "none")


def about(right: Right) -> tuple[int, int]:
    return (PAINT.id, NOBODY if right is Right.CREATE else 0)


def case(name: str, right: Right) -> list[Record]:
    """The Access Control instance that gives the right in this way; the other server may everything in all cases."""
    match name:
        case "own entry":
            return control(0, about(right), {HERE: right, OTHER: 31})
        case "default entry":
            return control(0, about(right), {0: right, OTHER: 31})
        case "owner without entry":
            return control(0, about(right), {OTHER: 31}, owner=HERE)
    return control(0, about(right), {OTHER: 31})


def expected(name: str, right: Right, asked: Right) -> bool:
    """An owner has all rights at once, but for the one to create."""
    if name == "none":
        return False
    if name == "owner without entry":
        return Right.CREATE not in (right, asked)
    return asked is right


@pytest.mark.parametrize(("name", "right", "asked"), list(product(CASES, REQUESTS, REQUESTS)))
async def test_a_right_lets_do_what_it_is_for(name: str, right: Right, asked: Right) -> None:
    (method, path, options), granted = REQUESTS[asked]
    answer = await Bench(case(name, right)).ask(method, path, **options)
    assert answer.code is (granted if expected(name, right, asked) else Code.UNAUTHORIZED)


@pytest.mark.parametrize("asked", REQUESTS)
async def test_the_only_server_may_everything(asked: Right) -> None:
    (method, path, options), granted = REQUESTS[asked]
    bench = Bench(control(0, about(asked), {HERE: 0}), servers=(HERE,))
    assert (await bench.ask(method, path, **options)).code is granted


@pytest.mark.parametrize("asked", REQUESTS)
async def test_without_an_access_control_instance_nobody_may_anything(asked: Right) -> None:
    (method, path, options), _ = REQUESTS[asked]
    assert (await Bench().ask(method, path, **options)).code is Code.UNAUTHORIZED


@pytest.mark.parametrize("asked", [Right.READ, Right.WRITE, Right.EXECUTE, Right.DELETE])
async def test_an_entry_of_its_own_counts_before_the_default_one_and_before_owning(asked: Right) -> None:
    (method, path, options), _ = REQUESTS[asked]
    bench = Bench(control(0, (PAINT.id, 0), {HERE: 0, 0: 31}, owner=HERE))
    assert (await bench.ask(method, path, **options)).code is Code.UNAUTHORIZED


async def test_rights_come_before_what_is_there() -> None:
    assert (await Bench().ask(Code.GET, "/34000/0/99")).code is Code.UNAUTHORIZED
    assert (await Bench().ask(Code.GET, "/34000/9")).code is Code.NOT_FOUND


async def test_discover_and_the_attributes_of_an_object_need_no_right() -> None:
    bench = Bench()
    assert (await bench.ask(Code.GET, "/34000/0", accept=40)).code is Code.CONTENT
    assert (await bench.ask(Code.PUT, "/34000", query=("pmin=1",))).code is Code.CHANGED
    assert (await bench.ask(Code.PUT, "/34000/0", query=("pmin=1",))).code is Code.UNAUTHORIZED
    reader = Bench(control(0, (PAINT.id, 0), {HERE: Right.READ}))
    assert (await reader.ask(Code.PUT, "/34000/0", query=("pmin=1",))).code is Code.CHANGED


async def test_an_object_shows_the_instances_that_may_be_read() -> None:
    bench = Bench(control(0, (PAINT.id, 0), {HERE: 1}))
    bench.model.update([Record(Path(PAINT.id, 1, 0), "hidden")])
    answer = await bench.ask(Code.GET, "/34000", accept=110)
    assert b"wall" in answer.payload
    assert b"hidden" not in answer.payload
    assert (await Bench().ask(Code.GET, "/34000")).code is Code.UNAUTHORIZED


async def test_only_its_owner_touches_an_access_control_instance() -> None:
    bench = Bench(control(0, (PAINT.id, 0), {HERE: 31}, owner=OTHER), control(1, (3, 0), {OTHER: 31}, owner=HERE))
    assert (await bench.ask(Code.GET, "/2/0")).code is Code.UNAUTHORIZED
    assert (await bench.ask(Code.GET, "/2/1/3")).code is Code.CONTENT
    assert (await bench.ask(Code.PUT, "/2/0/2/101", payload=b"31", content_format=0)).code is Code.UNAUTHORIZED
    assert (await bench.ask(Code.PUT, "/2/1/2/101", payload=b"31", content_format=0)).code is Code.CHANGED
    assert (await bench.ask(Code.POST, "/2", payload=b"", content_format=TLV)).code is Code.UNAUTHORIZED


async def test_who_creates_owns() -> None:
    bench = Bench(control(5, (PAINT.id, NOBODY), {HERE: Right.CREATE}))
    answer = await bench.ask(Code.POST, "/34000", payload=NAME_ONLY, content_format=TLV)
    assert answer.location == ("34000", "1")
    assert bench.model.read(Path(2, 0)) == sorted(control(0, (PAINT.id, 1), {HERE: 15}, owner=HERE))
    assert (await bench.ask(Code.DELETE, "/34000/1")).code is Code.DELETED
    assert controls_of(bench.model, [Path(PAINT.id, 1), Path(PAINT.id, 1, 0)]) == [Path(2, 0)]


async def test_the_only_server_needs_no_access_control_instance_for_what_it_creates() -> None:
    bench = Bench(servers=(HERE,))
    await bench.ask(Code.POST, "/34000", payload=NAME_ONLY, content_format=TLV)
    assert not bench.model.has(Path(2))


async def test_without_the_right_to_read_observations_are_silent_until_it_is_back() -> None:
    bench = Bench(control(0, (PAINT.id, 0), {HERE: Right.READ}))
    assert (await bench.ask(Code.GET, "/34000/0/0", observe=0)).observing
    entry = Path(2, 0, 2, HERE)

    def set_name(name: str, now: float) -> int:
        bench.management.changed(bench.model.update([Record(INSTANCE.child(0), name)]), now)
        due = bench.management.observations.due(now)
        return sum(isinstance(action, Notify) for action in due)

    assert set_name("a", 1) == 1
    bench.model.update([Record(entry, 0)])
    assert set_name("b", 2) == 0
    bench.model.update([Record(entry, 1)])
    assert set_name("c", 3) == 1


def test_the_account_of_a_server_takes_what_was_its_alone() -> None:
    model = DataModel(
        [
            *accounts(OTHER, 103),
            Record(INSTANCE.child(0), "wall"),
            Record(Path(PAINT.id, 1, 0), "door"),
            Record(Path(3, 0, 0), "Acme"),
            *control(0, (PAINT.id, 0), {HERE: 15}, owner=HERE),
            *control(1, (PAINT.id, 1), {HERE: 15, OTHER: 3, 103: 11}, owner=HERE),
            *control(2, (3, 0), {HERE: 15}, owner=NOBODY),
            *control(3, (PAINT.id, NOBODY), {HERE: 16, OTHER: 16}),
            *control(4, (34001, 0), {OTHER: 1}, owner=OTHER),
        ]
    )
    following = after_account(model, HERE, DEFINITIONS)
    assert following.removed == (
        Path(2, 0), INSTANCE, Path(2, 1, 2, HERE), Path(2, 2), Path(2, 3, 2, HERE),
    )  # fmt: skip
    assert following.records == (Record(Path(2, 1, 3), 103),)


@pytest.mark.parametrize(
    ("entries", "heir"), [({OTHER: 10, 103: 10}, OTHER), ({OTHER: 1, 103: 2}, 103), ({0: 15}, NOBODY)]
)
def test_who_may_most_inherits(entries: dict[int, int], heir: int) -> None:
    model = DataModel([Record(INSTANCE.child(0), "wall"), *control(0, (PAINT.id, 0), entries, owner=HERE)])
    assert after_account(model, HERE, DEFINITIONS).records == (Record(Path(2, 0, 3), heir),)
