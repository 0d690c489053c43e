"""Why protected requests are refused: what the peer is told in the clear, and the people who run the server. RFC 8613
§8.2. No IO, `now` is an argument."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from lwm2m.coap.blocks import Shelf
from lwm2m.coap.message import Code, Peer

Refused: TypeAlias = Callable[[Peer, str, str | None], None]
"""Told of a peer, why nothing is taken from it, and as whom it named itself, as in `Peer.identity`."""
TOLD = 1024
"""So many peers and causes are remembered; strangers can make more of them."""
QUIET = 600.0
"""Seconds without it until the same is told again."""
_LONGEST = 40
"""Of an identity in a sentence; those that exist are shorter, but anybody names what he likes."""


class Fault(Enum):
    """Code and sentence for the peer, the sentence for people; in it, `{}` is who the peer says that it is."""

    METHOD = Code.METHOD_NOT_ALLOWED, "", "its OSCORE message is neither POST nor FETCH: mend the client"
    MALFORMED = (
        Code.BAD_OPTION,
        "Failed to decode COSE",
        "its OSCORE option cannot be read: mend the client, or what is on the way",
    )
    UNKNOWN = (
        Code.UNAUTHORIZED,
        "Security context not found",
        "nobody has the OSCORE context that it names, {!r}: add credentials with that recipient_id, or mend the "
        "sender_id of the client",
    )
    REPLAYED = (
        Code.UNAUTHORIZED,
        "Replay detected",
        "a request of {!r} came again: somebody repeats it, or the client has lost its sequence numbers; then give "
        "both a new master_secret",
    )
    FORGED = (
        Code.BAD_REQUEST,
        "Decryption failed",
        "what it has protected as {!r} does not verify: compare master_secret, master_salt, the ids and the "
        "algorithms of both sides",
    )

    def __init__(self, code: Code, diagnostic: str, reason: str) -> None:
        self.code = code
        self.diagnostic = diagnostic
        self.reason = reason


class Refusals:
    """Tells each cause once of a peer."""

    def __init__(self, tell: Refused) -> None:
        self._tell = tell
        self._told: Shelf[bool] = Shelf(TOLD, QUIET)

    def __len__(self) -> int:
        return len(self._told)

    def tell(self, peer: Peer, fault: Fault, identity: str | None, now: float) -> None:
        key = peer, fault
        if self._told.find(key, now) is None:
            self._told.keep(key, True, now)
            self._tell(peer, fault.reason.format(_shortened(identity)), identity)


def _shortened(identity: str | None) -> str | None:
    return identity if identity is None or len(identity) <= _LONGEST else f"{identity[:_LONGEST]}..."
