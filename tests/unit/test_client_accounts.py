"""Which accounts a data model holds, and how a client with several servers behaves towards each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from lwm2m.client import Client, DataModel, Disabled, Registered, State, Updated
from lwm2m.client.pairing import BootstrapAccount, ServerAccount, bootstrap_account, server_accounts
from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.testing import clock, in_virtual_time
from tests.unit.fake_endpoint import FakeEndpoint

TEMPERATURE = Path(3303, 0, 5700)
FIRST, SECOND = "coap://127.0.0.1:1001", "coap://127.0.0.1:1002"


def records(values: dict[str, Value]) -> list[Record]:
    return [Record(Path.parse(path), value) for path, value in values.items()]


class Servers(FakeEndpoint):
    """Several servers behind one endpoint, by port. `silent` are those that do not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, Request]] = []
        self.silent: set[int] = set()

    @staticmethod
    def at(port: int) -> Peer:
        return Peer(("127.0.0.1", 40000), ("127.0.0.1", port))

    async def peer(self, uri: str) -> Peer:
        return self.at(int(uri.rpartition(":")[2]))

    async def request(self, peer: Peer, request: Request, timeout: float | None = None) -> Response:  # noqa: ARG002
        self.asked.append((peer.address[1], request))
        if peer.address[1] in self.silent:
            raise TimedOut
        if request.method is Code.DELETE:
            return Response(Code.DELETED)
        if request.path == ("rd",):
            return Response(Code.CREATED, location=("rd", str(peer.address[1])))
        return Response(Code.CHANGED)


def test_an_account_is_a_security_instance_with_the_server_instance_of_its_id() -> None:
    security: dict[str, Value] = {
        "/0/0/0": "coap://a",
        "/0/0/1": False,
        "/0/0/10": 7,
        "/0/1/0": "coap://bs",
        "/0/1/1": True,
        "/0/1/10": 9,
        "/0/1/11": 5,
        "/0/2/0": "coap://b",
        "/0/2/10": 9,
        "/0/3/0": "coap://nobody",
        "/0/3/1": False,
        "/0/3/10": 8,
    }
    model = DataModel(records(security | {"/1/4/0": 9, "/1/5/0": 7, "/1/6/0": 6}))
    assert server_accounts(model) == [
        ServerAccount(7, "coap://a", Path(0, 0), Path(1, 5)),
        ServerAccount(9, "coap://b", Path(0, 2), Path(1, 4)),
    ]
    assert bootstrap_account(model) == BootstrapAccount("coap://bs", Path(0, 1), 5, 0)


def test_each_uri_becomes_an_account_of_its_own() -> None:
    client = Client("dev1", [FIRST, SECOND])
    assert [(one.short_server_id, one.uri) for one in server_accounts(client.data_model)] == [(1, FIRST), (2, SECOND)]
    assert client.states == {1: State.IDLE, 2: State.IDLE}
    described = Client("dev1", FIRST, records({"/0/0/0": FIRST, "/0/0/10": 5, "/1/3/0": 5}))
    assert described.states == {5: State.IDLE}


def open_to_all(instance: Path, number: int) -> list[Record]:
    """The Access Control instance that gives every server all rights on a Server instance."""
    control = f"/2/{number}"
    about = {f"{control}/0": instance[0], f"{control}/1": instance[1], f"{control}/3": 65_535}
    return records({**about, f"{control}/2/0": 31})


async def two_servers(coap: Servers, more: Iterable[Record] = ()) -> Client:
    controls = [*open_to_all(Path(1, 0), 0), *open_to_all(Path(1, 1), 1)]
    client = Client("dev1", [FIRST, SECOND], [Record(TEMPERATURE, 1.0), *controls, *more], coap=coap)
    await client.start()
    await client.registered(5, 1)
    await client.registered(5, 2)
    return client


async def test_each_server_has_a_registration_of_its_own() -> None:
    coap = Servers()
    client = Client("dev1", [FIRST, SECOND], coap=coap)
    events = client.events()
    await client.start()
    await client.registered(5, 1)
    await client.registered(5, 2)
    assert sorted(port for port, _ in coap.asked) == [1001, 1002]
    seen = [await anext(events) for _ in range(4)]
    assert {event for event in seen if isinstance(event, Registered)} == {
        Registered("/rd/1001", 1),
        Registered("/rd/1002", 2),
    }
    client.update([Record(Path(1, 1, 1), 600)])
    async with asyncio.timeout(5):
        assert isinstance(await anext(event async for event in events if not isinstance(event, Registered)), Updated)
    assert coap.asked[2:] == [(1002, Request(Code.POST, ("rd", "1002"), ("lt=600",)))]
    await client.stop()
    assert sorted((port, request.method) for port, request in coap.asked[3:]) == [
        (1001, Code.DELETE),
        (1002, Code.DELETE),
    ]


async def test_servers_are_told_apart_by_their_addresses() -> None:
    coap = Servers()
    client = await two_servers(coap)
    attributes = Request(Code.PUT, ("1", "0"), query=("pmin=7",))
    assert (await coap.ask(attributes, coap.at(1001))).code is Code.CHANGED
    discover = Request(Code.GET, ("1", "0"), accept=40)
    assert (await coap.ask(discover, coap.at(1001))).payload.startswith(b"</1/0>;pmin=7,")
    assert (await coap.ask(discover, coap.at(1002))).payload.startswith(b"</1/0>,")
    assert await coap.ask(discover, coap.at(1003)) == Response(Code.NOT_FOUND)
    await client.stop()


async def test_a_disabled_server_is_not_served_while_the_other_is() -> None:
    coap = Servers()
    client = await two_servers(coap)
    events = client.events()
    assert (await coap.ask(Request(Code.POST, ("1", "0", "4")), coap.at(1001))).code is Code.CHANGED
    async with asyncio.timeout(5):
        disabled = await anext(event async for event in events if isinstance(event, Disabled))
    assert disabled.short_server_id == 1
    read = Request(Code.GET, ("1", "1", "1"))
    assert await coap.ask(read, coap.at(1001)) == Response(Code.NOT_FOUND)
    assert (await coap.ask(read, coap.at(1002))).code is Code.CONTENT
    trigger = Request(Code.POST, ("1", "0", "8"))
    assert (await coap.ask(trigger, coap.at(1002))).code is Code.BAD_REQUEST
    await client.stop()


async def test_the_servers_register_in_the_order_of_their_priorities() -> None:
    coap = Servers()
    coap.silent = {1002}
    order = records({"/1/0/0": 1, "/1/0/13": 5, "/1/1/0": 2, "/1/1/13": 1, "/1/1/17": 1, "/1/1/20": 1})
    client = Client("dev1", [FIRST, SECOND], order, coap=coap)
    await client.start()
    await client.registered(5)
    assert [port for port, _ in coap.asked] == [1002, 1001]
    assert client.states == {1: State.REGISTERED, 2: State.FAILED}
    with pytest.raises(TimeoutError, match=r":1002: no answer"):
        await client.registered(0.01, 2)
    await client.stop()


async def test_a_new_account_registers_and_a_removed_one_is_forgotten() -> None:
    coap = Servers()
    async with Client("dev1", FIRST, coap=coap) as client:
        await client.registered(5)
        client.update(records({"/0/1/0": SECOND, "/0/1/1": False, "/0/1/10": 7, "/1/1/0": 7, "/1/1/1": 60}))
        await client.registered(5, 7)
        client.remove([Path(0, 0)])
        assert client.states == {7: State.REGISTERED}
        assert client.data_model.instances(1) == (1,)
        assert await coap.ask(Request(Code.GET, ("1",)), coap.at(1001)) == Response(Code.NOT_FOUND)


async def test_a_server_of_an_older_version_gets_that() -> None:
    coap = FakeEndpoint()
    coap.answers[Code.POST] = Response(Code.PRECONDITION_FAILED)
    client = Client("dev1", FIRST, [Record(TEMPERATURE, 1.0)], coap=coap)
    await client.start()
    assert "lwm2m=1.1" in (await coap.next_request()).query
    assert "lwm2m=1.0" in (await coap.next_request()).query
    await client.stop()


@in_virtual_time
async def test_the_device_is_asked_for_the_network_of_an_account() -> None:
    class Modem:
        def __init__(self) -> None:
            self.used: list[ObjectLink] = []

        async def use_apn(self, link: ObjectLink) -> None:
            self.used.append(link)
            if len(self.used) == 1:
                raise OSError("no such network")

    modem, coap = Modem(), Servers()
    apn = records({"/1/0/10": ObjectLink(11, 3), "/1/0/18": 0})
    async with Client("dev1", FIRST, apn, coap=coap, network=modem, clock=clock().time) as client:
        await client.registered(5)
    assert modem.used == [ObjectLink(11, 3)] * 2


async def test_what_only_a_removed_server_had_a_right_to_goes_with_it() -> None:
    coap = Servers()
    controls: dict[str, Value] = {}
    for number, (instance, entries, owner) in enumerate(
        [((3303, 0), {1: 15}, 1), ((3303, 1), {1: 15, 2: 1}, 1), ((3303, 2), {2: 15}, 2)]
    ):
        controls |= {f"/2/{number}/0": instance[0], f"/2/{number}/1": instance[1], f"/2/{number}/3": owner}
        controls |= {f"/2/{number}/2/{server}": rights for server, rights in entries.items()}
    sensors = [Record(Path(3303, number, 5700), 1.0) for number in (0, 1, 2)]
    client = Client("dev1", [FIRST, SECOND], [*sensors, *records(controls)], coap=coap)
    await client.start()
    await client.registered(5, 2)
    client.remove([Path(0, 0)])
    model = client.data_model
    assert client.states == {2: State.REGISTERED}
    assert model.instances(3303) == (1, 2)
    assert model.instances(2) == (1, 2)
    assert (model.value(Path(2, 1, 3)), model.resource_instances(Path(2, 1, 2))) == (2, (2,))
    await client.stop()


async def test_a_server_waits_for_its_turn_whatever_is_written_meanwhile() -> None:
    coap = Servers()
    coap.silent = {1001}
    order = records({"/1/0/0": 1, "/1/0/13": 1, "/1/1/0": 2, "/1/1/13": 2})
    client = Client("dev1", [FIRST, SECOND], order, coap=coap)
    await client.start()
    client.update([Record(Path(1, 0, 1), 77), Record(Path(1, 1, 10), ObjectLink(11, 0))])
    client.update(
        records({"/0/2/0": "coap://127.0.0.1:1003", "/0/2/1": False, "/0/2/10": 3, "/1/2/0": 3, "/1/2/1": 60})
    )
    await client.registered(5, 3)
    assert client.states == {1: State.WAITING, 2: State.IDLE, 3: State.REGISTERED}
    await client.stop()
