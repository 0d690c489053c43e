"""Where a client of the gateway registers, and what it shows there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lwm2m.client import AccountSecurity
from lwm2m.security import OscoreSecurity, SequenceNumbers


@dataclass(frozen=True, slots=True)
class Account:
    """`server` is a URI or several, () where the bootstrap server says it. `security` is for URIs with coaps; `oscore`
    goes with `numbers`, which keeps its sequence numbers."""

    server: str | Sequence[str] = ()
    bootstrap: str | None = None
    security: AccountSecurity | None = None
    oscore: OscoreSecurity | None = None
    numbers: SequenceNumbers | None = None


AccountOf: TypeAlias = Callable[[str], Account]
"""By endpoint name."""
