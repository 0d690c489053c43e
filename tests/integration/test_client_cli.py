"""`lwm2m client` as a process: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import pytest
from aiocoap import CHANGED, DELETE, POST, PUT

from tests.integration.test_client import ForeignServer, free_port, server

__all__ = ["server"]

COMMAND = (sys.executable, "-c", "from lwm2m.cli import main; main()", "client")


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


async def interrupted(process: asyncio.subprocess.Process) -> tuple[str, str, float]:
    """What it still prints, its errors, and how many seconds Ctrl-C took."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), 10)
    return output.decode(), errors.decode(), time.monotonic() - began


async def test_it_tells_what_the_server_does_and_says_goodbye(server: ForeignServer, tmp_path: FilePath) -> None:
    model = tmp_path / "model.toml"
    model.write_text(
        '[[resource]]\npath = "/3303/0/5700"\nvalue = 21.5\n[[resource]]\npath = "/3311/0/5850"\nvalue = false\n'
    )
    options = ("--server", server.uri, "--endpoint", "lamp", "--lifetime", "60", "--model", str(model))
    async with running(*options) as process:
        assert await line(process) == f"registering with {server.uri} as lamp"
        assert await line(process) == "registered at /rd/5a3f"
        register = await server.next()
        assert (register.code, register.opt.uri_query[:2]) == (POST, ("ep=lamp", "lt=60"))
        assert (await server.ask(PUT, "/3311/0/5850", payload=b"1", content_format=0)).code == CHANGED
        assert await line(process) == "write /3311/0/5850 On/Off -> 2.04"
        assert await line(process) == "    /3311/0/5850 On/Off = true"
        output, errors, seconds = await interrupted(process)
        assert (output, errors, process.returncode) == ("de-registered\n", "", 0)
        assert seconds < 2
        assert (await server.next()).code == DELETE


async def test_it_keeps_trying_where_nobody_listens() -> None:
    uri = f"coap://127.0.0.1:{free_port()}"
    async with running("--server", uri, "--endpoint", "lamp") as process:
        assert await line(process) == f"registering with {uri} as lamp"
        failure = await line(process)
        assert failure.startswith("not registered: ")
        assert failure.endswith("; next try in 5 s")
        _, errors, seconds = await interrupted(process)
        assert (errors, process.returncode) == ("", 0)
        assert seconds < 2


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--server", "http://h", "--endpoint", "x"), 2, "not a coap:// URI"),
        (("--server", "coap://h", "--endpoint", ""), 2, "an endpoint name has 1 to 255 bytes"),
        (("--server", "coap://h", "--endpoint", "x", "--model", "/nonexistent.toml"), 1, "cannot be read"),
        (("--server", "coap://h", "--endpoint", "x", "--coap-stack", "none"), 2, "there is no CoAP stack 'none'"),
    ],
)
async def test_what_cannot_be_is_one_sentence(options: tuple[str, ...], code: int, sentence: str) -> None:
    async with running(*options) as process:
        output, errors = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == code
    assert output == b""
    assert errors.decode().startswith("lwm2m: ")
    assert errors.count(b"\n") == 1
    assert sentence in errors.decode()
