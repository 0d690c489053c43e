"""Addresses to listen on, as people write them in settings: HOST:PORT."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple


class Address(NamedTuple):
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read "127.0.0.1:5683" or "[::1]:5683"; port 0 takes a free one. Raises ValueError."""
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s:\[\]]+)):(\d{1,5})", text, re.ASCII)
        if found is None or int(found[3]) > 65535:
            raise ValueError(f"{text!r} is no address such as 127.0.0.1:5683 or [::1]:5683")
        return cls(found[1] or found[2], int(found[3]))

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it; of names, localhost is the one that is known."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
