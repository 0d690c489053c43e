"""What is to be known of a serial line before it is opened, and its URI. No IO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from lwm2m.coap.endpoint import Transmission

SCHEME = "coap+serial"
"""A scheme of this toolkit: none is registered for serial lines."""
HEADER_AND_OPTIONS = 96
"""Bytes of a datagram that are not for its payload: a Register has this much to say beside its object list."""
SMALLEST_MTU, LARGEST_MTU = HEADER_AND_OPTIONS + 16, 0xFFFF
SPEEDS = (300, 1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
"""Bits per second."""
BITS_A_BYTE = 10


def is_line(uri: str) -> bool:
    """Whether it has the scheme of serial lines."""
    return uri.partition(":")[0] == SCHEME


@dataclass(frozen=True, slots=True)
class Line:
    """Which line, its bits per second, and how many bytes a datagram has at most. Raises ValueError."""

    path: str
    speed: int = 115_200
    mtu: int = 1280

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "\0" in self.path:
            raise ValueError(f"{self.path!r} is no path such as /dev/ttyUSB0")
        if self.speed not in SPEEDS:
            raise ValueError(f"no serial line has a speed of {self.speed} bits per second")
        if not SMALLEST_MTU <= self.mtu <= LARGEST_MTU:
            raise ValueError(f"an mtu is a number of bytes from {SMALLEST_MTU} to {LARGEST_MTU}")

    @classmethod
    def parse(cls, uri: str) -> Line:
        """Read "coap+serial:///dev/ttyUSB0?speed=9600&mtu=128". Raises ValueError with a sentence."""
        parts = urlsplit(uri)
        if parts.scheme != SCHEME or parts.netloc or parts.fragment:
            raise ValueError(f"{uri!r} is not of the form {SCHEME}:///dev/ttyUSB0")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name, value in given.items():
            if name not in ("speed", "mtu") or not re.fullmatch("[0-9]{1,9}", value):
                raise ValueError(f"{uri!r} may say speed and mtu, each with a number")
        return cls(parts.path, **{name: int(value) for name, value in given.items()})

    @property
    def uri(self) -> str:
        return f"{SCHEME}://{self.path}?speed={self.speed}&mtu={self.mtu}"

    @property
    def transmission(self) -> Transmission:
        """A slow line is given the time that a datagram and its answer take on it."""
        return Transmission(ack_timeout=Transmission().ack_timeout + 2 * self.mtu * BITS_A_BYTE / self.speed)
