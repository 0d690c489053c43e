"""What clients, and those who listen, may cost the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """`grace` in seconds is added to every lifetime before a registration expires (93 waits for the last
    retransmission). `max_links` leaves room for a gateway that shows hundreds of devices as instances of one client.
    `max_events` bounds what waits for one subscriber, `kept_object_lists` how many different object lists are
    remembered to be shared. A request waits `queue_patience` seconds for a client in queue mode unless it says
    otherwise; such a client counts as awake for `awake_for` seconds after each message from it (MAX_TRANSMIT_WAIT)."""

    max_registrations: int = 100_000
    max_links: int = 4096
    max_observations_per_client: int = 64
    max_events: int = 1024
    kept_object_lists: int = 1024
    max_queued_per_client: int = 64
    queue_patience: float = 24 * 3600.0
    awake_for: float = 93.0
    grace: float = 0.0


DEFAULT_LIMITS = ServerLimits()
