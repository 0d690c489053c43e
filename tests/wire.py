"""Our server and our clients with nothing between them but `lwm2m.testing.Network`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lwm2m.client import Client
from lwm2m.model.record import Record
from lwm2m.server import Server
from lwm2m.testing import Network, clock

SERVER = "10.0.0.1"
SERVER_URI = f"coap://{SERVER}"
DEVICE = "10.0.1.1"


def server_on(network: Network, host: str = SERVER, **more: Any) -> Server:
    """Not started yet."""
    return Server([network.endpoint(host, 5683)], clock=clock().time, wall=clock().wall_time, **more)


def client_on(
    network: Network, endpoint: str = "client", records: Iterable[Record] = (), host: str = DEVICE, **more: Any
) -> Client:
    """Not started yet."""
    more = {"coap": network.endpoint(host), "clock": clock().time, "wall_clock": clock().wall_time, **more}
    return Client(endpoint, SERVER_URI, records, **more)
