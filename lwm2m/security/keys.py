"""Private keys from PEM or DER: the kind that lives in a file. lwm2m.md §9.8."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SIGNATURE = ec.ECDSA(hashes.SHA256())
_UNREADABLE = "there is no private key that can be read, neither PEM nor DER"


class FileKey:
    """A `SigningKey` in memory."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Raises ValueError for another curve than P-256."""
        if not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"the key is on the curve {key.curve.name}, not on P-256")
        self._key = key
        self._public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def __repr__(self) -> str:
        return "FileKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileKey) and self._public == other._public

    def __hash__(self) -> int:
        return hash(self._public)

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, _SIGNATURE)

    @classmethod
    def from_der(cls, data: bytes) -> FileKey:
        """PKCS#8 or SEC 1, as in /0/x/5. Raises ValueError."""
        try:
            key = serialization.load_der_private_key(data, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(_UNREADABLE) from None
        return cls._of(key)

    @classmethod
    def from_pem(cls, data: bytes) -> FileKey:
        """Raises ValueError."""
        try:
            key = serialization.load_pem_private_key(data, None)
        except TypeError:
            raise ValueError("the private key is encrypted; decrypt it first") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(_UNREADABLE) from None
        return cls._of(key)

    @classmethod
    def generate(cls) -> FileKey:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def _of(cls, key: object) -> FileKey:
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the private key is not one of an elliptic curve")
        return cls(key)

    def pem(self) -> bytes:
        """PKCS#8, not encrypted: for a file that only its owner reads."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
