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
from aiocoap import CHANGED, DELETE, GET, POST, PUT

from tests.free_port import free_port
from tests.integration.test_client import (
    ForeignServer,
    server,
)

__all__ = ["server"]

COMMAND = (sys.executable, "-c", "from lwm2m.cli import main; main()", "client")


@asynccontextmanager
async def running(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
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
        (("--server", "http://h", "--endpoint", "x"), 2, "is not a coap://, coaps://, "),
        (("--bootstrap", "http://h", "--endpoint", "x"), 2, "is not a coap://, coaps://, "),
        (("--endpoint", "x"), 2, "a client needs --server, --bootstrap or --factory"),
        (("--server", "coap://h", "--endpoint", "x", "--version", "2.0"), 2, "is not one of 1.0, 1.1"),
        (("--server", "coap://h", "--endpoint", "x", "--binding", "X"), 2, "is not a binding"),
        (("--server", "coap://h", "--endpoint", "x", "--factory", "/nonexistent.toml"), 1, "cannot be read"),
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


async def typed(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n".encode())
    await process.stdin.drain()


async def lines_until(process: asyncio.subprocess.Process, wanted: str) -> list[str]:
    read = [await line(process)]
    while read[-1] != wanted:
        read.append(await line(process))
    return read


async def test_it_obeys_commands_on_standard_input(server: ForeignServer) -> None:
    async with running("--server", server.uri, "--endpoint", "lamp", "--console", "--queue") as process:
        await lines_until(process, "registered at /rd/5a3f")
        assert (await server.next()).opt.uri_query[3:] == ("b=U", "Q")
        await typed(process, "set /3303/0/5700 30\nread /3303/0/5700")
        assert await line(process) == "/3303/0/5700 Sensor Value = 30.0"
        await typed(process, "update")
        assert (await server.next()).opt.uri_path == ("rd", "5a3f")
        assert await line(process) == "registration updated"
        await typed(process, "sleep")
        assert await line(process) == "asleep"
        await typed(process, "wake")
        assert await lines_until(process, "registration updated") == ["awake", "registration updated"]
        await server.next()
        await typed(process, "send /3303/0/5700")
        assert (await server.next()).opt.uri_path == ("dp",)
        assert "server 1 answered 2.04" in await lines_until(process, "server 1 answered 2.04")
        await typed(process, "reregister")
        assert (await server.next()).opt.uri_path == ("rd",)
        await lines_until(process, "registered at /rd/5a3f")
        await typed(process, "quit")
        output, errors = await asyncio.wait_for(process.communicate(), 10)
        assert (output, errors, process.returncode) == (b"de-registered\n", b"", 0)


async def test_it_registers_with_several_servers_which_may_all_read(server: ForeignServer) -> None:
    elsewhere = f"coap://127.0.0.1:{free_port()}"
    async with running("--server", server.uri, "--server", elsewhere, "--endpoint", "lamp") as process:
        read = [await line(process) for _ in range(4)]
        assert f"server 1: registering with {server.uri} as lamp" in read
        assert f"server 2: registering with {elsewhere} as lamp" in read
        assert "server 1: registered at /rd/5a3f" in read
        await server.next()
        assert (await server.ask(GET, "/3303/0/5700")).payload == b"21.5"


async def test_a_factory_configuration_and_a_signal(server: ForeignServer, tmp_path: FilePath) -> None:
    factory = tmp_path / "factory.toml"
    text = (FilePath(__file__).parents[2] / "examples" / "factory.toml").read_text()
    factory.write_text(text.replace("coap://127.0.0.1:5683", server.uri))
    model = tmp_path / "model.toml"
    signal = '{kind = "ramp", from = 1, to = 1000, period = 999, every = 0.05}'
    model.write_text(f'[[resource]]\npath = "/3303/0/5700"\nvalue = 0\nsignal = {signal}\n')
    async with running("--factory", str(factory), "--model", str(model), "--endpoint", "lamp") as process:
        await lines_until(process, "registered at /rd/5a3f")
        await server.next()
        observation = server.observe("/3303/0/5700")
        first = await asyncio.wait_for(observation.response, 5)
        following = await asyncio.wait_for(anext(aiter(observation.observation)), 5)
        assert float(following.payload) > float(first.payload) > 0
        assert (await server.ask(GET, "/1/0/0")).payload == b"101"


async def test_it_asks_its_bootstrap_server(server: ForeignServer) -> None:
    async with running("--bootstrap", server.uri, "--endpoint", "lamp", "--hold-off", "1") as process:
        assert await line(process) == f"bootstrapping from {server.uri} as lamp"
        assert (await server.next()).opt.uri_query == ("ep=lamp", "pct=112")
        assert (await server.ask(POST, "/bs")).code.dotted == "4.06"
        assert await line(process) == "BootstrapFinish /bs -> 4.06"


async def test_a_factory_configuration_without_an_account_is_refused(tmp_path: FilePath) -> None:
    factory = tmp_path / "factory.toml"
    factory.write_text('[[resource]]\npath = "/0/0/0"\nvalue = "coap://h"\n')
    async with running("--factory", str(factory), "--endpoint", "x") as process:
        output, errors = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode() == f"lwm2m: {factory}: /0/0 has no security mode.\n"
