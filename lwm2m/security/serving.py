"""What a server shows its clients of itself, from files. lwm2m.md §9.2"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lwm2m.security.certificates import certificates_in, encoded, public_key
from lwm2m.security.credentials import CertificateChain, RawPublicKey, SigningKey
from lwm2m.security.key_reference import signing_key
from lwm2m.security.paths import TrustStore


@dataclass(frozen=True, slots=True)
class OwnCredentials:
    """A key, and the certificates for it, the leaf first, in DER; () where it is a raw public key only. Raises
    ValueError."""

    key: SigningKey = field(repr=False)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def raw_public_key(self) -> RawPublicKey:
        return RawPublicKey(self.key)

    @property
    def chain(self) -> CertificateChain | None:
        return CertificateChain(self.certificates, self.key) if self.certificates else None


def own_credentials(key: str, certificate: Path | None) -> OwnCredentials:
    """`key` is a file or a pkcs11: URI. Raises ValueError with a sentence."""
    signing = signing_key(key)
    if certificate is None:
        return OwnCredentials(signing)
    try:
        chain = certificates_in(certificate.read_bytes())
        leaf = public_key(chain[0])
    except OSError as error:
        raise ValueError(f"the certificate file {certificate} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{certificate}: {error}") from None
    if leaf != signing.public_key:
        raise ValueError(f"the first certificate in {certificate} is not for the private key {key}")
    return OwnCredentials(signing, tuple(map(encoded, chain)))


def trusted(path: Path | None) -> TrustStore:
    """The authorities in a file, or in all files of a folder. Raises ValueError with a sentence."""
    if path is None:
        return TrustStore()
    try:
        files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    except OSError as error:
        raise ValueError(f"the folder {path} cannot be read: {error.strerror}") from None
    if not files:
        raise ValueError(f"there is no certificate in the folder {path}")
    return TrustStore.read(*map(_authorities_in, files))


def _authorities_in(file: Path) -> bytes:
    """Raises ValueError with a sentence."""
    try:
        data = file.read_bytes()
        TrustStore.read(data)
    except OSError as error:
        raise ValueError(f"the certificates in {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return data
