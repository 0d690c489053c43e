"""What the settings under [lwm2m] say about security. {endpoint} stands for the endpoint name of a client, in
names of files as `lwm2m keys` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import quote, urlsplit

from lwm2m import Address
from lwm2m.client import KeyFiles
from lwm2m.security import file_stem

ENDPOINT = "{endpoint}"
_TOKEN = "pkcs11:"  # a scheme
_FILES = ("credentials", "psk_key_file", "key", "certificate", "server_certificate", "server_public_key", "trust")
_OWN = ("psk_key_file", "key", "certificate")
"""What a client has for itself alone."""


def is_secured(uri: str) -> bool:
    """Whether a server there wants to see keys."""
    return uri.partition(":")[0] in ("coaps", "coaps+tcp")


def is_exposed(uri: str) -> bool:
    """Whether it leads off this machine without security, as far as its text says."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return False
    return host is not None and uri.startswith("coap") and not is_secured(uri) and not Address(host, 0).is_loopback


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """`credentials` names who is known by which, in the format of `lwm2m server --credentials`; the others are as the
    options of `lwm2m client`. `insecure`: a server on another machine may be spoken to without security."""

    credentials: str | None = None
    psk_identity: str | None = None
    psk_key_file: str | None = None
    key: str | None = None
    certificate: str | None = None
    server_certificate: str | None = None
    server_public_key: str | None = None
    certificate_usage: int | None = None
    trust: str | None = None
    revocation: str | None = None
    crl: tuple[str, ...] = ()
    insecure: bool = False

    def beside(self, folder: FilePath) -> SecuritySettings:
        """With names of files as seen from this folder."""
        found = {name: getattr(self, name) for name in _FILES}
        files: dict[str, Any] = {name: _beside(folder, value) for name, value in found.items() if value is not None}
        return replace(self, **files, crl=tuple(_beside(folder, place) for place in self.crl))

    @property
    def has_key_files(self) -> bool:
        return self.psk_key_file is not None or self.key is not None

    @property
    def is_given(self) -> bool:
        return self.credentials is not None or self.has_key_files

    def key_files(self, endpoint: str) -> KeyFiles:
        """Those of one client. Raises ValueError where they do not go together."""
        identity = self.psk_identity or (ENDPOINT if self.psk_key_file else None)
        return KeyFiles(
            None if identity is None else identity.replace(ENDPOINT, endpoint),
            _own_path(self.psk_key_file, endpoint),
            _key(self.key, endpoint),
            _own_path(self.certificate, endpoint),
            _path(self.server_certificate),
            _path(self.server_public_key),
            _path(self.trust),
            self.revocation,
            self.crl,
            self.certificate_usage,
            spelt=repr,
        )

    def require_fitting(self, uris: Sequence[str], *, many_clients: bool) -> None:
        """That servers with security get keys, keys have a server, and each of many clients its own. Raises
        ValueError."""
        files = self.key_files(ENDPOINT)
        secured = [uri for uri in uris if is_secured(uri)]
        if secured and not self.is_given:
            raise ValueError(
                f"{secured[0]} needs keys: under [lwm2m] set 'credentials', a file that names those of each client, or "
                "'psk_key_file', 'key' with 'certificate', or 'key' with 'server_public_key'"
            )
        if self.has_key_files:
            files.require_fitting(uris)
        shared = [name for name in _OWN if ENDPOINT not in (getattr(self, name) or ENDPOINT)]
        if many_clients and shared:
            raise ValueError(
                f"in the topology per-device each client shows who it is, and {shared[0]!r} is the same for all: let "
                f'it hold {ENDPOINT}, as in "keys/{ENDPOINT}.key", or use the topology single'
            )


NAMES = tuple(field.name for field in fields(SecuritySettings))


def _key(text: str | None, endpoint: str) -> str | None:
    """A file, or the URI of a token, where what it cannot hold is spelt out."""
    if text is None:
        return None
    return text.replace(ENDPOINT, quote(endpoint, safe="") if text.startswith(_TOKEN) else file_stem(endpoint))


def _own_path(text: str | None, endpoint: str) -> FilePath | None:
    return _path(_key(text, endpoint))


def _path(text: str | None) -> FilePath | None:
    return None if text is None else FilePath(text)


def _beside(folder: FilePath, place: str) -> str:
    if place.startswith((_TOKEN, "http://", "https://")):
        return place
    return str(folder / FilePath(place).expanduser())
