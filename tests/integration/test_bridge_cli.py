"""The `osap-bridge` command as a person uses it: what it prints, how it exits, and that it stops when told to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

import pytest

from lwm2m.coap.stacks import open_endpoint
from lwm2m.server import Registered, Server

COMMAND = [sys.executable, "-c", "from osap_bridge.cli import main; main()"]
ENVIRONMENT = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def bridge(*arguments: str | FilePath) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=ENVIRONMENT, check=False)


class Running:
    """A command that runs, and the lines it printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, pattern: str) -> re.Match[str]:
        """The first line that fits, of those printed and those to come."""
        if found := next(filter(None, (re.search(pattern, line) for line in self.lines)), None):
            return found
        assert self.process.stdout
        async with asyncio.timeout(20):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found
        raise AssertionError(f"no {pattern!r} in:\n{''.join(self.lines)}")

    async def interrupt(self) -> tuple[int, float]:
        """Ctrl-C: the exit code, and the seconds it took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            output, _ = await self.process.communicate()
        self.lines += output.decode().splitlines(keepends=True)
        assert self.process.returncode is not None
        return self.process.returncode, loop.time() - started


@asynccontextmanager
async def running(*arguments: str | FilePath, command: Sequence[str] = COMMAND) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *command,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def state(tmp_path: FilePath) -> FilePath:
    return tmp_path / "state"


async def test_a_gateway_and_a_simulated_device_in_processes_of_their_own(state):
    coap = open_endpoint("127.0.0.1", 0)
    async with Server([coap]) as server:
        events = server.events()
        options = ("--state", state, "--server", coap.uri, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0")
        async with running("run", *options) as gateway:
            lbs = (await gateway.until(r"LBS +(\S+:\d+)"))[1]
            added = await asyncio.to_thread(bridge, "device", "add", "Z1", "--code", "QWERTY", "--state", state)
            assert added.returncode == 0, added.stderr
            simulate = ("--product", "EZ-Humiture", "--lbs", lbs, "--serial", "Z1", "--code", "QWERTY")
            async with running("simulate", *simulate, "--interval", "0.1") as device:
                await device.until("Z1 is authenticated")
                await device.until("Z1 is online")
                async with asyncio.timeout(10):
                    async for event in events:
                        if isinstance(event, Registered) and event.registration.endpoint == "osap:Z1":
                            break
                listed = await until_listed(state, "online")
                assert listed["running"]
                assert listed["devices"][0]["product"] == "EZ-Humiture"
                assert await device.interrupt() == (0, pytest.approx(1, abs=1))
            assert (await until_listed(state, "offline"))["devices"][0]["last_seen"] > 0
            code, seconds = await gateway.interrupt()
            assert (code, seconds < 2) == (0, True)
            assert server.registrations() == []
            assert "QWERTY" not in "".join(gateway.lines)
            assert "Traceback" not in "".join(gateway.lines)


async def until_listed(state: FilePath, wanted: str) -> dict:
    for _ in range(20):
        listed = await asyncio.to_thread(bridge, "devices", "--state", state, "--json")
        content = json.loads(listed.stdout)
        if content["devices"][0]["state"] == wanted:
            return content
    raise AssertionError(f"never {wanted}: {content}")


async def test_one_client_for_all_where_that_is_asked_for(state, tmp_path):
    coap = open_endpoint("127.0.0.1", 0)
    async with Server([coap]) as server:
        config = tmp_path / "bridge.toml"
        config.write_text(
            f'state = "{state}"\n[lbs]\nlisten = "127.0.0.1:0"\n[das]\nlisten = "127.0.0.1:0"\n'
            f'[lwm2m]\nserver = "{coap.uri}"\nendpoint = "house"\n[[device]]\nserial = "Z1"\ncode = "QWERTY"\n'
        )
        async with running("run", "--config", config, "--topology", "single") as gateway:
            lbs = (await gateway.until(r"LBS +(\S+:\d+)"))[1]
            simulate = ("--product", "EZ-Door", "--lbs", lbs, "--serial", "Z1", "--code", "QWERTY")
            async with running("simulate", *simulate, "--state", tmp_path / "device") as device:
                await device.until("Z1 is online")
                async with asyncio.timeout(10):
                    async for _ in server.events():
                        if server.registrations() and 10241 in server.registration("house").objects:
                            break
                assert [registration.endpoint for registration in server.registrations()] == ["house"]
        refused = await asyncio.to_thread(bridge, "device", "remove", "Z1", "--config", config)
        assert refused.returncode == 1
        assert "change it there" in refused.stderr


async def test_a_second_gateway_on_the_same_state_is_refused(state):
    options = ("--state", state, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0")
    async with running("run", *options) as gateway:
        await gateway.until("LBS")
        second = await asyncio.to_thread(bridge, "run", *options)
    assert second.returncode == 1
    assert "another osap-bridge runs" in second.stderr


async def test_a_taken_address_is_a_sentence(state, tmp_path):
    async with running("run", "--state", state, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0") as gateway:
        lbs = (await gateway.until(r"LBS +(\S+:\d+)"))[1]
        second = await asyncio.to_thread(bridge, "run", "--state", tmp_path / "b", "--lbs", lbs, "--das", "127.0.0.1:0")
    assert_failed(second, "is taken")


async def test_a_server_that_comes_later_is_found_and_the_wait_is_told(state):
    coap = open_endpoint("127.0.0.1", 0)
    async with Server([coap]):
        uri = coap.uri
    options = ("--state", state, "--server", uri, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0")
    async with running("run", *options) as gateway:
        await gateway.until(f"osap-bridge is not registered with {uri}")
        server = Server([open_endpoint("127.0.0.1", int(uri.rpartition(":")[2]))])
        async with server:
            await gateway.until(f"osap-bridge is registered with {uri}")
        code, seconds = await gateway.interrupt()
    assert (code, seconds < 2) == (0, True), seconds


async def test_a_wrong_code_is_told_at_the_device(state):
    async with running("run", "--state", state, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0") as gateway:
        lbs = (await gateway.until(r"LBS +(\S+:\d+)"))[1]
        simulate = ("--product", "EZ-Door", "--lbs", lbs, "--serial", "Z1", "--code", "QWERTY")
        async with running("simulate", *simulate) as device:
            await device.until("is not authenticated: .*serial")
            assert (await device.interrupt())[0] == 0


def test_the_usual_limit_of_open_files_does_not_limit_the_devices():
    script = (
        "import resource; from osap_bridge.running import allow_many_sockets; kind = resource.RLIMIT_NOFILE\n"
        "hard = resource.getrlimit(kind)[1]; resource.setrlimit(kind, (128, hard)); allow_many_sockets()\n"
        "print(*resource.getrlimit(kind), hard)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    soft, hard, hard_before = map(int, done.stdout.split())
    assert hard == hard_before
    assert soft == (65536 if hard == -1 else min(65536, hard))


def assert_failed(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 1, done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith("osap-bridge: ")
    assert len(done.stderr.splitlines()) == 1


def test_devices_are_added_listed_and_removed_without_a_gateway(state, tmp_path):
    code = tmp_path / "code"
    code.write_text("QWERTY\n")
    assert bridge("device", "add", "Z1", "--code-file", code, "--state", state).returncode == 0
    listed = bridge("devices", "--state", state)
    assert "never seen" in listed.stdout
    assert "No gateway runs" in listed.stderr
    assert "QWERTY" not in listed.stdout
    assert json.loads(bridge("devices", "--state", state, "--json").stdout)["running"] is False
    assert stat.S_IMODE((state / "osap-bridge.sqlite3").stat().st_mode) == 0o600
    assert bridge("device", "remove", "Z1", "--state", state).returncode == 0
    assert_failed(bridge("device", "remove", "Z1", "--state", state), "Z1 is not known here")


def test_what_cannot_be_is_one_sentence(state, tmp_path):
    assert_failed(bridge("devices", "--state", state), "there is no state of a gateway")
    assert_failed(bridge("device", "add", "Z/1", "--code", "A", "--state", state), "is no serial")
    assert_failed(bridge("device", "add", "Z1", "--code-file", tmp_path / "no", "--state", state), "cannot be read")
    assert_failed(bridge("run", "--config", tmp_path / "no.toml"), "cannot be read")
    assert_failed(bridge("run", "--state", state, "--server", "http://x"), "coap")
    simulate = ("--lbs", "127.0.0.1:1", "--serial", "Z1", "--code", "A")
    assert_failed(bridge("simulate", "--product", "Nothing", *simulate), "there is no product 'Nothing'")
    (tmp_path / "file").write_text("")
    assert_failed(bridge("devices", "--state", tmp_path / "file"), "there is no state")
    assert_failed(bridge("device", "add", "Z1", "--code", "A", "--state", tmp_path / "file"), "cannot be used")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--topology", "double"),
        ("run", "--lbs", "nowhere"),
        ("device", "add", "Z1"),
        ("device", "add", "Z1", "--code", "A", "--code-file", "B"),
        ("simulate", "--product", "EZ-Door"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert bridge(*arguments).returncode == 2


def test_check_lists_every_translator():
    table = bridge("check")
    assert table.returncode == 0
    for product in ("EZ-Lamp-Dim", "EZ-Humiture", "EZ-Door"):
        assert product in table.stdout
    laws = json.loads(bridge("check", "--json").stdout)
    assert all(product["broken"] == [] for product in laws["products"])
    assert laws["unusable"] == []


@pytest.mark.parametrize("command", [(), ("run",), ("devices",), ("device",), ("simulate",), ("check",), ("demo",)])
def test_help_is_there_for_every_command(command):
    shown = bridge(*command, "--help")
    assert shown.returncode == 0
    assert "Usage: osap-bridge" in shown.stdout


def test_the_secured_demo_is_one_of_a_client_per_device():
    refused = bridge("demo", "--check", "--secure", "--topology", "single")
    assert refused.returncode == 2
    assert "it goes with --topology per-device" in " ".join(refused.stderr.replace("│", " ").split())
