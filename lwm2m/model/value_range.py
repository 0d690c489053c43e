"""The range of a resource, as the registry's many authors wrote it.

Read: `a..b`, `a...b`, `a-b`, `[a:b]`, bounds in either order; lists of these by comma, semicolon or "or"; labelled
values (`0: off 1: on`); one number, which is an upper bound. A width (`2 bytes` on a number, `8 bit`), a count of
instances and prose bound nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

_NUMBER = r"-?\d+(?:\.\d+)?"
_INTERVAL = re.compile(rf"\[?({_NUMBER})\s*(?:\.\.\.?|-|:)\s*({_NUMBER})\]?")
_LABEL = re.compile(rf"({_NUMBER}):\s*[A-Za-z]")
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+or\s+")
_BYTES = re.compile(r"\s*bytes\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Closed intervals; a value lies in the range when it lies in one of them."""

    intervals: tuple[tuple[Decimal, Decimal], ...]

    def __contains__(self, number: int | float) -> bool:
        value = Decimal(str(number))
        return any(low <= value <= high for low, high in self.intervals)

    def __str__(self) -> str:
        return ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in self.intervals)


@lru_cache(maxsize=1024)
def parse_range(text: str, *, of_length: bool) -> ValueRange | None:
    """None: the text bounds nothing. `of_length`: the range of a String or Opaque counts its length."""
    if of_length:
        text = _BYTES.sub("", text)
    if labels := _LABEL.findall(text):
        return ValueRange(tuple((Decimal(label), Decimal(label)) for label in labels))
    items = [item for item in _SEPARATOR.split(text) if item]
    intervals = [_interval(item, alone=len(items) == 1) for item in items]
    if not intervals or None in intervals:
        return None
    return ValueRange(tuple(interval for interval in intervals if interval))


def _interval(item: str, *, alone: bool) -> tuple[Decimal, Decimal] | None:
    if re.fullmatch(_NUMBER, item):
        number = Decimal(item)
        return (min(Decimal(0), number), number) if alone else (number, number)
    found = _INTERVAL.fullmatch(item)
    if not found:
        return None
    first, second = Decimal(found[1]), Decimal(found[2])
    return min(first, second), max(first, second)
