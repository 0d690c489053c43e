"""Where a client of the gateway registers, and what it shows there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lwm2m.client import AccountSecurity
from lwm2m.security import OscoreSecurity, PreSharedKey, Revocation, SequenceNumbers, SigningKey, TrustStore
from lwm2m.server import SecurityMode


@dataclass(frozen=True, slots=True)
class Account:
    """`server` is a URI or several, () where the bootstrap server says it, which is asked after `hold_off` seconds.
    `security` is for URIs with coaps, and `signing_key` the private key that goes with it where it has none itself;
    authorities in `trust` vouch for servers, `revocation` says what they took back. `oscore` goes with `numbers`, which
    keeps its sequence numbers."""

    server: str | Sequence[str] = ()
    bootstrap: str | None = None
    security: AccountSecurity | None = None
    oscore: OscoreSecurity | None = None
    numbers: SequenceNumbers | None = None
    signing_key: SigningKey | None = field(default=None, repr=False)
    trust: TrustStore = field(default_factory=TrustStore)
    revocation: Revocation = field(default_factory=Revocation)
    hold_off: int = 0


AccountOf: TypeAlias = Callable[[str], Account]
"""By endpoint name. Raises NoCredentials."""


class NoCredentials(Exception):
    """There is nothing that this client could show its server; the text is a sentence for people."""


def shown(key: PreSharedKey) -> AccountSecurity:
    """What a client is given of it."""
    return AccountSecurity(SecurityMode.PSK.value, key.identity, secret_key=key.key)
