"""The record layer: datagrams to records and back, protection, sequence numbers, replay. RFC 6347 §4.1, RFC 9146."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.suites import CID_RECORD, VERSION, Protection

HEADER = 13
LARGEST_PLAINTEXT = 1 << 14
LARGEST_FRAGMENT = LARGEST_PLAINTEXT + 2048
LARGEST_SEQUENCE = (1 << 48) - 1
WINDOW = 64
FULL_WINDOW = (1 << WINDOW) - 1
FIRST_VERSION = b"\xfe\xff"
"""A first ClientHello and a HelloVerifyRequest come as 1.0, in the clear."""
CLEAR_EPOCH = b"\0\0"
PROTECTED_EPOCH = b"\0\1"
"""There is one only: an association does not renegotiate."""


class Kind(IntEnum):
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class Record(NamedTuple):
    """As it is on the wire. `number` is epoch and sequence number in eight bytes; `cid` is None without one."""

    kind: int
    number: bytes
    cid: bytes | None
    fragment: bytes

    @property
    def epoch(self) -> int:
        return int.from_bytes(self.number[:2], "big")

    @property
    def sequence(self) -> int:
        return int.from_bytes(self.number[2:], "big")


def records(datagram: bytes, cid_length: int) -> Iterator[Record]:
    """What is in a datagram, up to the first thing that is no record; `cid_length` is that of the ids we gave out."""
    at, end = 0, len(datagram)
    while end - at >= HEADER:
        kind = datagram[at]
        cid_end = at + 11 + (cid_length if kind == CID_RECORD else 0)
        begin = cid_end + 2
        length = int.from_bytes(datagram[cid_end:begin], "big")
        if length > LARGEST_FRAGMENT or begin + length > end:
            return
        version = datagram[at + 1 : at + 3]
        if version != VERSION and (version != FIRST_VERSION or datagram[at + 3 : at + 5] != CLEAR_EPOCH):
            return
        cid = datagram[at + 11 : cid_end] if kind == CID_RECORD else None
        yield Record(kind, datagram[at + 3 : at + 11], cid, datagram[begin : begin + length])
        at = begin + length


class ReplayWindow:
    """Which sequence numbers of an epoch came already; those too old to tell count as come. RFC 6347 §4.1.2.6"""

    __slots__ = ("_newest", "_seen")

    def __init__(self) -> None:
        self._newest = -1
        self._seen = 0

    def is_new(self, sequence: int) -> bool:
        age = self._newest - sequence
        return age < 0 or (age < WINDOW and not self._seen >> age & 1)

    def is_newest(self, sequence: int) -> bool:
        return sequence > self._newest

    def add(self, sequence: int) -> None:
        """Of a record that was authentic."""
        age = self._newest - sequence
        if age < 0:
            self._seen = 1 if -age >= WINDOW else (self._seen << -age | 1) & FULL_WINDOW
            self._newest = sequence
        else:
            self._seen |= 1 << age


class Writer:
    """Numbers and protects what goes out in one epoch; without `protection` it is epoch 0. `cid` is what the peer
    wants to see in our records, empty for none."""

    __slots__ = ("_cid", "_epoch", "_next", "_protection")

    def __init__(self, epoch: int, protection: Protection | None = None, cid: bytes = b"", first: int = 0) -> None:
        self._epoch = epoch << 48
        self._protection = protection
        self._cid = cid
        self._next = first

    @property
    def sequence(self) -> int:
        """The number of the next record."""
        return self._next

    def write(self, kind: int, plaintext: bytes) -> bytes:
        """Raises Fatal when all sequence numbers are used up."""
        if self._next > LARGEST_SEQUENCE:
            raise Fatal(Alert.INTERNAL_ERROR, "all sequence numbers of the association are used up")
        number = (self._epoch | self._next).to_bytes(8, "big")
        self._next += 1
        if self._protection is None:
            fragment = plaintext
        elif self._cid:
            fragment = self._protection.seal(number, kind, plaintext + bytes((kind,)), self._cid)
            return b"\x19" + VERSION + number + self._cid + len(fragment).to_bytes(2, "big") + fragment
        else:
            fragment = self._protection.seal(number, kind, plaintext, None)
        return bytes((kind,)) + VERSION + number + len(fragment).to_bytes(2, "big") + fragment


DATA_HEAD = bytes((Kind.APPLICATION_DATA,)) + VERSION + PROTECTED_EPOCH
CID_HEAD = bytes((CID_RECORD,)) + VERSION + PROTECTED_EPOCH
NO_KIND = 0
"""Of an authentic record that holds nothing which could be used: it is left."""


class Content(NamedTuple):
    kind: int
    plaintext: bytes


class Reader:
    """Reads the protected records of one epoch. `cid` is what we wanted to see in them, empty for none; `largest` is
    how much a record may hold."""

    __slots__ = ("_cid", "_largest", "_protection", "_window", "was_newest")

    def __init__(self, protection: Protection, cid: bytes = b"", largest: int | None = None) -> None:
        self._protection = protection
        self._cid = cid or None
        self._largest = LARGEST_PLAINTEXT if largest is None else largest
        self.was_newest = False
        self._window = ReplayWindow()

    def data(self, datagram: bytes) -> bytes | None:
        """Of a datagram that is one record of application data, as most are: the short way. None of all others, and of
        what cannot be read."""
        cid = self._cid
        if cid is None:
            begin = HEADER
            is_data = datagram[:5] == DATA_HEAD
        else:
            begin = HEADER + len(cid)
            is_data = datagram[:5] == CID_HEAD and datagram[11 : begin - 2] == cid
        if not is_data or begin + int.from_bytes(datagram[begin - 2 : begin], "big") != len(datagram):
            return None
        number, window = datagram[3:11], self._window
        sequence = int.from_bytes(number[2:], "big")
        if not window.is_new(sequence):
            return None
        plaintext = self._protection.open(number, datagram[0], datagram[begin:], cid)
        if plaintext is None:
            return None
        if cid is not None:
            plaintext = plaintext.rstrip(b"\0")
            if not plaintext or plaintext[-1] != Kind.APPLICATION_DATA:
                return None
            plaintext = plaintext[:-1]
        if len(plaintext) > self._largest:
            return None
        self.was_newest = window.is_newest(sequence)
        window.add(sequence)
        return plaintext

    def accepts(self, record: Record) -> bool:
        """Whether it is worth to be read: it has not come before, and is protected as agreed."""
        return record.cid == self._cid and self._window.is_new(record.sequence)

    def is_newest(self, record: Record) -> bool:
        return self._window.is_newest(record.sequence)

    def read(self, record: Record) -> Content | None:
        """Of a record that is accepted. None for what was forged or damaged, whatever is wrong with it."""
        plaintext = self._protection.open(record.number, record.kind, record.fragment, record.cid)
        if plaintext is None:
            return None
        self._window.add(record.sequence)
        kind = record.kind
        if self._cid is not None:
            inner = plaintext.rstrip(b"\0")
            kind, plaintext = (inner[-1], inner[:-1]) if inner else (NO_KIND, b"")
        return Content(kind, plaintext) if len(plaintext) <= self._largest else Content(NO_KIND, b"")
