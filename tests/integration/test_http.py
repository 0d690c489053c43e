"""The HTTP interface, over real sockets: HTTP on one side, a client on CoAP on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from lwm2m.coap.message import Code, Response
from lwm2m.errors import MethodNotAllowed
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import Create, Delete, Execute, Read, Write, WriteAttributes
from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.serving import serving
from tests.http_site import ENDPOINT, Site, running_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as found:
        yield found


async def test_a_client_is_listed_and_shown(site: Site) -> None:
    (listed,) = (await site.http.get("/api/clients")).json()
    assert listed == await site.get("")
    assert listed["endpoint"] == ENDPOINT
    assert listed["lwM2mVersion"] == "1.1"
    assert listed["lifetime"] == 300
    assert listed["bindingMode"] == "U"
    assert listed["rootPath"] == "/"
    assert listed["secure"] is False
    assert listed["queuemode"] is False
    assert listed["availableInstances"] == {"1": [0], "3": [0], "5": [0], "3303": [0], "3311": [0]}
    assert listed["objectLinks"][0] == {"url": "/", "attributes": {"rt": '"oma.lwm2m"', "ct": "11542"}}
    assert listed["registrationDate"] == listed["lastUpdate"] > 1_600_000_000_000
    assert "smsNumber" not in listed


async def test_an_instance_is_read_as_a_tree(site: Site) -> None:
    answer = await site.get("/3/0")
    assert {name: answer[name] for name in ("status", "valid", "success", "failure")} == {
        "status": "CONTENT(205)",
        "valid": True,
        "success": True,
        "failure": False,
    }
    assert answer["content"] == {
        "kind": "instance",
        "id": 0,
        "resources": [
            {"kind": "singleResource", "id": 0, "type": "STRING", "value": "Acme"},
            {"kind": "multiResource", "id": 7, "type": "INTEGER", "values": {"0": "3800", "1": "5000"}},
            {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "87"},
            {"kind": "singleResource", "id": 13, "type": "TIME", "value": 1767225600000},
            {
                "kind": "multiResource",
                "id": 22,
                "type": "OBJLNK",
                "values": {
                    "0": {"objectId": 3, "objectInstanceId": 0, "nullLink": False},
                    "1": {"objectId": 65535, "objectInstanceId": 65535, "nullLink": True},
                },
            },
        ],
    }


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("/3/0/9", {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "87"}),
        ("/3/0/7/1", {"kind": "resourceInstance", "id": 1, "type": "INTEGER", "value": "5000"}),
        ("/5/0/0", {"kind": "singleResource", "id": 0, "type": "OPAQUE", "value": "01ab"}),
        ("/3303/0/5700", {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.5"}),
        ("/3311/0/5850", {"kind": "singleResource", "id": 5850, "type": "BOOLEAN", "value": True}),
        (
            "/3311",
            {
                "kind": "obj",
                "id": 3311,
                "instances": [
                    {
                        "kind": "instance",
                        "id": 0,
                        "resources": [{"kind": "singleResource", "id": 5850, "type": "BOOLEAN", "value": True}],
                    }
                ],
            },
        ),
    ],
)
async def test_every_kind_of_node_is_read(site: Site, path: str, node: dict[str, Any]) -> None:
    assert (await site.get(path))["content"] == node


async def test_a_format_asks_for_it_and_an_unknown_one_is_taken_as_absent(site: Site) -> None:
    await site.get("/3/0/9?format=senml_json")
    await site.get("/3/0/9?format=json")
    await site.get("/3/0/9?format=smoke_signs")
    accepts = [operation.accept for operation in site.device.operations if isinstance(operation, Read)]
    assert accepts == [ContentFormat.SENML_JSON, ContentFormat.OMA_JSON, None]


async def test_a_refusal_by_the_device_is_an_answer(site: Site) -> None:
    site.device.refusals[Path(3, 0, 9)] = MethodNotAllowed("not now")
    assert await site.get("/3/0/9") == {
        "status": "METHOD_NOT_ALLOWED(405)",
        "valid": True,
        "success": False,
        "failure": True,
        "errormessage": "not now",
    }


async def test_a_code_that_lwm2m_does_not_know_is_shown_by_number(site: Site) -> None:
    site.device.raw[Path(3, 0, 9)] = Response(Code.SERVICE_UNAVAILABLE)
    answer = await site.get("/3/0/9")
    assert (answer["status"], answer["valid"], answer["success"]) == ("UNKNOWN(503)", False, False)


async def test_an_answer_that_does_not_decode_is_an_invalid_response(site: Site) -> None:
    site.device.raw[Path(3, 0)] = Response(Code.CONTENT, b"\xc8", ContentFormat.TLV)
    response = await site.http.get(site.at("/3/0"))
    assert response.status_code == 500
    assert response.text.startswith("Invalid Response: ")


async def test_a_silent_device_is_a_gateway_timeout(site: Site) -> None:
    site.device.silent.add(Path(3, 0, 9))
    async with asyncio.timeout(5):
        response = await site.http.get(site.at("/3/0/9?timeout=1"))
    assert (response.status_code, response.text) == (504, "Request timeout")


async def test_a_device_whose_socket_is_gone_is_a_cancelled_request(site: Site) -> None:
    await site.device.__aexit__(None, None, None)
    async with asyncio.timeout(5):
        response = await site.http.get(site.at("/3/0/9"))
    assert response.status_code == 500
    assert response.text.startswith("Request cancelled: ")


async def test_a_client_that_lists_formats_without_tlv_is_written_in_one_it_listed(site: Site) -> None:
    await site.device.register(formats="112")
    node = {"id": 0, "resources": [{"id": 1, "type": "INTEGER", "value": 60}]}
    assert (await site.http.put(site.at("/1/0"), json=node)).json()["success"]
    (operation,) = (operation for operation in site.device.operations if isinstance(operation, Write))
    assert operation.body.content_format == ContentFormat.SENML_CBOR


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/api/clients/nobody", 400, "No registered client with id 'nobody'"),
        ("GET", "/api/clients/no%2Fbody/3/0", 400, "No registered client with id 'no/body'"),
        ("GET", "/api/clients/", 400, "Invalid path"),
        ("GET", "{ep}/3/x/0", 400, "Invalid request: "),
        ("GET", "{ep}/3/0/1/2/3", 400, "Invalid request: "),
        ("GET", "{ep}/composite", 400, "Invalid request: paths is missing"),
        ("GET", "{ep}/composite?paths=/3/x", 400, "Invalid request: "),
        ("GET", "{ep}/composite?paths=/3/0&pathformat=TLV", 400, "Invalid request: "),
        ("PUT", "{ep}/3", 400, "Invalid path"),
        ("POST", "{ep}/3/0", 400, "Invalid request: "),
        ("DELETE", "{ep}/3/0/1", 400, "Invalid request: "),
        ("DELETE", "{ep}/3/0/9/observe?active", 404, "No observation"),
        ("GET", "/api/objectspecs/nobody", 400, "No registered client with id 'nobody'"),
        ("GET", "/api/objectspecs/", 400, "Invalid path"),
        ("PUT", "{ep}/3/0/9/attributes?pmin=soon", 400, "Invalid attributes: "),
        ("PUT", "{ep}/3/0/9/attributes?pmin=", 400, "Invalid attributes: "),
        ("PUT", "{ep}/3/0/9/attributes?timeout=5", 400, "Invalid attributes: "),
    ],
)
async def test_bad_requests_are_told_in_text(site: Site, method: str, path: str, status: int, text: str) -> None:
    response = await site.http.request(method, path.format(ep=site.at("")))
    assert (response.status_code, response.text[: len(text)]) == (status, text)
    assert response.headers["content-type"].startswith("text/plain")


async def test_a_node_is_written_as_tlv_unless_a_format_is_named(site: Site) -> None:
    node = {"id": 5700, "type": "float", "value": "22.25"}
    assert (await site.http.put(site.at("/3303/0/5700"), json=node)).json()["status"] == "CHANGED(204)"
    assert (await site.http.put(site.at("/3303/0/5700?format=TEXT"), json=node)).json()["success"]
    assert site.device.values[Path(3303, 0, 5700)] == 22.25
    first, second = (operation for operation in site.device.operations if isinstance(operation, Write))
    assert (first.body.content_format, second.body.content_format) == (ContentFormat.TLV, ContentFormat.TEXT)
    assert second.body.payload == b"22.25"
    assert first.replace


async def test_an_instance_is_updated_in_part(site: Site) -> None:
    node = {"kind": "instance", "id": 0, "resources": [{"id": 1, "type": "INTEGER", "value": 60}]}
    answer = await site.http.put(site.at("/1/0?replace=false"), json=node)
    assert answer.json()["success"]
    (operation,) = (operation for operation in site.device.operations if isinstance(operation, Write))
    assert not operation.replace
    assert site.device.values[Path(1, 0, 1)] == 60


async def test_text_is_written_as_the_type_of_the_resource(site: Site) -> None:
    answer = await site.http.put(site.at("/1/0/1"), content="60", headers={"Content-Type": "text/plain; charset=utf-8"})
    assert answer.json()["success"]
    assert site.device.values[Path(1, 0, 1)] == 60


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("{", 400, "Invalid request: malformed JSON"),
        ("[" * 100_000, 400, "Invalid request: malformed JSON"),
        ("{}", 400, "Invalid request: "),
        ('{"id": 1, "value": "60"}', 400, "Invalid request: "),
        ('{"id": 2, "type": "INTEGER", "value": "60"}', 400, "Invalid request: "),
        ('{"id": 1, "type": "INTEGER", "value": "sixty"}', 400, "Invalid request: "),
        ('{"id": 1, "type": "INTEGER", "value": true}', 500, "Unexpected exception: "),
        ('{"id": 1, "type": "STRING", "value": "sixty"}', 400, "Invalid request: "),
    ],
)
async def test_a_bad_body_is_refused_before_the_device_is_asked(site: Site, body: str, status: int, text: str) -> None:
    response = await site.http.put(site.at("/1/0/1"), content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.text[: len(text)]) == (status, text)
    assert not site.device.operations


async def test_a_body_of_another_type_is_refused(site: Site) -> None:
    response = await site.http.put(site.at("/1/0/1"), content="60", headers={"Content-Type": "text/xml"})
    assert (response.status_code, response.text) == (400, "Invalid request: content type 'text/xml' not supported")


async def test_execute_takes_its_arguments_as_text(site: Site) -> None:
    answer = await site.http.post(site.at("/3/0/4"), content="0='now',1")
    assert answer.json()["status"] == "CHANGED(204)"
    assert site.device.operations == [Execute(Path(3, 0, 4), "0='now',1")]


async def test_create_and_delete(site: Site) -> None:
    node = {"resources": [{"id": 5700, "type": "FLOAT", "value": 1}]}
    created = await site.http.post(site.at("/3303"), json=node)
    assert (created.json()["status"], created.json()["location"]) == ("CREATED(201)", "/3303/7")
    named = await site.http.post(site.at("/3303"), json={"id": 7, **node})
    assert named.json()["success"]
    refused = await site.http.post(site.at("/3303?format=SENML_CBOR"), json=node)
    assert refused.status_code == 400
    deleted = await site.http.delete(site.at("/3303/7"))
    assert deleted.json()["status"] == "DELETED(202)"
    creates = [operation for operation in site.device.operations if isinstance(operation, Create)]
    without_id, with_id = (operation.body.payload for operation in creates)
    assert without_id[:3] == bytes.fromhex("e41644")
    assert with_id[:2] == bytes.fromhex("0707")
    assert site.device.operations[-1] == Delete(Path(3303, 7))


async def test_discover_gives_links(site: Site) -> None:
    answer = await site.get("/3303/0/discover")
    assert answer["objectLinks"] == [{"url": "/3303/0/5700", "attributes": {"pmin": "5"}}]


async def test_attributes_are_set_and_removed(site: Site) -> None:
    answer = await site.http.put(site.at("/3303/0/5700/attributes?pmin=1&gt=-0.5&lt"))
    assert answer.json()["status"] == "CHANGED(204)"
    assert site.device.operations == [WriteAttributes(Path(3303, 0, 5700), {"pmin": "1", "gt": "-0.5", "lt": None})]


async def test_object_definitions_of_the_registered_objects(site: Site) -> None:
    specs = (await site.http.get(f"/api/objectspecs/{quote(ENDPOINT, safe='')}")).json()
    by_id = {spec["id"]: spec for spec in specs}
    assert list(by_id) == sorted(by_id) == [1, 3, 5, 3303, 3311]
    assert by_id[3]["instancetype"] == "single"
    assert by_id[3]["description2"] is None
    resources = {resource["id"]: resource for resource in by_id[3]["resourcedefs"]}
    assert resources[4]["operations"] == "E"
    assert resources[4]["type"] == "none"
    assert resources[9]["units"] in ("%", "/100")
    assert resources[7]["instancetype"] == "multiple"


async def test_the_server_tells_where_it_listens(site: Site) -> None:
    (listed,) = (await site.http.get("/api/server/endpoint")).json()
    host, port = site.server.endpoints[0].address
    assert listed["uri"] == {"full": f"coap://{host}:{port}", "scheme": "coap", "host": host, "port": port}


async def test_a_taken_port_is_an_error_before_anything_is_served() -> None:
    server = Server([])
    async with serving(app(server), "127.0.0.1", 0) as (host, port):
        with pytest.raises(OSError, match="in use"):
            async with serving(app(server), host, port):
                pass


async def test_serving_speaks_ipv6() -> None:
    async with (
        serving(app(Server([])), "::1", 0) as (_, port),
        httpx.AsyncClient() as http,
    ):
        assert (await http.get(f"http://[::1]:{port}/api/clients")).json() == []
