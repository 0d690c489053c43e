"""The servers and the simulated client as processes, over connections."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

ADDRESSES = ("--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")


@asynccontextmanager
async def lwm2m(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from lwm2m.cli import main; main()", *arguments, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told(process: Process, beginning: str) -> str:
    """The first line from here on that begins so."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := (await process.stdout.readline()).decode().rstrip("\n"):
            if line.startswith(beginning):
                return line
    raise AssertionError(f"no line begins with {beginning!r}")


@pytest.mark.parametrize("scheme", ["coap+tcp", "coap+ws"])
async def test_a_simulated_client_registers_over_a_connection(scheme: str) -> None:
    option = "--" + scheme.replace("+", "-")
    async with lwm2m("server", *ADDRESSES, option, "127.0.0.1:0") as server:
        uri = (await told(server, f"CoAP  {scheme}://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter"):
            assert "meter registered from 127.0.0.1:" in await told(server, "+ ")
        assert await told(server, "- ") == "- meter deregistered"


async def test_a_bootstrap_server_listens_for_connections_too() -> None:
    async with lwm2m("bootstrap-server", *ADDRESSES, "--coap-tcp", "127.0.0.1:0") as server:
        uri = (await told(server, "CoAP  coap+tcp://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--bootstrap", uri, "--endpoint", "meter"):
            assert (await told(server, "! meter")).startswith("! meter")


async def test_of_several_addresses_the_one_that_is_taken_is_named() -> None:
    async with lwm2m("server", *ADDRESSES, "--coap-tcp", "127.0.0.1:0") as first:
        taken = (await told(first, "CoAP  coap+tcp://")).removeprefix("CoAP  coap+tcp://")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from lwm2m.cli import main; main()", "server", *ADDRESSES, "--coap-tcp", taken,
            stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert (process.returncode, output.decode()) == (1, f"lwm2m: the CoAP address {taken} is taken.\n")


@pytest.mark.parametrize("option", ["--coap-tcp", "--coap-ws"])
async def test_an_address_that_others_reach_has_to_be_allowed(option: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from lwm2m.cli import main; main()", "server", *ADDRESSES, option, "0.0.0.0:0",
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert "0.0.0.0:0 can be reached from other machines" in output.decode()
