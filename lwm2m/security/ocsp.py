"""Answers to the question whether one certificate was revoked. RFC 6960. No IO: `wall` is in seconds since 1970, None
without a clock."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from lwm2m.security.certificates import UNREADABLE, called
from lwm2m.security.finding import CLOCK_SKEW, Finding, Status
from lwm2m.security.paths import has_signed

LONGEST_ANSWER = 16 * 1024
LONGEST_WITHOUT_END = 86_400.0
"""Seconds that an answer counts which does not say until when."""

_STATUS = {
    ocsp.OCSPCertStatus.GOOD: Status.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Status.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Status.UNKNOWN,
}


class OcspRefused(Exception):
    """An answer that nobody may give, or that cannot be read. The text is a sentence."""


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """DER."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())
    return builder.build().public_bytes(serialization.Encoding.DER)


def responder(certificate: x509.Certificate) -> str | None:
    """Where its issuer answers: the first http URI."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    places = (found.access_location for found in access if found.access_method == AuthorityInformationAccessOID.OCSP)
    uris = (place.value for place in places if isinstance(place, x509.UniformResourceIdentifier))
    return next((uri for uri in uris if uri.lower().startswith(("http://", "https://"))), None)


def ocsp_status(answer: bytes, certificate: x509.Certificate, issuer: x509.Certificate, wall: float | None) -> Finding:
    """Raises OcspRefused."""
    name = called(certificate.subject)
    if len(answer) > LONGEST_ANSWER:
        raise OcspRefused(f"the OCSP answer for {name} is too long")
    try:
        response = ocsp.load_der_ocsp_response(answer)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return Finding(Status.UNKNOWN, None, f"the OCSP responder says {response.response_status.name.lower()}")
        if not _is_signed_by_whom_it_may(response, issuer, wall):
            raise OcspRefused(
                f"the OCSP answer for {name} is signed by nobody who may give one: it has to be "
                f"{called(issuer.subject)} or somebody it has certified for OCSP"
            )
        single = next((one for one in response.responses if _is_about(one, certificate, issuer)), None)
        if single is None:
            raise OcspRefused(f"the OCSP answer is about another certificate than that of {name}")
        return _finding(single, wall)
    except UNREADABLE:
        raise OcspRefused(f"the OCSP answer for {name} cannot be read") from None


def _finding(single: ocsp.OCSPSingleResponse, wall: float | None) -> Finding:
    begins = single.this_update_utc.timestamp()
    ends = begins + LONGEST_WITHOUT_END if single.next_update_utc is None else single.next_update_utc.timestamp()
    status = _STATUS[single.certificate_status]
    if status is Status.REVOKED:
        return Finding(status, ends)
    if wall is not None and not begins - CLOCK_SKEW <= wall <= ends:
        return Finding(Status.UNKNOWN, ends, "the OCSP answer is out of date or not valid yet")
    return Finding(status, ends, "the OCSP responder does not know the certificate" if status is Status.UNKNOWN else "")


def _is_about(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, single.hash_algorithm).build()
    return (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _is_signed_by_whom_it_may(response: ocsp.OCSPResponse, issuer: x509.Certificate, wall: float | None) -> bool:
    delegates = (one for one in response.certificates if _may_answer(one, issuer, wall))
    return any(_names(response, signer) and _has_signed(signer, response) for signer in (issuer, *delegates))


def _may_answer(delegate: x509.Certificate, issuer: x509.Certificate, wall: float | None) -> bool:
    """Certified for it by the issuer itself, and still valid. RFC 6960 §4.2.2.2"""
    if wall is not None:
        begin, end = delegate.not_valid_before_utc.timestamp(), delegate.not_valid_after_utc.timestamp()
        if not begin <= wall <= end:
            return False
    usages = [found.value for found in delegate.extensions if isinstance(found.value, x509.ExtendedKeyUsage)]
    return any(ExtendedKeyUsageOID.OCSP_SIGNING in usage for usage in usages) and has_signed(issuer, delegate)


def _names(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == signer.subject
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(signer.public_key()).digest


def _has_signed(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, hashes.SHA1 | hashes.MD5):
        return False
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
