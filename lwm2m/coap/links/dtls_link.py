"""DTLS above another link: datagrams go out protected, and peers are associations that have shown who they are.

* Nothing is kept of a client before its cookie came back; a new handshake from a known address runs on the side, and
  takes the place of the old association only when it is through. RFC 6347 §4.2.8
* A peer that moves keeps its association where connection ids are in use. RFC 9146. Whoever was known at the address
  that it came to stays known by an id of its own.
* A `Peer` made here is equal to no other but those of the same association, wherever it is."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from os import urandom
from typing import TypeAlias
from urllib.parse import urlsplit

from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Limits, Unreachable
from lwm2m.coap.link import Link, Receiver
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.message import Peer
from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.client import ClientHandshake
from lwm2m.dtls.connection import FIRST_TIMEOUT, Closed, Connected, Connection, Event, Received
from lwm2m.dtls.listener import Accepted, Listener
from lwm2m.dtls.messages import MessageType
from lwm2m.dtls.record import CLEAR_EPOCH, Kind
from lwm2m.dtls.settings import ClientSettings, ServerSettings, Session, Sessions
from lwm2m.dtls.suites import CID_RECORD

COAPS_PORT = 5684
CID_HEAD = bytes((CID_RECORD,))
HELLO_HEAD = bytes((Kind.HANDSHAKE,))
HELLO_AT = 13
"""Where a handshake message in the first record of a datagram begins, with its type."""
USUAL = Limits()
MAX_OWN_SESSIONS = 1_000
MAX_IDLE = 30 * 86_400.0
"""Seconds: devices that keep their session by a connection id sleep for days."""

ClientSecurity: TypeAlias = Callable[[str], ClientSettings]
"""What to show a server, by the host of its URI. Raises ValueError with a sentence."""
OwnSessions: TypeAlias = dict[tuple[str, int], tuple[ClientSettings, Session]]
"""What we may resume, by the address of the server, with the settings that it was made with."""
Refused: TypeAlias = Callable[[Peer, Closed], None]
"""Told of each handshake that failed, with the address it came from."""

log = logging.getLogger("lwm2m.dtls")


class HandshakeFailed(Unreachable):
    """`alert` is the TLS alert that was sent or received, None when the peer fell silent; `by_peer` tells which."""

    def __init__(self, sentence: str, alert: int | None, *, by_peer: bool = False) -> None:
        super().__init__(sentence)
        self.alert = alert
        self.by_peer = by_peer


class DtlsLink:
    """`server` lets clients in, `client` reaches servers; either may be missing. `sessions` are those of our clients,
    `own_sessions` those that we have with servers: they may outlive this link. A server ends associations in which
    nothing came for `max_idle` seconds."""

    def __init__(
        self,
        inner: Link,
        *,
        server: ServerSettings | None = None,
        client: ClientSecurity | None = None,
        refused: Refused | None = None,
        sessions: Sessions | None = None,
        own_sessions: OwnSessions | None = None,
        first_timeout: float = FIRST_TIMEOUT,
        max_handshakes: int = USUAL.max_handshakes,
        max_associations: int = USUAL.max_associations,
        max_idle: float = MAX_IDLE,
    ) -> None:
        self._inner = inner
        self._client = client
        self._refused = refused
        self._sessions = Sessions() if sessions is None else sessions
        self._listener = None if server is None else Listener(server, self._sessions, first_timeout)
        self._cid_length = 0 if server is None else server.cid_length
        self._first_timeout = first_timeout
        self._max_handshakes = max_handshakes
        self._max_associations = max_associations
        self._max_idle = None if server is None else max_idle
        self._idle_timer: asyncio.TimerHandle | None = None
        self._receiver: Receiver | None = None
        self._established: OrderedDict[Association, None] = OrderedDict()
        self._by_place: dict[Peer, Association] = {}
        self._shaking: OrderedDict[Peer, Association] = OrderedDict()
        self._by_cid: dict[bytes, Association] = {}
        self._own_sessions: OwnSessions = {} if own_sessions is None else own_sessions
        self._deadlines: list[tuple[float, int, Association]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        return self._inner.address

    @property
    def uri(self) -> str:
        return "coaps" + self._inner.uri[self._inner.uri.index("://") :]

    async def open(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        await self._inner.open(_Below(self))

    async def close(self) -> None:
        """Say good-bye to every peer."""
        self._receiver = None
        for association in [*self._established, *self._shaking.values()]:
            self._end(association, "the endpoint has stopped")
        for timer in (self._timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._idle_timer = None
        await self._inner.close()

    def listen(self, listening: bool) -> None:
        self._inner.listen(listening)

    def room(self, peer: Peer) -> Room:
        association = peer.association
        room = self._inner.room(association.place if isinstance(association, Association) else peer)
        agreed = association.connection.fragment_length if isinstance(association, Association) else None
        if agreed is None:
            return room
        exponent = agreed.bit_length() - 6
        return Room(min(room.payload, 1 << exponent + 4), min(room.exponent, exponent))

    async def peer(self, uri: str) -> Peer:
        """Shakes hands unless there is an association already. Raises HandshakeFailed beside what a link raises."""
        host, port = parse_uri(uri)
        if self._client is None:
            raise Unreachable("this endpoint waits for its peers to come")
        place = await self._inner.peer(f"coap://{_bracketed(host)}:{port}")
        known = self._by_place.get(place)
        if known is not None and known.peer is not None:
            return known.peer
        association = self._shaking.get(place) or self._begin(place, self._client(host))
        if association.opened is None:
            raise Unreachable(f"{place} is shaking hands with us")
        return await asyncio.shield(association.opened)

    def forget(self, identity: str, alert: int = Alert.CLOSE_NOTIFY) -> None:
        """End the associations, handshakes and sessions of this identity: its key is valid no more. What we have of a
        server is resumed only after a mere good-bye."""
        self._sessions.forget(identity)
        for association in [*self._established, *self._shaking.values()]:
            if association.connection.claims(identity):
                self._end(association, "its credentials were taken back", alert)

    def send(self, datagram: bytes, peer: Peer) -> None:
        association = peer.association
        if not isinstance(association, Association):
            if self._receiver is not None:
                self._receiver.failed(peer, f"there is no secure session with {peer}: it has to come back first")
            return
        try:
            protected = association.connection.send(datagram)
        except (Fatal, ValueError) as error:
            if self._receiver is not None:
                self._receiver.failed(peer, str(error))
            return
        self._inner.send(protected, association.place)

    # What comes from below

    def received(self, datagram: bytes, place: Peer) -> None:
        association = self._association_of(datagram, place)
        if association is not None and (data := association.connection.data(datagram)) is not None:
            self._on_sign_of_life(association, place)
            self._hand_up(association, data)
            return
        if _is_hello(datagram) and self._on_hello(datagram, place):
            return
        if association is None:
            return
        self._pass_on(association, datagram, place)
        if not association.connection.was_read:
            shaking = self._shaking.get(place)
            if shaking is not None and shaking is not association:
                self._pass_on(shaking, datagram, place)

    def failed(self, place: Peer, reason: str) -> None:
        """The network cannot reach an address. What is written in an ICMP message is proof of nothing."""
        shaking = self._shaking.get(place)
        if shaking is not None and shaking.opened is not None:
            shaking.connection.close()
            self._drop(shaking, Closed(None, reason, by_peer=False))
        established = self._by_place.get(place)
        if established is not None and established.peer is not None and self._receiver is not None:
            self._receiver.failed(established.peer, reason)

    def _association_of(self, datagram: bytes, place: Peer) -> Association | None:
        if datagram[:1] == CID_HEAD and self._cid_length:
            return self._by_cid.get(datagram[11 : 11 + self._cid_length])
        if datagram[3:5] == CLEAR_EPOCH:
            return self._shaking.get(place) or self._by_place.get(place)
        return self._by_place.get(place) or self._shaking.get(place)

    def _on_hello(self, datagram: bytes, place: Peer) -> bool:
        """Whether it was one that begins something. A client that lost its state begins anew from the same address, at
        any time; a hello that comes twice is no new one."""
        shaking, known = self._shaking.get(place), self._by_place.get(place)
        if self._listener is None or (shaking is not None and shaking.opened is not None):
            return False
        cid = urandom(self._cid_length)
        verdict = self._listener.receive(datagram, str(place).encode(), self._loop.time(), cid)
        if isinstance(verdict, Accepted):
            if any(found is not None and found.random == verdict.random for found in (shaking, known)):
                return False
            if shaking is not None:
                self._remove(shaking)
            association = Association(verdict.connection, place, cid, verdict.random)
            self._shake(association)
            self._pass_on(association, datagram, place)
        elif verdict is not None:
            self._inner.send(verdict.datagram, place)
        return verdict is not None

    def _begin(self, place: Peer, settings: ClientSettings) -> Association:
        before, session = self._own_sessions.get(place.address, (settings, None))
        handshake = ClientHandshake(replace(settings, session=session) if settings.resumes(before) else settings)
        association = Association(Connection(handshake, pause=self._first_timeout), place)
        association.opened = self._loop.create_future()
        association.opened.add_done_callback(_retrieve)
        association.settings = settings
        self._shake(association)
        association.connection.start(handshake.start(), self._loop.time())
        self._flush(association)
        return association

    def _shake(self, association: Association) -> None:
        self._shaking[association.place] = association
        while len(self._shaking) > self._max_handshakes:
            oldest = next(iter(self._shaking.values()))
            self._drop(oldest, Closed(None, "too many handshakes at a time", by_peer=False))

    def _pass_on(self, association: Association, datagram: bytes, place: Peer) -> None:
        connection = association.connection
        events = connection.receive(datagram, self._loop.time())
        self._on_sign_of_life(association, place)
        for event in events:
            self._on_event(association, event)
        self._flush(association)

    def _on_sign_of_life(self, association: Association, place: Peer) -> None:
        if association.connection.is_newest and association.peer is not None:
            self._established.move_to_end(association)
            association.heard_at = self._loop.time()
            if place is not association.place:
                self._move(association, place)

    def _hand_up(self, association: Association, data: bytes) -> None:
        if association.peer is not None and self._receiver is not None:
            self._receiver.received(data, association.peer)

    def _move(self, association: Association, place: Peer) -> None:
        if place == association.place or not association.connection.cid_in:
            return
        if self._by_place.get(association.place) is association:
            del self._by_place[association.place]
        self._by_place.setdefault(place, association)
        peer = association.moved(place)
        if peer is not None and self._receiver is not None:
            self._receiver.moved(peer)

    def _on_event(self, association: Association, event: Event) -> None:
        match event:
            case Received(data=data):
                self._hand_up(association, data)
            case Connected():
                self._establish(association, event)
            case Closed():
                self._drop(association, event)

    def _establish(self, association: Association, event: Connected) -> None:
        place = association.place
        if self._shaking.get(place) is association:
            del self._shaking[place]
        before = self._by_place.get(place)
        if before is not None and (before.connection.identity == event.identity or not before.connection.cid_in):
            self._drop(before, Closed(None, "the peer has begun a new session", by_peer=False))
        self._established[association] = None
        association.heard_at = self._loop.time()
        if self._idle_timer is None:
            self._end_the_idle()
        self._by_place[place] = association
        if association.connection.cid_in and self._listener is not None:
            self._by_cid[association.cid] = association
        peer = association.established(event.identity)
        association.session = b"" if event.session is None else event.session.key
        if association.opened is not None:
            _, before_it = self._own_sessions.get(place.address, (None, None))
            association.is_resumed = before_it is not None and before_it.key == association.session != b""
            if event.session is not None and association.settings is not None:
                self._keep_own(place.address, association.settings, event.session)
            association.settings = None
            association.opened.set_result(peer)
        elif event.session is not None:
            self._sessions.keep(event.session, self._loop.time())
        if len(self._established) > self._max_associations:
            self._end(next(iter(self._established)), "too many associations")

    def _keep_own(self, address: tuple[str, int], settings: ClientSettings, session: Session) -> None:
        """The latest."""
        kept = self._own_sessions
        kept.pop(address, None)
        kept[address] = settings, session
        if len(kept) > MAX_OWN_SESSIONS:
            del kept[next(iter(kept))]

    def _end(self, association: Association, reason: str, alert: int = Alert.CLOSE_NOTIFY) -> None:
        if alert == Alert.CLOSE_NOTIFY:
            association.connection.close()
        else:
            association.connection.abort(alert)
        self._flush(association)
        self._drop(association, Closed(None if alert == Alert.CLOSE_NOTIFY else alert, reason, by_peer=False))

    def _drop(self, association: Association, closed: Closed) -> None:
        """It is over. Whoever waits for it is told, and above what ended."""
        self._remove(association)
        association.closed = closed
        place, opened, peer = association.place, association.opened, association.peer
        if closed.alert not in (None, Alert.CLOSE_NOTIFY):
            self._sessions.drop(association.session)
            self._own_sessions.pop(place.address, None)
        if opened is not None and not opened.done():
            self._own_sessions.pop(place.address, None)
            reason = f"no secure session with {place}: {closed.reason}"
            opened.set_exception(HandshakeFailed(reason, closed.alert, by_peer=closed.by_peer))
        elif peer is not None and self._receiver is not None:
            self._receiver.lost(peer)
        elif peer is None and opened is None:
            log.info("%s could not make a secure session: %s", place, closed.reason)
            if self._refused is not None:
                self._refused(place, closed)

    def _remove(self, association: Association) -> None:
        """Without a word to anybody."""
        association.due = None
        self._established.pop(association, None)
        for table in (self._by_place, self._shaking):
            if table.get(association.place) is association:
                del table[association.place]
        if self._by_cid.get(association.cid) is association:
            del self._by_cid[association.cid]

    # Out, and in time

    def _flush(self, association: Association) -> None:
        connection = association.connection
        for datagram in connection.take():
            self._inner.send(datagram, association.place)
        deadline = connection.deadline()
        if deadline != association.due and deadline is not None:
            heapq.heappush(self._deadlines, (deadline, next(self._order), association))
            self._arm()
        association.due = deadline

    def _arm(self) -> None:
        at = self._deadlines[0][0]
        if self._timer is None or self._timer.cancelled() or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._on_time)

    def _on_time(self) -> None:
        now = self._loop.time()
        self._timer = None
        while self._deadlines and self._deadlines[0][0] <= now:
            at, _, association = heapq.heappop(self._deadlines)
            if association.due != at:
                continue
            association.due = None
            for event in association.connection.handle_timer(now):
                self._on_event(association, event)
            self._flush(association)
        if self._deadlines:
            self._arm()

    def _end_the_idle(self) -> None:
        """Those that were silent longest come first."""
        self._idle_timer = None
        if self._max_idle is None:
            return
        now = self._loop.time()
        while self._established:
            association = next(iter(self._established))
            if association.heard_at + self._max_idle > now:
                self._idle_timer = self._loop.call_at(association.heard_at + self._max_idle, self._end_the_idle)
                return
            self._end(association, "nothing was heard for too long")


class _Below:
    """What the inner link calls."""

    def __init__(self, link: DtlsLink) -> None:
        self.received = link.received
        self._failed = link.failed

    def failed(self, peer: Peer, reason: str) -> None:
        self._failed(peer, reason)

    def moved(self, peer: Peer) -> None:
        """What is below has no associations."""

    def lost(self, peer: Peer) -> None:
        self._failed(peer, "the link is gone")


def _retrieve(future: asyncio.Future[Peer]) -> None:
    """A failure that comes when nobody waits any more concerns nobody."""
    if not future.cancelled():
        future.exception()


def _is_hello(datagram: bytes) -> bool:
    return (
        datagram[:1] == HELLO_HEAD
        and datagram[3:5] == CLEAR_EPOCH
        and datagram[HELLO_AT : HELLO_AT + 1] == bytes((MessageType.CLIENT_HELLO,))
    )


def parse_uri(uri: str) -> tuple[str, int]:
    """Host and port of "coaps://host:port"; the port is 5684 where none is given. Raises ValueError with a sentence."""
    parts = urlsplit(uri)
    if parts.scheme != "coaps":
        raise ValueError(f"{uri!r} is not a coaps:// URI")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"the port in {uri!r} is not a number from 1 to 65535") from None
    if not parts.hostname or port == 0 or "@" in parts.netloc:
        raise ValueError(f"{uri!r} names no host and port")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{uri!r} has more than a host and a port")
    return parts.hostname, COAPS_PORT if port is None else port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
