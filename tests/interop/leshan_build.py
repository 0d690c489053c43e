"""Builds the programs in tests/interop/leshan with Maven, once; they and their libraries are kept in .cache/leshan."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).with_name("leshan")
BUILD = Path(__file__).parents[2] / ".cache" / "leshan"
PROGRAMS = ("java", "javac", "mvn")
PATIENCE = 600.0


@cache
def java() -> str:
    """The java that runs them. The test is skipped where there is no JDK or no Maven, with LWM2M_REQUIRE_PEERS=1 only
    where there is neither. A failing build is a failure."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed (Debian: default-jdk-headless, maven)"
        if os.environ.get("LWM2M_REQUIRE_PEERS") == "1" and len(missing) < len(PROGRAMS):
            pytest.fail(reason)
        pytest.skip(reason)
    _build()
    return str(shutil.which("java"))


def class_path(module: str) -> str:
    return f"{BUILD / module / module}.jar:{BUILD / module / 'lib'}/*"


def _build() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = BUILD / "built"
        wanted = _fingerprint()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        _maven()
        stamp.write_text(wanted)


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for file in sorted(SOURCES.rglob("*")):
        if file.suffix in (".java", ".xml"):
            digest.update(f"{file.relative_to(SOURCES)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _maven() -> None:
    command = ["mvn", "-q", "-B", "-f", str(SOURCES / "pom.xml"), f"-Dleshan.build={BUILD}", "package"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail(f"Maven did not build {SOURCES} within {PATIENCE:g} s")
    if done.returncode != 0:
        pytest.fail(f"Maven could not build {SOURCES}:\n{done.stdout}{done.stderr}")
