"""Certificates that were taken back: lists, OCSP answers, and what follows when neither says anything. lwm2m.md §9.7"""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CredentialsRefused, PeerChain
from lwm2m.security.crl import RevocationList
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, ClientCheck, Pin, ServerCheck
from lwm2m.security.taken import TakenPaths
from tests.authority import DAY, DER, TODAY, WALL, Issued, key_usage, root

ROOT = root()
CA = ROOT.authority("Factory CA")
DEVICE = CA.issues("device")
OTHER = CA.issues("other")
STRANGER = root("Stranger CA")
TRUST = TrustStore((CA.certificate,))
SOFT, HARD, OFF = RevocationPolicy.SOFT, RevocationPolicy.HARD, RevocationPolicy.OFF


def listed(data: bytes, *issuers: Issued) -> RevocationList:
    return RevocationList.read(data, [one.certificate for one in issuers or (CA,)])


def verdict(
    policy: RevocationPolicy,
    *lists: RevocationList,
    stapled: bytes | None = None,
    kept: bytes | None = None,
    wall: float | None = WALL,
) -> tuple[int, str] | str:
    """The name, or the alert with the sentence."""
    revocation = Revocation(policy, lambda: lists, lambda *_: kept)
    try:
        return ServerCheck(trust=TRUST, wall=lambda: wall, revocation=revocation)(PeerChain((DEVICE.der,), stapled))
    except CredentialsRefused as refused:
        return refused.alert, refused.sentence


TAKEN = "x509:device"
REVOKED = 44, "the certificate of 'device' was revoked: issue a new one"


@pytest.mark.parametrize("policy", [SOFT, HARD])
def test_a_revoked_certificate_is_refused_and_another_is_taken(policy: RevocationPolicy) -> None:
    assert verdict(policy, listed(CA.revokes(DEVICE, OTHER))) == REVOKED
    assert verdict(policy, listed(CA.revokes(OTHER))) == TAKEN


def test_what_is_not_checked_is_taken() -> None:
    assert verdict(OFF, listed(CA.revokes(DEVICE))) == TAKEN


def test_where_nothing_is_known_the_policy_decides() -> None:
    assert verdict(SOFT) == TAKEN
    alert, sentence = verdict(HARD)
    assert alert == 40
    assert "there is no revocation list of 'Factory CA' and no OCSP answer" in str(sentence)


def test_a_stale_list_says_nothing_good_but_what_it_revokes_stays_revoked() -> None:
    stale = {"begin": TODAY - 3 * DAY, "end": TODAY - DAY}
    assert verdict(SOFT, listed(CA.revokes(**stale))) == TAKEN
    assert "is out of date" in str(verdict(HARD, listed(CA.revokes(**stale))))
    assert verdict(SOFT, listed(CA.revokes(DEVICE, **stale))) == REVOKED
    assert verdict(HARD, listed(CA.revokes(**stale)), wall=None) == TAKEN


def test_a_list_of_tomorrow_says_nothing() -> None:
    assert "is not valid yet" in str(verdict(HARD, listed(CA.revokes(begin=TODAY + DAY, end=TODAY + 2 * DAY))))


def test_a_list_of_another_authority_is_about_others() -> None:
    of_stranger = listed(STRANGER.revokes(DEVICE), STRANGER)
    assert verdict(SOFT, of_stranger) == TAKEN
    assert verdict(HARD, of_stranger)[0] == 40


def test_a_list_needs_the_signature_of_its_issuer() -> None:
    forged = CA.revokes(DEVICE)[:-4] + bytes(4)
    namesake = root("Factory CA").revokes(DEVICE)
    for data in (forged, namesake, STRANGER.revokes(DEVICE)):
        with pytest.raises(ValueError, match="is signed by nobody known"):
            listed(data)


def test_an_authority_without_crl_sign_signs_no_lists() -> None:
    mute = root("Mute CA", key_usage("key_cert_sign"))
    with pytest.raises(ValueError, match="signed by nobody known"):
        listed(mute.revokes(), mute)


@pytest.mark.parametrize("data", [b"", b"nothing", b"-----BEGIN X509 CRL-----\nnothing\n-----END X509 CRL-----\n"])
def test_what_is_no_list_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no revocation list that can be read"):
        listed(data)


def test_several_lists_in_one_file_are_refused_instead_of_reading_the_first() -> None:
    both = b"".join(pem(issuer.revokes()) for issuer in (ROOT, CA))
    with pytest.raises(ValueError, match=r"give each a file of its own \(repeat --crl\)"):
        listed(both, ROOT, CA)
    assert listed(pem(CA.revokes(DEVICE))) == listed(CA.revokes(DEVICE))


def pem(data: bytes) -> bytes:
    return x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)


def scope(**only: bool) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier("http://crl.example/")],
        relative_name=None,
        only_some_reasons=None,
        indirect_crl=only.get("indirect", False),
        only_contains_attribute_certs=False,
        only_contains_ca_certs=only.get("ca", False),
        only_contains_user_certs=only.get("user", False),
    )


@pytest.mark.parametrize(
    ("extension", "whole"),
    [
        (x509.DeltaCRLIndicator(1), False),
        (scope(indirect=True), False),
        (scope(ca=True), False),
        (scope(user=True), False),
        (scope(), True),
    ],
)
def test_only_whole_lists_are_read(extension: x509.ExtensionType, whole: bool) -> None:
    builder = x509.CertificateRevocationListBuilder().issuer_name(CA.certificate.subject)
    builder = builder.last_update(TODAY - DAY).next_update(TODAY + DAY).add_extension(extension, critical=True)
    data = builder.sign(CA.private, hashes.SHA256()).public_bytes(DER)
    if whole:
        assert verdict(HARD, listed(data)) == TAKEN
    else:
        with pytest.raises(ValueError, match="not one of all its certificates"):
            listed(data)


def test_an_old_list_does_not_replace_a_newer_one() -> None:
    first, second = listed(CA.revokes(number=1)), listed(CA.revokes(DEVICE, number=2))
    assert second.replaces(first)
    assert second.replaces(second)
    assert not first.replaces(second)


def test_under_the_hard_policy_every_authority_below_the_trusted_one_needs_a_list() -> None:
    revocation = Revocation(HARD, lambda: [listed(CA.revokes()), *of_root])
    check = ClientCheck(TrustStore((ROOT.certificate,)), wall=lambda: WALL, revocation=revocation)
    chain = PeerChain((DEVICE.der, CA.der))
    of_root: list[RevocationList] = []
    with pytest.raises(CredentialsRefused, match="no revocation list of 'Root CA'"):
        check(chain)
    of_root.append(listed(ROOT.revokes(), ROOT))
    assert check(chain) == TAKEN
    of_root[:] = [listed(ROOT.revokes(CA), ROOT)]
    with pytest.raises(CredentialsRefused, match="the certificate of 'Factory CA' was revoked"):
        check(chain)


def test_a_client_revoked_later_is_found_and_nobody_else() -> None:
    lists = [listed(CA.revokes())]
    check = ClientCheck(TRUST, wall=lambda: WALL, revocation=Revocation(HARD, lambda: lists))
    assert {check(PeerChain((one.der,))) for one in (DEVICE, OTHER)} == {"x509:device", "x509:other"}
    assert check.revoked() == set()
    lists[:] = [listed(CA.revokes(begin=TODAY - 3 * DAY, end=TODAY - DAY))]
    assert check.revoked() == set(), "a list that is out of date ends nobody's session"
    lists[:] = [listed(CA.revokes(DEVICE, number=2))]
    assert check.revoked() == {"x509:device"}


@pytest.mark.parametrize("usage", [None, *CertificateUsage])
def test_a_server_revoked_later_is_found_unless_its_very_certificate_was_agreed_on(
    usage: CertificateUsage | None,
) -> None:
    """Usage 3 asks no authority, and so not whether one takes something back."""
    lists, taken = [listed(CA.revokes())], TakenPaths()
    revocation = Revocation(SOFT, lambda: lists)
    pinned = CA if usage in (CertificateUsage.CA_CONSTRAINT, CertificateUsage.TRUST_ANCHOR_ASSERTION) else DEVICE
    check = ServerCheck(
        None if usage is None else Pin(pinned.der),
        CertificateUsage.DOMAIN_ISSUED_CERTIFICATE if usage is None else usage,
        TRUST,
        wall=lambda: WALL,
        revocation=revocation,
        taken=taken,
    )
    assert check(PeerChain((DEVICE.der,))) == TAKEN
    assert taken.revoked(revocation, WALL) == set()
    lists[:] = [listed(CA.revokes(DEVICE, number=2))]
    if usage is CertificateUsage.DOMAIN_ISSUED_CERTIFICATE:
        assert taken.revoked(revocation, WALL) == set()
        assert check(PeerChain((DEVICE.der,))) == TAKEN
    else:
        assert taken.revoked(revocation, WALL) == {TAKEN}
        with pytest.raises(CredentialsRefused, match="was revoked"):
            check(PeerChain((DEVICE.der,)))


def test_the_latest_that_were_taken_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwm2m.security.taken.MOST_PATHS", 1)
    lists = [listed(CA.revokes())]
    check = ClientCheck(TRUST, wall=lambda: WALL, revocation=Revocation(SOFT, lambda: lists))
    for one in (DEVICE, OTHER):
        check(PeerChain((one.der,)))
    lists[:] = [listed(CA.revokes(DEVICE, OTHER))]
    assert check.revoked() == {"x509:other"}


def test_of_two_certificates_with_one_name_each_counts() -> None:
    renewed = CA.issues("device")
    lists = [listed(CA.revokes())]
    check = ClientCheck(TRUST, wall=lambda: WALL, revocation=Revocation(SOFT, lambda: lists))
    for one in (DEVICE, renewed):
        check(PeerChain((one.der,)))
    lists[:] = [listed(CA.revokes(DEVICE))]
    assert check.revoked() == {"x509:device"}


def test_a_revoked_certificate_is_told_once_and_its_successor_is_left_alone() -> None:
    renewed = CA.issues("device")
    lists = [listed(CA.revokes(number=1))]
    check = ClientCheck(TRUST, wall=lambda: WALL, revocation=Revocation(SOFT, lambda: lists))
    for one in (DEVICE, renewed):
        check(PeerChain((one.der,)))
    lists[:] = [listed(CA.revokes(DEVICE, number=2))]
    assert check.revoked() == {"x509:device"}
    assert check(PeerChain((renewed.der,))) == TAKEN
    lists[:] = [listed(CA.revokes(DEVICE, number=3))]
    assert check.revoked() == set()
    lists[:] = [listed(CA.revokes(DEVICE, renewed, number=4))]
    assert check.revoked() == {"x509:device"}, "the successor is still watched"


# OCSP

RESPONDER = CA.issues("responder", (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False))
NO_RESPONDER = CA.issues("no responder")
STRANGE_RESPONDER = STRANGER.issues("responder", (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False))
LATE_RESPONDER = CA.issues(
    "late responder", (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False), end=TODAY - DAY
)


@pytest.mark.parametrize("stapled", [True, False])
@pytest.mark.parametrize("by", [CA, RESPONDER])
def test_an_answer_of_the_issuer_or_of_whom_it_certified_decides(by: Issued, stapled: bool) -> None:
    way = "stapled" if stapled else "kept"
    good = by.answers(DEVICE, issuer=CA, shown=[by])
    bad = by.answers(DEVICE, issuer=CA, shown=[by], revoked=True)
    assert verdict(HARD, **{way: good}) == TAKEN  # type: ignore[arg-type]
    assert verdict(SOFT, **{way: bad}) == REVOKED  # type: ignore[arg-type]


FORGED = {
    "stranger": lambda: STRANGER.answers(DEVICE, issuer=CA, shown=[STRANGER]),
    "namesake": lambda: root("Factory CA").answers(DEVICE, issuer=CA),
    "not for OCSP": lambda: NO_RESPONDER.answers(DEVICE, issuer=CA, shown=[NO_RESPONDER]),
    "certified by another": lambda: STRANGE_RESPONDER.answers(DEVICE, issuer=CA, shown=[STRANGE_RESPONDER]),
    "certified once": lambda: LATE_RESPONDER.answers(DEVICE, issuer=CA, shown=[LATE_RESPONDER]),
    "changed": lambda: CA.answers(DEVICE)[:-4] + bytes(4),
    "about another": lambda: CA.answers(OTHER),
    "about another's": lambda: CA.answers(STRANGER.issues("device"), issuer=STRANGER),
    "no answer": lambda: b"nothing",
    "too long": lambda: bytes(20_000),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_answer_is_refused_when_stapled_and_worth_nothing_when_kept(name: str) -> None:
    forged = FORGED[name]()
    assert verdict(SOFT, stapled=forged)[0] == 113
    assert verdict(SOFT, kept=forged) == TAKEN
    assert verdict(HARD, kept=forged)[0] == 40


def test_a_stale_answer_is_worth_nothing_and_something_fresher_helps() -> None:
    stale = CA.answers(DEVICE, begin=TODAY - 3 * DAY, end=TODAY - DAY)
    assert verdict(SOFT, stapled=stale) == TAKEN
    assert "out of date" in str(verdict(HARD, stapled=stale))
    assert verdict(HARD, stapled=stale, kept=CA.answers(DEVICE)) == TAKEN
    assert verdict(HARD, listed(CA.revokes()), stapled=stale) == TAKEN
    assert verdict(HARD, stapled=stale, wall=None) == TAKEN


def test_a_responder_that_has_no_answer_says_so() -> None:
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(DER)
    assert verdict(SOFT, stapled=later) == TAKEN
    assert "the OCSP responder says try_later" in str(verdict(HARD, stapled=later))
