"""URIs of CoAP endpoints: where somebody is, and over which transport. RFC 7252 §6, RFC 8323 §8. No IO."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = {"coap": 5683, "coaps": 5684, "coap+tcp": 5683, "coaps+tcp": 5684, "coap+ws": 80}
"""The port of each scheme that is spoken, where a URI names none."""
SPEAKS = {
    "coap": "CoAP over UDP",
    "coaps": "CoAP over DTLS",
    "coap+tcp": "CoAP over TCP",
    "coaps+tcp": "CoAP over TLS",
    "coap+ws": "CoAP over WebSockets",
}

LETTERS = {"coap": "U", "coaps": "U", "coap+tcp": "T", "coaps+tcp": "T", "coap+ws": "T", "tel": "S"}


class Place(NamedTuple):
    scheme: str
    host: str
    port: int


def place_of(uri: str, *schemes: str) -> Place:
    """Read "coap+tcp://host:port". Raises ValueError with a sentence for a URI of none of these schemes, without any:
    of all that are known, and for one of another form."""
    parts = urlsplit(uri)
    if parts.scheme not in (schemes or PORTS):
        *others, last = [f"{scheme}://" for scheme in schemes or PORTS]
        ours = f"{', '.join(others)} or {last}" if others else last
        only = f"; this endpoint speaks {SPEAKS[schemes[0]]} only" if len(schemes) == 1 else ""
        raise ValueError(f"{uri!r} is not a {ours} URI{only}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port in {uri!r} is not a number from 1 to 65535") from None
    if not parts.hostname or port == 0:
        raise ValueError(f"{uri!r} names no host and port")
    if "@" in parts.netloc or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{uri!r} has more than a host and a port")
    return Place(parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)


def letter_of(uri: str) -> str:
    """The transport of this URI as a binding names it; schemes that are none of IP or SMS are those of non-IP drivers.
    lwm2m.md §11.5"""
    return LETTERS.get(urlsplit(uri).scheme, "N")


def parse_uri(uri: str) -> tuple[str, int]:
    """Host and port of "coap://host:port", for UDP. Raises ValueError with a sentence."""
    place = place_of(uri, "coap")
    return place.host, place.port


def is_literal(host: str) -> bool:
    """Whether this is an address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
