"""What bad input is answered with, byte for byte on the wire: lwm2m.md §13. Composite operations and the bootstrap
interface have files of their own. The peer is a bare socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from lwm2m.client import Actuator, Client
from lwm2m.coap.message import Code
from lwm2m.coap.stacks import open_endpoint
from lwm2m.errors import Forbidden, InternalServerError, MethodNotAllowed, NotImplementedByPeer
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record
from lwm2m.server import Server
from tests.lockstep import ACK, CON, Datagram, ScriptedPeer

GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = range(1, 8)
URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT, BLOCK1, LOCATION_PATH = 11, 12, 15, 17, 27, 8
UNKNOWN_CRITICAL, UNKNOWN_ELECTIVE = 65001, 65002
TEXT, LINK, OPAQUE, CBOR, SENML_JSON, SENML_CBOR, TLV, OMA_JSON = 0, 40, 42, 60, 110, 112, 11542, 11543

RECORDS = (
    Record(Path(1, 0, 17), 5),
    Record(Path(3, 0, 0), "Acme"),
    Record(Path(3, 0, 7, 0), 3800),
    Record(Path(3, 0, 9), 80),
    Record(Path(5, 0, 3), 0),
    Record(Path(5, 0, 5), 0),
    Record(Path(16, 0, 0, 0), "portfolio"),
    Record(Path(3442, 0, 0), None),
    Record(Path(3442, 0, 110), "text"),
    Record(Path(3442, 0, 120), 5),
    Record(Path(3442, 0, 130), 1.5),
    Record(Path(3442, 0, 140), True),
    Record(Path(3442, 0, 150), b"\1"),
    Record(Path(3442, 0, 160), 1),
    Record(Path(3442, 0, 170), ObjectLink(3, 0)),
    Record(Path(3442, 0, 1120, 0), 5),
)


@dataclass(frozen=True)
class Ask:
    """A request and the code it gets."""

    method: int
    target: str
    expected: str
    payload: bytes = b""
    content_format: int | None = None
    accept: int | None = None
    options: tuple[tuple[int, bytes], ...] = field(default=())

    def __str__(self) -> str:
        extra = "" if self.content_format is None else f" as {self.content_format}"
        return f"{Code(self.method).name} {self.target}{extra} {self.payload.hex()} -> {self.expected}"

    def datagram(self, mid: int) -> Datagram:
        path, _, query = self.target.partition("?")
        options = [(URI_PATH, segment.encode()) for segment in path.split("/")[1:] if path != "/"]
        options += [(URI_QUERY, item.encode()) for item in query.split("&") if query]
        for number, value in ((CONTENT_FORMAT, self.content_format), (ACCEPT, self.accept)):
            if value is not None:
                options.append((number, value.to_bytes((value.bit_length() + 7) // 8, "big")))
        return Datagram(CON, self.method, mid, b"\xaa\xbb", (*options, *self.options), self.payload)


async def answer(peer: ScriptedPeer, asked: Ask) -> Datagram:
    mid = peer.next_mid()
    peer.send(asked.datagram(mid))
    while True:
        got = await peer.expect()
        if (got.kind, got.mid) == (ACK, mid):
            return got


async def assert_answered(peer: ScriptedPeer, asked: Ask) -> None:
    got = await answer(peer, asked)
    assert f"{got.code >> 5}.{got.code & 31:02}" == asked.expected, got.payload
    assert got.token == b"\xaa\xbb"


@pytest.fixture
async def server_of_client() -> AsyncIterator[ScriptedPeer]:
    """A server that a client has just registered with."""
    async with registered_client() as peer:
        yield peer


@asynccontextmanager
async def registered_client(actuator: Actuator | None = None) -> AsyncIterator[ScriptedPeer]:
    async with ScriptedPeer() as peer:
        client = Client("dev1", peer.uri, RECORDS, actuator)
        await client.start()
        register = await peer.expect()
        location = ((LOCATION_PATH, b"rd"), (LOCATION_PATH, b"5a3f"))
        peer.send(Datagram(ACK, Code.CREATED, register.mid, register.token, location))
        await client.registered(5)
        yield peer
        await client.stop(deregister=False)


def h(text: str) -> bytes:
    return bytes.fromhex(text)


AT_THE_CLIENT = [
    # unknown object, instance, resource, resource instance
    *(Ask(GET, path, "4.04") for path in ("/9999", "/3/1", "/3/0/99", "/3/0/10", "/3/0/7/9", "/9999/0/0/0")),
    Ask(PUT, "/9999/0/1", "4.04", b"1", TEXT),
    Ask(PUT, "/3442/1", "4.04", b"", TLV),
    Ask(PUT, "/3442/0/9999", "4.04", b"1", TEXT),
    Ask(POST, "/3442/0/9999", "4.04"),
    Ask(PUT, "/3/0/99?pmin=1", "4.04"),
    Ask(GET, "/3/0/99", "4.04", accept=LINK),
    # what is the bootstrap server's
    *(Ask(GET, path, "4.01") for path in ("/0", "/0/0", "/0/0/0", "/21", "/21/0")),
    Ask(PUT, "/0/0/0", "4.01", b"coap://x", TEXT),
    Ask(PUT, "/0?pmin=1", "4.01"),
    Ask(GET, "/0", "4.01", accept=LINK),
    Ask(DELETE, "/0/0", "4.01"),
    Ask(POST, "/0", "4.01", h("080100"), TLV),
    # operations that a target does not have
    Ask(GET, "/3/0/4", "4.05"),
    Ask(GET, "/3442/0/0", "4.05"),
    Ask(PUT, "/3/0/0", "4.05", b"x", TEXT),
    Ask(PUT, "/3/0/4", "4.05", b"x", TEXT),
    Ask(PUT, "/1/0", "4.05", h("c10005c1013c"), TLV),
    Ask(POST, "/1/0", "4.05", h("c10005c1013c"), TLV),
    Ask(POST, "/3/0/0", "4.05"),
    Ask(POST, "/1/0/1", "4.05"),
    Ask(POST, "/3", "4.05", h("c10005"), TLV),
    Ask(POST, "/3442/0/1120/0", "4.05", b"1", TEXT),
    Ask(PUT, "/3", "4.05", b"", TLV),
    *(Ask(DELETE, path, "4.05") for path in ("/3", "/3/0", "/3/0/9", "/3/0/7/0")),
    Ask(GET, "/3/0/9/0", "4.05"),
    Ask(GET, "/3/0/7/0", "4.05", accept=LINK),
    *(Ask(method, "/", "4.05") for method in (GET, PUT, POST, DELETE)),
    # formats
    *(Ask(PUT, "/1/0/1", "4.15", b"60", number) for number in (40, 50, 41, 11544, 65535)),
    Ask(PUT, "/1/0/1", "4.15", b"60", OPAQUE),
    *(Ask(PUT, "/3442/0", "4.15", b"60", number) for number in (TEXT, OPAQUE, CBOR)),
    *(Ask(PUT, "/3442/0/1120", "4.15", b"60", number) for number in (TEXT, OPAQUE, CBOR)),
    Ask(PUT, "/3442/0", "4.15", h("c17805")),
    Ask(POST, "/3442/0", "4.15", h("c17805")),
    Ask(POST, "/3442/0/0", "4.15", b"5", TLV),
    *(Ask(GET, "/3/0/9", "4.06", accept=number) for number in (50, 41, OPAQUE, 65535)),
    *(Ask(GET, "/3/0", "4.06", accept=number) for number in (TEXT, OPAQUE, CBOR)),
    *(Ask(GET, "/3/0/7", "4.06", accept=number) for number in (TEXT, OPAQUE, CBOR)),
    # payloads
    Ask(PUT, "/1/0/1", "4.00", b"soon", TEXT),
    Ask(PUT, "/1/0/1", "4.00", b"", TEXT),
    Ask(PUT, "/1/0/1", "4.00", b"-1", TEXT),
    Ask(PUT, "/1/0/1", "4.00", b"9223372036854775808", TEXT),
    Ask(PUT, "/3442/0/140", "4.00", b"true", TEXT),
    Ask(PUT, "/3442/0/150", "4.00", b"not base64!", TEXT),
    Ask(PUT, "/3442/0/170", "4.00", b"3", TEXT),
    Ask(PUT, "/3442/0/110", "4.00", b"\xff", TEXT),
    Ask(PUT, "/3442/0/140", "4.00", h("c18c02"), TLV),
    Ask(PUT, "/3442/0/140", "4.00", h("e1008c02"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("c1023c"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("c2013c"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("c1013cff"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("c301000001"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("830141003c"), TLV),
    Ask(PUT, "/3442/0", "4.00", h("c17805c17806"), TLV),
    Ask(PUT, "/1/0/1", "4.00", h("183cff"), CBOR),
    Ask(PUT, "/1/0/1", "4.00", h("6131"), CBOR),
    Ask(PUT, "/1/0/1", "4.00", b'[{"n":"/1/0/2","v":5}]', SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", b'[{"n":"/1/0/1"}]', SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", b'[{"n":"/1/0/1","v":null}]', SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", b'[{"n":"/1/0/1","vs":"5"}]', SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", b"[]", SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", b"{}", SENML_JSON),
    Ask(PUT, "/1/0/1", "4.00", h("81a2"), SENML_CBOR),
    Ask(PUT, "/1/0", "4.00", b'[{"n":"/3/0/9","v":5}]', SENML_JSON),
    # older JSON
    Ask(PUT, "/1/0/1", "4.00", b'{"e":[{"sv":"soon"}]}', OMA_JSON),
    Ask(PUT, "/1/0/1", "4.00", b'{"e":[{"n":"2","v":60}]}', OMA_JSON),
    Ask(PUT, "/1/0", "4.00", b'{"bn":"/3/0/","e":[{"n":"9","v":5}]}', OMA_JSON),
    Ask(PUT, "/1/0/1", "4.00", b"60", 1543),
    Ask(GET, "/3/0/9", "4.06", accept=1543),
    # Create
    Ask(POST, "/9999", "4.04", h("0001"), TLV),
    Ask(POST, "/1", "4.05", h("0007"), TLV),
    Ask(POST, "/5", "4.05", h("0001"), TLV),
    Ask(POST, "/3442", "4.00", h("0300c17805"), TLV),
    Ask(POST, "/3442", "4.00", b'[{"n":"/3442/0/120","v":5}]', SENML_JSON),
    Ask(POST, "/3442", "4.00", h("00010002"), TLV),
    Ask(POST, "/3442", "4.00", b'[{"n":"/3442/1/120","v":5},{"n":"/3442/2/120","v":5}]', SENML_JSON),
    Ask(POST, "/3442", "4.00", h("0301c17805c17806"), TLV),
    Ask(POST, "/3442", "4.00", h("0301c18c02"), TLV),
    Ask(POST, "/3442", "4.00", h("0301"), TLV),
    Ask(POST, "/3442", "4.00", b'[{"n":"/16/1/0/0","vs":"x"}]', SENML_JSON),
    Ask(POST, "/3442", "4.00", b'[{"n":"/3442/1/120","vs":"x"}]', SENML_JSON),
    Ask(POST, "/3442", "4.00", b"[", SENML_JSON),
    Ask(POST, "/16", "4.00", h("0001"), TLV),
    Ask(POST, "/16", "4.00", b"", TLV),
    *(Ask(POST, "/3442", "4.15", b"5", number) for number in (None, TEXT, OPAQUE, CBOR, LINK, 65535)),
    # Delete
    Ask(DELETE, "/3442/9", "4.04"),
    *(Ask(DELETE, path, "4.05") for path in ("/3442", "/3442/0/120", "/3442/0/1120/0", "/1/0")),
    # arguments and attributes
    *(Ask(POST, "/3442/0/0", "4.00", text, TEXT) for text in (b"x", b"10", b"1='a", b"1,1", b"1=a", b",", b"1,")),
    *(
        Ask(PUT, f"/3442/0/120?{query}", "4.00")
        for query in (
            "x=1",
            "pmin=-1",
            "pmin=x",
            "pmin=1.5",
            "gt=x",
            "st=-1",
            "lt=5&gt=5",
            "lt=9&gt=1",
            "epmin=3&epmax=3",
        )
    ),
    Ask(PUT, "/3442/0/120?lt=1&gt=5&st=2", "4.00"),
    Ask(PUT, "/3442/0/110?gt=1", "4.00"),
    Ask(PUT, "/3442/0?gt=1", "4.00"),
    Ask(PUT, "/3442?st=1", "4.00"),
    Ask(PUT, "/3442/0/120?pmin=1", "4.00", b"5", TEXT),
    # paths and options
    Ask(GET, "/3/0/7/0/0", "4.05"),
    *(Ask(GET, path, "4.04") for path in ("/x", "/3/x", "/65535", "/3/65536/0", "/99999999", "/3/-1", "//3")),
    *(Ask(GET, path, "4.00") for path in ("/03", "/3/00", "/3/0/009")),
    Ask(GET, "/3/0/9", "4.02", options=((UNKNOWN_CRITICAL, b"x"),)),
    # blocks
    Ask(PUT, "/3442/0/110", "4.08", b"x" * 16, TEXT, options=((BLOCK1, b"\x18"),)),
]

GOOD_AT_THE_CLIENT = [
    Ask(FETCH, "/", "2.05", h("81a100672f332f302f3136"), SENML_CBOR, SENML_CBOR),
    Ask(FETCH, "/", "2.05", b'[{"n":"/3339"},{"n":"/3/0/4"}]', SENML_JSON),
    Ask(IPATCH, "/", "2.04", h("81a200662f312f302f3102183d"), SENML_CBOR),
    Ask(GET, "/3/0/9", "2.05", options=((UNKNOWN_ELECTIVE, b"x"),)),
    Ask(GET, "/3/0/9/", "2.05"),
    Ask(GET, "/3/0/", "2.05", accept=TLV),
    Ask(PUT, "/3442/0/110", "2.04", b"", TEXT),
    Ask(PUT, "/1/0/1", "2.04", b"60"),
    Ask(POST, "/3442/0/0", "2.04"),
    Ask(POST, "/3442/0/0", "2.04", b"7,0='https://www.oma.org'", TEXT),
    Ask(POST, "/3442/0/0", "2.04", b"0,1,2,3,4"),
    Ask(POST, "/3442/0/1120", "2.04", h("a30460410305"), TLV),
    Ask(POST, "/3442", "2.01", h("0005"), TLV),
    Ask(POST, "/3442", "2.01", h("0305c17805"), TLV),
    Ask(POST, "/3442", "2.01", h("c17805"), TLV),
    Ask(POST, "/3442", "2.01", b"", TLV),
    Ask(POST, "/3442", "2.01", h("c17805"), 1542),
    Ask(POST, "/3442", "2.01", b'[{"n":"/3442/65534/120","v":5},{"n":"/3442/65534/9999","v":5}]', SENML_JSON),
    Ask(POST, "/3442", "2.01", b'{"bn":"/3442/1/","e":[{"n":"120","v":5}]}', OMA_JSON),
    Ask(POST, "/16", "2.01", b'[{"n":"/16/1/0/0","vs":"x"}]', SENML_JSON),
    Ask(DELETE, "/3442/0", "2.02"),
    Ask(DELETE, "/3442/0/", "2.02"),
    Ask(PUT, "/1/0/1", "2.04", b'{"e":[{"v":60}]}', OMA_JSON),
    Ask(PUT, "/1/0/1", "2.04", b'{"bn":"/1/0/","e":[{"n":"1","v":60}]}', 1543),
    Ask(PUT, "/1/0/1", "2.04", b"60", 1541),
    Ask(GET, "/3/0", "2.05", accept=OMA_JSON),
    Ask(PUT, "/3442/0/120?gt=-5.5&lt=-9", "2.04"),
    Ask(PUT, "/3442/0/120?gt", "2.04"),
    Ask(PUT, "/3442/0/120?gt=", "2.04"),
    Ask(PUT, "/3442/0/120?pmin=10&pmax=5", "2.04"),
    Ask(PUT, "/3442/0/120?pmax=0", "2.04"),
    Ask(POST, "/3442/0", "2.04", b'[{"n":"/3442/0/9999","v":5},{"n":"/3442/0/120","v":6}]', SENML_JSON),
]


@pytest.mark.parametrize("asked", AT_THE_CLIENT, ids=str)
async def test_the_client_refuses(server_of_client: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(server_of_client, asked)


@pytest.mark.parametrize("asked", GOOD_AT_THE_CLIENT, ids=str)
async def test_the_client_accepts(server_of_client: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(server_of_client, asked)


class Failing:
    """A device that fails with whatever it is given."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    async def write(self, records: Sequence[Record]) -> None:  # noqa: ARG002  # an Actuator
        raise self._failure

    async def execute(self, path: Path, arguments: str) -> None:  # noqa: ARG002  # an Actuator
        raise self._failure


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RuntimeError("a wire is off"), "5.00"),
        (TimeoutError(), "5.00"),
        (InternalServerError("the lamp does not answer"), "5.00"),
        (NotImplementedByPeer(), "5.01"),
        (Forbidden("not while it rains"), "4.03"),
        (MethodNotAllowed("not while updating"), "4.05"),
    ],
)
async def test_a_device_that_fails_is_an_internal_error_unless_it_says_another_code(
    failure: Exception, expected: str
) -> None:
    async with registered_client(Failing(failure)) as peer:
        await assert_answered(peer, Ask(PUT, "/3442/0/120", expected, b"6", TEXT))
        await assert_answered(peer, Ask(POST, "/3442/0/0", expected))
        await assert_answered(peer, Ask(IPATCH, "/", expected, b'[{"n":"/3442/0/120","v":6}]', SENML_JSON))
        unchanged = await answer(peer, Ask(GET, "/3442/0/120", "2.05", accept=TEXT))
        assert unchanged.payload == b"5"


async def test_a_body_beyond_the_limit_is_refused_by_the_client(server_of_client: ScriptedPeer) -> None:
    """An upload of blocks of 1024 bytes that would go on for ever."""
    for number in range(80):
        block = (number << 4 | 0x8 | 6).to_bytes(3, "big").lstrip(b"\0")
        asked = Ask(PUT, "/3442/0/110", "", b"x" * 1024, TEXT, options=((BLOCK1, block),))
        got = await answer(server_of_client, asked)
        if got.code != Code.CONTINUE:
            break
    assert got.code == Code.REQUEST_ENTITY_TOO_LARGE


@pytest.fixture
async def client_of_server() -> AsyncIterator[ScriptedPeer]:
    """A socket that knows where a server is."""
    endpoint = open_endpoint()
    async with Server([endpoint]), ScriptedPeer() as peer:
        peer.other = endpoint.address
        yield peer


LINKS = b"</1/0>,</3/0>"
GOOD = "ep=x&lt=60&lwm2m=1.1"
AT_THE_SERVER = [
    # Register
    *(
        Ask(POST, f"/rd?{query}", "4.00", LINKS, LINK)
        for query in (
            "ep=x&lt=60",
            "ep=x&lwm2m=1.1",
            "lt=60&lwm2m=1.1",
            "ep=&lt=60&lwm2m=1.1",
            "ep=x&lt=&lwm2m=1.1",
            "ep=x&lt=-1&lwm2m=1.1",
            "ep=x&lt=1e3&lwm2m=1.1",
            f"{GOOD}&lt=60",
            f"{GOOD}&ep=y",
            f"{GOOD}&b=",
            f"{GOOD}&b=X",
            f"{GOOD}&b=UU",
            f"{GOOD}&b=UQ",
            f"{GOOD}&b=M",
            f"{GOOD}&Q=1",
            f"{GOOD}&b=S",
            f"{GOOD}&b=US&sms=+49",
            "ep=x&lt=60&lwm2m=1.0&Q",
            "ep=x&lt=60&lwm2m=1.0&b=UT",
            "",
        )
    ),
    *(Ask(POST, f"/rd?ep=x&lt=60&lwm2m={version}", "4.12", LINKS, LINK) for version in ("1.3", "2.0", "0.9", "1", "x")),
    Ask(POST, f"/rd?{GOOD}", "4.00", b"", LINK),
    Ask(POST, f"/rd?{GOOD}", "4.00"),
    Ask(POST, f"/rd?{GOOD}", "4.00", b"</1/0", LINK),
    Ask(POST, f"/rd?{GOOD}", "4.00", b"hello", LINK),
    Ask(POST, f"/rd?{GOOD}", "4.00", b'</9>;rt="oma.lwm2m",</9/1/0>', LINK),
    *(Ask(POST, f"/rd?{GOOD}", "4.15", LINKS, number) for number in (None, TEXT, SENML_CBOR, 65535)),
    *(Ask(method, "/rd", "4.05") for method in (GET, PUT, DELETE, FETCH)),
    # Update, De-register
    *(Ask(method, "/rd/unknown", "4.04") for method in (POST, DELETE)),
    Ask(POST, "/rd/unknown?lt=60", "4.04"),
    Ask(POST, "/rd/unknown/more", "4.04"),
    *(Ask(method, "/rd/unknown", "4.05") for method in (GET, PUT)),
    # Send
    Ask(POST, "/dp", "4.04", b'[{"n":"/3/0/9","v":5}]', SENML_JSON),
    Ask(POST, "/dp", "4.15", b"5", TEXT),
    Ask(POST, "/dp", "4.15", h("c10905"), TLV),
    Ask(POST, "/dp", "4.15", b"5"),
    Ask(GET, "/dp", "4.05"),
    # anything else
    *(Ask(method, "/bs?ep=x", "4.04") for method in (GET, POST)),
    Ask(GET, "/", "4.04"),
    Ask(GET, "/3/0", "4.04"),
    Ask(POST, f"/rd?{GOOD}", "4.02", LINKS, LINK, options=((UNKNOWN_CRITICAL, b"x"),)),
    Ask(POST, f"/rd?{GOOD}", "4.08", b"x" * 16, LINK, options=((BLOCK1, b"\x18"),)),
]

GOOD_AT_THE_SERVER = [
    Ask(POST, f"/rd?{GOOD}", "2.01", LINKS, LINK),
    Ask(POST, f"/rd/?{GOOD}", "2.01", LINKS, LINK),
    Ask(POST, f"/rd?{GOOD}&site=7&b=UT&Q", "2.01", LINKS, LINK, options=((UNKNOWN_ELECTIVE, b"x"),)),
    Ask(POST, "/rd?ep=x&lwm2m=1.0", "2.01", b'</>;rt="oma.lwm2m";ct=11542,</1/0>,</3/0>', LINK),
    Ask(POST, "/rd?lwm2m=1.0&ep=x&b=UQ&lt=30", "2.01", b'</>;ct=11543,</1>;ver="1.0",</1/0>,</3/0>', LINK),
    Ask(
        POST,
        "/rd?ep=x&lt=0&lwm2m=1.2&b=UM",
        "2.01",
        b'</lwm2m>;rt=oma.lwm2m;ct="60 110",</lwm2m/1/0>,</x/y>;if=a',
        LINK,
    ),
]


@pytest.mark.parametrize("asked", AT_THE_SERVER, ids=str)
async def test_the_server_refuses(client_of_server: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(client_of_server, asked)


@pytest.mark.parametrize("asked", GOOD_AT_THE_SERVER, ids=str)
async def test_the_server_accepts(client_of_server: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(client_of_server, asked)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'[{"n":"/3/0/9","v":5},{"n":"/3/0/9","v":6,"t":-5}]', "2.04"),
        (b'[{"n":"/3303/0/5700","v":5}]', "4.04"),
        (b'[{"n":"/3/0/9"}]', "4.00"),
        (b'[{"n":"/3/0/9","vs":"x"}]', "4.00"),
        (b"[]", "4.00"),
        (b"[", "4.00"),
    ],
)
async def test_what_a_registered_client_sends(client_of_server: ScriptedPeer, payload: bytes, expected: str) -> None:
    await assert_answered(client_of_server, GOOD_AT_THE_SERVER[0])
    await assert_answered(client_of_server, Ask(POST, "/dp", expected, payload, SENML_JSON))


async def test_the_samples_of_the_specification(client_of_server: ScriptedPeer) -> None:
    """lwm2m.md §8.9: 52 bytes of Register, and an answer that differs in its location only."""
    sample = h(
        "4102100101b27264112837 65703d64657631056c743d3630096c776d326d3d312e3103623d55ff3c2f312f303e2c3c2f332f303e"
    )
    client_of_server.send(sample)
    assert client_of_server.next_mid() == 0x1001
    got = await client_of_server.expect_bytes()
    assert got[:5] == h("6141100101")
    (rd, location) = Datagram.decode(got).options
    assert rd == (LOCATION_PATH, b"rd")
    await assert_answered(client_of_server, Ask(POST, f"/rd/{location[1].decode()}", "2.04"))
    await assert_answered(client_of_server, Ask(DELETE, f"/rd/{location[1].decode()}", "2.02"))
    await assert_answered(client_of_server, Ask(DELETE, f"/rd/{location[1].decode()}", "4.04"))


async def test_a_read_as_the_specification_writes_it(server_of_client: ScriptedPeer) -> None:
    server_of_client.send(h("41012001aab1330130622d16"))
    got = await server_of_client.expect()
    assert (got.kind, got.code, got.mid, got.token) == (ACK, Code.CONTENT, 0x2001, b"\xaa")
    assert got.option(CONTENT_FORMAT) == h("2d16")
    assert got.payload.startswith(h("c4004163 6d65"))
