"""The HTTP interface called the way a well-known interoperability suite calls it, down to its habits: ids as text, a
JSON content type on an empty body, `format` and `timeout` on everything, an event stream that names nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lwm2m.model.path import Path
from lwm2m.operations import Create, Execute, Write
from tests.http_site import Site, running_site

JSON = {"content-type": "application/json"}
PATIENCE = 10


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as found:
        yield found


async def put(site: Site, path: str, body: Any, options: str = "", format: str = "SENML_CBOR") -> Any:
    url = site.at(f"{path}?timeout=10&format={format}{options}")
    return await answered(site.http.put(url, content=json.dumps(body), headers=JSON))


async def answered(request: Any) -> Any:
    response: httpx.Response = await request
    assert response.status_code == 200, response.text
    return response.json() if response.text else None


async def test_it_looks_whether_the_server_is_there(site: Site) -> None:
    assert await answered(site.http.get("/api/security/clients?timeout=10&format=SENML_CBOR")) == []


@pytest.mark.parametrize("format", ["TEXT", "CBOR", "TLV", "JSON", "SENML_JSON", "SENML_CBOR"])
async def test_it_writes_and_reads_back(site: Site, format: str) -> None:
    node = {"id": "1", "kind": "singleResource", "value": 101, "type": "integer"}
    assert (await put(site, "/1/0/1", node, format=format))["status"] == "CHANGED(204)"
    content = (await answered(site.http.get(site.at(f"/1/0/1?timeout=10&format={format}"))))["content"]
    assert (content["kind"], content["type"], int(content["value"])) == ("singleResource", "INTEGER", 101)


async def test_it_writes_a_resource_instance(site: Site) -> None:
    node = {"id": "0", "kind": "resourceInstance", "value": 4000, "type": "integer"}
    assert (await put(site, "/3/0/7/0", node))["status"] == "CHANGED(204)"
    assert site.device.values[Path(3, 0, 7, 0)] == 4000


@pytest.mark.parametrize(("option", "replace"), [("&replace=false", False), ("&replace=true", True)])
async def test_it_updates_and_replaces_an_instance(site: Site, option: str, replace: bool) -> None:
    resources = [
        {"id": 1, "kind": "singleResource", "value": 60, "type": "integer"},
        {"id": 6, "kind": "singleResource", "value": True, "type": "boolean"},
    ]
    node = {"kind": "instance", "id": 0, "resources": resources}
    assert (await put(site, "/1/0", node, option))["status"] == "CHANGED(204)"
    (write,) = site.device.operations
    assert isinstance(write, Write)
    assert (write.replace, write.body.content_format) == (replace, 112)


async def test_it_creates_an_instance_with_a_multiple_resource(site: Site) -> None:
    values = {"id": 0, "kind": "multiResource", "values": {"0": "a", "1": "b"}, "type": "string"}
    node = {"kind": "instance", "id": 3, "resources": [values]}
    url = site.at("/16?timeout=10&format=SENML_CBOR")
    answer = await answered(site.http.post(url, content=json.dumps(node), headers=JSON))
    assert answer["status"] == "CREATED(201)"
    assert isinstance(site.device.operations[0], Create)


async def test_it_executes_without_a_body(site: Site) -> None:
    assert (await answered(site.http.post(site.at("/3/0/4"))))["status"] == "CHANGED(204)"
    assert site.device.operations == [Execute(Path(3, 0, 4))]


@pytest.mark.parametrize("path", ["/0/0", "/0/0/0"])
async def test_objects_that_are_not_registered_are_asked_for_all_the_same(site: Site, path: str) -> None:
    answer = await answered(site.http.get(site.at(path)))
    assert (answer["status"], answer["success"]) == ("NOT_FOUND(404)", False)


async def test_it_observes_and_follows_everybodys_events(site: Site) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        site.http.stream("GET", "/api/event?whoever", headers={"accept": "text/event-stream"}) as events,
    ):
        lines = events.aiter_lines()
        await anext(lines)
        url = site.at("/3303/0/5700/observe?timeout=10&format=SENML_CBOR")
        assert (await answered(site.http.post(url, content="", headers=JSON)))["status"] == "CONTENT(205)"
        await site.device.change("/3303/0/5700", 22.0)
        async for line in lines:
            if line == "event: NOTIFICATION":
                break
        data = json.loads((await anext(lines)).removeprefix("data: "))
    assert (data["kind"], data["res"]) == ("single", "/3303/0/5700")
    assert data["val"] == {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "22.0"}
    assert await answered(site.http.delete(site.at("/3303/0/5700/observe"))) is None
