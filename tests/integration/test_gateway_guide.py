"""What docs/gateway.md shows of security is true: its commands run as they stand, and its device registers."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path

import pytest

from lwm2m import Address
from osap_bridge.installed import find
from osap_bridge.simulation import SimulatedDevice
from tests.free_port import free_port
from tests.integration.test_bridge_cli import ENVIRONMENT, Running, running

GUIDE = (Path(__file__).resolve().parent.parent.parent / "docs" / "gateway.md").read_text(encoding="utf-8")
SETTINGS = re.findall(r"```toml\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL)
BLOCKS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)]
MAKING = [line for block in BLOCKS for line in block if line.startswith("lwm2m keys")]
RUNNING = [block for block in BLOCKS if block[0].startswith("lwm2m server")]
PROGRAMS = {
    "lwm2m": [sys.executable, "-c", "from lwm2m.cli import main; main()"],
    "osap-bridge": [sys.executable, "-c", "from osap_bridge.cli import main; main()"],
}
MORE = {
    "server": ("--http", "127.0.0.1:0"),
    "bootstrap-server": ("--http", "127.0.0.1:0"),
    "run": ("--state", "state", "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0"),
}
STARTED = {"server": "^HTTP", "bootstrap-server": "^HTTP", "run": r"LBS +(\S+:\d+)"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the guide makes."""
    made = tmp_path_factory.mktemp("keys")
    for command in MAKING:
        _done(command, made)
    return made


@pytest.fixture
def folder(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands of the guide are run: with its keys, and its files with free ports."""
    shutil.copytree(keys, tmp_path, dirs_exist_ok=True)
    for name, text in SETTINGS:
        (tmp_path / name).write_text(_freed(text))
        (tmp_path / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@cache
def _free(_port: str) -> int:
    """In the place of one that the guide has."""
    return free_port()


def _freed(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{_free(found[1])}", text)


def _done(command: str, folder: Path) -> None:
    program, *words = shlex.split(command)
    done = subprocess.run(
        [*PROGRAMS[program], *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done.stdout}{done.stderr}"


async def _running(exits: AsyncExitStack, command: str) -> tuple[Running, str]:
    """A command of the guide, and the address that it begins with."""
    program, verb, *words = shlex.split(command)
    arguments = running(verb, *words, *MORE[verb], command=PROGRAMS[program])
    process = await exits.enter_async_context(arguments)
    found = await process.until(STARTED[verb])
    return process, found[found.lastindex or 0]


def test_the_guide_shows_each_way() -> None:
    assert [block[-1].split()[-1] for block in RUNNING] == ["gateway.toml", "certificates.toml", "bootstrapped.toml"]


@pytest.mark.parametrize("number", range(len(RUNNING)))
async def test_its_device_registers(number: int, folder: Path) -> None:
    *servers, check, gateway = map(_freed, RUNNING[number])
    async with AsyncExitStack() as exits:
        started = [(await _running(exits, command))[0] for command in servers]
        _done(check, folder)
        _, lbs = await _running(exits, gateway)
        device = SimulatedDevice(find().products["EZ-Door"], "Z1", "QWERTY", Address.parse(lbs))
        exits.push_async_callback(device.stop)
        await device.start()
        for endpoint in ("osap-bridge", "osap:Z1"):
            await started[0].until(rf"^\+ {endpoint} registered")
