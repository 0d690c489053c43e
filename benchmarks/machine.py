"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl.backend import backend

from benchmarks.peers import leshan, libcoap, openssl

ROOT = Path(__file__).parents[1]


def facts(now: datetime) -> Iterator[tuple[str, str]]:
    """What it is and what we found."""
    yield "date", f"{now:%Y-%m-%d %H:%M} UTC"
    yield "machine", f"{_model()}, {os.cpu_count()} cores, {_memory():.0f} GiB; Linux {platform.release()}"
    yield "load before", f"{os.getloadavg()[0]:.2f}"
    yield "Python", platform.python_version()
    yield "this toolkit", f"{version('lwm2m-toolkit')}{_commit()}"
    yield "aiocoap", version("aiocoap")
    yield "cryptography", f"{version('cryptography')} with {backend.openssl_version_text()}"
    yield libcoap.NAME, libcoap.missing() or libcoap.version()
    yield "OpenSSL", openssl.missing() or openssl.version()
    yield leshan.NAME, leshan.missing() or f"{leshan.version()} on Java {_java()}"


def _model() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _commit() -> str:
    """Nothing outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return f", commit {found.stdout.strip()}" if found.returncode == 0 else ""


def _java() -> str:
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "([^"]*)"', told)
    return found[1] if found else "of unknown version"
