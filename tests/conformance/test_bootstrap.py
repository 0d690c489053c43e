"""A. Bootstrap: 0 to 9, and ours. The bootstrap server is ours as well, at an address of its own."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m.client import Client
from lwm2m.client.registration import State
from lwm2m.coap.message import Code, Request
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server import Server
from lwm2m.server.bootstrap import BootstrapServer
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapConfigs, StepOperation, WriteRecords, in_order
from lwm2m.testing import Network, ScriptedPeer, clock, in_virtual_time, run
from tests.conformance.bench import ENDPOINT, Bench, Exchange
from tests.conformance.configurations import DEVICE as DEVICE_VALUES
from tests.conformance.configurations import SERVER as SERVER_VALUES
from tests.conformance.configurations import Values, records
from tests.wire import DEVICE, SERVER, SERVER_URI

BOOTSTRAP = "10.0.0.2"
BOOTSTRAP_URI = f"coap://{BOOTSTRAP}"
DEAD = "coap://10.0.0.66"


def security(uri: str = SERVER_URI, *, bootstrap: bool = False, short_server_id: int = 1, **more: Any) -> Values:
    values: dict[int, Any] = {0: uri, 1: bootstrap, 2: 3, 3: b"", 4: b"", 5: b""}
    return (values if bootstrap else {**values, 10: short_server_id}) | {int(key[1:]): one for key, one in more.items()}


def written(instance: str, values: Values) -> WriteRecords:
    path = Path.parse(instance)
    return WriteRecords(path, tuple(one for one in records(instance, values) if one.value is not None))


C_13 = [*records("/0/1", security(BOOTSTRAP_URI, bootstrap=True)), *records("/3/0", DEVICE_VALUES)]
FLOW = (written("/0/0", security()), written("/1/0", SERVER_VALUES), BootstrapDiscover(Path()))


@dataclass
class Stage:
    """What a case plays on: `bench` for what crosses, with the bootstrap server as the one who asks."""

    bench: Bench
    network: Network
    server: Server
    bootstrap: BootstrapServer
    client: Client

    async def session(self, within: float = 60) -> list[Exchange]:
        """The Bootstrap-Request, and every exchange of the session up to its Finish."""
        request = await self.bench.coming(Code.POST, "/bs", within)
        begin = self.bench.mark

        def finished() -> list[Exchange] | None:
            self.bench.mark = begin
            asked = [one for one in self.bench.exchanges() if one.source == BOOTSTRAP]
            done = bool(asked) and (asked[-1].request.path, asked[-1].request.code) == ("/bs", Code.POST)
            return asked if done else None

        exchanges = await self.bench.until(finished, within, "Bootstrap-Finish")
        return [request, *exchanges]

    def configure(self, *operations: StepOperation) -> None:
        self.bootstrap.configs = BootstrapConfigs(default=BootstrapConfig(in_order(operations)))


Case = Callable[[Stage], Awaitable[None]]


def bootstraps(
    *operations: StepOperation, client: Sequence[Record] = C_13, start: bool = True, **more: Any
) -> Callable[[Case], Callable[[], None]]:
    """Make a case a test: the steps that the bootstrap server takes, and what the client has at first."""

    def decorate(case: Case) -> Callable[[], None]:
        async def on() -> None:
            network, now = Network(), clock().time
            configs = BootstrapConfigs(default=BootstrapConfig(in_order(operations or FLOW)))
            bootstrap = BootstrapServer([network.endpoint(BOOTSTRAP, 5683)], configs, wall=clock().wall_time)
            server = Server([network.endpoint(SERVER, 5683)], clock=now, wall=clock().wall_time)
            device = Client(
                ENDPOINT, (), client, coap=network.endpoint(DEVICE), clock=now, wall_clock=clock().wall_time, **more
            )
            async with bootstrap, server:
                bench = Bench(network, server, device, BOOTSTRAP, DEVICE)
                try:
                    if start:
                        await device.start()
                    await case(Stage(bench, network, server, bootstrap, device))
                finally:
                    await device.stop()

        def test() -> None:
            run(on())

        functools.update_wrapper(test, case)
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]  # pytest reads it
        return test

    return decorate


def codes(exchanges: Sequence[Exchange]) -> list[tuple[str, str, str]]:
    return [(Code(one.request.code).name, one.request.path, one.code.dotted) for one in exchanges]


@bootstraps()
async def test_1_1_int_0(stage: Stage) -> None:
    session = await stage.session()
    assert codes(session) == [
        ("POST", "/bs", "2.04"),
        ("PUT", "/0/0", "2.04"),
        ("PUT", "/1/0", "2.04"),
        ("GET", "/", "2.05"),
        ("POST", "/bs", "2.04"),
    ]
    assert f"ep={ENDPOINT}" in session[0].request.query
    links = stage.bench.links(session[3])
    assert links["/"]["lwm2m"] == "1.1"
    assert links["/0/0"] == {"ssid": "1", "uri": f'"{SERVER_URI}"'}
    assert links["/1/0"]["ssid"] == "1"
    assert links["/0/1"] == {}
    assert "/3/0" in links
    await stage.client.registered(60)
    assert stage.server.registration(ENDPOINT).lifetime == 86400


CARD = [*records("/0/0", security()), *records("/1/0", {**SERVER_VALUES, 1: 43200}), *records("/3/0", DEVICE_VALUES)]


@bootstraps(client=CARD)
async def test_1_1_int_3(stage: Stage) -> None:
    """The card is simulated: its content is what the client is made with when it is switched on."""
    network = stage.network
    await stage.client.registered(60)
    stage.bench.server_host = SERVER
    assert stage.bench.values(await stage.bench.read("/1/0/1")) == {"/1/0/1": 43200}
    await stage.client.stop()
    other = Server([network.endpoint("10.0.0.3", 5683)], clock=clock().time, wall=clock().wall_time)
    inserted = [*records("/0/0", security("coap://10.0.0.3")), *CARD[6:]]
    inserted = [one for one in inserted if one.path != Path(1, 0, 1)] + [Record(Path(1, 0, 1), 7200)]
    async with other, Client(ENDPOINT, (), inserted, coap=network.endpoint(DEVICE), clock=clock().time) as again:
        await again.registered(60)
        assert (await other.read(ENDPOINT, "/1/0/1"))[0].value == 7200
        assert stage.server.registrations() == []


@bootstraps(
    *FLOW,
    BootstrapRead(Path(1)),
    BootstrapDelete(Path(0)),
    BootstrapDelete(Path(1)),
    BootstrapDiscover(Path()),
    *FLOW[:2],
)
async def test_1_1_int_4(stage: Stage) -> None:
    session = await stage.session()
    deletes = [one for one in session if one.request.code == Code.DELETE]
    assert [one.code for one in deletes] == [Code.DELETED, Code.DELETED]
    before, after = [stage.bench.links(one) for one in session if one.request.path == "/" and one.request.code == 1]
    assert {"/0/0", "/0/1", "/1/0"} <= set(before)
    assert "/0/1" in after
    assert not {"/0/0", "/1/0"} & set(after)
    assert session[-1].code is Code.CHANGED
    await stage.client.registered(60)


@bootstraps()
async def test_1_1_int_5(stage: Stage) -> None:
    await stage.session()
    await stage.client.registered(60)
    stage.bench.begin()
    stage.bench.server_host = SERVER
    assert (await stage.bench.execute("/1/0/9")).code is Code.CHANGED
    assert (await stage.session())[-1].code is Code.CHANGED
    await asyncio.sleep(5)
    assert stage.client.state is State.REGISTERED


BOTH = [*CARD, *records("/0/1", security(BOOTSTRAP_URI, bootstrap=True))]


@bootstraps(client=BOTH)
async def test_1_1_int_6(stage: Stage) -> None:
    """Registration with what the factory left comes before a client-initiated bootstrap; the trigger still works."""
    await stage.client.registered(60)
    await asyncio.sleep(600)
    assert not list(stage.network.between(DEVICE, BOOTSTRAP))
    stage.bench.server_host = SERVER
    assert (await stage.bench.execute("/1/0/9")).code is Code.CHANGED
    assert (await stage.session())[-1].code is Code.CHANGED


DEAD_ACCOUNT = [
    *records("/0/0", security(DEAD)),
    *records("/1/0", {**SERVER_VALUES, 16: True, 17: 1, 18: 5, 19: 4294967295, 20: 1}),
    *C_13,
]


@bootstraps(client=DEAD_ACCOUNT)
async def test_1_1_int_7(stage: Stage) -> None:
    session = await stage.session(within=600)
    assert list(stage.network.between(DEVICE, DEAD[7:]))
    assert session[-1].code is Code.CHANGED
    await stage.client.registered(60)
    assert stage.server.registration(ENDPOINT)


ACCESS: Values = {0: 3, 1: 0, 2: {0: 31}, 3: 65535}


@bootstraps(*FLOW[:2], written("/2/0", ACCESS), BootstrapRead(Path(1)), BootstrapRead(Path(2)))
async def test_1_1_int_8(stage: Stage) -> None:
    session = await stage.session()
    assert [one.code for one in session[1:4]] == [Code.CHANGED] * 3
    servers, access = session[4:6]
    assert (servers.code, access.code) == (Code.CONTENT, Code.CONTENT)
    assert stage.bench.values(servers)["/1/0/1"] == 86400
    values = stage.bench.values(access)
    assert values == {"/2/0/0": 3, "/2/0/1": 0, "/2/0/2/0": 31, "/2/0/3": 65535}
    assert session[-1].code is Code.CHANGED


@bootstraps(written("/1/0", {5: 86400}))
async def test_1_1_int_9(stage: Stage) -> None:
    session = await stage.session()
    assert (session[1].request.path, session[1].code) == ("/1/0", Code.CHANGED)
    assert (session[-1].request.path, session[-1].code) == ("/bs", Code.NOT_ACCEPTABLE)
    assert stage.server.registrations() == []


@bootstraps(client=[*records("/0/1", security(BOOTSTRAP_URI, bootstrap=True, r11=30)), *C_13[6:]])
async def test_x_050(stage: Stage) -> None:
    began = clock().time()
    request = await stage.bench.coming(Code.POST, "/bs", within=60)
    assert 29.9 <= request.at - began <= 31


@bootstraps(client=[*records("/0/1", security(BOOTSTRAP_URI, bootstrap=True, r12=100)), *C_13[6:]])
async def test_x_051(stage: Stage) -> None:
    await stage.session()
    await stage.client.registered(60)
    await asyncio.sleep(90)
    assert stage.client.data_model.has(Path(0, 1))
    await asyncio.sleep(20)
    assert not stage.client.data_model.has(Path(0, 1))
    assert stage.client.data_model.has(Path(0, 0))
    assert stage.client.state is State.REGISTERED


@bootstraps(client=BOTH)
async def test_x_052(stage: Stage) -> None:
    """The bootstrap server vanishes in mid-session: after 247 s everything is as it was before."""
    await stage.client.registered(60)
    before = stage.client.data_model.read(Path(1))
    stage.configure(BootstrapDelete(Path(1)), written("/0/0", security(DEAD)), written("/1/0", SERVER_VALUES))
    stage.bench.server_host = SERVER
    assert (await stage.bench.execute("/1/0/9")).code is Code.CHANGED
    stage.bench.server_host = BOOTSTRAP
    request = await stage.bench.coming(Code.POST, "/bs")
    assert request.code is Code.CHANGED

    def deleted() -> bool | None:
        asked = [one.message for one in stage.network.between(BOOTSTRAP, DEVICE) if one.message.is_request]
        return any(message.code == Code.DELETE for message in asked) or None

    await stage.bench.until(deleted, 10, "Bootstrap-Delete")
    stage.network.cut(BOOTSTRAP)
    await asyncio.sleep(300)
    answered = [one.message for one in stage.network.between(DEVICE, BOOTSTRAP)]
    assert any(message.code == Code.DELETED for message in answered)
    assert [one for one in stage.client.data_model.read(Path(1)) if one.path[2] != 12] == [
        one for one in before if one.path[2] != 12
    ]


@bootstraps(
    client=[
        *records("/0/0", security(DEAD)),
        *records("/1/0", {**SERVER_VALUES, 16: False, 17: 1, 18: 5, 19: 4294967295, 20: 1}),
        *C_13,
    ]
)
async def test_x_054(stage: Stage) -> None:
    await asyncio.sleep(3600)
    assert list(stage.network.between(DEVICE, DEAD[7:]))
    assert not list(stage.network.between(DEVICE, BOOTSTRAP))


@bootstraps(*FLOW[:2], BootstrapDelete(Path()), BootstrapDiscover(Path()), *FLOW[:2])
async def test_x_055(stage: Stage) -> None:
    """Delete / leaves the bootstrap account and the device."""
    session = await stage.session()
    (delete,) = [one for one in session if one.request.code == Code.DELETE]
    assert (delete.request.path, delete.code) == ("/", Code.DELETED)
    (discover,) = [one for one in session if one.request.code == Code.GET]
    links = stage.bench.links(discover)
    assert {link for link in links if link.count("/") == 2} == {"/0/1", "/3/0"}
    assert session[-1].code is Code.CHANGED


@bootstraps(*FLOW[:2], written("/0/5", security("coap://10.0.0.7", bootstrap=True)))
async def test_x_055_second_bootstrap_account(stage: Stage) -> None:
    await stage.bench.coming(Code.POST, "/bs")
    await asyncio.sleep(5)
    (refused,) = [one for one in stage.bench.exchanges() if one.request.path == "/0/5"]
    assert refused.code is Code.BAD_REQUEST


LINK, TLV = 40, 11542
UNEXPECTED = [
    (Request(Code.GET, (), accept=LINK), Code.CONTENT),
    (Request(Code.GET, ("3",), accept=LINK), Code.CONTENT),
    (Request(Code.GET, ("3", "0", "0"), accept=LINK), Code.BAD_REQUEST),
    (Request(Code.GET, ("4711",), accept=LINK), Code.NOT_FOUND),
    (Request(Code.GET, (), accept=TLV), Code.METHOD_NOT_ALLOWED),
    (Request(Code.GET, ("0",), accept=TLV), Code.UNAUTHORIZED),
    (Request(Code.GET, ("21",), accept=TLV), Code.UNAUTHORIZED),
    (Request(Code.GET, ("3", "0"), accept=TLV), Code.UNAUTHORIZED),
    (Request(Code.GET, ("1", "0", "1"), accept=TLV), Code.METHOD_NOT_ALLOWED),
    (Request(Code.GET, ("2",), accept=TLV), Code.NOT_FOUND),
    (Request(Code.POST, ("3", "0", "4")), Code.METHOD_NOT_ALLOWED),
    (Request(Code.PUT, ("3", "0", "11", "0"), payload=b"1", content_format=0), Code.METHOD_NOT_ALLOWED),
    (Request(Code.DELETE, ("3", "0", "0")), Code.BAD_REQUEST),
    (Request(Code.DELETE, ("3", "0")), Code.BAD_REQUEST),
    (Request(Code.DELETE, ("0", "1")), Code.BAD_REQUEST),
    (Request(Code.DELETE, ("7",)), Code.DELETED),
]


@in_virtual_time
async def test_x_056() -> None:
    """A bootstrap server that asks what it should not gets the code of each mistake, and the session goes on."""
    network = Network()
    device = Client(ENDPOINT, (), C_13, coap=network.endpoint(DEVICE), clock=clock().time)
    async with ScriptedPeer(network.endpoint(BOOTSTRAP, 5683)) as bootstrap, device:
        asked = await bootstrap.expect(Code.POST, "/bs")
        asked.answer(Code.CHANGED)
        codes = [(await bootstrap.ask(asked.peer, request)).code for request, _ in UNEXPECTED]
        assert codes == [code for _, code in UNEXPECTED]


@bootstraps(BootstrapDiscover(Path(4711)))
async def test_x_056_of_our_bootstrap_server(stage: Stage) -> None:
    await stage.bench.coming(Code.POST, "/bs")
    await asyncio.sleep(5)
    (refused,) = [one for one in stage.bench.exchanges() if one.request.path == "/4711"]
    assert refused.code is Code.NOT_FOUND
