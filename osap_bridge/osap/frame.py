"""Messages between a device and the LBS on a byte stream: one control byte, a length, the rest. osap.md §2.1"""

from __future__ import annotations

from typing import NamedTuple

MAX_LENGTH = 16384
_MAX_LENGTH_BYTES = 4


class Frame(NamedTuple):
    """`content` is the variable header, if the control byte announces one, and the payload."""

    control: int
    content: bytes

    @property
    def type(self) -> int:
        return self.control >> 4

    @property
    def has_variable_header(self) -> bool:
        return bool(self.control & 0x08)

    def __bytes__(self) -> bytes:
        return bytes([self.control]) + _length_bytes(len(self.content)) + self.content

    def __repr__(self) -> str:
        return f"Frame(control=0x{self.control:02x}, length={len(self.content)})"


class FrameError(ValueError):
    """The stream cannot be followed any further. `control` is that of the message at fault."""

    def __init__(self, control: int, reason: str) -> None:
        super().__init__(reason)
        self.control = control


class FrameReader:
    """Cuts a stream into frames; holds at most one frame of MAX_LENGTH and what came behind it in the same read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Frame | None:
        """The next whole frame; None: it needs more bytes. Raises FrameError."""
        if not self._buffer:
            return None
        header = self._header()
        if header is None:
            return None
        start, length = header
        end = start + length
        if len(self._buffer) < end:
            return None
        frame = Frame(self._buffer[0], bytes(self._buffer[start:end]))
        del self._buffer[:end]
        return frame

    def _header(self) -> tuple[int, int] | None:
        """Where the content starts and how long it is."""
        control, length = self._buffer[0], 0
        for position, byte in enumerate(self._buffer[1 : 1 + _MAX_LENGTH_BYTES]):
            length |= (byte & 0x7F) << (7 * position)
            if length > MAX_LENGTH:
                raise FrameError(control, f"a message of {length} bytes or more is longer than {MAX_LENGTH}")
            if not byte & 0x80:
                return position + 2, length
        if len(self._buffer) > _MAX_LENGTH_BYTES:
            raise FrameError(control, f"the length takes more than {_MAX_LENGTH_BYTES} bytes")
        return None


def _length_bytes(length: int) -> bytes:
    encoded = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes(encoded)
