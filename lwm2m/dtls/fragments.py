"""Handshake messages in fragments: cut to size, put together in order. RFC 6347 §4.2.2, §4.2.3. No IO."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from lwm2m.dtls.alerts import Alert, Fatal

_HEAD = Struct(">IH")
"""Kind, length, number; offset and length of the piece follow, three bytes each."""
HEADER = 12
LARGEST_MESSAGE = 16 * 1024
"""Of a handshake: a chain of certificates of 2 KiB each fits several times."""
AHEAD = 8
"""How many messages may come before the one that is due."""
MOST_HELD = LARGEST_MESSAGE + 4096
"""Bytes of incomplete messages: that is what one handshake costs us at most."""
MOST_GAPS = 64
"""In one message; who cuts finer than that wants to keep us busy."""


class Message(NamedTuple):
    """A whole handshake message. `number` is its message_seq."""

    kind: int
    number: int
    body: bytes

    @property
    def transcript(self) -> bytes:
        """As it counts for the hashes: as if it had come in one piece."""
        length = len(self.body)
        return _HEAD.pack(self.kind << 24 | length, self.number) + length.to_bytes(6, "big") + self.body

    def fragments(self, size: int) -> Iterator[bytes]:
        """With at most `size` bytes of the body each."""
        if len(self.body) <= size:
            yield self.transcript
            return
        head = bytes((self.kind,)) + len(self.body).to_bytes(3, "big") + self.number.to_bytes(2, "big")
        for at in range(0, len(self.body), size):
            part = self.body[at : at + size]
            yield head + at.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part


class Fragment(NamedTuple):
    kind: int
    length: int
    number: int
    offset: int
    part: bytes


def fragments_of(plaintext: bytes) -> Iterator[Fragment]:
    """Of one record; several may share it. Raises Fatal."""
    at, end = 0, len(plaintext)
    while at < end:
        begin = at + HEADER
        if begin > end:
            raise Fatal(Alert.DECODE_ERROR, "a handshake message is shorter than it says")
        kind_and_length, number = _HEAD.unpack_from(plaintext, at)
        kind, length = kind_and_length >> 24, kind_and_length & 0xFFFFFF
        where = int.from_bytes(plaintext[at + 6 : begin], "big")
        offset, at = where >> 24, begin + (where & 0xFFFFFF)
        if at > end:
            raise Fatal(Alert.DECODE_ERROR, "a handshake message is shorter than it says")
        part = plaintext[begin:at]
        if offset + len(part) > length:
            raise Fatal(Alert.DECODE_ERROR, "a fragment reaches beyond its message")
        if length > LARGEST_MESSAGE:
            raise Fatal(Alert.ILLEGAL_PARAMETER, f"a handshake message of {length} bytes is too large")
        yield Fragment(kind, length, number, offset, part)


class _Incomplete:
    """A message of which pieces have come, in any order."""

    def __init__(self, first: Fragment) -> None:
        self.kind = first.kind
        self._body = bytearray(first.length)
        self._missing = [(0, first.length)] if first.length else []

    @property
    def length(self) -> int:
        return len(self._body)

    def fits(self, fragment: Fragment) -> bool:
        return (fragment.kind, fragment.length) == (self.kind, self.length)

    def add(self, fragment: Fragment) -> None:
        begin, end = fragment.offset, fragment.offset + len(fragment.part)
        self._body[begin:end] = fragment.part
        self._missing = [
            gap
            for low, high in self._missing
            for gap in ((low, min(high, begin)), (max(low, end), high))
            if gap[0] < gap[1]
        ]
        if len(self._missing) > MOST_GAPS:
            raise Fatal(Alert.DECODE_ERROR, "a handshake message comes in too many pieces")

    @property
    def body(self) -> bytes | None:
        return None if self._missing else bytes(self._body)


class Assembly:
    """Gives the messages of a handshake whole and in order; `due` is the number of the next one."""

    def __init__(self, due: int = 0) -> None:
        self.due = due
        self._incomplete: dict[int, _Incomplete] = {}
        self._whole: Message | None = None

    def add(self, fragment: Fragment) -> None:
        """Old ones and those far ahead are left. Raises Fatal when the pieces contradict one another."""
        if not self.due <= fragment.number < self.due + AHEAD:
            return
        if fragment.number == self.due and len(fragment.part) == fragment.length:
            self._whole = Message(fragment.kind, fragment.number, fragment.part)
            return
        incomplete = self._incomplete.get(fragment.number)
        if incomplete is None:
            if not self._has_room_for(fragment):
                return
            incomplete = self._incomplete[fragment.number] = _Incomplete(fragment)
        if not incomplete.fits(fragment):
            raise Fatal(Alert.DECODE_ERROR, "the fragments of a message do not fit together")
        incomplete.add(fragment)

    def _has_room_for(self, fragment: Fragment) -> bool:
        """The message that is due has always room: those ahead of it come again."""
        held = sum(incomplete.length for incomplete in self._incomplete.values())
        if held + fragment.length <= MOST_HELD:
            return True
        if fragment.number == self.due:
            self._incomplete.clear()
        return fragment.number == self.due

    def next(self) -> Message | None:
        if self._whole is not None:
            message, self._whole = self._whole, None
            self._incomplete.pop(self.due, None)
            self.due += 1
            return message
        incomplete = self._incomplete.get(self.due)
        body = None if incomplete is None else incomplete.body
        if incomplete is None or body is None:
            return None
        del self._incomplete[self.due]
        message = Message(incomplete.kind, self.due, body)
        self.due += 1
        return message
