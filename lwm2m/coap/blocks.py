"""Block-wise transfer (RFC 7959): bodies to blocks and back. No IO, `now` is an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

from lwm2m.coap.packet import uint_value

LARGEST_EXPONENT = 6
"""Blocks of 1024 bytes."""
BERT = 7
"""Any number of blocks of 1024 bytes in one message, over reliable transports only. RFC 8323 §6"""

T = TypeVar("T")


class Block(NamedTuple):
    """The value of a Block1 or Block2 option. RFC 7959 §2.2"""

    number: int
    more: bool
    exponent: int

    @classmethod
    def decode(cls, value: bytes) -> Block:
        number = int.from_bytes(value, "big")
        return cls(number >> 4, bool(number & 8), number & 7)

    def encode(self) -> bytes:
        return uint_value(self.number << 4 | self.more << 3 | self.exponent)

    @property
    def size(self) -> int:
        """What the number counts in."""
        return int(2 ** (min(self.exponent, LARGEST_EXPONENT) + 4))

    @property
    def start(self) -> int:
        return self.number * self.size

    def fits(self, payload: bytes) -> bool:
        """Every block but the last is full, and the last is not longer. RFC 7959 §2.3, RFC 8323 §6."""
        if self.exponent == BERT:
            return not self.more or (len(payload) > 0 and len(payload) % self.size == 0)
        return len(payload) == self.size if self.more else len(payload) <= self.size


def block_at(body: bytes, start: int, exponent: int, room: int = 0) -> tuple[Block, bytes]:
    """The block that begins `start` bytes into the body, and its bytes. `start` is a multiple of the block size. With
    BERT it is as many whole blocks as `room` bytes hold, and one at least."""
    size = Block(0, False, exponent).size
    length = max(size, room // size * size) if exponent == BERT else size
    return Block(start // size, start + length < len(body), exponent), body[start : start + length]


def body_tag(body: bytes) -> bytes:
    """An ETag: the same for equal bodies, so a peer notices when the body changes between two blocks."""
    return blake2b(body, digest_size=4).digest()


class Gap(Exception):
    """A block came that does not continue what we have: 4.08."""


class TooLarge(Exception):
    """The body grew beyond the limit: 4.13."""


class NoPlace(Exception):
    """As many bodies as may be are put together already: 5.03."""


class Joining:
    """Puts a body together from its blocks in order. Raises `Gap`, `TooLarge`."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._body = bytearray()

    def __len__(self) -> int:
        return len(self._body)

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    def add(self, block: Block, payload: bytes) -> None:
        if block.start != len(self._body) or not block.fits(payload):
            raise Gap
        if len(self._body) + len(payload) > self._max_body:
            raise TooLarge
        self._body += payload


@dataclass
class Shelf(Generic[T]):
    """Things kept for a while: at most `capacity`, each at most `lifetime` seconds after its last use. The one used
    longest ago goes first."""

    capacity: int
    lifetime: float
    _kept: OrderedDict[Hashable, tuple[float, T]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: Hashable, thing: T, now: float) -> None:
        self._drop_stale(now)
        self._kept[key] = now + self.lifetime, thing
        self._kept.move_to_end(key)
        while len(self._kept) > self.capacity:
            self._kept.popitem(last=False)

    def find(self, key: Hashable, now: float) -> T | None:
        self._drop_stale(now)
        found = self._kept.get(key)
        if found is None:
            return None
        self.keep(key, found[1], now)
        return found[1]

    def is_full(self, now: float) -> bool:
        self._drop_stale(now)
        return len(self._kept) >= self.capacity

    def items(self) -> Iterator[tuple[Hashable, T]]:
        """The one used longest ago first."""
        return ((key, thing) for key, (_, thing) in self._kept.items())

    def drop(self, key: Hashable) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()

    def _drop_stale(self, now: float) -> None:
        while self._kept:
            key, (until, _) = next(iter(self._kept.items()))
            if until > now:
                return
            del self._kept[key]


class _Upload(NamedTuple):
    joining: Joining
    is_verified: bool


class Uploads:
    """Request bodies that arrive in blocks, from all peers: at most `capacity` at a time. One more costs the one that
    was continued longest ago."""

    def __init__(self, max_body: int, lifetime: float, capacity: int) -> None:
        self._max_body = max_body
        self._shelf: Shelf[_Upload] = Shelf(capacity, lifetime)

    def __len__(self) -> int:
        return len(self._shelf)

    def add(
        self, key: Hashable, block: Block, payload: bytes, now: float, *, is_verified: bool = False
    ) -> bytes | None:
        """The whole body once the last block is there, None before. Block 0 starts anew; after `Gap` or `TooLarge`
        the upload is forgotten. `is_verified` says that its sender is where it says."""
        upload = None if block.number == 0 else self._shelf.find(key, now)
        self._shelf.drop(key)
        if upload is None and block.number:
            raise Gap
        joining = Joining(self._max_body) if upload is None else upload.joining
        joining.add(block, payload)
        if not block.more:
            return joining.body
        self._make_room(is_verified, now)
        self._shelf.keep(key, _Upload(joining, is_verified), now)
        return None

    def clear(self) -> None:
        self._shelf.clear()

    def _make_room(self, is_verified: bool, now: float) -> None:
        """For a block that is to be kept. The shelf makes room by itself."""


class Packages(Uploads):
    """Few and large: what runs is not given up for another, which is `NoPlace`. Only where nobody is known to be at the
    other end it gives way to one whose sender is verified."""

    def _make_room(self, is_verified: bool, now: float) -> None:
        if self._shelf.is_full(now):
            unverified = (key for key, running in self._shelf.items() if is_verified and not running.is_verified)
            gone = next(unverified, None)
            if gone is None:
                raise NoPlace
            self._shelf.drop(gone)
