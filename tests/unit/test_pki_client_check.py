"""What a server asks of its clients: a chain to who is trusted, and who it is for. lwm2m.md §9.2, §9.7"""

from __future__ import annotations

import gc
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lwm2m.security.credentials import CredentialsRefused, PeerChain, PeerKey, rpk_identity
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from tests.authority import DAY, TODAY, WALL, Extension, Issued, hosts, key_usage, root, self_signed

ROOT = root()
FACTORY = ROOT.authority("Factory CA")
TRUST = TrustStore((ROOT.certificate,))
CHECK = ClientCheck(TRUST, wall=lambda: WALL)


def usage(oid: x509.ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage([oid]), False


def refusal(*chain: Issued | bytes, check: ClientCheck = CHECK) -> tuple[int, str]:
    with pytest.raises(CredentialsRefused) as caught:
        check(PeerChain(tuple(one if isinstance(one, bytes) else one.der for one in chain)))
    return caught.value.alert, caught.value.sentence


def test_the_common_name_is_who_the_client_is() -> None:
    device = FACTORY.issues("urn:dev:os:1-2", hosts("urn:dev:os:other"))
    assert CHECK(PeerChain((device.der, FACTORY.der))) == "x509:urn:dev:os:1-2"


@pytest.mark.parametrize(
    ("alternatives", "name"), [(("d.example", "urn:dev:os:1"), "urn:dev:os:1"), (("d.example",), "d.example")]
)
def test_without_a_common_name_it_is_the_uri_or_else_the_dns_name(alternatives: tuple[str, ...], name: str) -> None:
    device = FACTORY.issues(None, hosts(*alternatives))
    assert CHECK(PeerChain((device.der, FACTORY.der))) == f"x509:{name}"


def test_a_certificate_for_nobody_or_for_two_is_refused() -> None:
    assert "names nobody" in refusal(FACTORY.issues(None), FACTORY)[1]
    two = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("one", "two")])
    builder = x509.CertificateBuilder().subject_name(two).issuer_name(ROOT.certificate.subject)
    builder = builder.not_valid_before(TODAY - DAY).not_valid_after(TODAY + DAY).serial_number(7)
    both = builder.public_key(ROOT.private.public_key()).sign(ROOT.private, hashes.SHA256())
    assert "names nobody" in refusal(Issued(both, ROOT.private))[1]


BAD = {
    "expired": (lambda: [FACTORY.issues("d", end=TODAY - DAY), FACTORY], 45, "expired on 2027-02-28"),
    "not yet": (lambda: [FACTORY.issues("d", begin=TODAY + DAY), FACTORY], 45, "from 2027-03-02 00:00 UTC on only"),
    "authority expired": (
        lambda: [(old := ROOT.authority("Old CA", end=TODAY - DAY)).issues("d"), old],
        45,
        "the certificate of 'Old CA' expired",
    ),
    "unknown authority": (
        lambda: [(stranger := root("Stranger CA")).issues("d"), stranger],
        48,
        "'Stranger CA' has signed its certificate itself and is not trusted",
    ),
    "intermediate missing": (lambda: [FACTORY.issues("d")], 48, "is signed by 'Factory CA', which is not trusted"),
    "another authority of that name": (
        lambda: [root("Factory CA").issues("d"), FACTORY],
        42,
        "comes from another authority of that name",
    ),
    "signed by itself": (lambda: [self_signed("d")], 48, "add it to the trusted certificates"),
    "no CA flag": (
        lambda: [(device := FACTORY.issues("d")).issues("e"), device, FACTORY],
        42,
        "'d' is no certificate authority (basicConstraints)",
    ),
    "CA flag false": (
        lambda: [(low := ROOT.issues("d", (x509.BasicConstraints(False, None), True))).issues("e"), low],
        42,
        "'d' is no certificate authority (basicConstraints)",
    ),
    "authority may not sign": (
        lambda: [(low := ROOT.authority("Low CA", key_usage("crl_sign"))).issues("d"), low],
        42,
        "'Low CA' has not the key usage keyCertSign",
    ),
    "path length": (
        lambda: [
            (low := (high := ROOT.authority("High CA", path_length=0)).authority("Low CA")).issues("d"),
            low,
            high,
        ],
        42,
        "path length constraint violated",
    ),
    "key usage": (lambda: [FACTORY.issues("d", key_usage("key_agreement")), FACTORY], 43, "key usage digitalSignature"),
    "for a server": (
        lambda: [FACTORY.issues("d", usage(ExtendedKeyUsageOID.SERVER_AUTH)), FACTORY],
        43,
        "extended key usage clientAuth",
    ),
    "critical unknown": (
        lambda: [
            FACTORY.issues("d", (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)),
            FACTORY,
        ],
        43,
        "critical extension 1.2.3.4",
    ),
    "not permitted": (
        lambda: [
            (low := ROOT.authority("Low CA", (x509.NameConstraints([x509.DNSName("a.example")], None), True))).issues(
                "d", hosts("b.example")
            ),
            low,
        ],
        42,
        "no permitted name constraints matched",
    ),
    "changed": (lambda: [_changed(FACTORY.issues("device")), FACTORY], 42, "it was changed"),
    "no certificate": (lambda: [b"0\x03\x02\x01\x05"], 42, "cannot be read"),
    "nothing": (list, 42, "shows no certificate"),
    "too many": (lambda: [FACTORY.issues("d")] + [FACTORY] * 10, 42, "too long"),
    "too long": (lambda: [FACTORY.issues("d", hosts(*(f"{i}.example" for i in range(1500)))), FACTORY], 42, "too long"),
}


def _changed(issued: Issued) -> bytes:
    return issued.der.replace(b"device", b"divice")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_chain_is_refused_with_its_alert_and_what_to_mend(name: str) -> None:
    chain, alert, words = BAD[name]
    refused, sentence = refusal(*chain())
    assert (refused, words in sentence) == (alert, True), (refused, sentence)


GOOD = {
    "with its root": lambda: [FACTORY.issues("d"), FACTORY, ROOT],
    "for clients": lambda: [FACTORY.issues("d", usage(ExtendedKeyUsageOID.CLIENT_AUTH)), FACTORY],
    "for anything": lambda: [FACTORY.issues("d", usage(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)), FACTORY],
    "signing": lambda: [FACTORY.issues("d", key_usage("digital_signature")), FACTORY],
    "unknown extension": lambda: [
        FACTORY.issues("d", (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), False)),
        FACTORY,
    ],
    "in another order": lambda: [
        (low := FACTORY.authority("Low CA")).issues("d"),
        ROOT,
        FACTORY,
        low,
    ],
    "path length kept": lambda: [(low := ROOT.authority("Last CA", path_length=0)).issues("d"), low],
    "almost too long": lambda: [FACTORY.issues("d", hosts(*(f"{i}.example" for i in range(900)))), FACTORY],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_chain_is_taken(name: str) -> None:
    assert CHECK(PeerChain(tuple(one.der for one in GOOD[name]()))) == "x509:d"


def test_an_intermediate_authority_can_be_trusted_by_itself() -> None:
    check = ClientCheck(TrustStore((FACTORY.certificate,)), wall=lambda: WALL)
    assert check(PeerChain((FACTORY.issues("d").der,))) == "x509:d"


def test_many_certificates_of_one_name_cost_no_more_than_one() -> None:
    """Each would be an issuer of each, and every order of them a path to try."""
    loops = [root("Loop CA")]
    loops += [loops[0].issues("Loop CA", key=loops[0].private) for _ in range(8)]
    assert refusal(loops[0].issues("d"), *loops)[0] == 48


def test_a_raw_public_key_needs_somebody_who_knows_it() -> None:
    spki = FileKey.generate().public_key
    with pytest.raises(CredentialsRefused, match="nobody knows the client's public key"):
        CHECK(PeerKey(spki))
    knowing = ClientCheck(TRUST, wall=lambda: WALL, admits={rpk_identity(spki)}.__contains__)
    assert knowing(PeerKey(spki)) == rpk_identity(spki)
    with pytest.raises(CredentialsRefused):
        knowing(PeerKey(FileKey.generate().public_key))


def test_trusted_certificates_are_read_from_files() -> None:
    stranger = root("Stranger CA")
    trust = TrustStore.read(ROOT.pem + stranger.pem, ROOT.der)
    assert trust.anchors == (ROOT.certificate, stranger.certificate)
    with pytest.raises(ValueError, match="no certificate that can be read"):
        TrustStore.read(b"-----BEGIN CERTIFICATE-----\nnone\n")


def test_refusals_leave_nothing_in_memory() -> None:
    """A fault that is found inside the path validation once stayed there with all that its traceback held."""
    unfit = FACTORY.issues("d", key_usage("key_agreement"))
    before = 0
    for _ in range(2):
        before = sys.getallocatedblocks()
        for _ in range(200):
            refusal(unfit, FACTORY)
        gc.collect()
    assert sys.getallocatedblocks() - before < 1000
