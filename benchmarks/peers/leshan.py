"""A Leshan server, where Java and Maven are: built once, into .cache."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from benchmarks.measured import Measured, free_port, running

NAME = "Leshan"
SOURCES = Path(__file__).parents[1] / "leshan"
BUILD = Path(__file__).parents[2] / ".cache" / "benchmarks" / "leshan"
PROGRAMS = ("java", "javac", "mvn")
PATIENCE = 600.0


@cache
def missing() -> str | None:
    """Why it cannot be measured here, as a sentence. It is built by asking."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not measured: {' and '.join(absent)} not installed"
    return None if _built() else "not measured: Maven could not build it"


def version() -> str:
    found = re.search(r"<leshan.version>(.*)</leshan.version>", (SOURCES / "pom.xml").read_text())
    assert found is not None
    return found[1]


def _built() -> bool:
    newest = max(file.stat().st_mtime for file in SOURCES.rglob("*") if file.is_file())
    jar = BUILD / "server.jar"
    if jar.exists() and jar.stat().st_mtime > newest:
        return True
    command = ["mvn", "-q", "-B", "-f", str(SOURCES / "pom.xml"), f"-Dbench.build={BUILD}", "package"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    print(done.stdout + done.stderr, file=sys.stderr, end="")
    return done.returncode == 0


@contextmanager
def serve(core: int) -> Iterator[Measured]:
    command = ["java", "-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    command += ["-cp", f"{BUILD / 'server.jar'}:{BUILD / 'lib'}/*", "benchmark.Server", str(free_port())]
    with running(core, command) as measured:
        yield measured
