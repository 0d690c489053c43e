"""Programs call the HTTP interface; pages of other sites may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lwm2m.server import Server
from lwm2m.web import app
from lwm2m.web.serving import serving


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(app(Server([])), "127.0.0.1", 0) as (_, port):
        yield port


async def status(port: int, *headers: str, method: str = "GET") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = (f"{method} /api/clients HTTP/1.1", *headers, "Content-Length: 0", "Connection: close", "", "")
    writer.write("\r\n".join(lines).encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "x.localhost", "box:{port}", "[::1]:{port}", "192.0.2.1"],
)
async def test_our_own_names_and_addresses_are_answered(port: int, host: str) -> None:
    assert await status(port, "Host: " + host.format(port=port)) == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "[::1", "box."])
async def test_a_name_that_somebody_pointed_at_us_is_not(port: int, host: str) -> None:
    assert await status(port, "Host: " + host.format(port=port)) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_of_another_site_is_refused(port: int, origin: str, method: str) -> None:
    assert await status(port, f"Host: 127.0.0.1:{port}", f"Origin: {origin}", method=method) == 403


async def test_a_page_of_our_own_may_call(port: int) -> None:
    assert await status(port, f"Host: localhost:{port}", f"Origin: http://localhost:{port}") == 200


async def test_where_others_may_call_any_name_is_good_but_no_other_site() -> None:
    async with serving(app(Server([])), "0.0.0.0", 0) as (_, port):
        assert await status(port, "Host: gateway.example") == 200
        assert await status(port, "Host: gateway.example", "Origin: http://evil.example") == 403
