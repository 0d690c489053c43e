"""Certificates in files, as people keep them: whom we trust, and what we show."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from lwm2m.security.certificates import certificates_in, encoded, public_key, refusing_unreadable
from lwm2m.security.credentials import CertificateChain, CredentialsRefused, SigningKey
from lwm2m.security.paths import TrustStore

SUFFIXES = frozenset({".pem", ".crt", ".cer", ".der"})


def trusted(places: Iterable[str]) -> TrustStore:
    """All certificates in these files, PEM or DER, and in the files of these folders that are called like certificates.
    Raises ValueError with a sentence."""
    found = [certificate for place in places for path in _files(Path(place)) for certificate in _certificates(path)]
    return TrustStore(tuple(dict.fromkeys(found)))


def shown_chain(path: str, key: SigningKey) -> CertificateChain:
    """The certificates in a file, the leaf first, with its private key. Raises ValueError with a sentence."""
    certificates = _certificates(Path(path))
    try:
        with refusing_unreadable():
            spki = public_key(certificates[0])
    except CredentialsRefused:
        raise ValueError(f"{path}: the key in the certificate cannot be read") from None
    if spki != key.public_key:
        raise ValueError(
            f"{path}: the first certificate is not the one of the private key: name the two that belong together"
        )
    return CertificateChain(tuple(map(encoded, certificates)), key)


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"there is no certificate in the folder {place}: files end in {', '.join(sorted(SUFFIXES))}")
    return found


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return certificates_in(path.read_bytes())
    except OSError as error:
        raise ValueError(f"the certificate file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
