"""X.509 certificates as they come and as they are named. RFC 5280, RFC 6125. No IO."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from lwm2m.dtls.alerts import Alert
from lwm2m.security.credentials import CredentialsRefused

LONGEST_CHAIN = 16 * 1024
MOST_CERTIFICATES = 10
PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the readers of `cryptography` raise for what is no certificate, list or answer."""


@contextmanager
def refusing_unreadable() -> Iterator[None]:
    """Certificates are read bit by bit as they are asked for things, and each time they may turn out to be no
    certificates: what the reader raises then becomes CredentialsRefused."""
    try:
        yield
    except UNREADABLE:
        raise CredentialsRefused(Alert.BAD_CERTIFICATE, "the peer's certificate cannot be read") from None


def read_chain(certificates: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """From DER, as a peer sent them. Raises CredentialsRefused."""
    if len(certificates) > MOST_CERTIFICATES or sum(map(len, certificates)) > LONGEST_CHAIN:
        raise CredentialsRefused(
            Alert.BAD_CERTIFICATE,
            f"the peer's certificate chain is too long: {MOST_CERTIFICATES} certificates and {LONGEST_CHAIN} bytes "
            "are taken at most",
        )
    with refusing_unreadable():
        return tuple(x509.load_der_x509_certificate(certificate) for certificate in certificates)


def certificates_in(data: bytes) -> tuple[x509.Certificate, ...]:
    """All that are in a PEM file, or the one in a DER file. Raises ValueError."""
    try:
        if PEM_BEGIN in data:
            return tuple(x509.load_pem_x509_certificates(data))
        return (x509.load_der_x509_certificate(data),)
    except UNREADABLE:
        raise ValueError("there is no certificate that can be read, neither PEM nor DER") from None


def encoded(certificate: x509.Certificate) -> bytes:
    """DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def public_key(certificate: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo in DER."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def called(name: x509.Name) -> str:
    """For people: the common name in quotation marks, else the whole."""
    return repr(_common_name(name) or name.rfc4514_string())


def end_entity_name(certificate: x509.Certificate) -> str | None:
    """Who the certificate is for: the common name, else the first URI, else the first DNS name. None when there is
    none of them. lwm2m.md §9.2"""
    common_name = _common_name(certificate.subject)
    if common_name is not None:
        return common_name
    alternatives = _alternatives(certificate)
    uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    return next(iter([*uris, *alternatives.get_values_for_type(x509.DNSName)]), None)


def check_host(certificate: x509.Certificate, host: str, *, takes_common_name: bool = True) -> None:
    """That it is for this host name or address: by its subjectAltName, by the common name where there is none for
    hosts. Raises CredentialsRefused."""
    alternatives = _alternatives(certificate)
    dns_names = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    names = [*dns_names, *map(str, addresses)]
    if not names and takes_common_name:
        names = [name for name in [_common_name(certificate.subject)] if name]
    if not any(_fits(name, host) for name in names):
        shown = " and ".join(map(repr, names)) or "no host"
        raise CredentialsRefused(
            Alert.BAD_CERTIFICATE,
            f"the server's certificate is for {shown}, not for {host!r}: use a name of the certificate as the server's "
            "name (SNI), or a certificate with this one",
        )


def _common_name(name: x509.Name) -> str | None:
    """None as well when there are several, since nobody can say which is meant."""
    values = [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return values[0] if len(values) == 1 and values[0] else None


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _fits(name: str, host: str) -> bool:
    """A star stands for the whole first label, of at least three. RFC 6125 §6.4.3"""
    address = _address(host)
    if address is not None:
        return _address(name) == address
    wanted, given = _canonical(host), _canonical(name)
    if not wanted or not given:
        return False
    if given.startswith("*."):
        first, _, rest = wanted.partition(".")
        return bool(first) and rest == given[2:] and "." in rest
    return given == wanted and "*" not in given


def _canonical(name: str) -> str:
    """In the letters of the DNS; empty for what can be no host name."""
    try:
        return (name if name.isascii() else name.encode("idna").decode()).rstrip(".").lower()
    except UnicodeError:
        return ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
