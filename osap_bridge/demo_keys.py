"""Keys and certificates of one run of the secured demo, drawn anew each time: in its temporary folder what belongs into
files, as a server is given it."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from lwm2m.security import (
    Authority,
    Issued,
    OscoreSecurity,
    OwnCredentials,
    PreSharedKey,
    new_authority,
    own_credentials,
)
from lwm2m.server import KeyPair, SecurityMode

HOST = "127.0.0.1"
DAYS = 1
KEY_BYTES = 16


def draw(identity: str) -> PreSharedKey:
    return PreSharedKey(identity.encode(), secrets.token_bytes(KEY_BYTES))


def draw_oscore() -> tuple[OscoreSecurity, OscoreSecurity]:
    """The context as the client has it, and as the server has it."""
    secret, salt = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(8)
    client, server = b"\x01", b"\x02"
    return OscoreSecurity(secret, client, server, salt), OscoreSecurity(secret, server, client, salt)


class Certificates:
    """An authority of a day, what the server shows, and what devices are given."""

    def __init__(self, folder: Path) -> None:
        self._now = datetime.now(UTC)
        authority = new_authority("demo CA", self._now, DAYS)
        self._authority = Authority(authority.certificates, authority.key)
        self.trust = _written(folder / "ca.crt", authority.certificates)
        server = self._authority.issue("demo server", [HOST], self._now, DAYS)
        key = _written(folder / "server.key", server.key)
        self.own: OwnCredentials = own_credentials(str(key), _written(folder / "server.crt", server.certificates))

    def of_device(self, endpoint: str) -> KeyPair:
        """As a bootstrap server writes it: our certificate and its key, and the server's certificate."""
        issued = self._authority.issue(endpoint, [], self._now, DAYS)
        return KeyPair(SecurityMode.X509, _leaf(issued), _private(issued), self.own.certificates[0])


def _written(path: Path, data: bytes) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return path


def _leaf(issued: Issued) -> bytes:
    return x509.load_pem_x509_certificates(issued.certificates)[0].public_bytes(Encoding.DER)


def _private(issued: Issued) -> bytes:
    key = load_pem_private_key(issued.key, None)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
