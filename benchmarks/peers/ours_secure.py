"""The LwM2M server of this toolkit over DTLS."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmarks.certificates import Certificates
from benchmarks.measured import Measured, program


def with_keys(core: int, clients: int, key: str) -> AbstractContextManager[Measured]:
    return program(core, "secure_server", ("psk", str(clients), key))


def with_certificates(core: int, files: Certificates) -> AbstractContextManager[Measured]:
    return program(core, "secure_server", ("x509", str(files.folder)))
