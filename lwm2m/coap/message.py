"""CoAP as values: codes, requests, responses, peers. No IO.

Requests and responses are made for every datagram: a NamedTuple takes a third of the time of a frozen dataclass."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class Code(IntEnum):
    """Method and response codes of RFC 7252, 7959, 8132 as the byte on the wire."""

    GET = 0x01
    POST = 0x02
    PUT = 0x03
    DELETE = 0x04
    FETCH = 0x05
    PATCH = 0x06
    IPATCH = 0x07

    CREATED = 0x41
    DELETED = 0x42
    VALID = 0x43
    CHANGED = 0x44
    CONTENT = 0x45
    CONTINUE = 0x5F
    BAD_REQUEST = 0x80
    UNAUTHORIZED = 0x81
    BAD_OPTION = 0x82
    FORBIDDEN = 0x83
    NOT_FOUND = 0x84
    METHOD_NOT_ALLOWED = 0x85
    NOT_ACCEPTABLE = 0x86
    REQUEST_ENTITY_INCOMPLETE = 0x88
    CONFLICT = 0x89
    PRECONDITION_FAILED = 0x8C
    REQUEST_ENTITY_TOO_LARGE = 0x8D
    UNSUPPORTED_CONTENT_FORMAT = 0x8F
    INTERNAL_SERVER_ERROR = 0xA0
    NOT_IMPLEMENTED = 0xA1
    SERVICE_UNAVAILABLE = 0xA3
    GATEWAY_TIMEOUT = 0xA4

    @classmethod
    def _missing_(cls, value: object) -> Code | None:
        """A code from elsewhere stays what it is: peers may use any of the 256, and what they say is data."""
        if not isinstance(value, int) or not 0 <= value <= 0xFF:
            return None
        code = int.__new__(cls, value)
        code._name_ = f"CODE_{value >> 5}_{value & 0x1F:02d}"
        code._value_ = value
        return cls._value2member_map_.setdefault(value, code)  # type: ignore[return-value]  # a map of all enums

    @property
    def is_success(self) -> bool:
        return self >> 5 == 2

    @property
    def dotted(self) -> str:
        """As people write it: "2.05"."""
        return f"{self >> 5}.{self & 0x1F:02d}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end. Addresses are (host, port), the host a bare IPv4 or IPv6 literal, or a transport's own
    text. `association` is set where a connection or a security session carries the exchange: then it alone makes two
    peers equal; `identity` is what the security layer proved, None without security. Where each message is protected
    by itself (OSCORE), `below` is who sends and receives them."""

    local: tuple[str, int]
    address: tuple[str, int]
    association: Hashable = None
    identity: str | None = None
    below: Peer | None = None
    _hash: int = field(init=False, repr=False)
    """Peers are looked up for every datagram."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self._key()))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Peer) and self._key() == other._key())

    def __hash__(self) -> int:
        return self._hash

    def _key(self) -> Hashable:
        return self.association if self.association is not None else (self.local, self.address)

    def __str__(self) -> str:
        host, port = self.address
        if not port:
            return host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Ended:
    """An association that ended with the process that had it: nobody speaks as this peer again."""


class Request(NamedTuple):
    """One request with its whole body. `path` and `query` are the decoded option values, one item an option.
    `observe` is 0 to start, 1 to stop, None otherwise. `token` is filled in by the stack on received requests."""

    method: Code
    path: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    payload: bytes = b""
    content_format: int | None = None
    accept: int | None = None
    observe: int | None = None
    confirmable: bool = True
    token: bytes = b""


class Response(NamedTuple):
    """One response with its whole body. `observing` on an answer to `observe=0` accepts the observation;
    on a received one it says that the peer accepted."""

    code: Code
    payload: bytes = b""
    content_format: int | None = None
    location: tuple[str, ...] = ()
    max_age: int | None = None
    observing: bool = False

    @property
    def diagnostic(self) -> str:
        """The human-readable text of a refusal, "" when there is none. RFC 7252 §5.5.2."""
        if self.code.is_success or self.content_format not in (None, 0):
            return ""
        return self.payload.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A peer's observation of us: what `Endpoint.notify` sends to."""

    peer: Peer
    token: bytes
