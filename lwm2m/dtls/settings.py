"""What an end of an association may do, and what it remembers of an earlier one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from lwm2m.dtls.suites import SUITES, KeyExchange
from lwm2m.security.credentials import CertificateChain, Credentials, PeerProof, PreSharedKey, RawPublicKey

DEFAULT_SUITES = tuple(SUITES)
LONGEST_CID = 32
LONGEST_NAME = 256
FRAGMENT_LENGTHS = {512: 1, 1024: 2, 2048: 3, 4096: 4}
"""The codes of RFC 6066 §4."""

FindKey: TypeAlias = Callable[[bytes], bytes | None]
"""The key of a PSK identity, None when there is none."""
Verify: TypeAlias = Callable[[PeerProof], str | None]
"""The identity of a peer that has shown this, as `Peer.identity` will have it. Raises CredentialsRefused."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a later handshake needs to be short. `key` finds it: the session id."""

    key: bytes
    master_secret: bytes = field(repr=False)
    suite: int
    identity: str | None
    encrypt_then_mac: bool
    server_name: str | None
    fragment_length: int | None = None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`connection_id` is what the server is to put into its records, empty for none, None to do without; `session`
    is tried to be resumed. `fragment_length` asks for small records. Raises ValueError."""

    credentials: Credentials = field(repr=False)
    verify: Verify | None = None
    server_name: str | None = None
    suites: tuple[int, ...] = DEFAULT_SUITES
    connection_id: bytes | None = b""
    fragment_length: int | None = None
    session: Session | None = None
    wants_ocsp: bool = False

    def __post_init__(self) -> None:
        _check_suites(self.offered)
        if not isinstance(self.credentials, PreSharedKey) and self.verify is None:
            raise ValueError("a server's key or certificate has to be verified by somebody")
        if self.fragment_length not in (None, *FRAGMENT_LENGTHS):
            raise ValueError("a fragment length is 512, 1024, 2048 or 4096 bytes")
        if self.connection_id is not None and len(self.connection_id) > LONGEST_CID:
            raise ValueError(f"a connection id has at most {LONGEST_CID} bytes")
        if self.server_name is not None:
            _check_name(self.server_name)

    @property
    def resumed(self) -> Session | None:
        """The session where it fits: of another name or suite it cannot be used. RFC 6066 §3"""
        session = self.session
        if session is None or session.suite not in self.offered:
            return None
        return session if session.server_name == self.server_name else None

    def resumes(self, other: ClientSettings) -> bool:
        """Whether a session that was made with these settings is as good as one made with the others."""
        return replace(self, session=None) == replace(other, session=None)

    @property
    def offered(self) -> tuple[int, ...]:
        """The suites that the credentials can do."""
        exchange = KeyExchange.PSK if isinstance(self.credentials, PreSharedKey) else KeyExchange.ECDHE_ECDSA
        return tuple(number for number in self.suites if number in SUITES and SUITES[number].key_exchange is exchange)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Either kind of credentials may be missing: `find_key` serves PSK, `raw_public_key` and `chain` the rest, with
    `verify` for what clients show. Connection ids have `cid_length` bytes, 0 for none. `ocsp` is stapled to the
    chain. `extended_master_secret` may be waived for old peers. Raises ValueError."""

    find_key: FindKey | None = field(default=None, repr=False)
    raw_public_key: RawPublicKey | None = field(default=None, repr=False)
    chain: CertificateChain | None = field(default=None, repr=False)
    verify: Verify | None = None
    suites: tuple[int, ...] = DEFAULT_SUITES
    cid_length: int = 0
    extended_master_secret: bool = True
    ocsp: Callable[[], bytes | None] | None = None

    def __post_init__(self) -> None:
        _check_suites(self.usable)
        if (self.raw_public_key or self.chain) and self.verify is None:
            raise ValueError("a client's key or certificate has to be verified by somebody")
        if not 0 <= self.cid_length <= LONGEST_CID:
            raise ValueError(f"a connection id has at most {LONGEST_CID} bytes")

    @property
    def usable(self) -> tuple[int, ...]:
        """The suites that there are credentials for, the preferred first."""
        possible = {KeyExchange.PSK: self.find_key, KeyExchange.ECDHE_ECDSA: self.raw_public_key or self.chain}
        known = (number for number in self.suites if number in SUITES)
        return tuple(number for number in known if possible[SUITES[number].key_exchange] is not None)


def _check_name(name: str) -> None:
    try:
        fits = 0 < len(name.encode("idna")) < LONGEST_NAME
    except UnicodeError:
        fits = False
    if not fits:
        raise ValueError(f"{name!r} is not the name of a host")


def _check_suites(numbers: tuple[int, ...]) -> None:
    if not numbers:
        raise ValueError("none of the cipher suites fits the credentials")


@dataclass
class Sessions:
    """Sessions that clients may resume, at most `capacity`, each for `lifetime` seconds. `now` is an argument."""

    capacity: int = 10_000
    lifetime: float = 86_400.0
    _kept: OrderedDict[bytes, tuple[float, Session]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, session: Session, now: float) -> None:
        """One that was resumed lives no longer for it. RFC 5246 §F.1.4"""
        if self.capacity < 1:
            return
        self._kept.setdefault(session.key, (now + self.lifetime, session))
        if len(self._kept) > self.capacity:
            self._kept.popitem(last=False)

    def find(self, key: bytes, now: float) -> Session | None:
        until, session = self._kept.get(key, (now, None))
        if until > now:
            return session
        self._kept.pop(key, None)
        return None

    def drop(self, key: bytes) -> None:
        """It ended with a fatal alert. RFC 5246 §7.2"""
        self._kept.pop(key, None)

    def forget(self, identity: str) -> None:
        """Nobody resumes as this identity any more."""
        for key in [key for key, (_, session) in self._kept.items() if session.identity == identity]:
            del self._kept[key]
