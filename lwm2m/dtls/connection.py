"""One association, from the first flight to the last record: the handshake's messages become records and datagrams,
flights are repeated until they are answered, and then data is protected. RFC 6347. No IO, `now` is an argument.

* Nothing that a datagram holds raises: what is wrong is dropped, or ends the association with an alert.
* What cannot be read leaves no trace, whatever was wrong with it.
* There is no second handshake in an association; the peer makes a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from lwm2m.dtls.alerts import FATAL, WARNING, Alert, Fatal, alert_name
from lwm2m.dtls.fragments import Assembly, Message, fragments_of
from lwm2m.dtls.handshake import CHANGE_CIPHER, Handshake, Step
from lwm2m.dtls.messages import MessageType
from lwm2m.dtls.record import (
    CLEAR_EPOCH,
    HEADER,
    LARGEST_PLAINTEXT,
    LARGEST_SEQUENCE,
    PROTECTED_EPOCH,
    Content,
    Kind,
    Reader,
    Record,
    Writer,
    records,
)
from lwm2m.dtls.settings import Session
from lwm2m.dtls.suites import CID_RECORD

LARGEST_DATAGRAM = 1232
"""Of a flight: what the smallest path of IPv6 carries."""
RECORD_OVERHEAD = 13 + 12 + 8 + 48 + 32
"""Header, handshake header, explicit nonce, tag or MAC with padding, connection id: at most."""
FIRST_TIMEOUT = 1.0
ATTEMPTS = 6
"""How often a flight is sent; the pauses double, so it is given up after 63 s."""
LONGEST_PAUSE = 60.0
QUICKEST_REPEAT = 0.25
"""Of the first pause: what a peer repeats, or the network doubles, is not answered with a whole flight more often."""
UNANSWERED = "the peer does not answer the handshake"
UNANSWERED_FINISHED = "the peer does not answer our Finished: the two keys may not be the same"
UNREADABLE_FINISHED = 2
"""So many records in the place of the peer's Finished are taken as the sign of another key."""


class Connected(NamedTuple):
    """`identity` is what was proved, `session` what a later handshake can resume."""

    identity: str | None
    session: Session | None


class Received(NamedTuple):
    data: bytes


class Closed(NamedTuple):
    """`alert` is None when nothing was said: the peer fell silent. `by_peer` tells who ended it."""

    alert: int | None
    reason: str
    by_peer: bool


Event: TypeAlias = Connected | Received | Closed


class _Sent(NamedTuple):
    """One part of a flight, with the writer of its epoch."""

    writer: Writer
    kind: int
    content: Message | bytes


NO_FLIGHT: tuple[_Sent, ...] = ()


class Connection:
    """`handshake` begins; `first` and `due` are the record and message numbers that a server goes on with after the
    cookie exchange."""

    __slots__ = (
        "_assembly",
        "_attempts",
        "_closed",
        "_deadline",
        "_flight",
        "_handshake",
        "_out",
        "_pause",
        "_quickest",
        "_reader",
        "_repeat_at",
        "_unreadable",
        "_writer",
        "cid_in",
        "fragment_length",
        "identity",
        "is_connected",
        "is_newest",
        "was_read",
    )

    def __init__(self, handshake: Handshake, *, first: int = 0, due: int = 0, pause: float = FIRST_TIMEOUT) -> None:
        self._handshake: Handshake | None = handshake
        self._writer = Writer(0, first=first)
        self._reader: Reader | None = None
        self._assembly: Assembly | None = Assembly(due)
        self._flight: Sequence[_Sent] = NO_FLIGHT
        self._out: list[bytes] = []
        self._deadline: float | None = None
        self._pause = pause
        self._quickest = pause * QUICKEST_REPEAT
        self._repeat_at = 0.0
        self._attempts = 0
        self._unreadable = 0
        self._closed = False
        self.cid_in = handshake.cid_in
        self.fragment_length: int | None = None
        self.identity: str | None = None
        self.is_connected = False
        self.was_read = False
        self.is_newest = False

    def start(self, steps: list[Step], now: float) -> None:
        """Send a first flight."""
        self._send_flight(steps, now)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def claims(self, identity: str) -> bool:
        """Whether the peer has proved this identity, or is about to."""
        return identity == (self.identity if self._handshake is None else self._handshake.identity)

    def take(self) -> list[bytes]:
        """The datagrams to send now; they are yours."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When to call `handle_timer`, at the latest."""
        return self._deadline

    def send(self, data: bytes) -> bytes:
        """One protected datagram. Raises Fatal when the association does not stand (any more), ValueError for more than
        the peer takes."""
        if not self.is_connected or self._closed:
            raise Fatal(Alert.INTERNAL_ERROR, "the association does not stand")
        if len(data) > (self.fragment_length or LARGEST_PLAINTEXT):
            raise ValueError(f"{len(data)} bytes are more than the peer takes in one record")
        return self._writer.write(Kind.APPLICATION_DATA, data)

    def close(self) -> None:
        """Say good-bye; nothing is received or sent after it."""
        if not self._closed:
            self._say(WARNING, Alert.CLOSE_NOTIFY)
            self._end()

    def abort(self, alert: int) -> None:
        """End it for a reason that lies outside."""
        if not self._closed:
            self._say(FATAL, alert)
            self._end()

    def handle_timer(self, now: float) -> list[Event]:
        if self._deadline is None or now < self._deadline or self._closed:
            return []
        if self._attempts >= ATTEMPTS:
            reason = UNANSWERED if self._reader is None else UNANSWERED_FINISHED
            self._end()
            return [Closed(None, reason, by_peer=False)]
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._transmit(now)
        return []

    def data(self, datagram: bytes) -> bytes | None:
        """The short way of `receive` for what most datagrams are, a single record of data: what it holds. None of any
        other datagram, nothing has happened then."""
        reader = self._reader
        if reader is None or not self.is_connected:
            return None
        data = reader.data(datagram)
        if data is not None:
            self.was_read, self.is_newest = True, reader.was_newest
            self._flight = NO_FLIGHT
        return data

    def receive(self, datagram: bytes, now: float) -> list[Event]:
        """Afterwards `was_read` says whether a protected record in it was authentic, and `is_newest` whether one was
        newer than all before: then the peer is where the datagram came from. RFC 9146 §6"""
        if (data := self.data(datagram)) is not None:
            return [Received(data)]
        events: list[Event] = []
        self.was_read = self.is_newest = False
        repeated = False
        try:
            for record in records(datagram, len(self.cid_in)):
                if self._closed:
                    break
                epoch = record.number[:2]
                if epoch == PROTECTED_EPOCH:
                    repeated |= self._on_protected(record, now, events)
                elif epoch == CLEAR_EPOCH and not self.is_connected:
                    content = Content(record.kind, record.fragment)
                    repeated |= self._on_content(content, False, now, events)
            if repeated and self._flight and now >= self._repeat_at:
                self._repeat_at = now + self._quickest
                self._out += self._datagrams()
        except Fatal as fatal:
            self.abort(fatal.alert)
            events.append(Closed(fatal.alert, fatal.sentence, by_peer=False))
        return events

    def _on_protected(self, record: Record, now: float, events: list[Event]) -> bool:
        reader = self._reader
        if reader is None or not reader.accepts(record):
            return False
        is_newest = reader.is_newest(record)
        content = reader.read(record)
        if content is None:
            self._count_unreadable(record)
            return False
        self.was_read = True
        self.is_newest |= is_newest
        if content.kind == Kind.APPLICATION_DATA and self.is_connected:
            self._flight = NO_FLIGHT
            events.append(Received(content.plaintext))
            return False
        return self._on_content(content, True, now, events)

    def _count_unreadable(self, record: Record) -> None:
        """A peer with another key looks just like this, and would wait for long. Raises Fatal."""
        if self.is_connected or record.kind not in (Kind.HANDSHAKE, CID_RECORD):
            return
        self._unreadable += 1
        if self._unreadable >= UNREADABLE_FINISHED:
            identity = None if self._handshake is None else self._handshake.identity
            which = "them" if identity is None else f"the key of {identity!r}"
            raise Fatal(
                Alert.BAD_RECORD_MAC,
                f"the peer's Finished cannot be read, the two keys are not the same: compare {which} on both sides",
            )

    def _on_content(self, content: Content, protected: bool, now: float, events: list[Event]) -> bool:
        """Whether this is something that came before: then the peer misses our last flight. Raises Fatal."""
        if content.kind == Kind.ALERT:
            self._on_alert(content.plaintext, events)
        elif content.kind == Kind.HANDSHAKE:
            return self._on_handshake(content.plaintext, protected, now, events)
        return False

    def _on_alert(self, plaintext: bytes, events: list[Event]) -> None:
        if len(plaintext) != 2:
            return
        level, alert = plaintext
        if level == FATAL or alert == Alert.CLOSE_NOTIFY:
            if self.is_connected and alert == Alert.CLOSE_NOTIFY:
                self._say(WARNING, Alert.CLOSE_NOTIFY)
            self._end()
            events.append(Closed(alert, f"the peer says: {alert_name(alert)}", by_peer=True))

    def _on_handshake(self, plaintext: bytes, protected: bool, now: float, events: list[Event]) -> bool:
        if self._handshake is None or self._assembly is None:
            return self._after_handshake(plaintext)
        repeated = False
        for fragment in fragments_of(plaintext):
            repeated |= fragment.number < self._assembly.due
            self._assembly.add(fragment)
        while (message := self._assembly.next()) is not None:
            repeated = False
            self._advance(self._handshake, message, protected, now, events)
            if self._handshake is None:
                break
        return repeated

    def _after_handshake(self, plaintext: bytes) -> bool:
        """Raises Fatal."""
        kinds = {fragment.kind for fragment in fragments_of(plaintext)}
        if kinds & {MessageType.CLIENT_HELLO, MessageType.HELLO_REQUEST}:
            self._say(WARNING, Alert.NO_RENEGOTIATION)
            return False
        return MessageType.FINISHED in kinds

    def _advance(
        self, handshake: Handshake, message: Message, protected: bool, now: float, events: list[Event]
    ) -> None:
        steps = handshake.on_message(message, protected=protected)
        self._deadline = None
        self.cid_in = handshake.cid_in
        if handshake.keys is not None and self._reader is None:
            protection = handshake.keys[1 if handshake.by_client else 0]
            self._reader = Reader(protection, handshake.cid_in, handshake.fragment_length)
        if steps:
            self._send_flight(steps, now)
        elif not handshake.is_done:
            self._deadline = now + self._pause
        if handshake.is_done:
            self._connect(handshake, events)
            if not steps:
                self._flight = NO_FLIGHT

    def _connect(self, handshake: Handshake, events: list[Event]) -> None:
        self._deadline = None
        self.is_connected = True
        self.identity = handshake.identity
        self.fragment_length = handshake.fragment_length
        events.append(Connected(handshake.identity, handshake.session))
        self._handshake = self._assembly = None

    def _send_flight(self, steps: list[Step], now: float) -> None:
        flight: list[_Sent] = []
        for step in steps:
            if step is CHANGE_CIPHER:
                flight.append(_Sent(self._writer, Kind.CHANGE_CIPHER_SPEC, b"\1"))
                self._writer = self._protected_writer()
            else:
                flight.append(_Sent(self._writer, Kind.HANDSHAKE, step))
        self._flight = flight
        self._attempts = 0
        self._transmit(now)

    def _protected_writer(self) -> Writer:
        handshake = self._handshake
        if handshake is None or handshake.keys is None:
            raise Fatal(Alert.INTERNAL_ERROR, "there are no keys yet")
        return Writer(1, handshake.keys[0 if handshake.by_client else 1], handshake.cid_out)

    def _transmit(self, now: float) -> None:
        self._attempts += 1
        self._deadline = now + self._pause
        self._repeat_at = now + self._quickest
        self._out += self._datagrams()

    def _datagrams(self) -> list[bytes]:
        """Two pieces of a message share no datagram: GnuTLS reads the first one only. Who wants small records has
        perhaps no room for large datagrams, as Scandium."""
        agreed = self._agreed_length()
        largest = LARGEST_DATAGRAM if agreed is None else min(LARGEST_DATAGRAM, agreed + HEADER)
        datagrams: list[bytes] = []
        current = b""
        for sent in self._flight:
            for at, plaintext in enumerate(self._pieces(sent.content)):
                record = sent.writer.write(sent.kind, plaintext)
                if current and (at or len(current) + len(record) > largest):
                    datagrams.append(current)
                    current = b""
                current += record
        return [*datagrams, current] if current else datagrams

    def _pieces(self, content: Message | bytes) -> list[bytes]:
        if isinstance(content, bytes):
            return [content]
        agreed = self._agreed_length()
        room = LARGEST_DATAGRAM - RECORD_OVERHEAD
        return list(content.fragments(room if agreed is None else min(room, agreed - 12)))

    def _agreed_length(self) -> int | None:
        return self.fragment_length if self._handshake is None else self._handshake.fragment_length

    def _say(self, level: int, alert: int) -> None:
        if self._writer.sequence <= LARGEST_SEQUENCE:
            self._out.append(self._writer.write(Kind.ALERT, bytes((level, alert))))

    def _end(self) -> None:
        self._closed = True
        self._deadline = None
        self._flight = NO_FLIGHT
        self._handshake = self._assembly = self._reader = None
