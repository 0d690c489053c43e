"""What docs/security.md shows is true: its commands run as they stand, and its devices register with its servers."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.free_port import free_port

GUIDE = (Path(__file__).resolve().parent.parent.parent / "docs" / "security.md").read_text(encoding="utf-8")
SETTINGS = re.findall(r"```toml\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL)
BLOCKS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)]
MAKING = [line for block in BLOCKS for line in block if line.startswith("lwm2m keys")]
RUNNING = [block for block in BLOCKS if block[0].startswith("lwm2m server")]
PROGRAM = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
LWM2M = [sys.executable, "-c", "from lwm2m.cli import main; main()"]
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
PATIENCE = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all keys that the guide makes, and all files that it shows."""
    made = tmp_path_factory.mktemp("guide")
    for name, text in SETTINGS:
        (made / name).write_text(text)
        (made / name).chmod(0o600)
    for command in MAKING:
        words = [*LWM2M, *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=made, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    return made


class Ports:
    """Free ones in the place of those that the guide has."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def freed(self, text: str) -> str:
        for port in re.findall(r":(5[67]8[34])\b", text):
            self._found.setdefault(port, str(free_port()))
        for port, free in self._found.items():
            text = text.replace(f":{port}", f":{free}")
        return text


@asynccontextmanager
async def running(command: str, folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """A command of the guide until we leave, and what it prints."""
    words = shlex.split(command)[1:]
    more = ["--no-console"] if words[0] == "client" else ["--http", "127.0.0.1:0"]
    process = await asyncio.create_subprocess_exec(
        *LWM2M,
        *words,
        *more,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def until(found: str, lines: asyncio.StreamReader) -> list[str]:
    """All that was printed up to it."""
    seen: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while not any(found in line for line in seen):
            line = (await lines.readline()).decode()
            assert line, "".join(seen)
            seen.append(line)
    return seen


def test_the_guide_shows_each_mode() -> None:
    assert len(RUNNING) == 6
    assert [command.split()[3] for command in MAKING] == ["psk", "rpk", "rpk", "ca", "cert", "cert", "lamp-3.crt"]


@pytest.mark.parametrize("commands", RUNNING, ids=lambda block: " ".join(block[-1].split()[2:6]))
async def test_its_devices_register_with_its_servers(commands: list[str], folder: Path) -> None:
    ports = Ports()
    server, *others, client = [ports.freed(command) for command in commands]
    bootstrap_file = folder / "bootstrap.toml"
    shown = bootstrap_file.read_text()
    bootstrap_file.write_text(ports.freed(shown))
    try:
        async with running(server, folder) as lines:
            started = await until("HTTP", lines)
            assert not any("can be read by others" in line for line in started)
            if not others:
                async with running(client, folder):
                    await until(f"+ {endpoint(client)} registered", lines)
                return
            async with running(others[0], folder) as bootstrap_lines:
                await until("HTTP", bootstrap_lines)
                async with running(client, folder):
                    await until(f"+ {endpoint(client)} registered", lines)
    finally:
        bootstrap_file.write_text(shown)


def endpoint(command: str) -> str:
    words = shlex.split(command)
    return words[words.index("--endpoint") + 1]


async def test_a_device_with_the_key_of_another_is_refused(folder: Path) -> None:
    ports = Ports()
    server, client = [ports.freed(command) for command in RUNNING[0]]
    (folder / "other.psk").write_text("00" * 16)
    (folder / "other.psk").chmod(0o600)
    async with running(server, folder) as lines:
        await until("HTTP", lines)
        async with running(client.replace("lamp-1.psk", "other.psk"), folder):
            refused = await until("! refused", lines)
    assert not any("registered" in line for line in refused)


def test_the_program_of_the_guide_makes_a_server() -> None:
    names: dict[str, object] = {}
    exec(PROGRAM[0], names)
    assert type(names["server"]).__name__ == "Server"
