"""Who computes where: the measured process alone on one core, the generator on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self


class TooFewCores(Exception):
    """A rate measured beside its own generator says nothing."""


class Cores(NamedTuple):
    measured: int
    generator: int

    @classmethod
    def choose(cls) -> Self:
        """Raises TooFewCores."""
        ours = sorted(os.sched_getaffinity(0))
        if len(ours) < 2:
            raise TooFewCores("two cores are needed, one for what is measured and one for the generator")
        return cls(ours[0], ours[1])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside stay there, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
