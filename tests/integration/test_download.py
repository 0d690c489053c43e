"""Packages over real sockets: a foreign CoAP server, and an HTTP server that breaks off."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiocoap
import pytest
from aiocoap import resource

from lwm2m.client.download import Downloader, Login
from lwm2m.client.package_error import PackageError, Trouble
from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.stacks import open_endpoint

PACKAGE = bytes(n % 251 for n in range(20_000))
QUICK = Transmission(ack_timeout=0.05, ack_random_factor=1.0, max_retransmit=1)
download = Downloader(
    pause=0.0, patience=1.0, open_endpoint=lambda host, limits: open_endpoint(host, limits=limits, transmission=QUICK)
)


async def trouble(uri: str, max_size: int = 100_000, by: Downloader = download) -> Trouble:
    with pytest.raises(PackageError) as caught:
        await by(uri, max_size)
    return caught.value.trouble


# CoAP


class Firmware(resource.Resource):  # type: ignore[misc]
    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=PACKAGE[: int(dict(q.split("=") for q in request.opt.uri_query)["n"])])


@pytest.fixture
async def coap_server() -> AsyncIterator[str]:
    site = resource.Site()
    site.add_resource(["fw", "a b"], Firmware())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])
    yield f"coap://127.0.0.1:{port}"
    await context.shutdown()


@pytest.mark.parametrize("size", [0, 10, 1024, 20_000])
async def test_a_package_comes_in_blocks(coap_server: str, size: int) -> None:
    assert await download(f"{coap_server}/fw/a%20b?n={size}", 20_000) == PACKAGE[:size]


async def test_coap_troubles(coap_server: str) -> None:
    assert await trouble(f"{coap_server}/fw/a%20b?n=20000", 19_999) is Trouble.NO_STORAGE
    assert await trouble(f"{coap_server}/nothing") is Trouble.INVALID_URI


async def test_a_coap_server_that_is_silent_or_gone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        uri = f"coap://127.0.0.1:{silent.getsockname()[1]}/fw"
        assert await trouble(uri) is Trouble.CONNECTION_LOST
    assert await trouble(uri) is Trouble.CONNECTION_LOST


async def test_the_whole_is_bounded() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        patient = Downloader(deadline=0.05)
        assert await trouble(f"coap://127.0.0.1:{silent.getsockname()[1]}/fw", by=patient) is Trouble.CONNECTION_LOST


@pytest.mark.parametrize(
    "uri", ["", "nonsense", "coap://", "http:///fw", "coap://h:x/fw", "http://a b/", "coap://h:0/"]
)
async def test_what_is_no_uri(uri: str) -> None:
    assert await trouble(uri) is Trouble.INVALID_URI


@pytest.mark.parametrize("uri", ["ftp://h/fw", "coaps://h/fw", "coap+tcp://h/fw", "sftp://h/fw"])
async def test_a_protocol_that_is_not_spoken(uri: str) -> None:
    assert await trouble(uri) is Trouble.UNSUPPORTED_PROTOCOL


# HTTP

Answer = Callable[[dict[str, str], asyncio.StreamWriter], Awaitable[None]]


class HttpServer:
    """Answers each connection by the next of `answers`, the last again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        self.asked.append(headers)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await answer(headers, writer)
        writer.close()


def respond(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> Answer:
    """`length` is what is announced."""

    async def answer(_: dict[str, str], writer: asyncio.StreamWriter) -> None:
        announced = f"Content-Length: {len(body) if length is None else length}"
        head = "\r\n".join([f"HTTP/1.1 {status}", announced, "Connection: close", *headers, "", ""])
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


@pytest.fixture
async def http_server() -> AsyncIterator[tuple[HttpServer, str]]:
    server = HttpServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/fw"
    listening.close()
    await listening.wait_closed()


Http = tuple[HttpServer, str]


async def test_a_package_comes_by_http(http_server: Http) -> None:
    server, uri = http_server
    server.answers = [respond("200 OK", PACKAGE)]
    assert await download(uri, 20_000, Login("device", "secret")) == PACKAGE
    assert server.asked[0]["authorization"].startswith("Basic ")
    assert server.asked[0]["accept-encoding"] == "identity"
    assert "secret" not in repr(Login("device", "secret"))


async def test_a_stream_goes_on_where_it_broke(http_server: Http) -> None:
    server, uri = http_server
    server.answers = [
        respond("200 OK", PACKAGE[:5000], 'ETag: "v1"', length=20_000),
        respond("206 Partial Content", PACKAGE[5000:], "Content-Range: bytes 5000-19999/20000"),
    ]
    assert await download(uri, 20_000) == PACKAGE
    assert (server.asked[1]["range"], server.asked[1]["if-range"]) == ("bytes=5000-", '"v1"')


async def test_a_package_that_changed_meanwhile_begins_anew(http_server: Http) -> None:
    server, uri = http_server
    server.answers = [
        respond("200 OK", b"old" * 100, 'ETag: "v1"', length=20_000),
        respond("200 OK", PACKAGE, 'ETag: "v2"'),
    ]
    assert await download(uri, 20_000) == PACKAGE


async def test_without_a_strong_validator_it_begins_anew(http_server: Http) -> None:
    server, uri = http_server
    server.answers = [respond("200 OK", b"old", 'ETag: W/"v1"', length=9), respond("200 OK", PACKAGE)]
    assert await download(uri, 20_000) == PACKAGE
    assert "range" not in server.asked[1]


async def test_a_range_that_was_not_asked_for_is_not_taken(http_server: Http) -> None:
    server, uri = http_server
    server.answers = [
        respond("200 OK", PACKAGE[:5000], 'ETag: "v1"', length=20_000),
        respond("206 Partial Content", PACKAGE[:15_000], "Content-Range: bytes 0-14999/20000"),
        respond("200 OK", PACKAGE),
    ]
    assert await download(uri, 20_000) == PACKAGE


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (respond("200 OK", PACKAGE), Trouble.NO_STORAGE),
        (respond("200 OK", b"", length=10**9), Trouble.NO_STORAGE),
        (respond("404 Not Found"), Trouble.INVALID_URI),
        (respond("401 Unauthorized"), Trouble.INVALID_URI),
        (respond("302 Found", b"", "Location: /fw"), Trouble.INVALID_URI),
        (respond("302 Found", b"", "Location: ftp://h/fw"), Trouble.INVALID_URI),
        (respond("503 Service Unavailable"), Trouble.CONNECTION_LOST),
        (respond("200 OK", b"", length=100), Trouble.CONNECTION_LOST),
        (respond("nonsense"), Trouble.CONNECTION_LOST),
    ],
)
async def test_http_troubles(http_server: Http, answer: Answer, expected: Trouble) -> None:
    server, uri = http_server
    server.answers = [answer]
    assert await trouble(uri, 10_000) is expected


async def test_a_body_without_a_length_is_bounded_too(http_server: Http) -> None:
    async def endless(_: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PACKAGE)
        await writer.drain()

    server, uri = http_server
    server.answers = [endless]
    assert await trouble(uri, 10_000) is Trouble.NO_STORAGE


async def test_an_http_server_that_is_gone() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert await trouble(f"http://127.0.0.1:{port}/fw") is Trouble.CONNECTION_LOST
