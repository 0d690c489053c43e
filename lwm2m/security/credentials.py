"""Who we are, and what a peer has proved to be: keys and certificates as values. lwm2m.md §9.1, §9.2. No IO."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, Protocol, TypeAlias

LONGEST_PSK = 0xFFFF


class KeyUnavailable(Exception):
    """The private key cannot be used now: its token was taken out, or refuses."""


class SigningKey(Protocol):
    """A private key on the curve P-256 that signs. It may live in a token, and never leaves it."""

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        ...

    def sign(self, data: bytes) -> bytes:
        """ECDSA with SHA-256, the signature in DER. Raises KeyUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """Raises ValueError for a key or an identity that no handshake can carry."""

    identity: bytes
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.identity) > LONGEST_PSK or not 0 < len(self.key) <= LONGEST_PSK:
            raise ValueError("a pre-shared key has from 1 to 65535 bytes, its identity at most 65535")


@dataclass(frozen=True, slots=True)
class RawPublicKey:
    key: SigningKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """Certificates in DER, the leaf first, each signed by the next. Raises ValueError when there is none."""

    certificates: tuple[bytes, ...] = field(repr=False)
    key: SigningKey = field(repr=False)

    def __post_init__(self) -> None:
        if not self.certificates:
            raise ValueError("a certificate chain has at least one certificate")


Credentials: TypeAlias = PreSharedKey | RawPublicKey | CertificateChain


class PeerKey(NamedTuple):
    """A raw public key whose private half the peer holds: SubjectPublicKeyInfo in DER."""

    spki: bytes


class PeerChain(NamedTuple):
    """The certificates that the peer sent, the leaf first; it holds the private half of the leaf's key. Nothing else
    about them is known yet. `ocsp` is the stapled OCSP response, if any."""

    certificates: tuple[bytes, ...]
    ocsp: bytes | None = None


PeerProof: TypeAlias = PeerKey | PeerChain


class CredentialsRefused(Exception):
    """`alert` is what the peer is told (RFC 5246 §7.2), the sentence names what to mend."""

    def __init__(self, alert: int, sentence: str) -> None:
        super().__init__(sentence)
        self.alert = alert
        self.sentence = sentence


def psk_identity(identity: bytes) -> str:
    """The identity of a peer that has shown a pre-shared key, as `Peer.identity` has it."""
    return f"psk:{identity.decode('utf-8', 'backslashreplace')}"


def rpk_identity(spki: bytes) -> str:
    return f"rpk:{sha256(spki).hexdigest()}"


def x509_identity(name: str) -> str:
    """`name` is who the certificate is for."""
    return f"x509:{name}"
