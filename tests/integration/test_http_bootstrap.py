"""The HTTP interface of the bootstrap server over a real socket, with a foreign client on CoAP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from lwm2m.coap.stacks import open_endpoint
from lwm2m.server import BootstrapServer
from lwm2m.web import bootstrap_app
from lwm2m.web.serving import serving
from tests.integration.foreign_bootstrap_client import ForeignBootstrapClient

CONFIG: dict[str, Any] = {
    "servers": {"0": {"shortId": 123, "lifetime": 300}},
    "security": {
        "1": {
            "uri": "coaps://192.0.2.1:5684",
            "securityMode": "PSK",
            "publicKeyOrId": list(b"dev1"),
            "secretKey": list(b"sixteen secrets!"),
            "serverId": 123,
        }
    },
    "toDelete": ["/0", "/1"],
}


class Site(NamedTuple):
    http: httpx.AsyncClient
    server: BootstrapServer


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    server = BootstrapServer([open_endpoint()])
    async with (
        serving(bootstrap_app(server), "127.0.0.1", 0) as (host, port),
        server,
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10) as http,
    ):
        yield Site(http, server)


async def test_configurations_come_are_shown_and_go(site: Site) -> None:
    assert (await site.http.get("/api/bootstrap")).json() == {}
    added = await site.http.post("/api/bootstrap/lamp%2F1", json=CONFIG)
    assert (added.status_code, added.text) == (200, "")
    shown = await site.http.get("/api/bootstrap")
    entry = shown.json()["lamp/1"]
    assert entry["servers"]["0"]["shortId"] == 123
    assert "secretKey" not in entry["security"]["1"]
    assert str(list(b"sixteen secrets!"))[1:-1] not in shown.text.replace("\n", "")
    assert (await site.http.delete("/api/bootstrap/lamp%2F1")).status_code == 204
    gone = await site.http.delete("/api/bootstrap/lamp%2F1")
    assert (gone.status_code, gone.text) == (404, "no config for lamp/1")


async def test_a_script_may_leave_the_content_type_to_its_tool(site: Site) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await site.http.post("/api/bootstrap/x", content=json.dumps(CONFIG), headers=form)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "malformed JSON"),
        ("[" * 100_000, "malformed JSON"),
        (json.dumps({"unknown": 1}), "no member 'unknown'"),
        (json.dumps(CONFIG | {"security": {}}), "/1/0 has a short server id that no account in object 0 has"),
        (
            json.dumps(CONFIG | {"security": {"1": CONFIG["security"]["1"] | {"secretKey": []}}}),
            "/0/1 has no secret key, which mode PSK needs",
        ),
    ],
)
async def test_a_configuration_that_no_client_would_take_is_refused(site: Site, body: str, text: str) -> None:
    answer = await site.http.post("/api/bootstrap/x", content=body)
    assert answer.status_code == 400
    assert text in answer.text
    assert (await site.http.get("/api/bootstrap")).json() == {}


async def test_other_urls_are_refused_as_callers_know(site: Site) -> None:
    found = await site.http.get("/api/bootstrap/x")
    assert (found.status_code, found.text) == (404, "bad URL")
    for url in ("/api/bootstrap", "/api/bootstrap/", "/api/bootstrap/a/b"):
        assert (await site.http.post(url, json=CONFIG)).status_code == 400
        assert (await site.http.delete(url)).status_code == 400


async def test_addresses_and_credentials_are_told(site: Site) -> None:
    (address,) = (await site.http.get("/api/server/endpoint")).json()
    assert address["uri"]["full"] == site.server.endpoints[0].uri
    assert (await site.http.get("/api/security/clients")).json() == []


async def test_a_session_is_followed_and_looked_up_afterwards(site: Site) -> None:
    await site.http.post("/api/bootstrap/lamp", json=CONFIG)
    names = []
    texts = []
    async with (
        ForeignBootstrapClient(site.server.endpoints[0].uri) as client,
        site.http.stream("GET", "/api/event?ep=lamp") as stream,
        asyncio.timeout(10),
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == ": connected"
        await client.ask("ep=lamp", "pct=110")
        async for line in lines:
            if line.startswith("event: "):
                assert line == "event: BSSESSION"
            if line.startswith("data: "):
                texts.append(line)
                names.append(json.loads(line[6:])["name"])
                if names[-1] == "finished":
                    break
    assert names[:4] == ["new session", "authorized", "send delete", "receive success response"]
    assert names[-3:] == ["send request", "receive success response", "finished"]
    assert "/0/1/5 = (16 bytes)" in "".join(texts)

    (session,) = (await site.http.get("/api/bootstrap-sessions/lamp")).json()
    assert (session["outcome"], session["endpoint"]) == ("finished", "lamp")
    write = next(step for step in session["steps"] if step.get("path") == "/0/1")
    assert write["values"]["/0/1/5"] == "(16 bytes)"
    everything = (await site.http.get("/api/bootstrap-sessions")).text
    assert json.loads(everything) == [session]
    for text in (everything, "".join(texts)):
        assert "sixteen" not in text
        assert b"sixteen secrets!".hex() not in text
