"""An HTTP interface on one side, a client on CoAP on the other, both on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from lwm2m.coap.stacks import open_endpoint
from lwm2m.model.record import NO_LINK, ObjectLink, Value
from lwm2m.server import Server, ServerLimits
from lwm2m.server.limits import DEFAULT_LIMITS
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


@asynccontextmanager
async def running_site(limits: ServerLimits = DEFAULT_LIMITS, *, queue_mode: bool = False) -> AsyncIterator[Site]:
    coap_log = CoapLog()
    coap = open_endpoint("127.0.0.1", 0, tracer=coap_log)
    server = Server([coap], limits=limits)
    async with (
        serving(app(server, coap_log), "127.0.0.1", 0) as (host, port),
        server,
        ScriptedDevice(ENDPOINT, coap.uri, VALUES, queue_mode=queue_mode) as device,
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=10) as http,
    ):
        yield Site(http, device, server)
