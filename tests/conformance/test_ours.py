"""X. Cases of ours on registration, device management and bad input."""

from __future__ import annotations

import asyncio

import pytest

from lwm2m.attributes import ThresholdMode
from lwm2m.coap.message import Code, Request
from lwm2m.model.content_format import ContentFormat
from lwm2m.testing import Datagram, Kind, Network, ScriptedServer, clock, in_virtual_time
from tests.conformance.bench import ENDPOINT, Bench, changed, conforms, refuse
from tests.wire import SERVER, client_on, server_on

OPAQUE, TEXT = 42, 0
STRANGER = "10.0.9.9"


@conforms("C.15")
async def test_x_202(bench: Bench) -> None:
    got = await bench.read("/19/0/0/0", OPAQUE)
    assert (got.code, got.response.content_format, got.payload) == (Code.CONTENT, OPAQUE, b"\x00\x01\x02")
    got = await bench.read("/19/0/0/0", TEXT)
    assert (got.code, got.payload) == (Code.CONTENT, b"AAEC")


@conforms("C.15")
async def test_x_210(bench: Bench) -> None:
    body = bytes(range(256)) * 17
    got = await bench.write("/19/0/0/0", body, OPAQUE)
    assert (got.code, got.request.content_format) == (Code.CHANGED, OPAQUE)
    blocks = [one.message for one in bench.wire.crossings if one.message.is_request and one.message.block1]
    assert b"".join(message.payload for message in blocks) == body
    assert len(blocks) == 5
    assert (await bench.server.read(ENDPOINT, "/19/0/0/0", OPAQUE))[0].value == body


@conforms("C.1", lifetime=0)
async def test_x_112(bench: Bench) -> None:
    await asyncio.sleep(400 * 86_400)
    assert bench.server.registration(ENDPOINT).lifetime == 0
    assert (await bench.read("/3/0/0")).code is Code.CONTENT


@in_virtual_time
async def test_x_115() -> None:
    """Our client tries the lower version when a server does not know its own."""
    network = Network()
    client = client_on(network, records=[])
    async with ScriptedServer(network.endpoint(SERVER, 5683)) as server, client:
        refused = await server.expect(Code.POST, "/rd")
        assert "lwm2m=1.1" in refused.request.query
        refused.answer(Code.PRECONDITION_FAILED)
        taken = await server.registered()
        assert "lwm2m=1.0" in taken.request.query
        await client.registered(60)


@in_virtual_time
async def test_x_115_server() -> None:
    """Our server refuses a version that it does not know."""
    network = Network()
    async with server_on(network) as server:
        stranger = network.endpoint(STRANGER)
        await stranger.start(refuse)
        peer = await stranger.peer(f"coap://{SERVER}")
        register = Request(Code.POST, ("rd",), ("ep=x", "lt=60", "lwm2m=1.7"), b"</3/0>", ContentFormat.LINK)
        assert (await stranger.request(peer, register)).code is Code.PRECONDITION_FAILED
        assert server.registrations() == []
        await stranger.stop()


REGISTERS = [
    ('</>;rt="oma.lwm2m";ct=110,</1/0>,</3/0>', (), {1: (0,), 3: (0,)}),
    ('</lwm2m>;rt="oma.lwm2m";ct="60 110 112",</lwm2m/1/0>,</lwm2m/3/0>', ("lwm2m",), {1: (0,), 3: (0,)}),
    ("</1/0>,</3/0>,</5>;ver=1.1,</3303/0>", (), {1: (0,), 3: (0,), 5: (), 3303: (0,)}),
    ('</1/0>,</3>;ver="1.2",</3/0>', (), {1: (0,), 3: (0,)}),
]


@pytest.mark.parametrize(("links", "root", "objects"), REGISTERS)
def test_x_116(links: str, root: tuple[str, ...], objects: dict[int, tuple[int, ...]]) -> None:
    @in_virtual_time
    async def case() -> None:
        network = Network()
        async with server_on(network) as server:
            stranger = network.endpoint(STRANGER)
            await stranger.start(refuse)
            peer = await stranger.peer(f"coap://{SERVER}")
            register = Request(Code.POST, ("rd",), ("ep=x", "lt=60", "lwm2m=1.1"), links.encode(), ContentFormat.LINK)
            assert (await stranger.request(peer, register)).code is Code.CREATED
            registration = server.registration("x")
            assert dict(registration.objects) == objects
            reading = asyncio.create_task(server.read("x", "/3/0/0"))
            await asyncio.sleep(1)
            asked = [one.message for one in network.between(SERVER, STRANGER) if one.message.is_request]
            assert asked[0].path == "/" + "/".join((*root, "3", "0", "0"))
            reading.cancel()
            await stranger.stop()

    case()


# fmt: off
GOOD = [
    "", "0", "9", "0,1", "0='a'", "0=''", "1='hello'", "0='1',1='2'", "0,1='x'", "2='a b'", "3='1+1=2'", "4='{}'",
    "5=','", "7='['", "8='<a>'", "0,1,2,3,4,5,6,7,8,9", "9='9'", "0='#'", "1='-1'", "2='&'",
]
BAD = [
    "a", "10", "0=", "0=a", "0='a", "0=a'", "='a'", ",", "0,", ",0", "0,,1", "0='a''", "0 ='a'", "0= 'a'",
    "'a'", "0='a' ,1", "-1", "0;1", "0='a'1", "00",
]
# fmt: on


@conforms("C.6")
async def test_x_240(bench: Bench) -> None:
    assert (len(GOOD), len(BAD)) == (20, 20)
    refused = [arguments for arguments in GOOD if (await bench.execute("/3/0/12", arguments)).code is not Code.CHANGED]
    taken = [arguments for arguments in BAD if (await bench.execute("/3/0/12", arguments)).code is not Code.BAD_REQUEST]
    assert (refused, taken) == ([], [])


@conforms("C.4")
async def test_x_262(bench: Bench) -> None:
    """A Write-Attributes is done whole or not at all."""
    for wrong in (
        {"pmin": "-1"},
        {"pmax": "x"},
        {"gt": "1"},
        {"pmin": "1", "pmax": "1.5"},
        {"pmin": "5", "nonsense": "1"},
    ):
        got = await bench.attributes("/3/0", **wrong)
        assert (wrong, got.code) == (wrong, Code.BAD_REQUEST)
    assert bench.links(await bench.discover("/3/0"))["/3/0"] == {}
    for wrong in ({"gt": "5", "lt": "6"}, {"gt": "10", "lt": "1", "st": "5"}, {"st": "-1"}):
        got = await bench.attributes("/3/0/9", **wrong)
        assert (wrong, got.code) == (wrong, Code.BAD_REQUEST)
    assert (await bench.attributes("/3/0/9", pmin=5, gt=90, lt=20, st=10)).code is Code.CHANGED
    links = bench.links(await bench.discover("/3/0/9"))
    assert links["/3/0/9"] == {"pmin": "5", "gt": "90", "lt": "20", "st": "10"}
    assert (await bench.attributes("/3/0/9", pmin=None, gt=None, lt=None, st=None)).code is Code.CHANGED
    assert bench.links(await bench.discover("/3/0/9"))["/3/0/9"] == {}


SAMPLES = [
    ({"gt": 45, "st": 10}, [(45, 50, True), (38, 49, True), (48, 42, False)]),
    ({"lt": 20, "gt": 85, "st": 10}, [(75, 90, True), (50, 10, True), (87, 99, True), (17, 24, False)]),
]


@pytest.mark.parametrize("mode", ThresholdMode)
def test_x_320(mode: ThresholdMode) -> None:
    """The samples of the technical specification, which are of one-way thresholds; two-way ones cross back, too."""

    @conforms("C.4", threshold_mode=mode)
    async def case(bench: Bench) -> None:
        for attributes, steps in SAMPLES:
            for before, after, sent in steps:
                bench.client.update(changed("/3/0/9", before))
                await bench.attributes("/3/0/9", gt=None, lt=None, st=None, pmin=0, pmax=0)
                assert (await bench.attributes("/3/0/9", **attributes)).code is Code.CHANGED
                observed = await bench.observe("/3/0/9")
                bench.client.update(changed("/3/0/9", after))
                await asyncio.sleep(5)
                expected = sent or mode is ThresholdMode.BOTH
                assert (before, after, bool(bench.notifications(observed))) == (before, after, expected)
                await bench.server.cancel_observation(ENDPOINT, "/3/0/9")

    case()


@in_virtual_time
async def test_x_420() -> None:
    """Datagrams that are no messages, to both ends: nobody falls, and a Reset is all that comes back."""
    network = Network(seed=1)
    async with server_on(network) as server, client_on(network, records=[]) as client:
        await client.registered(5)
        device = server.registration("client").peer.address
        stranger = await network.open_socket(STRANGER, 4711)
        good = Datagram(Kind.CON, Code.GET, 7, b"tok", ((11, b"3"), (11, b"0"), (11, b"0"))).encode()
        broken = [good[:length] for length in range(len(good))]
        broken += [bytes((byte,)) + good[1:] for byte in range(256)]
        broken += [good + b"\xff", b"\xff" * 50, bytes(1200), good[:4] + b"\xf0" * 30]
        for target in (device, (SERVER, 5683)):
            for data in broken:
                stranger.sendmsg([data], [], 0, target)
                await asyncio.sleep(0.01)
        await asyncio.sleep(300)
        assert (await server.read("client", "/3/0/16"))[0].value == "U"
        answers = [one.message for one in network.crossings if one.destination[0] == STRANGER]
        assert answers
        assert clock().time() > 300
