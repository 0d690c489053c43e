"""Our own private key, by the name of a file or the URI of a token."""

from __future__ import annotations

from pathlib import Path

from lwm2m.security.credentials import KeyUnavailable, SigningKey
from lwm2m.security.keys import FileKey
from lwm2m.security.token_uri import SCHEME, TokenUri

PEM_MARK = b"-----BEGIN"


def signing_key(reference: str) -> SigningKey:
    """A PEM or DER file, or `pkcs11:` with what RFC 7512 says. Raises ValueError with a sentence."""
    if reference.startswith(SCHEME):
        return _in_token(reference)
    try:
        data = Path(reference).read_bytes()
    except OSError as error:
        raise ValueError(f"the private key file {reference} cannot be read: {error.strerror}") from None
    try:
        return FileKey.from_pem(data) if PEM_MARK in data else FileKey.from_der(data)
    except ValueError as error:
        raise ValueError(f"{reference}: {error}") from None


def _in_token(reference: str) -> SigningKey:
    uri = TokenUri.parse(reference)
    try:
        from lwm2m.security.tokens import TokenKey
    except ImportError:
        raise ValueError("keys in tokens need python-pkcs11: install lwm2m-toolkit[pkcs11]") from None
    try:
        return TokenKey(uri)
    except KeyUnavailable as error:
        raise ValueError(str(error)) from None
