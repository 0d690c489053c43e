"""Our endpoint against libcoap's command line programs, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lwm2m.coap.endpoint import Delivery, Endpoint, Limits, Transmission, Unreachable
from lwm2m.coap.message import Code, Peer, Request, Response, Subscription
from lwm2m.coap.stacks import STACKS, open_endpoint
from tests.interop.peers import coap_client, coap_server

pytestmark = pytest.mark.interop

PATIENCE = 15.0


@pytest.fixture(params=sorted(STACKS))
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Thermometer:
    """A resource that can be read, replaced and observed."""

    value: bytes = b"21.5"
    seen: list[Request] = field(default_factory=list)
    observed: asyncio.Event = field(default_factory=asyncio.Event)
    subscription: Subscription | None = None

    def __call__(self, request: Request, peer: Peer) -> Response:
        self.seen.append(request)
        if request.method in (Code.PUT, Code.POST, Code.IPATCH):
            self.value = request.payload
            return Response(Code.CHANGED)
        if request.method is Code.FETCH:
            return Response(Code.CONTENT, request.payload[::-1], 0)
        if request.observe == 0:
            self.subscription = Subscription(peer, request.token)
            self.observed.set()
        return Response(Code.CONTENT, self.value, 0, observing=request.observe == 0)


@pytest.fixture
def thermometer() -> Thermometer:
    return Thermometer()


@pytest.fixture
async def served(stack: str, thermometer: Thermometer) -> AsyncIterator[Endpoint]:
    endpoint = open_endpoint(stack=stack, limits=Limits(max_body=20_000))
    await endpoint.start(thermometer)
    yield endpoint
    await endpoint.stop()


async def client(*arguments: str) -> str:
    """What the program prints; it gives up after a few seconds."""
    process = await asyncio.create_subprocess_exec(
        coap_client(), "-B", "5", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output.decode()


async def test_get(served: Endpoint) -> None:
    assert (await client("-m", "get", f"{served.uri}/3303/0/5700")).strip() == "21.5"


async def test_what_the_client_puts_in_its_options_arrives(served: Endpoint, thermometer: Thermometer) -> None:
    await client("-N", "-A", "11542", "-m", "get", f"{served.uri}/3303/0?pmin=1&pmax=2")
    request = thermometer.seen[0]
    assert (request.path, request.query, request.accept, request.confirmable) == (
        ("3303", "0"),
        ("pmin=1", "pmax=2"),
        11542,
        False,
    )


@pytest.mark.parametrize(("method", "code"), [("put", Code.PUT), ("post", Code.POST), ("ipatch", Code.IPATCH)])
async def test_a_body_arrives(served: Endpoint, thermometer: Thermometer, method: str, code: Code) -> None:
    await client("-m", method, "-t", "0", "-e", "22.5", f"{served.uri}/3303/0/5700")
    request = thermometer.seen[0]
    assert (request.method, request.payload, request.content_format) == (code, b"22.5", 0)


async def test_fetch(served: Endpoint) -> None:
    assert (await client("-m", "fetch", "-t", "0", "-e", "abc", f"{served.uri}/x")).strip() == "cba"


@pytest.mark.parametrize("size", ["16", "64", "1024"])
async def test_large_bodies_go_both_ways_in_blocks(
    served: Endpoint, thermometer: Thermometer, tmp_path: Path, size: str
) -> None:
    body = bytes(ord("a") + n % 26 for n in range(3000))
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(body)
    await client("-m", "put", "-b", size, "-t", "0", "-f", str(sent), f"{served.uri}/x")
    assert thermometer.value == body
    await client("-m", "get", "-b", size, "-o", str(received), f"{served.uri}/x")
    assert received.read_bytes() == body
    methods = [request.method for request in thermometer.seen]
    assert methods in ([Code.PUT, Code.GET], [Code.PUT, Code.GET, Code.GET]), "a GET runs again where it is challenged"


async def test_a_body_over_the_limit_is_4_13(served: Endpoint, thermometer: Thermometer, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(30_000))
    assert "4.13" in await client("-m", "put", "-f", str(body), f"{served.uri}/x")
    assert thermometer.seen == []


async def test_an_unknown_critical_option_is_4_02(served: Endpoint) -> None:
    assert "4.02" in await client("-m", "get", "-O", "9999,x", f"{served.uri}/x")


async def test_observing(served: Endpoint, thermometer: Thermometer, tmp_path: Path) -> None:
    output = tmp_path / "output"
    watching = asyncio.create_task(client("-s", "1", "-w", "-o", str(output), "-m", "get", f"{served.uri}/x"))
    async with asyncio.timeout(PATIENCE):
        await thermometer.observed.wait()
    assert thermometer.subscription is not None
    for value, confirmable in ((b"22.0", True), (b"22.5", False), (b"z" * 3000, True)):
        thermometer.value = value
        notification = Response(Code.CONTENT, value, 0)
        delivery = await served.notify(thermometer.subscription, notification, confirmable=confirmable)
        assert delivery is Delivery.DELIVERED
    await watching
    assert output.read_text().split() == ["21.5", "22.0", "22.5", "z" * 3000]
    assert thermometer.seen[-1].observe == 1
    assert thermometer.seen[-1].token == thermometer.subscription.token
    assert await served.notify(thermometer.subscription, Response(Code.CONTENT)) is Delivery.RESET


async def test_lost_datagrams_are_made_up_for(stack: str, thermometer: Thermometer) -> None:
    endpoint = open_endpoint(stack=stack)
    await endpoint.start(thermometer)
    assert (await client("-l", "1", "-m", "get", f"{endpoint.uri}/x")).strip().endswith("21.5")
    await endpoint.stop()
    assert len(thermometer.seen) == 1


# libcoap serves


async def answers(asker: Endpoint, peer: Peer) -> bool:
    try:
        await asker.request(peer, Request(Code.GET), 1)
    except Unreachable:
        return False
    return True


@contextlib.asynccontextmanager
async def libcoap_server(asker: Endpoint) -> AsyncIterator[Peer]:
    program = coap_server()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program, "-A", "127.0.0.1", "-p", str(port), "-d", "8", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        peer = await asker.peer(f"coap://127.0.0.1:{port}")
        async with asyncio.timeout(PATIENCE):
            while not await answers(asker, peer):  # noqa: ASYNC110  # another process begins to listen
                await asyncio.sleep(0.02)
        yield peer
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def asker(stack: str) -> AsyncIterator[Endpoint]:
    endpoint = open_endpoint(stack=stack, transmission=Transmission(ack_timeout=0.2, max_retransmit=6))
    await endpoint.start(lambda _request, _peer: Response(Code.NOT_FOUND))
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def libcoap(asker: Endpoint) -> AsyncIterator[Peer]:
    async with libcoap_server(asker) as peer:
        yield peer


async def test_we_read_what_libcoap_serves(asker: Endpoint, libcoap: Peer) -> None:
    response = await asker.request(libcoap, Request(Code.GET, (".well-known", "core")), 5)
    assert (response.code, response.content_format) == (Code.CONTENT, 40)
    assert b"</time>" in response.payload
    assert (await asker.request(libcoap, Request(Code.GET, ("no", "such")), 5)).code is Code.NOT_FOUND


async def test_we_write_and_read_large_bodies(asker: Endpoint, libcoap: Peer) -> None:
    body = bytes(n % 251 for n in range(5000))
    written = await asker.request(libcoap, Request(Code.PUT, ("data",), payload=body, content_format=42), 5)
    assert written.code.is_success
    assert (await asker.request(libcoap, Request(Code.GET, ("data",)), 5)).payload == body


async def test_a_separate_response_of_libcoap_arrives(asker: Endpoint, libcoap: Peer) -> None:
    response = await asker.request(libcoap, Request(Code.GET, ("async",), ("1",)), 5)
    assert response.code is Code.CONTENT


async def test_we_observe_libcoap_and_cancel(asker: Endpoint, libcoap: Peer) -> None:
    observation = await asker.observe(libcoap, Request(Code.GET, ("time",)), 5)
    assert observation.first.observing
    notifications = aiter(observation)
    async with asyncio.timeout(PATIENCE):
        assert (await anext(notifications)).code is Code.CONTENT
    answer = await observation.cancel()
    assert answer is not None
    assert answer.code is Code.CONTENT
    assert not answer.observing


async def test_libcoap_gone_is_noticed(asker: Endpoint) -> None:
    async with libcoap_server(asker) as peer:
        pass
    with pytest.raises(Unreachable):
        await asker.request(peer, Request(Code.GET), 2)
