"""What a server does with a datagram that belongs to no association: nothing is kept before the cookie came back."""

from __future__ import annotations

from os import urandom
from typing import NamedTuple, TypeAlias

from lwm2m.dtls.alerts import FATAL, Fatal
from lwm2m.dtls.connection import FIRST_TIMEOUT, Connection
from lwm2m.dtls.cookie import Cookies
from lwm2m.dtls.fragments import Fragment, Message, fragments_of
from lwm2m.dtls.messages import ClientHello, MessageType, hello_verify_request
from lwm2m.dtls.record import FIRST_VERSION, Kind, Record, records
from lwm2m.dtls.server import ServerHandshake
from lwm2m.dtls.settings import ServerSettings, Sessions

MOST_HELLOS = 16
MOST_RECORDS = 1 << 32
"""Numbers of a first flight; we count on from them, and must not come to the end."""


class Answer(NamedTuple):
    """Send this; nothing was kept."""

    datagram: bytes


class Accepted(NamedTuple):
    """The client is where it says. Pass the datagram on to `connection`. `random` is the client's: the same for the
    same hello that comes again."""

    connection: Connection
    random: bytes


Verdict: TypeAlias = Answer | Accepted | None


class Listener:
    def __init__(self, settings: ServerSettings, sessions: Sessions, pause: float = FIRST_TIMEOUT) -> None:
        self.settings = settings
        self.sessions = sessions
        self._cookies = Cookies(urandom(32))
        self._pause = pause

    def receive(self, datagram: bytes, address: bytes, now: float, cid: bytes = b"") -> Verdict:
        """None for what is no ClientHello in one piece. `address` is the peer's as bytes; `cid` is what it is to put
        into its records, of `settings.cid_length` bytes."""
        record = next(records(datagram, 0), None)
        if record is None or record.kind != Kind.HANDSHAKE or record.epoch != 0 or record.sequence > MOST_RECORDS:
            return None
        try:
            found = _whole_hello(record)
            if found is None:
                return None
            if not self._cookies.accepts(found.body, address, now):
                return Answer(_verify(record, found.number, self._cookies.make(found.body, address, now)))
        except Fatal as fatal:
            return Answer(_alert(record, fatal.alert))
        return Accepted(self._connection(record, found, cid, now), ClientHello.random_of(found.body))

    def _connection(self, record: Record, message: Message, cid: bytes, now: float) -> Connection:
        handshake = ServerHandshake(
            self.settings,
            self.sessions.find(ClientHello.session_id_of(message.body), now),
            cid=cid,
            keeps_sessions=self.sessions.capacity > 0,
            next_number=message.number,
        )
        return Connection(handshake, first=record.sequence, due=message.number, pause=self._pause)


def _whole_hello(record: Record) -> Message | None:
    """Raises Fatal."""
    first: Fragment | None = next(fragments_of(record.fragment), None)
    if first is None or first.kind != MessageType.CLIENT_HELLO or len(first.part) != first.length:
        return None
    if first.number > MOST_HELLOS:
        return None
    return Message(first.kind, first.number, first.part)


def _verify(record: Record, number: int, cookie: bytes) -> bytes:
    """With the numbers of the hello, since we count nothing. RFC 6347 §4.2.1"""
    body = hello_verify_request(cookie)
    message = b"".join(Message(MessageType.HELLO_VERIFY_REQUEST, number, body).fragments(len(body)))
    return _clear(Kind.HANDSHAKE, record, message)


def _alert(record: Record, alert: int) -> bytes:
    return _clear(Kind.ALERT, record, bytes((FATAL, alert)))


def _clear(kind: Kind, record: Record, plaintext: bytes) -> bytes:
    return bytes((kind,)) + FIRST_VERSION + record.number + len(plaintext).to_bytes(2, "big") + plaintext
