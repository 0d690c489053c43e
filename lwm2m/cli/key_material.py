"""Keys and certificates from files, as object 0 holds them. lwm2m.md §9.1."""

from __future__ import annotations

from pathlib import Path as FilePath

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from lwm2m.security.certificates import PEM_BEGIN, certificates_in, encoded

_PEM, _PRIVATE = b"-----BEGIN", b"PRIVATE KEY-----"


def key_material(path: FilePath) -> bytes:
    """What is in PEM, in DER: PKCS#8, SubjectPublicKeyInfo, or certificates one after another. Text of hexadecimal
    digits, as of a pre-shared key, as the bytes that it means; anything else as it is. Raises ValueError with a
    sentence that quotes nothing."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if not data.strip():
        raise ValueError(f"{path} is empty")
    if _PEM in data:
        return _from_pem(data, path)
    try:
        return bytes.fromhex(data.decode("ascii"))
    except ValueError:
        return data


def _from_pem(data: bytes, path: FilePath) -> bytes:
    try:
        if PEM_BEGIN in data:
            return b"".join(map(encoded, certificates_in(data)))
        if _PRIVATE in data:
            key = load_pem_private_key(data, None)
            return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return load_pem_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds no key and no certificate that can be read") from None
