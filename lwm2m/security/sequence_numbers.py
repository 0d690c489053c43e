"""The sequence numbers that OSCORE contexts have used: no number is used twice with the same key, whatever happens to
the process. RFC 8613 §7.2.1, appendix B.1.1."""

from __future__ import annotations

from typing import Protocol


class SequenceNumbersError(Exception):
    """The store did not take it or does not answer: nothing may be sent."""


class SequenceNumbers(Protocol):
    def reserve(self, context: bytes, count: int) -> int:
        """The first of `count` numbers that nobody was given before, durable when this returns; 0 says that the context
        was never in use. `context` is a name that tells nothing of its keys. Raises SequenceNumbersError."""
        ...


class MemoryNumbers:
    """Forgets when the process ends: for contexts that end with it."""

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}

    def reserve(self, context: bytes, count: int) -> int:
        first = self._next.get(context, 0)
        self._next[context] = first + count
        return first
