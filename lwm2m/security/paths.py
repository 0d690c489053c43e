"""From a peer's certificate to somebody who is trusted. RFC 5280 §6.

The judge is the path validation of `cryptography`, with rules about extensions that fit devices: names are not asked
for in subjectAltName, key identifiers may be missing. It says only that there is no path; why, for the alert and for
people, is found out here afterwards. No IO: `wall` is in seconds since 1970, None where no clock can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from lwm2m.dtls.alerts import Alert
from lwm2m.security.certificates import MOST_CERTIFICATES, called, certificates_in, fingerprint, refusing_unreadable
from lwm2m.security.credentials import CredentialsRefused

Path = tuple[x509.Certificate, ...]
"""The leaf first, each signed by the next, the last one trusted."""


Fault = tuple[int, str]
"""The alert and the sentence of a refusal."""


class Role(Enum):
    """Whose certificate it is; the value is the extended key usage."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Certificates that need nobody to vouch for them."""

    anchors: tuple[x509.Certificate, ...] = ()
    store: Store | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Store(list(self.anchors)) if self.anchors else None)

    @classmethod
    def read(cls, *files: bytes) -> TrustStore:
        """From what is in PEM or DER files. Raises ValueError."""
        found = {fingerprint(anchor): anchor for data in files for anchor in certificates_in(data)}
        return cls(tuple(found.values()))


def verified_path(chain: Sequence[x509.Certificate], trust: TrustStore, role: Role, wall: float | None) -> Path:
    """Raises CredentialsRefused."""
    leaf, others = chain[0], _first_of_each_name(chain[1:])
    if trust.store is None:
        raise CredentialsRefused(Alert.UNKNOWN_CA, "no certificate authority is trusted: name one")
    faults: list[Fault] = []
    reason = ""
    with refusing_unreadable():
        for at in _instants(leaf, [*others, *trust.anchors]) if wall is None else [datetime.fromtimestamp(wall, UTC)]:
            try:
                return tuple(_policy(trust.store, role, at, faults).verify(leaf, list(others)).chain)
            except VerificationError as error:
                reason = str(error).partition(" (encountered")[0]
        raise CredentialsRefused(*faults[0]) if faults else _reason(leaf, others, trust, wall, reason)


def check_dates(certificate: x509.Certificate, wall: float | None) -> None:
    """Raises CredentialsRefused."""
    if wall is None:
        return
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    name = called(certificate.subject)
    if wall < begin.timestamp():
        raise CredentialsRefused(
            Alert.CERTIFICATE_EXPIRED,
            f"the certificate of {name} is valid from {begin:%Y-%m-%d %H:%M} UTC on only: check the clocks",
        )
    if wall > end.timestamp():
        raise CredentialsRefused(
            Alert.CERTIFICATE_EXPIRED,
            f"the certificate of {name} expired on {end:%Y-%m-%d %H:%M} UTC: issue a new one",
        )


def check_usage(certificate: x509.Certificate, role: Role) -> None:
    """That its key usages, where it has any, let its key sign handshakes. Raises CredentialsRefused."""
    extensions, name = certificate.extensions, called(certificate.subject)
    for extension in extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            raise CredentialsRefused(
                Alert.UNSUPPORTED_CERTIFICATE,
                f"the certificate of {name} is not for signing: issue one with the key usage digitalSignature",
            )
        if isinstance(extension.value, x509.ExtendedKeyUsage) and not {
            role.value,
            ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        } & set(extension.value):
            raise CredentialsRefused(
                Alert.UNSUPPORTED_CERTIFICATE,
                f"the certificate of {name} is not for a {role.name.lower()}: issue one with the extended key usage "
                f"{role.name.lower()}Auth",
            )


def check_authority(certificate: x509.Certificate) -> None:
    """That it may sign certificates. Raises CredentialsRefused."""
    if not is_authority(certificate):
        raise CredentialsRefused(
            Alert.BAD_CERTIFICATE,
            f"{called(certificate.subject)} is no certificate authority (basicConstraints), and signs a certificate",
        )
    usage = next((found.value for found in certificate.extensions if isinstance(found.value, x509.KeyUsage)), None)
    if usage is not None and not usage.key_cert_sign:
        raise CredentialsRefused(
            Alert.BAD_CERTIFICATE,
            f"{called(certificate.subject)} has not the key usage keyCertSign, and signs a certificate",
        )


def is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _first_of_each_name(certificates: Sequence[x509.Certificate]) -> Path:
    """A chain has one way to go (RFC 5246 §7.4.2). Several certificates of one name would let a peer make us check as
    many ways as there are."""
    found: dict[x509.Name, x509.Certificate] = {}
    with refusing_unreadable():
        for certificate in certificates:
            found.setdefault(certificate.subject, certificate)
    return tuple(found.values())


def _instants(leaf: x509.Certificate, others: Iterable[x509.Certificate]) -> list[datetime]:
    """Without a clock the dates count for nothing but this: there has to be a moment at which the whole path is valid,
    and the first such moment is the beginning of one of its certificates."""
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    later = {other.not_valid_before_utc for other in others}
    return [begin, *sorted(moment for moment in later if begin < moment <= end)]


def _policy(store: Store, role: Role, at: datetime, faults: list[Fault]) -> ClientVerifier:
    """Checks the names of nobody: that is why it is the one for clients in both roles."""

    def for_leaf(_: Policy, certificate: x509.Certificate, __: object) -> None:
        _noted(faults, lambda: check_usage(certificate, role))

    def for_issuer(_: Policy, certificate: x509.Certificate, __: object) -> None:
        _noted(faults, lambda: check_authority(certificate))

    everything = ExtensionPolicy.permit_all()
    leaves = everything.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, for_leaf)
    issuers = everything.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, for_issuer)
    builder = PolicyBuilder().store(store).time(at).max_chain_depth(MOST_CERTIFICATES)
    return builder.extension_policies(ca_policy=issuers, ee_policy=leaves).build_client_verifier()


def _noted(faults: list[Fault], check: Callable[[], None]) -> None:
    """What a check says is lost on the way through the path validation. The exception itself is not kept: its traceback
    holds the policy, which holds what is kept here, and no collector looks into a policy."""
    try:
        check()
    except CredentialsRefused as refused:
        faults.append((refused.alert, refused.sentence))
        raise


def _reason(
    leaf: x509.Certificate, others: Path, trust: TrustStore, wall: float | None, verdict: str
) -> CredentialsRefused:
    """Why there is no path, found by walking along where it should be."""
    certificate, seen = leaf, {fingerprint(leaf)}
    while True:
        try:
            check_dates(certificate, wall)
            if certificate is not leaf:
                check_authority(certificate)
        except CredentialsRefused as refused:
            return refused
        if certificate in trust.anchors:
            return CredentialsRefused(Alert.BAD_CERTIFICATE, f"the peer's certificates do not fit together: {verdict}")
        if certificate.version is not x509.Version.v3:
            return CredentialsRefused(
                Alert.UNSUPPORTED_CERTIFICATE,
                f"the certificate of {called(certificate.subject)} is one of X.509 version 1: issue one of version 3, "
                "which openssl does for certificates with extensions",
            )
        unknown = _unknown_critical(certificate)
        if unknown is not None:
            return CredentialsRefused(
                Alert.UNSUPPORTED_CERTIFICATE,
                f"the certificate of {called(certificate.subject)} has the critical extension {unknown}, which is not "
                "understood here: issue one without it",
            )
        issuer = _issuer(certificate, [*trust.anchors, *others])
        if isinstance(issuer, CredentialsRefused):
            return issuer
        if fingerprint(issuer) in seen:
            return _untrusted(certificate)
        seen.add(fingerprint(issuer))
        certificate = issuer


def _issuer(certificate: x509.Certificate, among: Sequence[x509.Certificate]) -> x509.Certificate | CredentialsRefused:
    named = [other for other in among if other.subject == certificate.issuer]
    if not named:
        return _untrusted(certificate)
    signers = [other for other in named if has_signed(other, certificate)]
    if signers:
        return signers[0]
    return CredentialsRefused(
        Alert.BAD_CERTIFICATE,
        f"the certificate of {called(certificate.subject)} is not signed by the {called(certificate.issuer)} that is "
        "known here: it was changed, or comes from another authority of that name",
    )


def _untrusted(certificate: x509.Certificate) -> CredentialsRefused:
    name, issuer = called(certificate.subject), called(certificate.issuer)
    if certificate.subject == certificate.issuer:
        sentence = f"{name} has signed its certificate itself and is not trusted: add it to the trusted certificates"
    else:
        sentence = (
            f"the certificate of {name} is signed by {issuer}, which is not trusted: add that authority to the trusted "
            "certificates, or let the peer send what leads to one of them"
        )
    return CredentialsRefused(Alert.UNKNOWN_CA, sentence)


_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
    }
)


def _unknown_critical(certificate: x509.Certificate) -> str | None:
    extensions = certificate.extensions
    return next(
        (found.oid.dotted_string for found in extensions if found.critical and found.oid not in _UNDERSTOOD), None
    )


def has_name_constraints(certificate: x509.Certificate) -> bool:
    return any(isinstance(found.value, x509.NameConstraints) for found in certificate.extensions)
