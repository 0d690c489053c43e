"""libcoap's coap-client asks our bootstrap server, and learns why it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lwm2m.coap.endpoint import Transmission
from lwm2m.coap.stacks import open_endpoint
from lwm2m.server import BootstrapConfigs, BootstrapServer, ServerAccount, SessionOutcome, account_config
from tests.interop.peers import coap_client

pytestmark = pytest.mark.interop

PATIENCE = 15.0
CONFIGS = BootstrapConfigs(patterns={"dev-*": account_config([ServerAccount("coap://127.0.0.1", 1)])})


@pytest.fixture
async def server() -> AsyncIterator[BootstrapServer]:
    impatient = Transmission(ack_timeout=0.1, ack_random_factor=1.0, max_retransmit=1)
    async with BootstrapServer([open_endpoint(transmission=impatient)], CONFIGS) as server:
        yield server


async def ask(server: BootstrapServer, method: str, path: str) -> str:
    """What coap-client prints: the code of a refusal, nothing for a success without a payload."""
    uri = f"{server.endpoints[0].uri}/{path}"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        coap_client(), "-B", "5", "-m", method, uri, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    return printed.decode()


async def test_a_known_endpoint_is_answered_and_a_client_that_leaves_fails_its_session(server: BootstrapServer) -> None:
    events = server.events()
    assert await ask(server, "post", "bs?ep=dev-1&pct=110") == ""
    async with asyncio.timeout(PATIENCE):
        async for _ in events:
            if server.log("dev-1")[-1].outcome is not SessionOutcome.RUNNING:
                break
    (log,) = server.log("dev-1")
    assert log.outcome is SessionOutcome.FAILED


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("post", "bs?ep=other", "4.00"),
        ("post", "bs", "4.00"),
        ("post", "bs?ep=", "4.00"),
        ("post", "bs?ep=dev-1&ep=dev-1", "4.00"),
        ("post", "bs?ep=dev-1&pct=x", "4.00"),
        ("post", "bs?ep=dev-1&pct=60", "4.15"),
        ("post", "bs?ep=dev-1&pct=11543", "4.15"),
        ("get", "bs?ep=dev-1", "4.05"),
        ("post", "rd?ep=dev-1&lt=60&lwm2m=1.1", "4.04"),
        ("get", "bspack?ep=dev-1", "4.04"),
    ],
)
async def test_coap_client_reads_why_it_was_refused(server: BootstrapServer, method: str, path: str, code: str) -> None:
    assert (await ask(server, method, path)).startswith(code)
    assert all(log.outcome is SessionOutcome.REFUSED for log in server.sessions())
