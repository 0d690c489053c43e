"""The OSCORE option: which key a message is protected with, and by which number. RFC 8613 §6.1. No IO."""

from __future__ import annotations

from typing import NamedTuple

OSCORE = 9
_NUMBER_LENGTH, _HAS_KID, _HAS_KID_CONTEXT, _RESERVED = 0b111, 0b1000, 0b1_0000, 0b1110_0000
_LONGEST_NUMBER = 5


class OscoreOption(NamedTuple):
    number: int | None = None
    """The Partial IV."""
    kid: bytes | None = None
    kid_context: bytes | None = None

    @classmethod
    def decode(cls, value: bytes) -> OscoreOption:
        """Raises ValueError."""
        if not value:
            return cls()
        flags, at = value[0], 1
        length = flags & _NUMBER_LENGTH
        if flags & _RESERVED or length > _LONGEST_NUMBER or not flags:
            raise ValueError("flags that mean nothing")
        number = int.from_bytes(value[at : at + length], "big") if length else None
        at += length
        kid_context = None
        if flags & _HAS_KID_CONTEXT:
            begin = at + 1
            at = begin + int.from_bytes(value[at:begin], "big")
            kid_context = value[begin:at]
            if begin > len(value):
                raise ValueError("a kid context without its length")
        if at > len(value):
            raise ValueError("less than the flags announce")
        if not flags & _HAS_KID and at < len(value):
            raise ValueError("more than the flags announce")
        return cls(number, value[at:] if flags & _HAS_KID else None, kid_context)
