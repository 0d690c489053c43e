"""Credentials over HTTP, the same of both servers: they come in, act at once, and no secret comes out."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx
import pytest

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.message import Code, Peer, Request
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.model.content_format import ContentFormat
from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.keys import FileKey
from lwm2m.security.serving import OwnCredentials
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Admission, BootstrapServer, Server
from lwm2m.web import app, bootstrap_app
from lwm2m.web.serving import serving
from tests.authority import root

KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
PUBLIC = FileKey.generate().public_key.hex()
LAMP = {"endpoint": "lamp", "tls": {"mode": "psk", "details": {"identity": "lamp-id", "key": KEY}}}
FAN = {"endpoint": "fan", "tls": {"mode": "rpk", "details": {"key": PUBLIC}}}
METER = {"endpoint": "meter", "tls": {"mode": "x509"}}
VALVE = {"endpoint": "site/valve", "oscore": {"rid": "01", "sid": "02", "msec": KEY, "msalt": "abcd"}}
SHOWN = [
    FAN,
    {"endpoint": "lamp", "tls": {"mode": "psk", "details": {"identity": "lamp-id"}}},
    METER,
    {"endpoint": "site/valve", "oscore": {"rid": "01", "sid": "02", "aead": 10, "hkdf": -10}},
]
OWN = OwnCredentials(FileKey.generate())


class Site(NamedTuple):
    http: httpx.AsyncClient
    server: Server | BootstrapServer
    coaps: Endpoint


@pytest.fixture(params=["server", "bootstrap server"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    admission = Admission(MemorySecurity(), nosec=False)
    coaps = open_endpoint(dtls=Dtls(ServerSettings(admission.psk)))
    async with AsyncExitStack() as stack:
        server: Server | BootstrapServer
        if request.param == "server":
            server = Server([coaps], admission=admission)
            interface = app(server, own=OWN)
        else:
            server = BootstrapServer([coaps], admission=admission)
            interface = bootstrap_app(server, OWN)
        host, port = await stack.enter_async_context(serving(interface, "127.0.0.1", 0))
        await stack.enter_async_context(server)
        http = httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10)
        yield Site(await stack.enter_async_context(http), server, coaps)


async def put(site: Site, document: Any, status: int = 200) -> str:
    answer = await site.http.put("/api/security/clients/", content=json.dumps(document))
    assert answer.status_code == status, answer.text
    return answer.text


async def listed(site: Site) -> Any:
    answer = await site.http.get("/api/security/clients")
    assert answer.status_code == 200
    assert KEY not in answer.text
    return answer.json()


async def test_credentials_come_are_shown_without_secrets_and_go(site: Site) -> None:
    assert await listed(site) == []
    for credentials in (LAMP, FAN, METER, VALVE):
        assert await put(site, credentials) == ""
    assert await listed(site) == SHOWN
    gone = await site.http.delete("/api/security/clients/site%2Fvalve")
    assert (gone.status_code, gone.text) == (200, "")
    again = await site.http.delete("/api/security/clients/site%2Fvalve")
    assert (again.status_code, again.json()) == (200, {"message": "not_found"})
    assert await listed(site) == SHOWN[:3]


async def test_that_a_name_was_proved_by_a_certificate_is_forgotten_like_credentials(site: Site) -> None:
    owner = Peer(site.coaps.address, ("127.0.0.1", 40_000), association=1, identity="x509:fan")
    site.server.admission.check("fan", owner)
    assert site.server.admission.is_proved("fan")
    for found in ("", '{"message":"not_found"}'):
        assert (await site.http.delete("/api/security/clients/fan")).text == found
        assert not site.server.admission.is_proved("fan")


async def test_the_path_may_end_without_a_slash_and_any_content_type_will_do(site: Site) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": "application/json"}):
        answer = await site.http.put("/api/security/clients", content=json.dumps(METER), headers=headers)
        assert answer.status_code == 200
    assert await listed(site) == [METER]


@pytest.mark.parametrize(
    ("document", "status", "text"),
    [
        ([], 400, "Invalid request body: credentials is an object"),
        ({"tls": {"mode": "x509"}}, 400, "Invalid request body: endpoint is missing"),
        ({"endpoint": ""} | {"tls": {"mode": "x509"}}, 400, "an endpoint name has 1 to"),
        ({"endpoint": "x"}, 500, "neither tls nor oscore"),
        ({"endpoint": "x", "tls": {"mode": "est"}}, 400, "mode is psk, rpk or x509"),
        ({"endpoint": "x", "tls": {"mode": "psk"}}, 400, "details is an object"),
        ({"endpoint": "x", "tls": {"mode": "psk", "details": {"identity": "x"}}}, 400, "key is missing"),
        (
            {"endpoint": "x", "tls": {"mode": "psk", "details": {"identity": "x", "key": f"{KEY}zz"}}},
            400,
            "key is hexadecimal digits",
        ),
        ({"endpoint": "x", "tls": {"mode": "psk", "details": {"identity": "x", "key": ""}}}, 400, "from 1 to 65535"),
        ({"endpoint": "x", "tls": {"mode": "rpk", "details": {"key": KEY}}}, 400, "not a SubjectPublicKeyInfo"),
        ({"endpoint": "x", "oscore": {"rid": "01", "sid": "02"}}, 400, "msec is missing"),
        ({"endpoint": "x", "oscore": {"rid": "01", "sid": "01", "msec": KEY}}, 400, "are different ones"),
        ({"endpoint": "x", "oscore": {"rid": "01", "sid": "02", "msec": KEY, "aead": "10"}}, 400, "aead is a whole"),
        (LAMP | {"endpoint": "thief"}, 400, "'thief' cannot have the identity 'psk:lamp-id': another endpoint has it"),
    ],
)
async def test_what_is_wrong_is_told_without_the_key(site: Site, document: Any, status: int, text: str) -> None:
    await put(site, LAMP)
    answer = await put(site, document, status)
    assert text in answer
    assert KEY not in answer
    assert await listed(site) == [SHOWN[1]]


async def test_what_is_no_json_is_told_without_quoting_it(site: Site) -> None:
    for body in (f'{{"key": {KEY}', f"{KEY}", "[" * 100_000, ""):
        answer = await site.http.put("/api/security/clients/", content=body)
        assert answer.status_code == 400
        assert answer.text.startswith("Invalid request body: ")
        assert KEY not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/security"),
        ("GET", "/api/security/clients/lamp"),
        ("PUT", "/api/security/clients/lamp"),
        ("PUT", "/api/security/server"),
        ("DELETE", "/api/security/clients"),
        ("DELETE", "/api/security/clients/a/b"),
    ],
)
async def test_any_other_shape_is_refused_without_a_word(site: Site, method: str, path: str) -> None:
    answer = await site.http.request(method, path)
    assert (answer.status_code, answer.text) == (400, "")


@pytest.mark.parametrize("path", ["/api/security/server", "/api/server/security"])
async def test_the_public_key_of_the_server_is_told(site: Site, path: str) -> None:
    (key,) = (await site.http.get(path)).json().values()
    assert b64decode(key["b64Der"]) == OWN.key.public_key
    assert key["params"] == "secp256r1"
    assert OWN.key.public_key.hex().endswith(key["x"] + key["y"])


async def test_a_server_with_a_certificate_shows_that_and_one_with_nothing_shows_nothing() -> None:
    leaf = root().issues("server")
    own = OwnCredentials(leaf.key, (leaf.der,))
    for credentials, expected in ((own, leaf.der), (None, None)):
        server = Server([open_endpoint()])
        async with (
            serving(app(server, own=credentials), "127.0.0.1", 0) as (host, port),
            server,
            httpx.AsyncClient() as http,
        ):
            shown = (await http.get(f"http://{host}:{port}/api/server/security")).json()
        if expected is None:
            assert shown == {}
        else:
            assert b64decode(shown["certificate"]["b64Der"]) == expected
            assert b64decode(shown["certificate"]["pubkey"]["b64Der"]) == leaf.key.public_key


REGISTER = Request(Code.POST, ("rd",), ("ep=lamp", "lt=60", "lwm2m=1.1", "b=U"), b"</1/0>,</3/0>", ContentFormat.LINK)


@pytest.mark.parametrize("site", ["server"], indirect=True)
async def test_credentials_act_at_once_and_so_does_their_end(site: Site) -> None:
    client = open_endpoint(
        dtls=Dtls(client=lambda _: ClientSettings(PreSharedKey(b"lamp-id", bytes.fromhex(KEY))), first_timeout=0.1)
    )
    await client.start(lambda _request, _peer: _not_asked())
    try:
        with pytest.raises(Exception, match="unknown psk identity"):
            await client.peer(site.coaps.uri)
        await put(site, LAMP)
        peer = await client.peer(site.coaps.uri)
        assert (await client.request(peer, REGISTER, 5)).code is Code.CREATED
        (shown,) = (await site.http.get("/api/clients")).json()
        assert (shown["endpoint"], shown["secure"]) == ("lamp", True)
        lost = asyncio.ensure_future(anext(client.events()))
        assert (await site.http.delete("/api/security/clients/lamp")).text == ""
        assert (await site.http.get("/api/clients")).json() == []
        assert (await asyncio.wait_for(lost, 5)).peer == peer
        with pytest.raises(Exception, match="unknown psk identity"):
            await client.peer(site.coaps.uri)
    finally:
        await client.stop()


def _not_asked() -> Any:
    raise AssertionError("a client that is asked nothing")


@pytest.mark.filterwarnings("error")
async def test_the_description_of_the_routes_is_made_without_a_warning(site: Site) -> None:
    answer = await site.http.get("/openapi.json")
    assert answer.status_code == 200
    assert "/api/security/clients/{ep}" in answer.json()["paths"]
