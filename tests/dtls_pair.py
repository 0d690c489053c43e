"""A client and a server of DTLS with a network of a few lines between them; time is a number."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import TypeAlias

from lwm2m.dtls.client import ClientHandshake
from lwm2m.dtls.connection import Closed, Connected, Connection, Event, Received
from lwm2m.dtls.listener import Answer, Listener
from lwm2m.dtls.settings import ClientSettings, ServerSettings, Session, Sessions
from lwm2m.dtls.suites import SUITES, KeyExchange
from lwm2m.security.credentials import PeerKey, PeerProof, PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.keys import FileKey

ADDRESS = b"192.0.2.9:40000"
IDENTITY, KEY = b"lamp", b"a key of sixteen"
CLIENT_KEY, SERVER_KEY = FileKey.generate(), FileKey.generate()
PSK_SUITES = tuple(n for n, suite in SUITES.items() if suite.key_exchange is KeyExchange.PSK)

Fate: TypeAlias = Callable[[int, bytes], tuple[float, ...]]
"""What becomes of a datagram, by its number: how long each copy of it is on its way. No copy, it is lost."""


def perfect(_number: int, _datagram: bytes) -> tuple[float, ...]:
    return (0.01,)


def losing(*lost: int) -> Fate:
    return lambda number, _: () if number in lost else (0.01,)


def doubling(_number: int, _datagram: bytes) -> tuple[float, ...]:
    return (0.01, 0.011)


def bad(seed: int) -> Fate:
    """Loses a fifth, doubles a tenth; all overtake one another."""
    random = Random(seed)

    def fate(_number: int, _datagram: bytes) -> tuple[float, ...]:
        chance = random.random()
        return tuple(random.uniform(0.001, 0.1) for _ in range(0 if chance < 0.2 else 2 if chance > 0.9 else 1))

    return fate


def identity_of(proof: PeerProof) -> str:
    assert isinstance(proof, PeerKey)
    return rpk_identity(proof.spki)


def psk_client(**changed: object) -> ClientSettings:
    return replace(ClientSettings(PreSharedKey(IDENTITY, KEY)), **changed)  # type: ignore[arg-type]


def rpk_client(**changed: object) -> ClientSettings:
    return replace(ClientSettings(RawPublicKey(CLIENT_KEY), identity_of), **changed)  # type: ignore[arg-type]


def any_server(**changed: object) -> ServerSettings:
    """PSK and raw public keys."""
    settings = ServerSettings({IDENTITY: KEY}.get, RawPublicKey(SERVER_KEY), verify=identity_of)
    return replace(settings, **changed)  # type: ignore[arg-type]


def client_for(suite: int, **changed: object) -> ClientSettings:
    make = psk_client if suite in PSK_SUITES else rpk_client
    return make(suites=(suite,), **changed)


@dataclass
class Pair:
    """`run` carries datagrams and time on until nothing more happens."""

    settings: ClientSettings
    serving: ServerSettings
    sessions: Sessions = field(default_factory=Sessions)
    fate: Fate = perfect
    cid: bytes = b"abcd"
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.listener = Listener(self.serving, self.sessions)
        self.handshake = ClientHandshake(self.settings)
        self.client = Connection(self.handshake)
        self.server: Connection | None = None
        self.at_client: list[Event] = []
        self.at_server: list[Event] = []
        self.to_client: list[bytes] = []
        self.to_server: list[bytes] = []
        self._number = count()
        self._order = count()
        self._on_the_way: list[tuple[float, int, bool, bytes]] = []

    def shake_hands(self) -> Pair:
        self.client.start(self.handshake.start(), self.now)
        return self.run()

    def run(self, until: float = float("inf")) -> Pair:
        while True:
            self.carry()
            at = min(self._next_arrival(), *(side.deadline() or float("inf") for side in self._sides()))
            if at == float("inf") or at > until:
                return self
            self.now = max(self.now, at)
            while self._next_arrival() <= self.now:
                _, _, goes_to_server, datagram = heapq.heappop(self._on_the_way)
                self.deliver(datagram, to_server=goes_to_server)
            self.at_client += self.client.handle_timer(self.now)
            if self.server is not None:
                self.at_server += self.server.handle_timer(self.now)

    def carry(self) -> None:
        """What both want to send goes on its way."""
        for side in self._sides():
            for datagram in side.take():
                self.post(datagram, to_server=side is self.client)

    def post(self, datagram: bytes, *, to_server: bool) -> None:
        (self.to_server if to_server else self.to_client).append(datagram)
        for delay in self.fate(next(self._number), datagram):
            heapq.heappush(self._on_the_way, (self.now + delay, next(self._order), to_server, datagram))

    def deliver(self, datagram: bytes, *, to_server: bool) -> None:
        if not to_server:
            self.at_client += self.client.receive(datagram, self.now)
            return
        if self.server is None:
            verdict = self.listener.receive(datagram, ADDRESS, self.now, self.cid[: self.serving.cid_length])
            if isinstance(verdict, Answer):
                self.post(verdict.datagram, to_server=False)
            if verdict is None or isinstance(verdict, Answer):
                return
            self.server = verdict.connection
        events = self.server.receive(datagram, self.now)
        self.at_server += events
        for event in events:
            if isinstance(event, Connected) and event.session is not None:
                self.sessions.keep(event.session, self.now)

    def _sides(self) -> list[Connection]:
        return [self.client] if self.server is None else [self.client, self.server]

    def _next_arrival(self) -> float:
        return self._on_the_way[0][0] if self._on_the_way else float("inf")

    # What is asked of it

    @property
    def serving_side(self) -> Connection:
        assert self.server is not None
        return self.server

    @property
    def are_connected(self) -> bool:
        return self.client.is_connected and self.server is not None and self.server.is_connected

    @property
    def session(self) -> Session:
        (session,) = [event.session for event in self.at_client if isinstance(event, Connected)]
        assert session is not None
        return session

    def talk(self) -> bool:
        """Whether what both say arrives."""
        there, back = b"a question", b"an answer"
        arrived = self.serving_side.receive(self.client.send(there), self.now)
        answered = self.client.receive(self.serving_side.send(back), self.now)
        return (arrived, answered) == ([Received(there)], [Received(back)])


def endings(events: list[Event]) -> list[tuple[int | None, bool]]:
    """Alerts, and whether they came from the peer."""
    return [(event.alert, event.by_peer) for event in events if isinstance(event, Closed)]
