"""What docs/bootstrap.md shows is true: its program bootstraps a client, its request is taken."""

from __future__ import annotations

import asyncio
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from lwm2m.coap.endpoint import Endpoint, Handler
from lwm2m.coap.stacks import open_endpoint
from lwm2m.server import BootstrapServer
from lwm2m.web import bootstrap_app
from tests.integration.foreign_bootstrap_client import ForeignBootstrapClient

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "bootstrap.md").read_text(encoding="utf-8")


async def test_the_program_gives_a_client_its_account(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    uri: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def told() -> Endpoint:
        endpoint = open_endpoint("127.0.0.1", 0)
        start = endpoint.start

        async def start_and_tell(handler: Handler) -> None:
            await start(handler)
            uri.set_result(endpoint.uri)

        endpoint.start = start_and_tell  # type: ignore[method-assign]  # the program opens it without telling where
        return endpoint

    names: dict[str, Any] = {"told": told}
    source = program.replace('open_endpoint("127.0.0.1", 5783)', "told()")
    assert source != program
    exec(f"async def main():\n{textwrap.indent(source, '    ')}", names)
    running = asyncio.create_task(names["main"]())
    async with ForeignBootstrapClient(await asyncio.wait_for(uri, 10)) as client, asyncio.timeout(10):
        await client.ask("ep=lamp-1")
        await client.finished.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "lamp-1 authorized without security" in capsys.readouterr().out


async def test_the_request_is_taken() -> None:
    command = next(block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "curl -X POST" in block)
    _, _, _, url, _, body, *_ = shlex.split(command)
    server = BootstrapServer([open_endpoint()])
    transport = httpx.ASGITransport(bootstrap_app(server))
    async with httpx.AsyncClient(transport=transport) as http:
        answer = await http.post(url, content=body)
    assert (answer.status_code, answer.text) == (200, "")
    config = server.configs.find("lamp-2")
    assert config is not None
    assert [str(write.path) for write in config.written] == ["/0/1", "/1/0"]
