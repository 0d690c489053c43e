"""The part of docs/performance.md that a run writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN = "<!-- written by make bench: begin -->"
END = "<!-- written by make bench: end -->"


class NoPlace(Exception):
    """The document has no such part."""


def section(facts: Iterable[tuple[str, str]], table: str) -> str:
    return "\n".join([*(f"* {what}: {found}" for what, found in facts), "", table])


def replaced(text: str, written: str) -> str:
    """The document with that between its markers. Raises NoPlace."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlace(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{written.strip()}\n{END}{after}"
