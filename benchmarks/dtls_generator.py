"""The load generator that speaks DTLS: built from dtlsgen.c where OpenSSL's headers are, run on its core."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.certificates import PREFIX, Certificates
from benchmarks.cores import on_core
from benchmarks.generator import PATIENCE, NoGenerator, Phase, RunFailed, compiled
from benchmarks.measured import Measured

SOURCE = Path(__file__).with_name("dtlsgen.c")
LIBRARIES = ("-lssl", "-lcrypto")
PSK_SUITE = "PSK-AES128-CCM8"
X509_SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256"
"""As OpenSSL calls them."""


@cache
def missing() -> str | None:
    """Why there is none, as a sentence."""
    try:
        compiled(SOURCE, *LIBRARIES)
    except NoGenerator:
        return "not measured: dtlsgen.c does not compile without OpenSSL's headers (Debian: libssl-dev)"
    return None


@dataclass(frozen=True, slots=True)
class DtlsGenerator:
    core: int

    def psk(self, against: Measured, key: str, *options: object) -> dict[str, Any]:
        """Everybody has this key, in hexadecimal. Raises RunFailed."""
        return self._run(against, "-k", key, "-c", PSK_SUITE, *options)

    def x509(self, against: Measured, files: Certificates, *options: object) -> dict[str, Any]:
        """Raises RunFailed."""
        own = ("-K", files.client_key, "-A", files.authority, "-D", files.folder)
        return self._run(against, *own, "-c", X509_SUITE, *options)

    def _run(self, against: Measured, *options: object) -> dict[str, Any]:
        host, port = against.address
        program = compiled(SOURCE, *LIBRARIES)
        command = [str(program), *map(str, options), "-e", PREFIX, "-P", str(against.pid), host, str(port)]
        with on_core(self.core):
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise RunFailed(f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}")
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report


def phase(report: dict[str, Any], name: str) -> Phase:
    found = report[name]
    return Phase(found["ok"], found["s"], found["server_cpu_s"], found["own_cpu"])
