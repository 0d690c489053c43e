"""A CoAP message as it is on the wire. RFC 7252 §3. Apart from the stacks, so that it can judge them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lwm2m.coap.message import Code


class Kind(IntEnum):
    CON = 0
    NON = 1
    ACK = 2
    RST = 3


OBSERVE, LOCATION_PATH, URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT = 6, 8, 11, 12, 15, 17
BLOCK2, BLOCK1 = 23, 27


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    more: bool
    size: int


@dataclass(frozen=True, slots=True)
class Datagram:
    """`options` are (number, value) in ascending order of numbers."""

    kind: Kind
    code: int
    mid: int
    token: bytes = b""
    options: tuple[tuple[int, bytes], ...] = ()
    payload: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Datagram:
        """Raises ValueError for what is no CoAP message."""
        length = data[0] & 0x0F if data else 0
        if len(data) < 4 + length or data[0] >> 6 != 1 or length > 8:
            raise ValueError("no CoAP message")
        options, payload = _options(data[4 + length :])
        mid = int.from_bytes(data[2:4], "big")
        return cls(Kind(data[0] >> 4 & 3), data[1], mid, data[4 : 4 + length], options, payload)

    def encode(self) -> bytes:
        data = bytes((0x40 | self.kind << 4 | len(self.token), self.code)) + self.mid.to_bytes(2, "big") + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            delta, delta_more = _nibble(number - last)
            length, length_more = _nibble(len(value))
            data += bytes((delta << 4 | length,)) + delta_more + length_more + value
            last = number
        return data + (b"\xff" + self.payload if self.payload else b"")

    def values(self, number: int) -> tuple[bytes, ...]:
        return tuple(value for key, value in self.options if key == number)

    def number(self, option: int) -> int | None:
        found = self.values(option)
        return int.from_bytes(found[0], "big") if found else None

    @property
    def is_request(self) -> bool:
        return 0 < self.code < 0x20

    @property
    def is_response(self) -> bool:
        return self.code >= 0x40

    @property
    def path(self) -> str:
        """The Uri-Path of a request, as "/rd"."""
        return "/" + "/".join(segment.decode() for segment in self.values(URI_PATH))

    @property
    def query(self) -> tuple[str, ...]:
        return tuple(item.decode() for item in self.values(URI_QUERY))

    @property
    def location(self) -> str:
        return "/" + "/".join(segment.decode() for segment in self.values(LOCATION_PATH))

    @property
    def observe(self) -> int | None:
        return self.number(OBSERVE)

    @property
    def content_format(self) -> int | None:
        return self.number(CONTENT_FORMAT)

    @property
    def accept(self) -> int | None:
        return self.number(ACCEPT)

    @property
    def block1(self) -> Block | None:
        return _block(self.number(BLOCK1))

    @property
    def block2(self) -> Block | None:
        return _block(self.number(BLOCK2))

    def __str__(self) -> str:
        if not self.code:
            return f"{self.kind.name} {self.mid}"
        what = Code(self.code).name if self.is_request else Code(self.code).dotted
        where = " ".join((self.path, *self.query)) if self.is_request else ""
        observe = "" if self.observe is None else f"Observe={self.observe}"
        size = f"{len(self.payload)} bytes" if self.payload else ""
        words = (self.kind.name, str(self.mid), what, where, observe, size)
        return " ".join(word for word in words if word)


def _block(value: int | None) -> Block | None:
    return None if value is None else Block(value >> 4, bool(value & 8), 1 << (value & 7) + 4)


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    return (13, bytes((value - 13,))) if value < 269 else (14, (value - 269).to_bytes(2, "big"))


def _options(body: bytes) -> tuple[tuple[tuple[int, bytes], ...], bytes]:
    options: list[tuple[int, bytes]] = []
    number = at = 0
    while at < len(body) and body[at] != 0xFF:
        delta, length, at = _head(body, at)
        number += delta
        if at + length > len(body):
            raise ValueError("an option is longer than its message")
        options.append((number, body[at : at + length]))
        at += length
    return tuple(options), body[at + 1 :]


def _head(body: bytes, at: int) -> tuple[int, int, int]:
    fields: list[int] = []
    first, at = body[at], at + 1
    for nibble in (first >> 4, first & 0x0F):
        if nibble == 15:
            raise ValueError("a reserved option length")
        extra = {13: 1, 14: 2}.get(nibble, 0)
        base = {13: 13, 14: 269}.get(nibble, nibble)
        fields.append(base + int.from_bytes(body[at : at + extra], "big"))
        at += extra
    return fields[0], fields[1], at
