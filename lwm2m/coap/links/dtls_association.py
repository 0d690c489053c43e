"""What the DTLS link knows of one peer."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from lwm2m.coap.message import Peer
from lwm2m.dtls.connection import Closed, Connection
from lwm2m.dtls.settings import ClientSettings


class Association:
    """One connection, and where it is. It is the `association` of its peer. `random` is that of the client's hello;
    `is_resumed` tells that it goes on with an earlier session, `heard_at` when the last new record came, `closed` how
    it ended."""

    __slots__ = (
        "cid",
        "closed",
        "connection",
        "due",
        "heard_at",
        "is_resumed",
        "opened",
        "peer",
        "place",
        "random",
        "session",
        "settings",
    )

    def __init__(self, connection: Connection, place: Peer, cid: bytes = b"", random: bytes = b"") -> None:
        self.connection = connection
        self.place = place
        self.cid = cid
        self.random = random
        self.session = b""
        self.is_resumed = False
        self.closed: Closed | None = None
        self.settings: ClientSettings | None = None
        self.due: float | None = None
        self.heard_at = 0.0
        self.peer: Peer | None = None
        self.opened: asyncio.Future[Peer] | None = None

    def __repr__(self) -> str:
        return f"<association with {self.place}>"

    def established(self, identity: str | None) -> Peer:
        self.peer = Peer(self.place.local, self.place.address, association=self, identity=identity)
        return self.peer

    def moved(self, place: Peer) -> Peer | None:
        """The peer as it is known from now on."""
        self.place = place
        if self.peer is not None:
            self.peer = replace(self.peer, address=place.address)
        return self.peer
