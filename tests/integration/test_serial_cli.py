"""`lwm2m server` and `lwm2m client` as processes at the two ends of a serial line."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import pytest

from tests.serial_cable import Cable

SERVER = ("server", "--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from lwm2m.cli import main; main()",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(process: asyncio.subprocess.Process, beginning: str) -> str:
    """The next line that begins so."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while True:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {beginning!r}"
            if line.startswith(beginning):
                return line.rstrip()


async def test_a_device_registers_at_the_other_end_and_says_goodbye(tmp_path: FilePath) -> None:
    async with Cable(tmp_path) as cable, running(*SERVER, "--coap-serial", f"{cable.left}?mtu=256") as server:
        assert await printed(server, "CoAP  coap+serial") == f"CoAP  coap+serial://{cable.left}?speed=115200&mtu=256"
        uri = f"coap+serial://{cable.right}?mtu=256"
        async with running("client", "--server", uri, "--endpoint", "meter", "--trace") as client:
            assert (await printed(server, "+ meter")).startswith(f"+ meter registered from {cable.left}, objects")
            await printed(client, "registered at /rd/")
            client.send_signal(signal.SIGINT)
            assert await printed(server, "- meter")
            assert await asyncio.wait_for(client.wait(), 10) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/dev/missing", "cannot open /dev/missing: No such file or directory."),
        ("/dev/null", "/dev/null is no serial line"),
        ("/dev/ttyUSB0?speed=7", "no serial line has a speed of 7 bits per second."),
        ("ttyUSB0", "is not of the form coap+serial:///dev/ttyUSB0"),
    ],
)
async def test_a_line_that_cannot_be_used_is_told_in_a_sentence(line: str, message: str) -> None:
    async with running(*SERVER, "--coap-serial", line) as server:
        _, errors = await asyncio.wait_for(server.communicate(), 20)
    text = " ".join(errors.decode().replace("│", " ").split())
    assert message in text
    assert "Traceback" not in text
    assert server.returncode in (1, 2)
