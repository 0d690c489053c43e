"""aiocoap without anything of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measured import Measured, program

NAME = "bare aiocoap"


@contextmanager
def serve(core: int) -> Iterator[Measured]:
    with program(core, "bare_aiocoap") as measured:
        yield measured
