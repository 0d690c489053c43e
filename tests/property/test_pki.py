"""Whatever a peer sends as a certificate or an answer about one: it is taken or refused, and nothing else happens.

A change may hit what no signature covers, as the count of unused bits of a signature: then it changes nothing."""

from __future__ import annotations

from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.ocsp import load_der_ocsp_response
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CredentialsRefused, PeerChain
from lwm2m.security.crl import RevocationList
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, ClientCheck, Pin, ServerCheck
from tests.authority import WALL, Issued, hosts, key_usage, responder_at, root

ROOT = root()
CA = ROOT.authority("Device CA", key_usage("key_cert_sign", "crl_sign"))
DEVICE = CA.issues(
    "device", hosts("server.example", "192.0.2.1"), key_usage("digital_signature"), responder_at("http://o")
)
CHAIN = [DEVICE.der, CA.der, ROOT.der]
LIST = CA.revokes(DEVICE)
ANSWER = CA.answers(DEVICE)
TRUST = TrustStore((ROOT.certificate,))
REVOCATION = Revocation(RevocationPolicy.SOFT)
CLIENTS = ClientCheck(TRUST, wall=lambda: WALL, revocation=REVOCATION)


class Change:
    """Of a few bytes, or of the length."""

    def __init__(self, at: int, mask: int, cut: int) -> None:
        self.at, self.mask, self.cut = at, mask, cut

    def __repr__(self) -> str:
        return f"Change({self.at}, {self.mask}, {self.cut})"

    def of(self, data: bytes) -> bytes:
        changed = bytearray(data)
        changed[self.at % len(changed)] ^= self.mask
        return bytes(changed[: len(changed) - self.cut % len(changed)])


CHANGES = st.builds(Change, st.integers(0, 2000), st.integers(1, 255), st.sampled_from([0, 0, 0, 1, 50]))


def is_taken(check: ServerCheck | ClientCheck, chain: list[bytes], ocsp: bytes | None = None) -> bool:
    try:
        check(PeerChain(tuple(chain), ocsp))
    except CredentialsRefused as refused:
        return not (40 <= refused.alert <= 115 and refused.sentence)
    return True


def test_unchanged_it_is_taken() -> None:
    assert is_taken(CLIENTS, CHAIN, ANSWER)


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_a_changed_certificate_of_the_peer_is_never_taken(change: Change) -> None:
    changed = change.of(DEVICE.der)
    signed = DEVICE.certificate.tbs_certificate_bytes
    assert (
        not is_taken(CLIENTS, [changed, *CHAIN[1:]])
        or load_der_x509_certificate(changed).tbs_certificate_bytes == signed
    )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 2]), CHANGES, st.sampled_from(CertificateUsage), st.sampled_from([WALL, None]))
def test_changes_in_the_rest_of_the_chain_are_harmless(
    index: int, change: Change, usage: CertificateUsage, wall: float | None
) -> None:
    chain = list(CHAIN)
    chain[index] = change.of(chain[index])
    pinned: Issued = DEVICE if usage in {1, 3} else ROOT
    check = ServerCheck(Pin(pinned.der), usage, TRUST, "server.example", lambda: wall, REVOCATION)
    is_taken(check, chain, ANSWER)


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_a_changed_answer_is_never_a_good_one(change: Change) -> None:
    check = ServerCheck(
        trust=TrustStore((CA.certificate,)), wall=lambda: WALL, revocation=Revocation(RevocationPolicy.HARD)
    )
    assert is_taken(check, CHAIN[:1], ANSWER)
    changed = change.of(ANSWER)
    assert not is_taken(check, CHAIN[:1], changed) or signed_part(changed) == signed_part(ANSWER)


def signed_part(answer: bytes) -> bytes:
    return load_der_ocsp_response(answer).tbs_response_bytes


@settings(max_examples=200, deadline=None)
@given(CHANGES)
def test_a_changed_list_says_what_it_said_or_is_not_read(change: Change) -> None:
    try:
        read = RevocationList.read(change.of(LIST), [CA.certificate])
    except ValueError:
        return
    assert read == RevocationList.read(LIST, [CA.certificate])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=4), st.none() | st.binary(max_size=64))
def test_bytes_of_any_kind_are_refused(chain: list[bytes], ocsp: bytes | None) -> None:
    assert not is_taken(CLIENTS, chain, ocsp)
