"""What an operation carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Body:
    """A payload as it travels. It is decoded only after the checks that come before it (lwm2m.md §6)."""

    payload: bytes
    content_format: int | None = None
