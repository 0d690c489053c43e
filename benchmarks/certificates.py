"""What an X.509 handshake needs on both sides, in a folder: an authority, the server's certificate and key, and a
certificate for each client, all of them for one key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
NAME = "bench{:06d}"
"""Of a client: its endpoint name, as dtlsgen has it for this prefix."""
PREFIX = "bench"


class Certificates(NamedTuple):
    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def server(self) -> Path:
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    def client(self, number: int) -> Path:
        return self.folder / f"{number}.der"


def issue(folder: Path, clients: int) -> Certificates:
    files = Certificates(folder)
    issuer, server, client = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = x509.BasicConstraints(ca=True, path_length=0)
    files.authority.write_bytes(_signed("bench CA", issuer.public_key(), issuer, authority).public_bytes(Encoding.PEM))
    files.server.write_bytes(_leaf("127.0.0.1", server, issuer).public_bytes(Encoding.PEM))
    files.server_key.write_bytes(_pem(server))
    files.client_key.write_bytes(_pem(client))
    for number in range(clients):
        certificate = _leaf(NAME.format(number), client, issuer)
        files.client(number).write_bytes(certificate.public_bytes(Encoding.DER))
    return files


def _leaf(name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return _signed(name, key.public_key(), issuer, x509.BasicConstraints(ca=False, path_length=None))


def _signed(
    name: str, key: ec.EllipticCurvePublicKey, issuer: ec.EllipticCurvePrivateKey, constraints: x509.BasicConstraints
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(_named("bench CA")).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)
    return builder.add_extension(constraints, critical=True).sign(issuer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
