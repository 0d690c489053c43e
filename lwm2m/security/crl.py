"""Certificate revocation lists. RFC 5280 §5. No IO: `wall` is in seconds since 1970, None without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lwm2m.security.certificates import UNREADABLE, called, public_key
from lwm2m.security.finding import CLOCK_SKEW, Finding, Status

PEM_BEGIN = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A whole list of one issuer, whose signature was checked. Times are in seconds since 1970."""

    issuer: x509.Name
    issuer_key: bytes = field(repr=False)
    number: int
    begins: float
    ends: float | None
    serials: frozenset[int] = field(repr=False)

    @classmethod
    def read(cls, data: bytes, issuers: Iterable[x509.Certificate]) -> RevocationList:
        """From PEM or DER, signed by one of these. Raises ValueError with a sentence."""
        if data.count(PEM_BEGIN) > 1:
            raise _Refused("there is more than one revocation list in it: give each a file of its own (repeat --crl)")
        try:
            load = x509.load_pem_x509_crl if PEM_BEGIN in data else x509.load_der_x509_crl
            return cls._of(load(data), issuers)
        except _Refused:
            raise
        except UNREADABLE:
            raise ValueError("there is no revocation list that can be read, neither PEM nor DER") from None

    @classmethod
    def _of(cls, found: x509.CertificateRevocationList, issuers: Iterable[x509.Certificate]) -> RevocationList:
        _check_is_whole(found)
        issuer = next((one for one in issuers if one.subject == found.issuer and _has_signed(one, found)), None)
        if issuer is None:
            raise _Refused(
                f"the revocation list of {called(found.issuer)} is signed by nobody known: add the certificate of that "
                "authority to the trusted ones"
            )
        ends = found.next_update_utc
        return cls(
            found.issuer,
            public_key(issuer),
            _number(found),
            found.last_update_utc.timestamp(),
            None if ends is None else ends.timestamp(),
            frozenset(entry.serial_number for entry in found),
        )

    def is_of(self, issuer: x509.Certificate) -> bool:
        return self.issuer == issuer.subject and self.issuer_key == public_key(issuer)

    def replaces(self, other: RevocationList) -> bool:
        """Whether this is as new as another list of the same issuer: an old list would give back what was revoked."""
        return (self.number, self.begins) >= (other.number, other.begins)

    def finding(self, certificate: x509.Certificate, wall: float | None) -> Finding:
        """Of a certificate of this issuer. What was revoked stays so, however old the list is."""
        if certificate.serial_number in self.serials:
            return Finding(Status.REVOKED, self.ends)
        if wall is not None and self.ends is not None and self.ends < wall:
            return Finding(Status.UNKNOWN, self.ends, f"the revocation list of {called(self.issuer)} is out of date")
        if wall is not None and self.begins > wall + CLOCK_SKEW:
            return Finding(Status.UNKNOWN, self.ends, f"the revocation list of {called(self.issuer)} is not valid yet")
        return Finding(Status.GOOD, self.ends)


class _Refused(ValueError):
    pass


def _check_is_whole(found: x509.CertificateRevocationList) -> None:
    """Raises ValueError for a list of some certificates or of changes only."""
    for extension in found.extensions:
        value = extension.value
        is_partial = isinstance(value, x509.DeltaCRLIndicator) or (
            isinstance(value, x509.IssuingDistributionPoint) and _is_partial(value)
        )
        is_unknown = extension.critical and not isinstance(value, x509.IssuingDistributionPoint)
        if is_partial or is_unknown:
            raise _Refused(
                f"the revocation list of {called(found.issuer)} is not one of all its certificates: use a complete list"
            )


def _is_partial(scope: x509.IssuingDistributionPoint) -> bool:
    return bool(
        scope.indirect_crl
        or scope.only_contains_attribute_certs
        or scope.only_contains_ca_certs
        or scope.only_contains_user_certs
        or scope.only_some_reasons
    )


def _has_signed(issuer: x509.Certificate, found: x509.CertificateRevocationList) -> bool:
    for extension in issuer.extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.crl_sign:
            return False
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return False
    return found.is_signature_valid(key)


def _number(found: x509.CertificateRevocationList) -> int:
    try:
        return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0
