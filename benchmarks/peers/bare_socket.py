"""A Python program that only receives and sends: what no server in Python can be faster than, by system calls alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measured import Measured, program

NAME = "bare socket"


@contextmanager
def serve(core: int) -> Iterator[Measured]:
    with program(core, "bare_socket") as measured:
        yield measured
