"""Where devices find a server that listens on every address."""

from __future__ import annotations

from ipaddress import ip_address


def reachable(listening: str, met_at: str) -> str:
    """The host to tell a device. `met_at` is our own address on a connection of that device, empty if not known: it
    stands in for an address such as 0.0.0.0, to which nobody can connect."""
    return met_at if met_at and _is_every_address(listening) else listening


def _is_every_address(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
