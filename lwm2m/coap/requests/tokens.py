"""Tokens of our requests. RFC 7252 §5.3.1, RFC 9175 §4.2"""

from __future__ import annotations

import os

LENGTH = 8
DRAWN_AT_ONCE = 512


class Tokens:
    """Each cannot be guessed from the others, and is drawn once."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def new(self) -> bytes:
        if self._at == len(self._drawn):
            self._drawn = os.urandom(LENGTH * DRAWN_AT_ONCE)
            self._at = 0
        self._at += LENGTH
        return self._drawn[self._at - LENGTH : self._at]
