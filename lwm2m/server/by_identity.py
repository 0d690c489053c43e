"""What was made of an object, for the very same object."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Made = TypeVar("Made")
From = TypeVar("From")


class ByIdentity(Generic[From, Made]):
    """Values of the last `capacity` objects, found without comparing or hashing these: they are large, and shared by
    all who are equal."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[int, tuple[From, Made]] = OrderedDict()

    def get(self, source: From) -> Made | None:
        kept = self._kept.get(id(source))
        return None if kept is None else kept[1]

    def keep(self, source: From, made: Made) -> Made:
        """`made` itself. The source is kept as well, so that its identity stays its own."""
        self._kept[id(source)] = source, made
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return made
