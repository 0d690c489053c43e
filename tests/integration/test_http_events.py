"""The event stream, over real sockets: HTTP on one side, a client on CoAP on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from lwm2m.coap.message import Code
from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import Observe
from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.serving import serving
from tests.http_site import ENDPOINT, VALUES, Site, running_site
from tests.scripted_device import ScriptedDevice


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as found:
        yield found


@asynccontextmanager
async def events(site: Site, query: str = "", last_id: str | None = None) -> AsyncIterator[AsyncIterator[list[str]]]:
    """Events as [id, name, data]."""
    headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
    async with site.http.stream("GET", f"/api/event{query}", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        assert await anext(lines) == ": connected"

        async def read() -> AsyncIterator[list[str]]:
            fields: list[str] = []
            async for line in lines:
                if line and not line.startswith(":"):
                    fields.append(line.partition(": ")[2])
                elif len(fields) == 3:
                    yield fields
                    fields = []

        yield read()


async def following(stream: AsyncIterator[list[str]]) -> tuple[str, Any]:
    async with asyncio.timeout(5):
        _, name, data = await anext(stream)
    return name, json.loads(data)


async def test_an_observation_from_its_first_value_to_its_active_end(site: Site) -> None:
    async with events(site, f"?ep={quote(ENDPOINT, safe='')}") as stream:
        first = (await site.http.post(site.at("/3303/0/5700/observe"))).json()
        assert first["content"]["value"] == "21.5"
        assert first["observing"] is True
        await site.device.change("/3303/0/5700", 22.0)
        name, data = await following(stream)
        while name == "COAPLOG":
            name, data = await following(stream)
        assert name == "NOTIFICATION"
        assert data == {
            "ep": ENDPOINT,
            "kind": "single",
            "res": "/3303/0/5700",
            "val": {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "22.0"},
            "reason": "change",
            "inferred": True,
        }
        last = (await site.http.delete(site.at("/3303/0/5700/observe?active"))).json()
        assert last["content"]["value"] == "22.0"
        while name != "OBSERVATION_ENDED":
            name, data = await following(stream)
        assert data == {"ep": ENDPOINT, "res": "/3303/0/5700", "reason": "cancelled"}
    assert not site.device.observers
    assert isinstance(site.device.operations[0], Observe)


async def test_a_passive_cancel_has_an_empty_answer_also_when_there_was_nothing(site: Site) -> None:
    await site.http.post(site.at("/3303/0/5700/observe"))
    for _ in range(2):
        response = await site.http.delete(site.at("/3303/0/5700/observe"))
        assert (response.status_code, response.content) == (200, b"")
    assert site.server.observations(ENDPOINT) == ()


async def test_a_notification_that_ends_the_observation_has_no_value_but_a_code(site: Site) -> None:
    async with events(site) as stream:
        await site.http.post(site.at("/3303/0/5700/observe"))
        await site.device.end_observation("/3303/0/5700", Code.NOT_FOUND)
        name, data = await following(stream)
    assert name == "NOTIFICATION"
    assert data == {"ep": ENDPOINT, "kind": "single", "res": "/3303/0/5700", "val": None, "code": "NOT_FOUND(404)"}


async def test_registration_update_and_deregistration_are_events(site: Site) -> None:
    async with events(site) as stream:
        await site.device.update(600)
        name, data = await following(stream)
        assert name == "UPDATED"
        assert data["registration"]["lifetime"] == data["update"]["lifetime"] == 600
        assert "objectLinks" not in data["update"]
        await site.device.deregister()
        name, data = await following(stream)
        assert (name, data["endpoint"], data["reason"]) == ("DEREGISTRATION", ENDPOINT, "deregistered")
        await site.device.register()
        name, data = await following(stream)
        assert (name, data["endpoint"]) == ("REGISTRATION", ENDPOINT)
        before = data["registrationId"]
        await site.device.register()
        name, data = await following(stream)
        assert (name, data["replaced"]) == ("REGISTRATION", before)


async def test_send_gives_the_newest_value_and_the_history(site: Site) -> None:
    async with events(site) as stream:
        path = Path(3303, 0, 5700)
        await site.device.send([Record(path, 20.0, 1767225600.0), Record(path, 21.0, 1767225660.0)])
        name, data = await following(stream)
    newer = {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.0"}
    assert (name, data["ep"], data["val"]) == ("SEND", ENDPOINT, {"/3303/0/5700": newer})
    assert data["timestamped"] == [
        {"timestamp": 1767225600000, "val": {"/3303/0/5700": newer | {"value": "20.0"}}},
        {"timestamp": 1767225660000, "val": {"/3303/0/5700": newer}},
    ]


async def test_a_stream_of_one_client_says_nothing_of_another(site: Site) -> None:
    async with events(site, "?ep=other") as stream:
        await site.device.update(600)
        async with ScriptedDevice("other", site.server.endpoints[0].uri, VALUES):
            name, data = await following(stream)
            while name == "COAPLOG":
                assert data["ep"] == "other"
                name, data = await following(stream)
    assert (name, data["endpoint"]) == ("REGISTRATION", "other")


async def test_who_follows_a_client_sees_its_coap_messages(site: Site) -> None:
    async with events(site, f"?ep={quote(ENDPOINT, safe='')}") as stream:
        await site.get("/3/0/0?format=TEXT")
        name, asked = await following(stream)
        assert name == "COAPLOG"
        assert (asked["ep"], asked["incoming"], asked["code"]) == (ENDPOINT, False, "GET")
        assert asked["options"] == "Uri-Path: 3, 0, 0 - Accept: 0"
        _, answered = await following(stream)
        assert (answered["incoming"], answered["code"], answered["payload"]) == (True, "2.05", "Acme")
        assert answered["token"] == asked["token"]


async def test_a_reader_that_comes_back_gets_what_it_missed(site: Site) -> None:
    async with events(site) as stream:
        await site.device.update(600)
        async with asyncio.timeout(5):
            seen, _, _ = await anext(stream)
    await site.device.update(700)
    async with events(site, last_id=seen) as stream:
        _, data = await following(stream)
    assert data["registration"]["lifetime"] == 700


async def test_open_event_streams_end_when_serving_ends() -> None:
    server = Server([open_endpoint("127.0.0.1", 0)])
    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(timeout=10) as http:
        async with server, serving(app(server), "127.0.0.1", 0) as (host, port):
            streams = [http.stream("GET", f"http://{host}:{port}/api/event") for _ in range(3)]
            lines = [(await stream.__aenter__()).aiter_lines() for stream in streams]
            for line in lines:
                assert await anext(line) == ": connected"
            leaving = loop.time()
        assert loop.time() - leaving < 2
        for stream in streams:
            await stream.__aexit__(None, None, None)
