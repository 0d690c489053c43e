"""A connection between two CoAP endpoints, whatever it is made of. RFC 8323.

aiocoap speaks the signalling: CSM, Ping and Pong, Release, Abort. What it leaves out is here: a peer has to send its
CSM in time, a silent peer is asked whether it is there, and the end of a connection is told, once."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from aiocoap import Message
from aiocoap.error import UnparsableMessage
from aiocoap.numbers.codes import ABORT, PING, PONG, RELEASE
from aiocoap.transports.rfc8323common import CloseConnection, RFC8323Remote
from aiocoap.transports.tcp import _decode_message, _serialize

from lwm2m.coap.carrier import Room
from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.message import Peer
from lwm2m.coap.messaging.datagram_format import EMPTY, NotCoap, WrongOption
from lwm2m.coap.packet import Packet
from lwm2m.coap.streams.stream_format import (
    BASE_SIZE,
    SMALLEST_SIZE,
    decode,
    encode,
    extent,
    is_signalling,
    room_in,
    token_of,
)

log = logging.getLogger("lwm2m.coap")
quiet = logging.getLogger("lwm2m.coap.signalling")
"""Of aiocoap, which warns of each connection that it aborts: those are a stranger's to make, and told once they end."""
quiet.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Liveness:
    """Seconds: after so much silence a Ping asks whether the peer is there, after so much more it is not. A new
    connection has to begin with a CSM in time."""

    ping_after: float = 60.0
    pong_within: float = 10.0
    csm_within: float = 10.0


class Association:
    """What makes the peer at the other end of one connection different from all others. It outlives the connection,
    as those who know the peer do."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection: Connection | None = connection

    def __repr__(self) -> str:
        return "<open connection>" if self.connection else "<closed connection>"


class Owner(Protocol):
    """Who gets what comes out of a connection."""

    def opened(self, connection: Connection) -> None:
        """The peer has sent its CSM."""
        ...

    def received(self, connection: Connection, packet: Packet, size: int) -> None: ...

    def misshapen(self, connection: Connection, code: int, token: bytes, why: WrongOption, /) -> None:
        """A message with an option that cannot have that value."""
        ...

    def lost(self, connection: Connection, reason: str) -> None:
        """Once, and the last that is told."""
        ...


class Connection(RFC8323Remote, ABC):  # type: ignore[misc]  # aiocoap is not typed
    """`max_message` is what we take, in bytes."""

    def __init__(self, owner: Owner, max_message: int, liveness: Liveness) -> None:
        super().__init__()
        self.log = quiet
        self.association = Association(self)
        self.has_ended = False
        self.reason = ""
        """Why it has ended."""
        self.ready = asyncio.Event()
        """Set with the CSM of the peer, or with the end."""
        self.peer: Peer
        self._owner = owner
        self._my_max_message_size = max_message
        self._liveness = liveness
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None

    @abstractmethod
    def write(self, message: bytes) -> None:
        """Send a message in the form of a stream. Never raises for what the network does."""

    @abstractmethod
    def hang_up(self) -> None:
        """Close it once what was written has left, or will not."""

    @property
    def is_ready(self) -> bool:
        return self._remote_settings is not None and not self.has_ended

    @property
    def room(self) -> Room:
        settings = self._remote_settings or {}
        return room_in(self._largest, settings.get("block-wise-transfer", False))

    @property
    def _largest(self) -> int:
        """Bytes of a message that the peer takes."""
        size: int = (self._remote_settings or {}).get("max-message-size", BASE_SIZE)
        return size

    def begin(self, local: tuple[str, int], remote: tuple[str, int], identity: str | None) -> None:
        """It is there: say what we take, and wait for the peer to do so."""
        self.peer = Peer(local, remote, self.association, identity)
        self._local_hostinfo, self._remote_hostinfo = local, remote
        self._timer = self._loop.call_later(self._liveness.csm_within, self.abort, "no CSM came in time")
        self._send_initial_csm()

    def send(self, packet: Packet) -> None:
        """Raises ValueError for what no message holds, or the peer does not take."""
        message = encode(packet)
        if len(message) > self._largest:
            raise ValueError(f"{self.peer} takes messages of {self._largest} bytes, this one has {len(message)}")
        self.write(message)

    def receive(self, message: bytes) -> None:
        """One whole message in the form of a stream."""
        where = extent(message)
        assert where is not None
        code = message[where.code]
        self._heard, self._pinged = self._loop.time(), False
        if is_signalling(code):
            self._signalled(message, code)
        elif not self.is_ready:
            self.abort("the first message was no CSM")
        elif code != EMPTY:
            self._pass_on(message, code)

    def leave(self) -> None:
        """Close it in peace."""
        if not self.has_ended:
            self._send_message(Message(code=RELEASE))
            self.end("we closed the connection")

    def end(self, reason: str) -> None:
        if self.has_ended:
            return
        self.has_ended, self.reason = True, reason
        self.ready.set()
        self.association.connection = None
        if self._timer is not None:
            self._timer.cancel()
        self.hang_up()
        self._owner.lost(self, reason)

    def failure(self) -> Unreachable:
        """That it has ended, for whoever wanted to use it."""
        return Unreachable(self.reason)

    def _pass_on(self, message: bytes, code: int) -> None:
        try:
            packet = decode(message)
        except WrongOption as error:
            self._owner.misshapen(self, code, token_of(message), error)
        except NotCoap as error:
            self.abort(f"this is no CoAP message: {error}")
        else:
            self._owner.received(self, packet, len(message))

    def _signalled(self, message: bytes, code: int) -> None:
        was_ready = self.is_ready
        try:
            signal = _decode_message(message)
            if code == PING and not any(option.number.is_critical() for option in signal.opt.option_list()):
                self.write(encode(Packet(PONG, signal.token)))
            else:
                self._process_signaling(signal)
        except CloseConnection:
            aborted = code == ABORT
            self.end("the peer aborted the connection" if aborted else "the peer closed the connection")
        except (UnparsableMessage, UnicodeDecodeError):
            self.abort("this is no signalling message")
        if self.is_ready and self._largest < SMALLEST_SIZE:
            self.abort(f"messages of {self._largest} bytes are too small")
        elif self.is_ready and not was_ready:
            self._watch_from_now()
            self._owner.opened(self)
            self.ready.set()

    # What aiocoap's signalling wants

    def _send_message(self, message: Message) -> None:
        if not self.has_ended:
            self.write(_serialize(message))

    def _abort_with(self, message: Message) -> None:
        self._send_message(message)
        self.end(bytes(message.payload).decode())

    # Whether the peer is there

    def _watch_from_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._liveness.ping_after, self._watch)

    def _watch(self) -> None:
        due = self._heard + self._liveness.ping_after
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._watch)
        elif self._pinged:
            self.end("the peer has fallen silent")
        else:
            self._pinged = True
            self._send_message(Message(code=PING))
            self._timer = self._loop.call_later(self._liveness.pong_within, self._watch)


def is_request(code: int) -> bool:
    return 0 < code < 0x20
