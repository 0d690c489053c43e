"""Keys and certificates of one's own: for trying things, and for a few devices. RFC 5280, RFC 7925 §4.4. `now` is an
argument; keys are from the operating system's source of randomness."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lwm2m.security.certificates import certificates_in
from lwm2m.security.keys import FileKey

_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
LONGEST_NAME = 64
"""Of a common name. RFC 5280, Appendix A.1"""
AGE = timedelta(minutes=5)
"""How much older than now a new certificate says that it is: clocks differ."""


class Issued(NamedTuple):
    """In PEM; the certificates with the leaf first."""

    key: bytes
    certificates: bytes


class Authority:
    """Whoever signs. Raises ValueError with a sentence."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = certificates_in(certificate)[0]
        found = FileKey.from_pem(key)
        if found.public_key != _public(self._certificate.public_key()):
            raise ValueError("the private key is not that of the certificate")
        try:
            constraints = self._certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            constraints = x509.BasicConstraints(ca=False, path_length=None)
        if not constraints.ca:
            raise ValueError("the certificate is not one of an authority")
        self._key = serialization.load_pem_private_key(key, None)

    def issue(self, name: str, hosts: Sequence[str], now: datetime, days: int) -> Issued:
        """For a client, whose endpoint name is `name`, or a server, which is reached as `hosts`. Raises ValueError."""
        private = ec.generate_private_key(ec.SECP256R1())
        issuer = self._certificate
        until = min(now + timedelta(days=days), issuer.not_valid_after_utc)
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            _builder(name, issuer.subject, private.public_key(), now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(usages, critical=False)
            .add_extension(_key_identifier_of(issuer), critical=False)
        )
        if names := [_general_name(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(FileKey(private).pem(), _pem(certificate) + _pem(issuer))


def new_authority(name: str, now: datetime, days: int) -> Issued:
    """One that signs itself. Raises ValueError."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    certificate = (
        _builder(name, subject, private.public_key(), now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(private, hashes.SHA256())
    )
    return Issued(FileKey(private).pem(), _pem(certificate))


def _builder(
    name: str, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - AGE)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _named(name: str) -> x509.Name:
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"the name in a certificate has 1 to {LONGEST_NAME} characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def require_host(host: str) -> None:
    """An address, or a name of letters, digits and hyphens between dots. Raises ValueError."""
    _general_name(host)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{host!r} is not the name of a host") from None
    if not _HOST.fullmatch(name):
        raise ValueError(f"{host!r} is not the name of a host")
    return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_identifier_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        subject = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _public(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
