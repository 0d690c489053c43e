"""libcoap's coap-client registers, updates and de-registers with our server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.stacks import open_endpoint
from lwm2m.server import NotRegistered, Server
from tests.interop.peers import coap_client

pytestmark = pytest.mark.interop

PATIENCE = 15.0


@pytest.fixture
def endpoint() -> Endpoint:
    return open_endpoint()


@pytest.fixture
async def server(endpoint: Endpoint) -> AsyncIterator[Server]:
    async with Server([endpoint]) as server:
        yield server


async def coap(method: str, uri: str, *options: str) -> str:
    """What coap-client prints: the code of a refusal, nothing for a success without a payload."""
    command = [coap_client(), "-B", "5", "-m", method, *options, uri]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    async with asyncio.timeout(PATIENCE):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    return printed.decode()


async def test_coap_client_registers_updates_and_leaves(server: Server, endpoint: Endpoint) -> None:
    links = ("-t", "40", "-e", "</1/0>,</3/0>")
    assert await coap("post", f"{endpoint.uri}/rd?ep=x&lt=60&lwm2m=1.1&b=U", *links) == ""
    registration = server.registration("x")
    assert (registration.lifetime, registration.version, registration.binding) == (60, "1.1", "U")
    assert registration.objects == {1: (0,), 3: (0,)}

    location = f"{endpoint.uri}/rd/{registration.id}"
    assert await coap("post", f"{location}?lt=120") == ""
    assert server.registration("x").lifetime == 120

    await coap("delete", location)
    with pytest.raises(NotRegistered):
        server.registration("x")


async def test_coap_client_reads_why_it_was_refused(server: Server, endpoint: Endpoint) -> None:
    links = ("-t", "40", "-e", "</1/0>,</3/0>")
    assert "4.00" in await coap("post", f"{endpoint.uri}/rd?ep=x&lwm2m=1.1", *links)
    assert "4.12" in await coap("post", f"{endpoint.uri}/rd?ep=x&lt=60&lwm2m=7.0", *links)
    assert "4.05" in await coap("get", f"{endpoint.uri}/rd")
    assert "4.04" in await coap("post", f"{endpoint.uri}/rd/nobody")
    assert server.registrations() == []
