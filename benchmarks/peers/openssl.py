"""OpenSSL's `s_server`: handshakes over DTLS, one client at a time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import dtls_generator
from benchmarks.certificates import Certificates
from benchmarks.measured import Measured, free_port, listening

NAME = "openssl s_server"


def missing() -> str | None:
    if shutil.which("openssl") is None:
        return "not measured: no openssl installed"
    return dtls_generator.missing()


def version() -> str:
    told = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return told.split()[1]


@contextmanager
def serve(core: int, files: Certificates) -> Iterator[Measured]:
    """It wants a certificate of the client, and keeps no sessions. Without `-listen`, with which it stays connected to
    its first client: there are no cookies."""
    port = free_port()
    own = ["-cert", str(files.server), "-key", str(files.server_key), "-CAfile", str(files.authority)]
    checks = ["-Verify", "1", "-verify_return_error", "-verify_quiet"]
    kept = ["-quiet", "-no_ticket", "-no_cache", "-cipher", dtls_generator.X509_SUITE]
    command = ["openssl", "s_server", "-dtls1_2", "-accept", str(port), *own, *checks, *kept]
    with listening(core, command, port) as measured:
        yield measured
