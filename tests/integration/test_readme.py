"""What the README shows is true: its programs run, its commands exist."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lwm2m.cli
import osap_bridge.cli
from tests.free_port import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip() for line in README.splitlines() if line.startswith((".venv/bin/lwm2m", ".venv/bin/osap"))
]
ROOTS = {"lwm2m": lwm2m.cli.app, "osap-bridge": osap_bridge.cli.app}


async def run(program: str, port: int) -> asyncio.subprocess.Process:
    code = program.replace(":5683", f":{port}").replace(", 5683)", f", {port})")
    assert code != program
    return await asyncio.create_subprocess_exec(sys.executable, "-u", "-c", code, stdout=asyncio.subprocess.PIPE)


async def test_the_server_and_the_device_of_the_readme_find_each_other() -> None:
    port = free_port()
    processes = [await run(program, port) for program in PROGRAMS]
    server = processes[0]
    assert server.stdout is not None
    try:
        lines = [(await asyncio.wait_for(server.stdout.readline(), 20)).decode() for _ in range(2)]
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    assert lines[0].startswith("thermometer [Record(path=Path(3, 0, 0)")
    assert re.fullmatch(r"thermometer /3303/0/5700 \[2\d\.\d\]\n", lines[1])


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_exists_with_its_options(command: str) -> None:
    program, *words = shlex.split(command.removeprefix(".venv/bin/"))
    verbs = words[: 2 if words[0] == "device" else 1]
    shown = CliRunner().invoke(ROOTS[program], [*verbs, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    assert [word for word in words if word.startswith("--") and word not in shown.output] == []


def test_every_link_of_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in documents for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))]
    assert len(links) > 3
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
