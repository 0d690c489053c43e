"""Datagrams on a line of bytes: SLIP (RFC 1055) around each with its check sum, so that what noise touched is dropped
and the next frame is whole again. No IO.

    END  datagram and check sum, END and ESC in them escaped  END

The check sum is CRC-16 with the polynomial 0x1021 from 0xFFFF on, inverted (CRC-16/GENIBUS), its high byte first: not
inverted it would hold for a frame with zeros behind it too.
"""

from __future__ import annotations

import re
from binascii import crc_hqx

END, ESC = b"\xc0", b"\xdb"
_ESCAPED_END, _ESCAPED_ESC = b"\xdb\xdc", b"\xdb\xdd"
_WRONG_ESCAPE = re.compile(rb"\xdb(?![\xdc\xdd])")
_CHECK_SUM = 2


def framed(datagram: bytes) -> bytes:
    """With an END before it too: noise that came first is a frame of its own then."""
    content = datagram + _check_sum(datagram)
    return END + content.replace(ESC, _ESCAPED_ESC).replace(END, _ESCAPED_END) + END


class Deframer:
    """What came over the line so far. Holds no more than one frame, which may carry `largest` bytes."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._longest = 2 * (largest + _CHECK_SUM)
        self._begun = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are whole now."""
        *ended, begun = (self._begun + data).split(END)
        self._begun = begun[: self._longest + 1]
        return [datagram for frame in ended if (datagram := self._datagram(frame)) is not None]

    def _datagram(self, frame: bytes) -> bytes | None:
        if not _CHECK_SUM < len(frame) <= self._longest or _WRONG_ESCAPE.search(frame):
            return None
        content = frame.replace(_ESCAPED_END, END).replace(_ESCAPED_ESC, ESC)
        datagram, check_sum = content[:-_CHECK_SUM], content[-_CHECK_SUM:]
        return datagram if 0 < len(datagram) <= self._largest and check_sum == _check_sum(datagram) else None


def _check_sum(datagram: bytes) -> bytes:
    return (crc_hqx(datagram, 0xFFFF) ^ 0xFFFF).to_bytes(_CHECK_SUM, "big")
