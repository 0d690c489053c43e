"""Which of our addresses a server would see: the one to bind, so that it is one address for the whole registration."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from lwm2m.coap.endpoint import Unreachable


async def local_hosts(host: str, port: int) -> list[str]:
    """The local addresses that packets to this host leave from, one for each of its addresses, the preferred first;
    sends none. A name such as "localhost" may have an IPv6 and an IPv4 address. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise Unreachable(f"cannot find {host}: {error.strerror or error}") from error
    refusal: OSError | None = None
    hosts: dict[str, None] = {}
    for family, kind, _protocol, _name, address in found:
        try:
            hosts[_leaving_from(family, kind, address)] = None
        except OSError as error:
            refusal = error
    if not hosts:
        raise Unreachable(f"no way to {host}: {refusal}")
    return list(hosts)


def _leaving_from(family: int, kind: int, address: tuple[Any, ...]) -> str:
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
