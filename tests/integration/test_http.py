"""The HTTP interface, over real sockets: HTTP on one side, a client on CoAP on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from lwm2m.coap.aiocoap_stack import AiocoapEndpoint
from lwm2m.coap.message import Code, Response
from lwm2m.errors import MethodNotAllowed
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink, Record, Value
from lwm2m.operations import Create, Delete, Execute, Observe, Read, Write, WriteAttributes
from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.coap_log import CoapLog
from lwm2m.web.serving import serving
from tests.scripted_device import ScriptedDevice

ENDPOINT = 'urn:dev/os "ä"'
VALUES: dict[str, Value] = {
    "/1/0/0": 101,
    "/1/0/1": 300,
    "/3/0/0": "Acme",
    "/3/0/7/0": 3800,
    "/3/0/7/1": 5000,
    "/3/0/9": 87,
    "/3/0/13": 1767225600,
    "/3/0/22/0": ObjectLink(3, 0),
    "/3/0/22/1": NO_LINK,
    "/5/0/0": b"\x01\xab",
    "/3303/0/5700": 21.5,
    "/3311/0/5850": True,
}


class Site(NamedTuple):
    http: httpx.AsyncClient
    device: ScriptedDevice
    server: Server

    def at(self, path: str) -> str:
        return f"/api/clients/{quote(ENDPOINT, safe='')}{path}"

    async def get(self, path: str) -> Any:
        response = await self.http.get(self.at(path))
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    coap_log = CoapLog()
    coap = AiocoapEndpoint("127.0.0.1", 0, tracer=coap_log)
    server = Server([coap])
    async with (
        serving(app(server, coap_log), "127.0.0.1", 0) as (host, port),
        server,
        ScriptedDevice(ENDPOINT, coap.uri, VALUES) as device,
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10) as http,
    ):
        yield Site(http, device, server)


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
    await site.get("/3/0/9?format=smoke_signs")
    accepts = [operation.accept for operation in site.device.operations if isinstance(operation, Read)]
    assert accepts == [ContentFormat.SENML_JSON, None]


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
        ("GET", "{ep}/composite?paths=/3/0", 400, "Invalid request: "),
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
    async with events(site, "?ep=other") as stream, ScriptedDevice("other", site.device._server, VALUES):
        name, data = await following(stream)
        while name == "COAPLOG":
            name, data = await following(stream)
        assert (name, data["endpoint"]) == ("REGISTRATION", "other")
        await site.device.update(600)
        async with events(site, last_id="") as all_events:
            assert all_events is not stream
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(stream)


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
    server = Server([AiocoapEndpoint("127.0.0.1", 0)])
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
