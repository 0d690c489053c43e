"""What a server knows of a client: how it shows that it is the one with this endpoint name. lwm2m.md §9.2, §10.1.
No IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from lwm2m.security.credentials import PreSharedKey, psk_identity, rpk_identity, x509_identity

DEFAULT_AEAD = 10
"""AES-CCM-16-64-128."""
DEFAULT_HKDF = -10
"""HKDF SHA-256."""
NONCE_LENGTHS: Mapping[int, int] = MappingProxyType(
    {1: 12, 2: 12, 3: 12, 10: 13, 11: 13, 12: 7, 13: 7, 24: 12, 30: 13, 31: 13, 32: 7, 33: 7}
)
"""Of the AEAD algorithms, by their COSE numbers."""
HKDF_ALGORITHMS = frozenset((5, 7, -10, -11))
"""COSE numbers: as HKDF (-10, -11), and as the HMAC that it is made of (5, 7)."""
_NONCE_OVERHEAD = 6
_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A raw public key: SubjectPublicKeyInfo in DER. Raises ValueError for another curve than P-256."""

    spki: bytes

    def __post_init__(self) -> None:
        try:
            key = load_der_public_key(self.spki)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("the public key is not a SubjectPublicKeyInfo in DER") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the public key is not one on the curve P-256")
        if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != self.spki:
            raise ValueError("the public key is not written as peers send it: an uncompressed point in DER")


@dataclass(frozen=True, slots=True)
class CertificateName:
    """A certificate of a trusted authority with this name; None: with the endpoint name."""

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            _check_name(self.name, "the name of a certificate")


@dataclass(frozen=True, slots=True)
class OscoreSecurity:
    """An OSCORE security context as the server has it: `sender_id` is its own, `recipient_id` the client's. RFC 8613
    §3. Raises ValueError."""

    master_secret: bytes = field(repr=False)
    sender_id: bytes
    recipient_id: bytes
    master_salt: bytes = field(default=b"", repr=False)
    id_context: bytes | None = None
    aead: int = DEFAULT_AEAD
    hkdf: int = DEFAULT_HKDF

    def __post_init__(self) -> None:
        if not self.master_secret:
            raise ValueError("an OSCORE context has a master secret")
        if self.aead not in NONCE_LENGTHS:
            raise ValueError(f"there is no AEAD algorithm {self.aead}; choose from: {_numbers(NONCE_LENGTHS)}")
        if self.hkdf not in HKDF_ALGORITHMS:
            raise ValueError(f"there is no HKDF algorithm {self.hkdf}; choose from: {_numbers(HKDF_ALGORITHMS)}")
        longest = NONCE_LENGTHS[self.aead] - _NONCE_OVERHEAD
        if max(len(self.sender_id), len(self.recipient_id)) > longest:
            raise ValueError(f"sender id and recipient id have at most {longest} bytes with AEAD algorithm {self.aead}")
        if self.sender_id == self.recipient_id:
            raise ValueError("sender id and recipient id are different ones")


ClientCredentials: TypeAlias = PreSharedKey | PublicKey | CertificateName
"""What a client shows in a DTLS or TLS handshake."""


@dataclass(frozen=True, slots=True)
class SecurityInfo:
    """The credentials of one endpoint: for DTLS or TLS, for OSCORE, or for both, one inside the other; OSCORE is then
    who the client is. Raises ValueError."""

    endpoint: str
    tls: ClientCredentials | None = None
    oscore: OscoreSecurity | None = None

    def __post_init__(self) -> None:
        _check_name(self.endpoint, "an endpoint name")
        if self.tls is None and self.oscore is None:
            raise ValueError(f"{self.endpoint!r} has no credentials: give it a key, a certificate or an OSCORE context")
        if isinstance(self.tls, PreSharedKey):
            _check_psk_identity(self.tls.identity)

    @property
    def identity(self) -> str:
        """That of a peer that may speak as this endpoint, see `Peer.identity`."""
        if self.oscore is not None:
            return oscore_identity(self.oscore.recipient_id, self.oscore.id_context)
        assert self.tls is not None
        return _identity(self.tls, self.endpoint)

    @property
    def identities(self) -> tuple[str, ...]:
        """What a client with these credentials shows in all, the outer one first."""
        return tuple(dict.fromkeys(self._all()))

    def _all(self) -> Iterator[str]:
        if self.tls is not None:
            yield _identity(self.tls, self.endpoint)
        if self.oscore is not None:
            yield self.identity


def oscore_identity(recipient_id: bytes, id_context: bytes | None = None) -> str:
    """Both in hexadecimal: "oscore:0a" or, with an id context, "oscore:0a/37cbf3"."""
    return f"oscore:{recipient_id.hex()}" + ("" if id_context is None else f"/{id_context.hex()}")


def oscore_ids(identity: str) -> tuple[bytes, bytes | None] | None:
    """Recipient id and id context of such an identity; None for another."""
    kind, _, ids = identity.partition(":")
    if kind != "oscore":
        return None
    recipient_id, has_context, id_context = ids.partition("/")
    return bytes.fromhex(recipient_id), bytes.fromhex(id_context) if has_context else None


def _identity(credentials: ClientCredentials, endpoint: str) -> str:
    match credentials:
        case PreSharedKey(identity=identity):
            return psk_identity(identity)
        case PublicKey(spki=spki):
            return rpk_identity(spki)
        case CertificateName(name=name):
            return x509_identity(endpoint if name is None else name)


def _check_name(name: str, what: str) -> None:
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"{what} has 1 to {_LONGEST_NAME} characters that can be printed")


def _check_psk_identity(identity: bytes) -> None:
    try:
        identity.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the identity of a pre-shared key is text in UTF-8 (RFC 4279 §5.1)") from None


def _numbers(numbers: Mapping[int, int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
