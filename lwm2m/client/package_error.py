"""What may be wrong with a package, or with the way to it. Objects 5 and 9 have numbers of their own for these."""

from __future__ import annotations

from enum import Enum


class Trouble(Enum):
    NO_STORAGE = "not enough storage for the package"
    NO_MEMORY = "not enough memory for the package"
    CONNECTION_LOST = "the connection was lost"
    INTEGRITY = "the package is damaged"
    UNSUPPORTED_PACKAGE = "the package is not for this device"
    INVALID_URI = "there is no package at this URI"
    UNSUPPORTED_PROTOCOL = "this protocol is not supported"
    NOT_INSTALLED = "the package could not be installed"
    NOT_REMOVED = "the package could not be removed"


class PackageError(Exception):
    """`detail` is for the log."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(f"{trouble.value}: {detail}" if detail else trouble.value)
        self.trouble = trouble
