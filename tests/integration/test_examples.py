"""The programs in examples/ work, and are as short as they are said to be."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import pytest

from lwm2m import Client, Path, Record, Server, open_endpoint, with_folder
from lwm2m.server import Registered

EXAMPLES = FilePath(__file__).resolve().parent.parent.parent / "examples"


@asynccontextmanager
async def example(name: str, port: int) -> AsyncIterator[asyncio.StreamReader]:
    """Runs the program with its port replaced, in its own folder."""
    source = (EXAMPLES / name).read_text("utf-8")
    code = source.replace("5683", str(port)).replace("__file__", repr(str(EXAMPLES / name)))
    assert code != source
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=EXAMPLES
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.communicate()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def line(output: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(output.readline(), 20)).decode().strip()


@pytest.mark.parametrize(("name", "lines"), [("device.py", 25), ("server.py", 20)])
def test_an_example_is_short(name: str, lines: int) -> None:
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) < lines


async def test_the_device_serves_its_own_object() -> None:
    endpoint = open_endpoint("127.0.0.1", 0)
    definitions = with_folder(EXAMPLES / "objects")
    async with Server([endpoint], definitions) as server, asyncio.timeout(30):
        events = server.events()
        async with example("device.py", endpoint.address[1]):
            async for event in events:
                if isinstance(event, Registered):
                    break
            await server.execute("gate", "/26241/0/1")
            assert await server.read("gate", "/26241/0/0") == [Record(Path(26241, 0, 0), 1)]


async def test_the_server_reads_observes_and_takes_what_is_sent() -> None:
    port = free_udp_port()
    temperature = Path(3303, 0, 5700)
    records = [Record(temperature, 21.5), Record(Path(3, 0, 3), "1.0")]
    async with (
        example("server.py", port) as output,
        Client("thermometer", f"coap://127.0.0.1:{port}", records) as client,
    ):
        assert "value='1.0'" in await line(output)
        await client.send([temperature])
        assert await line(output) == "thermometer /3303/0/5700=21.5"
