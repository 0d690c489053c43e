"""A port for a program that wants to be told one."""

from __future__ import annotations

import random
import socket

# Below those that systems give out by themselves: nobody gets it between the look and the use.
FIRST, LAST = 20_000, 32_000
_choose = random.SystemRandom().randint


def free_port() -> int:
    """On 127.0.0.1, for UDP and TCP."""
    while True:
        port = _choose(FIRST, LAST)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
