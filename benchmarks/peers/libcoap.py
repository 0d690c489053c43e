"""libcoap's example server, which answers GET /time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measured import HOST, Measured, free_port, silent

NAME = "libcoap"
PROGRAMS = ("coap-server", "coap-server-notls", "coap-server-openssl", "coap-server-gnutls")


def program() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def missing() -> str | None:
    return None if program() else "not measured: no coap-server installed (Debian: libcoap3-bin)"


def version() -> str:
    told = subprocess.run([str(program()), "-h"], capture_output=True, text=True, check=False)
    found = re.search(r"v(\d[\d.]*)", told.stdout + told.stderr)
    return found[1] if found else "of unknown version"


@contextmanager
def serve(core: int) -> Iterator[Measured]:
    port = free_port()
    with silent(core, [str(program()), "-A", HOST, "-p", str(port)], port) as measured:
        yield measured
