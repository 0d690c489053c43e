"""What is in a file of keys or certificates, in lines for people. What is secret is left out."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from lwm2m.cli.values import printable
from lwm2m.security.certificates import PEM_BEGIN, certificates_in, fingerprint, public_key
from lwm2m.security.credentials import rpk_identity
from lwm2m.security.keys import FileKey

_PEM = b"-----BEGIN"


def described(data: bytes, now: datetime) -> list[str]:
    """Nothing where it is none."""
    return _certificates(data, now) or _private_key(data) or _public_key(data) or _pre_shared_key(data)


def _certificates(data: bytes, now: datetime) -> list[str]:
    if _PEM in data and PEM_BEGIN not in data:
        return []
    try:
        found = certificates_in(data)
        return [line for certificate in found for line in _certificate(certificate, now)]
    except ValueError:
        return []


def _certificate(certificate: x509.Certificate, now: datetime) -> list[str]:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    state = "not yet valid" if now < begin else "expired" if now > end else "valid"
    authority = " of an authority" if _is_authority(certificate) else ""
    return [
        f"certificate{authority}, {state}",
        f"  subject      {printable(certificate.subject.rfc4514_string())}",
        f"  issuer       {printable(certificate.issuer.rfc4514_string())}",
        *_names(certificate),
        f"  valid        {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
        f"  SHA-256      {fingerprint(certificate)}",
        f"  public key   {rpk_identity(public_key(certificate))}",
    ]


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [f"  for          {printable(' '.join(str(name.value) for name in names))}"]


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _private_key(data: bytes) -> list[str]:
    try:
        key = FileKey.from_pem(data) if _PEM in data else FileKey.from_der(data)
    except ValueError as error:
        return [f"private key that cannot be used: {error}"] if b"PRIVATE KEY-----" in data else []
    return ["private key on P-256", *_public(key.public_key)]


def _public_key(data: bytes) -> list[str]:
    try:
        key = load_pem_public_key(data) if _PEM in data else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return []
    return ["public key", *_public(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))]


def _public(spki: bytes) -> list[str]:
    return [f"  public key   {rpk_identity(spki)}", f"  SPKI         {spki.hex()}"]


def _pre_shared_key(data: bytes) -> list[str]:
    try:
        key = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        return []
    return [f"pre-shared key of {len(key)} bytes, in hexadecimal digits"] if key else []
