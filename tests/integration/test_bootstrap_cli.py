"""`lwm2m bootstrap-server` as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import httpx
from aiocoap.numbers.codes import Code

from tests.integration.foreign_bootstrap_client import ForeignBootstrapClient

COMMAND = (sys.executable, "-c", "from lwm2m.cli import main; main()", "bootstrap-server")
CONFIG = """
[[configuration]]
pattern = "lamp-*"
[[configuration.account]]
uri = "coaps://127.0.0.1:5684"
short_server_id = 101
security = "psk"
identity = "lamp"
key = "73697874656e2073656372657473212121"
"""


@asynccontextmanager
async def running(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 15)).decode().rstrip()


async def test_it_bootstraps_from_its_file_and_prints_no_key(tmp_path: FilePath) -> None:
    config = tmp_path / "bootstrap.toml"
    config.write_text(CONFIG)
    options = ("--config", str(config), "--coap", "127.0.0.1:0", "--http", "127.0.0.1:0", "--trace")
    async with running(*options) as process:
        coap, http = (await line(process)).split()[1], (await line(process)).split()[1]
        async with ForeignBootstrapClient(coap) as client, httpx.AsyncClient(base_url=http) as web:
            assert (await client.ask("ep=lamp-1")).code == Code.CHANGED
            await asyncio.wait_for(client.finished.wait(), 10)
            assert (await client.ask("ep=other")).code == Code.BAD_REQUEST
            assert [session["endpoint"] for session in (await web.get("/api/bootstrap-sessions")).json()] == [
                "lamp-1",
                "other",
            ]
        assert client.operations[-2:] == ["PUT /1/0", "POST /bs"]
        process.send_signal(signal.SIGINT)
        output, errors = (text.decode() for text in await asyncio.wait_for(process.communicate(), 10))
    assert (errors, process.returncode) == ("", 0)
    assert "+ lamp-1 asked by 127.0.0.1:" in output
    assert "= lamp-1 the client took the configuration" in output
    assert "! other there is no configuration for this endpoint" in output
    assert "/0/1/5  Secret Key = (17 bytes, not shown)" in output
    for spelling in ("73697874656e", "73 69 78 74 65 6e", "sixten secrets"):
        assert spelling not in output


async def test_what_came_over_http_is_there_after_a_kill(tmp_path: FilePath) -> None:
    options = ("--state", str(tmp_path / "state"), "--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")
    async with running(*options) as process:
        _, http = (await line(process)), (await line(process)).split()[1]
        async with httpx.AsyncClient(base_url=http) as web:
            for endpoint in ("lamp", "gone"):
                assert (await web.post(f"/api/bootstrap/{endpoint}", json={"toDelete": ["/1"]})).status_code == 200
            assert (await web.delete("/api/bootstrap/gone")).status_code == 204
        process.kill()
    async with running(*options) as process:
        _, http = (await line(process)), (await line(process)).split()[1]
        async with httpx.AsyncClient(base_url=http) as web:
            configs = (await web.get("/api/bootstrap")).json()
    assert {endpoint: config["toDelete"] for endpoint, config in configs.items()} == {"lamp": ["/1"]}


async def test_a_wrong_file_is_told_by_line(tmp_path: FilePath) -> None:
    config = tmp_path / "bootstrap.toml"
    config.write_text('[[configuration]]\nendpoint = "x"\naccounts = 1\n')
    async with running("--config", str(config)) as process:
        output, errors = await asyncio.wait_for(process.communicate(), 15)
    assert output == b""
    assert errors.decode() == f"lwm2m: {config}:3: there is no setting 'accounts' in configuration.\n"
    assert process.returncode == 1


async def test_addresses_for_everybody_need_a_word() -> None:
    async with running("--coap", "0.0.0.0:0") as process:
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    assert b"--insecure" in errors
    assert process.returncode == 1
