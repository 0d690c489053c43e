"""The load generator: built from loadgen.c, run on its core."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cores import on_core
from benchmarks.measured import Measured

SOURCE = Path(__file__).with_name("loadgen.c")
BUILT = Path(__file__).parents[1] / ".cache" / "benchmarks"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-pthread")
COMPILERS = ("cc", "gcc", "clang")
PATIENCE = 180.0


class NoGenerator(Exception):
    """A sentence."""


class RunFailed(Exception):
    """The generator stopped, or the server lost or refused what it should not. With its output."""


@dataclass(frozen=True, slots=True)
class Phase:
    """`cpu` and `busy` of the measured process in seconds and as a share of `seconds`, `own` the generator's share."""

    count: int
    seconds: float
    cpu: float
    own: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds


@dataclass(frozen=True, slots=True)
class Generator:
    program: Path
    core: int

    def run(self, against: Measured, phase: str, *options: object) -> tuple[Phase, dict[str, Any]]:
        """One phase of a run, and all that the generator printed of the run. Raises RunFailed."""
        command = self._command(against, options)
        with on_core(self.core):
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise RunFailed(f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}")
        report = json.loads(done.stdout.splitlines()[-1])
        return _phase(report[phase]), report

    def start(self, against: Measured, *options: object) -> subprocess.Popen[bytes]:
        """A run that goes on beside the measurement. Whoever starts it ends it."""
        with on_core(self.core):
            return subprocess.Popen(
                self._command(against, options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def _command(self, against: Measured, options: tuple[object, ...]) -> list[str]:
        host, port = against.address
        return [str(self.program), *map(str, options), "-P", str(against.pid), host, str(port)]


def _phase(found: dict[str, Any]) -> Phase:
    return Phase(found["ok"], found["s"], found["server_cpu_s"], found["own_cpu"])


def build(core: int) -> Generator:
    """Raises NoGenerator."""
    return Generator(compiled(SOURCE), core)


def compiled(source: Path, *libraries: str) -> Path:
    """The program, made where the source is newer. Raises NoGenerator."""
    program = BUILT / source.stem
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        _compile(source, program, libraries)
    return program


def _compile(source: Path, program: Path, libraries: tuple[str, ...]) -> None:
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NoGenerator("the load generator is a C program and there is no compiler (Debian: gcc)")
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, *FLAGS, "-o", str(program), str(source), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoGenerator(f"{source.name} does not compile:\n{done.stderr}")
