"""What the measures share: the cores, the generator, how long and how often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from benchmarks.cores import Cores
from benchmarks.figures import Name, Sample
from benchmarks.generator import Generator
from benchmarks.measured import Measured

Item = TypeVar("Item")
Serve: TypeAlias = Callable[[int], AbstractContextManager[Measured]]
Figure: TypeAlias = tuple[Name, Sample]
FIRST_SOURCE, SOURCES = 2, 240


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds, and seconds of one sample. `crowd` is how many clients the server has when it has many."""

    rounds: int = 5
    seconds: float = 3.0
    crowd: int = 100_000
    crowd_rounds: int = 3
    idle_clients: int = 10_000
    idle_seconds: float = 30.0
    warm_up: float = 10.0


QUICK = Plan(rounds=1, seconds=1.0, crowd_rounds=1, idle_seconds=5.0, warm_up=4.0)


@dataclass(frozen=True, slots=True)
class Bench:
    cores: Cores
    generator: Generator
    plan: Plan
    _sources: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(FIRST_SOURCE, SOURCES)))

    def source(self) -> tuple[str, int]:
        """The generator's option for a source address that no run had before in the life of a message ID."""
        return "-i", next(self._sources)

    def in_turn(self, items: Sequence[Item], rounds: int | None = None) -> Iterator[Item]:
        """Round by round, every other one backwards: A B C, C B A, ..."""
        for number in range(rounds or self.plan.rounds):
            yield from items if number % 2 == 0 else reversed(items)


Measure: TypeAlias = Callable[[Bench], Iterator[Figure]]
