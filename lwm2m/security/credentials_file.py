"""The file of `--credentials`: how each client shows who it is. examples/credentials.toml says all.

No sentence about a wrong file quotes a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import (
    DEFAULT_AEAD,
    DEFAULT_HKDF,
    CertificateName,
    ClientCredentials,
    OscoreSecurity,
    PublicKey,
    SecurityInfo,
)
from lwm2m.security.store import MemorySecurity
from lwm2m.toml_lines import SettingsError, Table, TomlFile, tables

_CLIENT: dict[str, type] = {
    "endpoint": str,
    "security": str,
    "identity": str,
    "key": str,
    "key_file": str,
    "public_key": str,
    "public_key_file": str,
    "name": str,
    "oscore": dict,
}
_OSCORE: dict[str, type] = {
    "master_secret": str,
    "master_secret_file": str,
    "sender_id": str,
    "recipient_id": str,
    "master_salt": str,
    "id_context": str,
    "aead": int,
    "hkdf": int,
}
_MODES: dict[str, tuple[str, ...]] = {
    "psk": ("identity", "key", "key_file"),
    "rpk": ("public_key", "public_key_file"),
    "x509": ("name",),
}
_PEM = b"-----BEGIN"


def read_credentials(path: FilePath, private: Callable[[FilePath], None]) -> tuple[SecurityInfo, ...]:
    """`private` is told of each file that holds keys. Raises SettingsError naming file and line."""
    file = TomlFile(path)
    for name in file.document:
        if name != "client":
            raise file.wrong(None, name, f"there is no setting {name!r} outside [[client]]")
    told: set[FilePath] = set()

    def once(secret: FilePath) -> None:
        if secret not in told:
            told.add(secret)
            private(secret)

    kept = MemorySecurity()
    for table in tables(file, "client", file.document.get("client", []), _CLIENT):
        info = _client(file, table, once)
        if kept.get(info.endpoint) is not None:
            raise table.wrong("endpoint", f"there is a second client {info.endpoint}")
        with _told(table, "endpoint"):
            kept.put(info)
    return kept.list()


def _client(file: TomlFile, table: Table, private: Callable[[FilePath], None]) -> SecurityInfo:
    mode = table.get("security")
    if mode is not None and mode not in _MODES:
        raise table.wrong("security", f"security is one of {', '.join(_MODES)}")
    if mode is None and "oscore" not in table:
        raise table.wrong("endpoint", f"a client has security, one of {', '.join(_MODES)}, or a table oscore, or both")
    for key in (key for keys in _MODES.values() for key in keys):
        if key in table and key not in _MODES.get(mode or "", ()):
            raise table.wrong(key, f"{key} is nothing that security {mode or 'oscore'} takes")
    tls = None if mode is None else _tls(mode, table, file.path.parent, private)
    oscore = _oscore(file, table, private) if "oscore" in table else None
    with _told(table, "endpoint"):
        return SecurityInfo(table.need("endpoint"), tls, oscore)


def _tls(mode: str, table: Table, folder: FilePath, private: Callable[[FilePath], None]) -> ClientCredentials:
    with _told(table, "security"):
        if mode == "psk":
            identity = table.get("identity", table.need("endpoint"))
            return PreSharedKey(identity.encode(), _secret(table, "key", folder, private))
        if mode == "rpk":
            return PublicKey(_public_key(table, folder))
        return CertificateName(table.get("name"))


def _oscore(file: TomlFile, client: Table, private: Callable[[FilePath], None]) -> OscoreSecurity:
    line = file.header("client.oscore", 0, -1 if client.line is None else client.line)
    table = Table(file, "client.oscore", client.get("oscore"), _OSCORE, client.line if line is None else line)
    return _oscore_in(table, file.path.parent, private)


def read_oscore(path: FilePath, private: Callable[[FilePath], None]) -> OscoreSecurity:
    """The one context in a file, with what [client.oscore] has. Raises SettingsError naming file and line."""
    file = TomlFile(path)
    return _oscore_in(Table(file, "the file", file.document, _OSCORE), path.parent, private)


def _oscore_in(table: Table, folder: FilePath, private: Callable[[FilePath], None]) -> OscoreSecurity:
    with _told(table, "master_secret"):
        return OscoreSecurity(
            _secret(table, "master_secret", folder, private),
            _hexadecimal(table, "sender_id", table.need("sender_id")),
            _hexadecimal(table, "recipient_id", table.need("recipient_id")),
            _hexadecimal(table, "master_salt", table.get("master_salt", "")),
            _hexadecimal(table, "id_context", table.get("id_context")) if "id_context" in table else None,
            table.get("aead", DEFAULT_AEAD),
            table.get("hkdf", DEFAULT_HKDF),
        )


def _secret(table: Table, name: str, folder: FilePath, private: Callable[[FilePath], None]) -> bytes:
    """Hexadecimal digits, here or in a file."""
    other = f"{name}_file"
    if (name in table) == (other in table):
        raise table.wrong(name, f"there is to be a {name} or a {other}")
    if name in table:
        private(table.path)
        return _hexadecimal(table, name, table.get(name))
    path: FilePath = folder / table.get(other)
    text = _read(table, other, path).decode("ascii", "replace").strip()
    private(path)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise table.wrong(other, f"{path} is not hexadecimal digits") from None


def _public_key(table: Table, folder: FilePath) -> bytes:
    """SubjectPublicKeyInfo: hexadecimal digits here, or a file in PEM or DER."""
    if ("public_key" in table) == ("public_key_file" in table):
        raise table.wrong("public_key", "there is to be a public_key or a public_key_file")
    if "public_key" in table:
        return _hexadecimal(table, "public_key", table.get("public_key"))
    data = _read(table, "public_key_file", folder / table.get("public_key_file"))
    if _PEM not in data:
        return data
    try:
        return load_pem_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise table.wrong(
            "public_key_file", f"{folder / table.get('public_key_file')} holds no public key that can be read"
        ) from None


def _hexadecimal(table: Table, key: str, digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise table.wrong(key, f"{key} is hexadecimal digits") from None


def _read(table: Table, key: str, path: FilePath) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise table.wrong(key, f"{path} cannot be read: {error.strerror}") from None


@contextmanager
def _told(table: Table, key: str) -> Iterator[None]:
    """A value that cannot be is told by its line."""
    try:
        yield
    except SettingsError:
        raise
    except ValueError as error:
        raise table.wrong(key, str(error)) from None
