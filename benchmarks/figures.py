"""What was measured, and how it compares."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, Self


class Name(NamedTuple):
    """What was measured of whom."""

    quantity: str
    peer: str


class Sample(NamedTuple):
    """`value` is a rate in 1/s or an amount. `cpu` is seconds of the measured process for each of them, `generator` the
    share of its core that the generator used; both 0 for an amount."""

    value: float
    cpu: float = 0.0
    generator: float = 0.0

    @classmethod
    def of(cls, count: int, seconds: float, cpu: float, generator: float) -> Self:
        """Of `count` things in `seconds`, for which the process used `cpu` seconds."""
        return cls(count / seconds, cpu / max(count, 1), generator)

    @property
    def busy(self) -> float:
        """The share of its core that the measured process used."""
        return self.value * self.cpu


class Spread(NamedTuple):
    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(median(values), min(values), max(values))


def ratios(ours: Sequence[Sample], theirs: Sequence[Sample]) -> Spread:
    """Round by round: what slows the machine for a while slows both."""
    return Spread.of([one.value / other.value for one, other in zip(ours, theirs, strict=True)])


def cpu_ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """How many times the CPU time they need for one."""
    return median(other.cpu / one.cpu for one, other in zip(ours, theirs, strict=True))
