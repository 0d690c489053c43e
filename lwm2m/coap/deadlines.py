"""What is to be done when. No IO, `now` is an argument."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

NEVER = float("inf")
DEAD_TOLERATED = 64


class Timed(Protocol):
    due: float
    """NEVER while it waits for nothing. Only `Deadlines` sets it."""


T = TypeVar("T", bound=Timed)


class Deadlines(Generic[T]):
    """Adding and dropping cost O(log n). What is dropped stays in the heap until it is half of it."""

    __slots__ = ("_added", "_dead", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._added = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def add(self, due: float, item: T) -> None:
        """The item waits for nothing else."""
        item.due = due
        self._added += 1
        heapq.heappush(self._heap, (due, self._added, item))

    def drop(self, item: T) -> None:
        if item.due == NEVER:
            return
        item.due = NEVER
        self._dead += 1
        if self._dead > DEAD_TOLERATED and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].due]
            heapq.heapify(self._heap)
            self._dead = 0

    def first(self) -> float:
        """When the next is due, NEVER where none waits."""
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].due:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else NEVER

    def take(self, now: float) -> Iterator[T]:
        """What is due by now; each waits for nothing any more when it is yielded."""
        while self.first() <= now:
            item = heapq.heappop(self._heap)[2]
            item.due = NEVER
            yield item

    def clear(self) -> None:
        for _, _, item in self._heap:
            item.due = NEVER
        self._heap.clear()
        self._dead = 0
