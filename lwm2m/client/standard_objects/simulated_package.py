"""The package format of simulated devices, firmware and software alike.

4 bytes   "LWPK"
1 byte    flags, see `Flag`
1 byte    length of the name, then the name in UTF-8: of the device model, or of the software
1 byte    length of the version, then the version in UTF-8
n bytes   content
32 bytes  SHA-256 of everything before
"""

from __future__ import annotations

from enum import IntFlag
from hashlib import sha256
from typing import NamedTuple

from lwm2m.client.package_error import PackageError, Trouble

MAGIC = b"LWPK"
_DIGEST = 32


class Flag(IntFlag):
    """What the package does to the device that tries it."""

    NONE = 0
    EXHAUSTS_MEMORY = 1
    FAILS_TO_INSTALL = 2
    DOES_NOT_COME_UP = 4
    FAILS_TO_BE_REMOVED = 8


class SimulatedPackage(NamedTuple):
    name: str
    version: str
    content: bytes = b""
    flags: Flag = Flag.NONE

    def to_bytes(self) -> bytes:
        """Raises ValueError for a name or a version of more than 255 bytes."""
        head = b"".join((MAGIC, bytes([self.flags]), _short(self.name), _short(self.version), self.content))
        return head + sha256(head).digest()

    @classmethod
    def parse(cls, package: bytes) -> SimulatedPackage:
        """Raises PackageError for what is no package, is damaged, or has flags that we do not know."""
        if not package.startswith(MAGIC):
            raise PackageError(Trouble.UNSUPPORTED_PACKAGE, "it does not begin as a package does")
        body, digest = package[:-_DIGEST], package[-_DIGEST:]
        if sha256(body).digest() != digest:
            raise PackageError(Trouble.INTEGRITY)
        try:
            flags, rest = body[len(MAGIC)], body[len(MAGIC) + 1 :]
            name, rest = _split(rest)
            version, content = _split(rest)
        except (IndexError, UnicodeDecodeError):
            raise PackageError(Trouble.UNSUPPORTED_PACKAGE, "its header cannot be read") from None
        if flags & ~sum(Flag):
            raise PackageError(Trouble.UNSUPPORTED_PACKAGE, "it has flags of a later format")
        return cls(name, version, content, Flag(flags))


def image_of(package: bytes) -> str:
    return sha256(package).hexdigest()


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError("a name or a version has at most 255 bytes")
    return bytes([len(encoded)]) + encoded


def _split(data: bytes) -> tuple[str, bytes]:
    """A text with its length before it, and what follows. Raises IndexError, UnicodeDecodeError."""
    end = 1 + data[0]
    if len(data) < end:
        raise IndexError
    return data[1:end].decode(), data[end:]
