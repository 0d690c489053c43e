"""Certificates for tests: authorities that sign what a test asks for, good or bad."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from lwm2m.security.keys import FileKey

TODAY = datetime(2027, 3, 1, tzinfo=UTC)
WALL = TODAY.timestamp()
DAY = timedelta(days=1)
DER = serialization.Encoding.DER

Extension = tuple[x509.ExtensionType, bool]
"""With whether it is critical."""


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(common_name: str | None) -> x509.Name:
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def hosts(*names: str) -> Extension:
    """subjectAltName with DNS names, and with addresses where they are that."""
    return x509.SubjectAlternativeName([_general(name) for name in names]), False


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if name.startswith("urn:") else x509.DNSName(name)


def key_usage(*usages: str) -> Extension:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{usage: usage in usages for usage in every.split()}), True


def responder_at(uri: str) -> Extension:
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(uri))
    return x509.AuthorityInformationAccess([access]), False


class Issued:
    """A certificate with its private key; as an issuer of others it asks nobody whether it may."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.private = key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> FileKey:
        return FileKey(self.private)

    def issues(
        self,
        common_name: str | None,
        *extensions: Extension,
        begin: datetime = TODAY - 100 * DAY,
        end: datetime = TODAY + 100 * DAY,
        key: ec.EllipticCurvePrivateKey | None = None,
        public: ec.EllipticCurvePublicKey | None = None,
    ) -> Issued:
        """For a new key; for `key`; or for `public`, whose private half is elsewhere."""
        own = key or new_key()
        to = public or own.public_key()
        return Issued(_signed(common_name, to, self.certificate.subject, self.private, extensions, begin, end), own)

    def authority(
        self,
        common_name: str,
        *extensions: Extension,
        path_length: int | None = None,
        end: datetime = TODAY + 100 * DAY,
    ) -> Issued:
        return self.issues(common_name, (x509.BasicConstraints(True, path_length), True), *extensions, end=end)

    def revokes(
        self, *revoked: Issued, begin: datetime = TODAY - DAY, end: datetime | None = TODAY + DAY, number: int = 1
    ) -> bytes:
        """A list in DER."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(begin)
        builder = builder.next_update(end or TODAY + DAY).add_extension(x509.CRLNumber(number), False)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(begin).build())
        return builder.sign(self.private, hashes.SHA256()).public_bytes(DER)

    def answers(
        self,
        about: Issued,
        *,
        issuer: Issued | None = None,
        revoked: bool = False,
        shown: Sequence[Issued] = (),
        begin: datetime = TODAY - DAY,
        end: datetime = TODAY + DAY,
    ) -> bytes:
        """An OCSP answer, signed by this one; `shown` are the certificates that it brings along."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=about.certificate,
            issuer=(issuer or self).certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=begin,
            next_update=end,
            revocation_time=begin if revoked else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.certificate)
        if shown:
            builder = builder.certificates([one.certificate for one in shown])
        return builder.sign(self.private, hashes.SHA256()).public_bytes(DER)


def root(
    common_name: str = "Root CA",
    *extensions: Extension,
    begin: datetime = TODAY - 100 * DAY,
    end: datetime = TODAY + 100 * DAY,
) -> Issued:
    key = new_key()
    constraints = x509.BasicConstraints(True, None), True
    name = named(common_name)
    return Issued(_signed(common_name, key.public_key(), name, key, [constraints, *extensions], begin, end), key)


def self_signed(common_name: str, *extensions: Extension) -> Issued:
    key = new_key()
    begin, end = TODAY - 100 * DAY, TODAY + 100 * DAY
    certificate = _signed(common_name, key.public_key(), named(common_name), key, extensions, begin, end)
    return Issued(certificate, key)


def _signed(
    common_name: str | None,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[Extension],
    begin: datetime,
    end: datetime,
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(named(common_name)).issuer_name(issuer)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())
