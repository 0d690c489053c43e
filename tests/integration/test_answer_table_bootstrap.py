"""What bad input is answered with on the bootstrap interface, byte for byte on the wire: lwm2m.md §4.1-4.7, §13. The
peer is a bare socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.client import Client
from lwm2m.coap.message import Code
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import BootstrapConfigs, BootstrapServer, NoSecurity, ServerAccount
from lwm2m.server.bootstrap_accounts import account_config
from tests.integration.test_answer_table import (
    BLOCK1,
    CBOR,
    DELETE,
    FETCH,
    GET,
    IPATCH,
    LINK,
    OMA_JSON,
    OPAQUE,
    POST,
    PUT,
    SENML_CBOR,
    SENML_JSON,
    TEXT,
    TLV,
    UNKNOWN_CRITICAL,
    UNKNOWN_ELECTIVE,
    Ask,
    assert_answered,
    h,
)
from tests.lockstep import ACK, Datagram, ScriptedPeer

SECURITY = b'{"e":[{"n":"0","sv":"coap://192.0.2.1"},{"n":"1","bv":false},{"n":"2","v":3},{"n":"10","v":101}]}'
RECORDS = (Record(Path(1, 7, 0), 7), Record(Path(1, 7, 1), 60), Record(Path(1, 7, 6), True), Record(Path(1, 7, 7), "U"))


@pytest.fixture
async def bootstrap_server_of_client() -> AsyncIterator[ScriptedPeer]:
    """A bootstrap server that a client has just asked."""
    async with ScriptedPeer() as peer:
        client = Client("dev1", records=RECORDS, bootstrap=peer.uri)
        await client.start()
        request = await peer.expect()
        peer.send(Datagram(ACK, Code.CHANGED, request.mid, request.token))
        yield peer
        await client.stop()


AT_THE_CLIENT = [
    # Discover
    *(Ask(GET, path, "4.00", accept=LINK) for path in ("/1/7", "/1/7/1", "/3/0/6/0")),
    Ask(GET, "/9999", "4.04", accept=LINK),
    # Read
    *(Ask(GET, path, "4.01") for path in ("/0", "/0/0", "/21", "/21/0", "/3", "/3/0", "/9999", "/3/0/9")),
    *(Ask(GET, path, "4.05") for path in ("/", "/1/7/1", "/2/0/2/0")),
    Ask(GET, "/", "4.05", accept=SENML_CBOR),
    Ask(GET, "/1/8", "4.04"),
    *(Ask(GET, "/1/7", "4.06", accept=number) for number in (TEXT, OPAQUE, CBOR, 65535)),
    # Write
    *(Ask(PUT, path, "4.05", b"", TLV) for path in ("/", "/1/7/1/0", "/3/0/6/0")),
    *(Ask(POST, path, "4.05", b"", TLV) for path in ("/", "/1", "/1/7", "/1/7/8")),
    Ask(PUT, "/9999", "4.04", b"", TLV),
    Ask(PUT, "/9999/0", "4.04", b"", TLV),
    *(Ask(PUT, "/1/7", "4.15", b"60", number) for number in (None, TEXT, OPAQUE, CBOR, LINK, 65535)),
    Ask(PUT, "/1", "4.15", b"60", TEXT),
    Ask(PUT, "/1/7/1", "4.15", b"60", 65535),
    Ask(PUT, "/1/7/1", "4.00", b"soon", TEXT),
    Ask(PUT, "/1/7/1", "4.00", h("c2013c"), TLV),
    Ask(PUT, "/1/7", "4.00", h("c301000001"), TLV),
    Ask(PUT, "/1/7", "4.00", b'[{"n":"/1/8/1","v":5}]', SENML_JSON),
    Ask(PUT, "/1/7", "4.00", b"[", SENML_JSON),
    Ask(PUT, "/1/7", "4.00", b'{"e":[{"n":"1","sv":"soon"}]}', OMA_JSON),
    Ask(PUT, "/1/7?pmin=1", "4.00"),
    Ask(PUT, "/0/5", "4.00", b'{"e":[{"n":"0","sv":"coap://192.0.2.1"},{"n":"1","bv":true}]}', OMA_JSON),
    Ask(PUT, "/3", "4.00", h("08010ec40041636d65"), TLV),
    # Delete
    *(Ask(DELETE, path, "4.00") for path in ("/3/0", "/0/0", "/1/7/1", "/3/0/6/0")),
    # Finish, while no server account is complete
    Ask(POST, "/bs", "4.06"),
    *(Ask(method, "/bs", "4.05") for method in (GET, PUT, DELETE)),
    # anything else
    *(Ask(method, "/", "4.05", h("81a100642f312f37"), SENML_CBOR) for method in (FETCH, IPATCH)),
    *(Ask(PUT, path, "4.04", b"1", TEXT) for path in ("/x", "/1/x", "/65535")),
    Ask(PUT, "/01", "4.00", b"", TLV),
    Ask(DELETE, "/1/7/1/0/0", "4.05"),
    Ask(DELETE, "/1", "4.02", options=((UNKNOWN_CRITICAL, b"x"),)),
    Ask(PUT, "/1/7", "4.08", b"x" * 16, TLV, options=((BLOCK1, b"\x18"),)),
]

GOOD_AT_THE_CLIENT = [
    *(Ask(GET, path, "2.05", accept=LINK) for path in ("/", "/0", "/1", "/3")),
    *(Ask(GET, path, "2.05") for path in ("/1", "/1/7")),
    *(Ask(GET, "/1/7", "2.05", accept=number) for number in (TLV, OMA_JSON, SENML_JSON, SENML_CBOR)),
    Ask(PUT, "/0/5", "2.04", SECURITY, OMA_JSON),
    Ask(PUT, "/1/9", "2.04", h("c10009c1013c"), TLV),
    Ask(PUT, "/1", "2.04", h("080806c10008c1013c"), TLV),
    Ask(PUT, "/1/7/1", "2.04", b"60"),
    Ask(PUT, "/1/7/1", "2.04", b"60", TEXT, options=((UNKNOWN_ELECTIVE, b"x"),)),
    Ask(PUT, "/1/7", "2.04", b'[{"bn":"/1/7/","n":"1","v":60},{"n":"9999","v":1}]', SENML_JSON),
    *(Ask(DELETE, path, "2.02") for path in ("/", "/0", "/1", "/1/7", "/3", "/9999", "/9999/3")),
]


@pytest.mark.parametrize("asked", AT_THE_CLIENT, ids=str)
async def test_the_client_refuses(bootstrap_server_of_client: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(bootstrap_server_of_client, asked)


@pytest.mark.parametrize("asked", GOOD_AT_THE_CLIENT, ids=str)
async def test_the_client_accepts(bootstrap_server_of_client: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(bootstrap_server_of_client, asked)


@pytest.fixture
async def client_of_bootstrap_server() -> AsyncIterator[ScriptedPeer]:
    """A socket that knows where a bootstrap server is, and answers to the name dev1."""
    endpoint = open_endpoint()
    config = account_config([ServerAccount("coap://192.0.2.1", 101, NoSecurity())])
    async with BootstrapServer([endpoint], BootstrapConfigs({"dev1": config})), ScriptedPeer() as peer:
        peer.other = endpoint.address
        yield peer


AT_THE_BOOTSTRAP_SERVER = [
    *(
        Ask(POST, f"/bs?{query}", "4.00")
        for query in ("ep=stranger", "ep=", "ep", "", "pct=112", "ep=dev1&ep=dev1", "ep=dev1&pct=tlv", "ep=dev1&pct=")
    ),
    *(Ask(POST, f"/bs?ep=dev1&pct={number}", "4.15") for number in (TEXT, OPAQUE, CBOR, OMA_JSON, 11544, 65535)),
    *(Ask(method, "/bs?ep=dev1", "4.05") for method in (GET, PUT, DELETE, FETCH)),
    *(Ask(method, path, "4.04") for method in (GET, POST) for path in ("/", "/rd", "/bspack", "/bs/dev1", "/3/0")),
    Ask(POST, "/bs?ep=dev1", "4.02", options=((UNKNOWN_CRITICAL, b"x"),)),
]


@pytest.mark.parametrize("asked", AT_THE_BOOTSTRAP_SERVER, ids=str)
async def test_the_bootstrap_server_refuses(client_of_bootstrap_server: ScriptedPeer, asked: Ask) -> None:
    await assert_answered(client_of_bootstrap_server, asked)


@pytest.mark.parametrize("query", ["ep=dev1", "ep=dev1&pct=112", "pct=11542&ep=dev1&site=7"])
async def test_the_bootstrap_server_accepts(client_of_bootstrap_server: ScriptedPeer, query: str) -> None:
    await assert_answered(client_of_bootstrap_server, Ask(POST, f"/bs?{query}", "2.04"))
