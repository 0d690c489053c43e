"""Certificates, revocation lists and OCSP answers: what a peer shows, and what comes over HTTP."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.ocsp import load_der_ocsp_response

from lwm2m.security.certificates import (
    called,
    check_host,
    end_entity_name,
    public_key,
    read_chain,
    refusing_unreadable,
)
from lwm2m.security.credentials import CredentialsRefused, PeerChain
from lwm2m.security.crl import RevocationList
from lwm2m.security.ocsp import OcspRefused, ocsp_status, responder
from lwm2m.security.paths import Role, TrustStore, check_authority, check_usage, has_name_constraints
from lwm2m.security.pki import ClientCheck
from tests.authority import WALL
from tests.fuzz.target import Target
from tests.vectors.certificates import AUTHORITY, DEVICE, GOOD, REVOKED

CA, OF_DEVICE = x509.load_der_x509_certificate(AUTHORITY), x509.load_der_x509_certificate(DEVICE)
CLIENTS = ClientCheck(TrustStore((CA,)), wall=lambda: WALL)
ANSWERED = load_der_ocsp_response(GOOD).tbs_response_bytes


def certificate(data: bytes) -> object:
    """All that is read of one; nobody takes it who has not looked at its signature."""
    (read,) = read_chain([data])
    with refusing_unreadable():
        check_usage(read, Role.CLIENT)
        check_authority(read) if has_name_constraints(read) else check_host(read, "server.example")
        public_key(read), responder(read)
        return len(called(read.subject)) + len(end_entity_name(read) or "")


def chain(data: bytes) -> object:
    """A client's. What is taken has the signature of the authority."""
    identity = CLIENTS(PeerChain((data, AUTHORITY)))
    assert x509.load_der_x509_certificate(data).tbs_certificate_bytes == OF_DEVICE.tbs_certificate_bytes
    return identity


def revocation_list(data: bytes) -> object:
    return len(RevocationList.read(data, [CA]).serials)


def ocsp_answer(data: bytes) -> object:
    """What counts has the signature of the authority; what says nothing needs none."""
    finding = ocsp_status(data, OF_DEVICE, CA, WALL)
    assert finding.until is None or load_der_ocsp_response(data).tbs_response_bytes == ANSWERED
    return finding.status


DER = (
    b"\x30\x80",
    b"\x30\x00",
    b"\x06\x03\x55\x1d\x13",
    b"\x06\x03\x55\x1d\x11",
    b"\x06\x03\x55\x04\x03",
    b"\x01\x01\xff",
)

TARGETS = (
    Target("certificate", certificate, (CredentialsRefused,), (DEVICE, AUTHORITY), DER, short=2000),
    Target("certificate chain", chain, (CredentialsRefused,), (DEVICE, AUTHORITY), DER, short=1000),
    Target("revocation list", revocation_list, (ValueError,), (REVOKED,), DER, short=1000),
    Target("OCSP answer", ocsp_answer, (OcspRefused,), (GOOD,), DER, short=1000),
)
