"""Whether the options of a datagram have a length that they may have. No IO."""

from __future__ import annotations

LENGTHS: dict[int, tuple[int, int]] = {
    1: (0, 8),
    3: (1, 255),
    4: (1, 8),
    5: (0, 0),
    6: (0, 3),
    7: (0, 2),
    8: (0, 255),
    11: (0, 255),
    12: (0, 2),
    14: (0, 4),
    15: (0, 255),
    17: (0, 2),
    20: (0, 255),
    23: (0, 3),
    27: (0, 3),
    28: (0, 4),
    35: (1, 1034),
    39: (1, 255),
    60: (0, 4),
    252: (1, 40),
    258: (0, 1),
    292: (0, 8),
}
"""Shortest and longest value by option number: RFC 7252 §5.10, 7641, 7959, 7967, 9175. Others may have any length."""

PAYLOAD_MARKER = 0xFF
LARGEST_NUMBER = 0xFFFF


def misshapen_option(datagram: bytes) -> int | None:
    """The number of the first critical option whose length is out of its range, or that is beyond all numbers. What is
    no CoAP at all is not told here."""
    number = 0
    at = 4 + (datagram[0] & 0x0F if datagram else 0)
    while at < len(datagram) and datagram[at] != PAYLOAD_MARKER:
        head, at = datagram[at], at + 1
        delta, at = _extended(datagram, head >> 4, at)
        length, at = _extended(datagram, head & 0x0F, at)
        number += delta
        shortest, longest = LENGTHS.get(number, (0, LARGEST_NUMBER))
        if number > LARGEST_NUMBER or (number & 1 and not shortest <= length <= longest):
            return number
        at += length
    return None


def _extended(datagram: bytes, nibble: int, at: int) -> tuple[int, int]:
    """The value, and where the next field begins. RFC 7252 §3.1; the reserved 15 is left to the decoder to refuse."""
    if nibble == 13:
        return 13 + int.from_bytes(datagram[at : at + 1], "big"), at + 1
    if nibble == 14:
        return 269 + int.from_bytes(datagram[at : at + 2], "big"), at + 2
    return nibble, at
