"""What a client shows servers with security, from files that a person names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from lwm2m.client.security import SECURED, AccountSecurity, Mode, Own
from lwm2m.coap.streams.tls_psk import HAS_PSK, WITHOUT_PSK
from lwm2m.coap.streams.tls_settings import NO_RAW_KEYS, NO_TOKENS
from lwm2m.coap.streams.tls_settings import SCHEME as TLS
from lwm2m.security.certificate_status import RevocationPolicy
from lwm2m.security.certificates import certificates_in, encoded
from lwm2m.security.credentials import SigningKey
from lwm2m.security.pki import CertificateUsage
from lwm2m.security.serving import OwnCredentials, own_credentials, trusted
from lwm2m.security.token_uri import SCHEME as TOKEN

_PEM = b"-----BEGIN"
_POLICIES = tuple(policy.value for policy in RevocationPolicy)


def as_option(name: str) -> str:
    """How a field is spelt on a command line."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """As a command or a file of settings names them; `spelt` is how the person wrote a field of this name. `key` is a
    file or a pkcs11: URI. Raises ValueError where they do not go together."""

    psk_identity: str | None = None
    psk_key_file: FilePath | None = None
    key: str | None = None
    certificate: FilePath | None = None
    server_certificate: FilePath | None = None
    server_public_key: FilePath | None = None
    trust: FilePath | None = None
    revocation: str | None = None
    crl: tuple[str, ...] = ()
    certificate_usage: int | None = None
    spelt: Callable[[str], str] = field(default=as_option, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.psk_identity is None) != (self.psk_key_file is None):
            raise self._wrong("{psk_identity} and {psk_key_file} go together")
        if self.psk_key_file is not None and self.key is not None:
            raise self._wrong("a client shows either a pre-shared key or {key}, not both")
        if self.key is None and (self.certificate or self.server_certificate or self.server_public_key):
            raise self._wrong("a certificate or a public key goes with {key}, the private key of the client")
        if self.revocation not in (None, *_POLICIES):
            raise ValueError(f"there is no policy {self.revocation!r} for revocation; known: {', '.join(_POLICIES)}")
        if (self.revocation or self.crl) and self.trust is None:
            raise self._wrong("{revocation} and {crl} are about certificates of servers: {trust} their authority")
        self._check_usage()
        if self.key is None:
            return
        if self.certificate is None and self.server_certificate is not None:
            raise self._wrong("{server_certificate} goes with {certificate}; raw public keys with {server_public_key}")
        if self.certificate is not None and self.server_public_key is not None:
            raise self._wrong(
                "with {certificate} the server has one too: {server_certificate}, or {trust} its authority"
            )
        if self.certificate is not None and not (self.server_certificate or self.trust):
            raise self._wrong("who is the server? {server_certificate} names its certificate, {trust} its authority")

    def _check_usage(self) -> None:
        if self.certificate_usage is None:
            return
        if self.server_certificate is None:
            raise self._wrong("{certificate_usage} says what {server_certificate} is for, and goes with it")
        if self.certificate_usage not in tuple(CertificateUsage):
            raise self._wrong(f"{{certificate_usage}} is a number from 0 to {max(CertificateUsage):d}")

    def require_fitting(self, uris: Sequence[str]) -> None:
        """That servers with security get keys, and that keys have a server. Raises ValueError."""
        secured = [uri for uri in uris if uri.partition(":")[0] in SECURED]
        if secured and not self.has_keys:
            raise self._wrong(
                "{uri} needs keys: {psk_identity} with {psk_key_file}, {key} with {server_public_key}, or "
                "{key} with {certificate}",
                uri=secured[0],
            )
        if secured and self.key is not None and not (self.certificate or self.server_public_key):
            raise self._wrong("{key} goes with {server_public_key} for raw public keys, or with {certificate}")
        if self.has_keys and uris and not secured:
            raise ValueError(f"{uris[0]} has no security and would not use the keys; a URI with security has coaps")
        if any(uri.partition(":")[0] == TLS for uri in secured):
            self._check_tls()

    def _check_tls(self) -> None:
        """What TLS cannot do, wherever the server is."""
        if self.psk_key_file is not None and not HAS_PSK:
            raise ValueError(WITHOUT_PSK)
        if self.server_public_key is not None:
            raise ValueError(NO_RAW_KEYS)
        if self.key is not None and self.key.startswith(TOKEN):
            raise ValueError(NO_TOKENS)

    @property
    def has_keys(self) -> bool:
        return self.psk_key_file is not None or self.key is not None

    def read(self, private: Callable[[FilePath], None]) -> tuple[AccountSecurity | None, Own]:
        """What is shown to servers with security, and what the client has beside that, `trust` included. `private` is
        told of each file that holds keys. Raises ValueError with a sentence."""
        security, key = self.shown(private)
        return security, Own(key, trusted(self.trust))

    def shown(self, private: Callable[[FilePath], None]) -> tuple[AccountSecurity | None, SigningKey | None]:
        """As `read`, without authorities: the private key is that of the public key or certificate that is shown."""
        if self.psk_key_file is not None and self.psk_identity is not None:
            secret = _pre_shared_key(self.psk_key_file)
            private(self.psk_key_file)
            return AccountSecurity(Mode.PSK, self.psk_identity.encode(), secret_key=secret), None
        if self.key is None:
            return None, None
        ours = own_credentials(self.key, self.certificate)
        if not self.key.startswith(TOKEN):
            private(FilePath(self.key))
        return self._shown(ours), ours.key

    def _shown(self, ours: OwnCredentials) -> AccountSecurity | None:
        """None where the key is for accounts of a factory configuration."""
        if self.server_public_key is not None:
            return AccountSecurity(Mode.RPK, ours.key.public_key, _public_key(self.server_public_key))
        if self.certificate is None:
            return None
        server = b"" if self.server_certificate is None else _certificate(self.server_certificate)
        return AccountSecurity(Mode.CERTIFICATE, b"".join(ours.certificates), server, usage=self.certificate_usage)

    def _wrong(self, sentence: str, **values: str) -> ValueError:
        """Names of fields stand in braces."""
        names = {name: self.spelt(name) for name in self.__slots__}
        return ValueError(sentence.format_map(names | values))


def _pre_shared_key(path: FilePath) -> bytes:
    text = _bytes(path).decode("ascii", "replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{path} does not hold a key as hexadecimal digits") from None
    if not key:
        raise ValueError(f"{path} is empty; a key is hexadecimal digits")
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
