"""What `lwm2m client` shows servers with security, from the files that its options name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from lwm2m.cli.failure import Failed
from lwm2m.cli.secured import warn_if_open
from lwm2m.cli.settings import POLICIES
from lwm2m.client.security import SECURED, AccountSecurity, Mode, Own
from lwm2m.security.certificates import certificates_in, encoded
from lwm2m.security.serving import OwnCredentials, own_credentials, trusted
from lwm2m.security.token_uri import SCHEME as TOKEN

_PEM = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """As the options name them. Raises ValueError where they do not go together."""

    psk_identity: str | None = None
    psk_key: FilePath | None = None
    key: str | None = None
    certificate: FilePath | None = None
    server_certificate: FilePath | None = None
    server_public_key: FilePath | None = None
    trust: FilePath | None = None
    revocation: str | None = None
    crl: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.psk_identity is None) != (self.psk_key is None):
            raise ValueError("--psk-identity and --psk-key-file go together")
        if self.psk_key is not None and self.key is not None:
            raise ValueError("a client shows either a pre-shared key or --key, not both")
        if self.key is None and (self.certificate or self.server_certificate or self.server_public_key):
            raise ValueError("a certificate or a public key goes with --key, the private key of the client")
        if self.revocation not in (None, *POLICIES):
            raise ValueError(f"there is no policy {self.revocation!r} for revocation; known: {', '.join(POLICIES)}")
        if (self.revocation or self.crl) and self.trust is None:
            raise ValueError("--revocation and --crl are about certificates of servers: --trust their authority")
        if self.key is None:
            return
        if self.certificate is None and self.server_certificate is not None:
            raise ValueError("--server-certificate goes with --certificate; raw public keys with --server-public-key")
        if self.certificate is not None and self.server_public_key is not None:
            raise ValueError(
                "with --certificate the server has one too: --server-certificate, or --trust its authority"
            )
        if self.certificate is not None and not (self.server_certificate or self.trust):
            raise ValueError("who is the server? --server-certificate names its certificate, --trust its authority")

    def require_fitting(self, uris: Sequence[str]) -> None:
        """That servers with security get keys, and that keys have a server. Raises ValueError."""
        secured = [uri for uri in uris if uri.partition(":")[0] in SECURED]
        if secured and not self.has_keys:
            raise ValueError(
                f"{secured[0]} needs keys: --psk-identity with --psk-key-file, --key with --server-public-key, or "
                "--key with --certificate"
            )
        if secured and self.key is not None and not (self.certificate or self.server_public_key):
            raise ValueError("--key goes with --server-public-key for raw public keys, or with --certificate")
        if self.has_keys and uris and not secured:
            raise ValueError(f"{uris[0]} has no security and would not use the keys; a URI with security has coaps")

    @property
    def has_keys(self) -> bool:
        return self.psk_key is not None or self.key is not None

    def read(self) -> tuple[AccountSecurity | None, Own]:
        """What is shown to servers at coaps, and what the client has beside that. Raises Failed."""
        try:
            trust = trusted(self.trust)
            if self.psk_key is not None and self.psk_identity is not None:
                key = _pre_shared_key(self.psk_key)
                return AccountSecurity(Mode.PSK, self.psk_identity.encode(), secret_key=key), Own(trust=trust)
            if self.key is None:
                return None, Own(trust=trust)
            ours = own_credentials(self.key, self.certificate)
            if not self.key.startswith(TOKEN):
                warn_if_open(FilePath(self.key))
            return self._shown(ours), Own(ours.key, trust)
        except ValueError as error:
            raise Failed(f"{error}.") from None

    def _shown(self, ours: OwnCredentials) -> AccountSecurity | None:
        """None where the key is for accounts of a factory configuration."""
        if self.server_public_key is not None:
            return AccountSecurity(Mode.RPK, ours.key.public_key, _public_key(self.server_public_key))
        if self.certificate is None:
            return None
        server = b"" if self.server_certificate is None else _certificate(self.server_certificate)
        return AccountSecurity(Mode.CERTIFICATE, b"".join(ours.certificates), server)


def _pre_shared_key(path: FilePath) -> bytes:
    text = _bytes(path).decode("ascii", "replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{path} does not hold a key as hexadecimal digits") from None
    if not key:
        raise ValueError(f"{path} is empty; a key is hexadecimal digits")
    warn_if_open(path)
    return key


def _certificate(path: FilePath) -> bytes:
    """The first of a file."""
    data = _bytes(path)
    try:
        return encoded(certificates_in(data)[0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _public_key(path: FilePath) -> bytes:
    data = _bytes(path)
    try:
        key = load_pem_public_key(data) if _PEM in data else load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds no public key that can be read, neither PEM nor DER") from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _bytes(path: FilePath) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
