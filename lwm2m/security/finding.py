"""What a revocation list or an OCSP answer says of a certificate."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

CLOCK_SKEW = 300.0
"""Seconds that the clock of whoever signs may be ahead of ours."""


class Status(Enum):
    GOOD = auto()
    REVOKED = auto()
    UNKNOWN = auto()


class Finding(NamedTuple):
    """`until` is when the answer is out of date, in seconds since 1970, None when it does not say. `reason` is why
    nothing is known."""

    status: Status
    until: float | None = None
    reason: str = ""
