"""A serial line as a `Link`: CoAP without IP, as binding N has it. lwm2m.md §11.3, docs/transports.md.

One peer is at the other end, and its name is that of the line: there are no addresses and no ports.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import termios
import tty
from collections import deque

from lwm2m.coap.carrier import Room
from lwm2m.coap.datagram import DatagramEndpoint
from lwm2m.coap.endpoint import Limits, Tracer
from lwm2m.coap.link import Receiver
from lwm2m.coap.links.line import HEADER_AND_OPTIONS, Line
from lwm2m.coap.links.serial_frame import Deframer, framed
from lwm2m.coap.message import Peer
from lwm2m.coap.object_security.contexts import Oscore

log = logging.getLogger("lwm2m.coap")

LARGEST_BLOCK_EXPONENT = 6
MOST_WAITING = 64
"""Frames that wait for a slow line; further ones are lost, as a network loses them."""
READ_AT_ONCE = 4096
REOPENED_EVERY = 1.0
"""Seconds between looks at whether an unplugged line is back."""


def serial_endpoint(
    line: Line,
    *,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    tracer: Tracer | None = None,
    oscore: Oscore | None = None,
) -> DatagramEndpoint:
    """CoAP with the one peer of a line. Not started yet; starting it raises OSError with a sentence."""
    link = SerialLine(line)
    return DatagramEndpoint(link, limits=limits, transmission=line.transmission, tracer=tracer, oscore=oscore)


class SerialLine:
    """The line is opened again when it was unplugged and is back."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._name = line.path, 0
        self._peer = Peer(self._name, self._name)
        self._receiver: Receiver | None = None
        self._descriptor = -1
        self._deframer = Deframer(line.mtu)
        self._waiting: deque[bytes] = deque()
        self._listening = True
        self._reopening: asyncio.TimerHandle | None = None

    @property
    def address(self) -> tuple[str, int]:
        return self._name

    @property
    def uri(self) -> str:
        return self._line.uri

    async def open(self, receiver: Receiver) -> None:
        if self._receiver is not None:
            raise RuntimeError("the line has been opened already")
        self._plug_in()
        self._receiver = receiver

    async def close(self) -> None:
        self._receiver = None
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        self._unplug()

    async def peer(self, uri: str) -> Peer:
        if Line.parse(uri).path != self._line.path:
            raise ValueError(f"{uri!r} is not the line {self._line.path}")
        return self._peer

    def send(self, datagram: bytes, peer: Peer) -> None:
        if len(datagram) > self._line.mtu:
            self._fail_soon(f"{self._line.path} carries {self._line.mtu} bytes at once, and {len(datagram)} were to go")
        elif self._descriptor < 0:
            self._fail_soon(f"{self._line.path} is not there")
        elif peer == self._peer and len(self._waiting) < MOST_WAITING:
            self._waiting.append(framed(datagram))
            if len(self._waiting) == 1:
                self._write()

    def room(self, peer: Peer) -> Room:  # noqa: ARG002  # all of a line have the same
        payload = self._line.mtu - HEADER_AND_OPTIONS
        return Room(payload, min(payload.bit_length() - 5, LARGEST_BLOCK_EXPONENT), is_tight=True)

    def listen(self, listening: bool) -> None:
        self._listening = listening

    def _plug_in(self) -> None:
        """Raises OSError with a sentence."""
        self._descriptor = open_raw(self._line.path, self._line.speed)
        self._deframer = Deframer(self._line.mtu)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def _unplug(self) -> None:
        if self._descriptor < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._waiting.clear()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError as error:
            self._unplugged(str(error.strerror))
            return
        if not data:
            self._unplugged("it hung up")
            return
        for datagram in self._deframer.feed(data):
            if self._listening and self._receiver is not None:
                self._receiver.received(datagram, self._peer)

    def _write(self) -> None:
        """As much as the line takes now; the rest when it takes more."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            try:
                written = os.write(self._descriptor, self._waiting[0])
            except BlockingIOError:
                written = 0
            except OSError as error:
                loop.call_soon(self._unplugged, str(error.strerror))
                return
            if written < len(self._waiting[0]):
                self._waiting[0] = self._waiting[0][written:]
                loop.add_writer(self._descriptor, self._write)
                return
            self._waiting.popleft()
        loop.remove_writer(self._descriptor)

    def _unplugged(self, why: str) -> None:
        if self._receiver is None or self._descriptor < 0:
            return
        self._unplug()
        log.warning("%s was unplugged: %s", self._line.path, why)
        self._look_later()
        self._receiver.failed(self._peer, f"{self._line.path} was unplugged: {why}")

    def _look_later(self) -> None:
        self._reopening = asyncio.get_running_loop().call_later(REOPENED_EVERY, self._look)

    def _look(self) -> None:
        try:
            self._plug_in()
        except OSError as error:
            log.debug("%s", error)
            self._look_later()
            return
        self._reopening = None
        log.info("%s is back", self._line.path)

    def _fail_soon(self, reason: str) -> None:
        """Not while the sender is still at it."""
        asyncio.get_running_loop().call_soon(self._fail, reason)

    def _fail(self, reason: str) -> None:
        if self._receiver is not None:
            self._receiver.failed(self._peer, reason)


def open_raw(path: str, speed: int) -> int:
    """A descriptor that does not block, of a line that nobody else of us has: 8 bits, no parity, one stop bit, bytes as
    they are. Raises OSError with a sentence."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"cannot open {path}: {error.strerror}") from None
    try:
        _take(descriptor, speed)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(errno.EBUSY, f"cannot open {path}: it is in use") from None
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, f"cannot open {path}: {error.strerror}") from None
    except termios.error as error:
        os.close(descriptor)
        raise OSError(error.args[0], f"{path} is no serial line: {error.args[1]}") from None
    return descriptor


def _take(descriptor: int, speed: int) -> None:
    """Raises BlockingIOError where somebody has it, OSError, termios.error."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    tty.setraw(descriptor, termios.TCSANOW)
    attributes = termios.tcgetattr(descriptor)
    attributes[2] = (attributes[2] & ~(termios.CSTOPB | termios.CRTSCTS)) | termios.CLOCAL | termios.CREAD
    attributes[4] = attributes[5] = getattr(termios, f"B{speed}")
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
