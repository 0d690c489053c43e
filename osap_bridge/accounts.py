"""The accounts of the gateway's clients, from its settings: by endpoint, what a client shows its servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath

from lwm2m.client import AccountSecurity
from lwm2m.security import (
    ClientCredentials,
    OscoreSecurity,
    PreSharedKey,
    PublicKey,
    Revoking,
    SecurityInfo,
    SequenceNumbers,
    SettingsError,
    SigningKey,
    SqliteNumbers,
    open_to_others,
    read_credentials,
    trusted,
)
from osap_bridge.account import Account, NoCredentials, shown
from osap_bridge.config import Config
from osap_bridge.security_settings import SecuritySettings, is_secured

log = logging.getLogger(__name__)


class Accounts:
    """`servers` are URIs. Whoever stands in the file of credentials has these and nothing else; the others have the key
    files. Raises NoCredentials for what cannot be read."""

    def __init__(
        self,
        servers: Sequence[str],
        bootstrap: str | None,
        hold_off: int,
        settings: SecuritySettings,
        numbers: SequenceNumbers,
    ) -> None:
        self._servers = tuple(servers)
        self._bootstrap = bootstrap
        self._hold_off = hold_off
        self._settings = settings
        self._numbers = numbers
        self._told: set[FilePath] = set()
        path = settings.credentials
        self._listed = None if path is None else _Listed(FilePath(path), self._private)
        try:
            self._trust = trusted(None if settings.trust is None else FilePath(settings.trust))
        except ValueError as error:
            raise NoCredentials(str(error)) from None
        self.revoking = Revoking(settings.revocation, settings.crl, self._trust)

    @classmethod
    def of(cls, config: Config) -> Accounts:
        """Raises NoCredentials."""
        numbers = SqliteNumbers(config.folder)
        return cls(config.servers, config.bootstrap, config.hold_off, config.security, numbers)

    @property
    def listed(self) -> Mapping[str, SecurityInfo]:
        """What the file of credentials says, by endpoint. Raises NoCredentials."""
        return {} if self._listed is None else self._listed.read()

    def __call__(self, endpoint: str) -> Account:
        """Raises NoCredentials."""
        try:
            security, key, oscore = self._credentials(endpoint)
        except ValueError as error:
            raise NoCredentials(str(error)) from None
        return Account(
            self._servers,
            self._bootstrap,
            security,
            oscore,
            self._numbers,
            key,
            self._trust,
            self.revoking.revocation,
            self._hold_off,
        )

    def _credentials(self, endpoint: str) -> tuple[AccountSecurity | None, SigningKey | None, OscoreSecurity | None]:
        """Raises ValueError, NoCredentials."""
        info = self.listed.get(endpoint)
        if info is not None:
            self._require_fitting(info)
            security, key = (None, None) if info.tls is None else self._listed_keys(endpoint, info.tls)
            return security, key, None if info.oscore is None else _as_client(info.oscore)
        if not self._settings.has_key_files and self._settings.credentials is not None:
            raise NoCredentials(
                f"{self._settings.credentials} has no credentials for {endpoint}: add a [[client]] with this endpoint"
            )
        security, key = self._settings.key_files(endpoint).shown(self._private)
        return security, key, None

    def _require_fitting(self, info: SecurityInfo) -> None:
        """Raises NoCredentials."""
        where, uris = self._settings.credentials, self._uris
        if info.tls is None and (secured := [uri for uri in uris if is_secured(uri)]):
            raise NoCredentials(
                f"{where} has no keys for {info.endpoint} and {secured[0]}: add 'security', psk, rpk or x509, to "
                "what it has for OSCORE"
            )
        if info.tls is not None and not any(map(is_secured, uris)):
            raise NoCredentials(
                f"{where} has keys for {info.endpoint}, and {uris[0]} would not use them; a URI with security has coaps"
            )
        if info.oscore is not None and len(uris) > 1:
            raise NoCredentials(
                f"{where} has an OSCORE context for {info.endpoint}, which is for one server: name either 'server' or "
                "'bootstrap'"
            )

    def _listed_keys(self, endpoint: str, tls: ClientCredentials) -> tuple[AccountSecurity | None, SigningKey | None]:
        """The file has of public keys and certificates only what a server knows: private keys come from key files.
        Raises NoCredentials, ValueError."""
        if isinstance(tls, PreSharedKey):
            return shown(tls), None
        beside = "server_public_key" if isinstance(tls, PublicKey) else "certificate"
        if self._settings.key is None or getattr(self._settings, beside) is None:
            what = "a raw public key" if isinstance(tls, PublicKey) else "a certificate"
            raise NoCredentials(
                f"{self._settings.credentials} says that {endpoint} shows {what}: under [lwm2m] set 'key' and "
                f"{beside!r}"
            )
        files = self._settings.key_files(endpoint)
        security, key = files.shown(self._private)
        if isinstance(tls, PublicKey) and key is not None and key.public_key != tls.spki:
            raise NoCredentials(
                f"{files.key} is not the private key of the public key that {self._settings.credentials} has for "
                f"{endpoint}"
            )
        return security, key

    @property
    def _uris(self) -> tuple[str, ...]:
        return (*self._servers, *([self._bootstrap] if self._bootstrap else []))

    def _private(self, path: FilePath) -> None:
        """Tell of a file with keys that others can read, once."""
        if path not in self._told:
            self._told.add(path)
            if (sentence := open_to_others(path)) is not None:
                log.warning("%s", sentence)


class _Listed:
    """A file of credentials, read again when it has changed. `private` is told of each file that holds keys."""

    def __init__(self, path: FilePath, private: Callable[[FilePath], None]) -> None:
        self._path = path
        self._private = private
        self._seen: tuple[int, int] | None = None
        self._known: Mapping[str, SecurityInfo] = {}

    def read(self) -> Mapping[str, SecurityInfo]:
        """Raises NoCredentials."""
        try:
            status = self._path.stat()
            if (looks := (status.st_mtime_ns, status.st_size)) != self._seen:
                self._known = {info.endpoint: info for info in read_credentials(self._path, self._private)}
                self._seen = looks
        except OSError as error:
            raise NoCredentials(f"{self._path} cannot be read: {error.strerror}") from None
        except SettingsError as error:
            raise NoCredentials(str(error).removesuffix(".")) from None
        return self._known


def _as_client(context: OscoreSecurity) -> OscoreSecurity:
    """The file has the ids as a server sees them."""
    return replace(context, sender_id=context.recipient_id, recipient_id=context.sender_id)
