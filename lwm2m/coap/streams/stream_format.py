"""CoAP messages on a connection: as a stream has them, RFC 8323 §3.2, and as a WebSocket frame does, §4.2. No IO."""

from __future__ import annotations

from typing import NamedTuple

from lwm2m.coap.blocks import LARGEST_EXPONENT
from lwm2m.coap.carrier import Room
from lwm2m.coap.messaging import datagram_format
from lwm2m.coap.messaging.datagram_format import LARGEST_TOKEN, NotCoap
from lwm2m.coap.packet import Packet

SIGNALLING = 0xE0
"""Codes from here on, class 7, are about the connection itself. RFC 8323 §5"""
HEADER = 4
"""Of a datagram, where options begin after the token just as they do here."""
EXTENDED = {13: (1, 13), 14: (2, 269), 15: (4, 65805)}
"""Length nibble -> bytes of the longer length that follows, and what it begins at."""


BASE_SIZE = 1152
"""What every peer takes, and more than which a peer has to take for BERT. RFC 8323 §5.3.1, §6"""
BERT = 7
BERT_UNIT = 1024
OVERHEAD = 128
"""Kept for header, token and options of a message: as the base size does with blocks of 1024 bytes."""
SMALLEST_SIZE = OVERHEAD + 16
"""Of messages that a peer has to take: with the smallest block."""


class Extent(NamedTuple):
    """Where the parts of a message are: its code, then the token, then options and payload up to `end`."""

    code: int
    token: int
    end: int


def extent(stream: bytes | bytearray, start: int = 0) -> Extent | None:
    """Of the message that begins at `start`; None while too little of it is there to tell. Raises NotCoap."""
    if start >= len(stream):
        return None
    length, token_length = stream[start] >> 4, stream[start] & 0x0F
    if token_length > LARGEST_TOKEN:
        raise NotCoap("a token that is too long")
    width, base = EXTENDED.get(length, (0, length))
    code = start + 1 + width
    if code > len(stream):
        return None
    length = base + int.from_bytes(stream[start + 1 : code], "big")
    return Extent(code, code + 1, code + 1 + token_length + length)


def room_in(max_message_size: int, block_wise: bool) -> Room:
    """What a peer takes that says so in its CSM."""
    payload = max_message_size - OVERHEAD
    if block_wise and max_message_size > BASE_SIZE and payload >= BERT_UNIT:
        return Room(payload // BERT_UNIT * BERT_UNIT, BERT)
    exponent = min(max(payload, 16).bit_length() - 5, LARGEST_EXPONENT)
    return Room(max(payload, 16), exponent)


def is_signalling(code: int) -> bool:
    return code >= SIGNALLING


def decode(message: bytes) -> Packet:
    """One whole message of a stream. Raises NotCoap, WrongOption."""
    where = extent(message)
    if where is None or where.end != len(message):
        raise NotCoap("a length that is not that of the message")
    return _decode(message[0] & 0x0F, message[where.code :])


def token_of(message: bytes) -> bytes:
    """The token of a message whose options do not decode."""
    where = extent(message)
    assert where is not None
    return message[where.token : where.token + (message[0] & 0x0F)]


def encode(packet: Packet) -> bytes:
    """Raises ValueError for an option that no message holds."""
    rest = datagram_format.encode(datagram_format.CON, 0, packet)[HEADER:]
    nibble, extended = _length(len(rest) - len(packet.token))
    return bytes((nibble << 4 | len(packet.token),)) + extended + bytes((packet.code,)) + rest


def from_frame(frame: bytes) -> bytes:
    """The message that a WebSocket frame holds, as a stream has it. Raises NotCoap."""
    if len(frame) < 2 or frame[0] > LARGEST_TOKEN or len(frame) < 2 + frame[0]:
        raise NotCoap("no message in this frame")
    nibble, extended = _length(len(frame) - 2 - frame[0])
    return bytes((nibble << 4 | frame[0],)) + extended + frame[1:]


def to_frame(message: bytes) -> bytes:
    """The other way."""
    where = extent(message)
    assert where is not None
    return bytes((message[0] & 0x0F,)) + message[where.code :]


def _decode(token_length: int, rest: bytes) -> Packet:
    """`rest` is the code, the token, options and payload."""
    header = bytes((0x40 | token_length, rest[0], 0, 0))
    return datagram_format.decode(header + rest[1:])[2]


def _length(length: int) -> tuple[int, bytes]:
    for nibble, (width, base) in reversed(EXTENDED.items()):
        if length >= base:
            return nibble, (length - base).to_bytes(width, "big")
    return length, b""
