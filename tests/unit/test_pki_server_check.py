"""What a client asks of a server: certificate usages, matching types, names and dates. lwm2m.md §9.4"""

from __future__ import annotations

from hashlib import sha256, sha384, sha512

import pytest

from lwm2m.security.certificates import public_key
from lwm2m.security.credentials import CredentialsRefused, PeerChain, PeerKey, rpk_identity
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, MatchingType, Pin, ServerCheck
from tests.authority import DAY, TODAY, WALL, Issued, hosts, root, self_signed

HOST = "server.example"
ROOT = root()
INTERMEDIATE = ROOT.authority("Intermediate CA")
SERVER = INTERMEDIATE.issues("a server", hosts(HOST))
OTHER = INTERMEDIATE.issues("another server", hosts(HOST))
STRANGER = root("Stranger CA")
FOREIGN = STRANGER.issues("a foreign server", hosts(HOST))
CHAIN = PeerChain((SERVER.der, INTERMEDIATE.der, ROOT.der))
TRUST = TrustStore((ROOT.certificate,))
NOBODY = TrustStore()

CA, SERVICE, ANCHOR, DOMAIN = CertificateUsage


def pin(issued: Issued, matching: MatchingType = MatchingType.EXACT) -> Pin:
    hashes = {MatchingType.SHA256: sha256, MatchingType.SHA384: sha384, MatchingType.SHA512: sha512}
    data = issued.der
    return Pin(data if matching is MatchingType.EXACT else hashes[matching](data).digest(), matching)


def check(
    pinned: Pin | None,
    usage: CertificateUsage,
    trust: TrustStore,
    chain: PeerChain = CHAIN,
    name: str | None = HOST,
    wall: float | None = WALL,
) -> str:
    return ServerCheck(pinned, usage, trust, name, lambda: wall)(chain)


def refusal(*arguments: object, **named: object) -> CredentialsRefused:
    with pytest.raises(CredentialsRefused) as caught:
        check(*arguments, **named)  # type: ignore[arg-type]
    return caught.value


# usage, what is in /0/x/4, what is trusted, whether the server is taken
TABLE = [
    (CA, INTERMEDIATE, TRUST, True),
    (CA, ROOT, TRUST, True),
    (CA, STRANGER, TRUST, False),
    (CA, SERVER, TRUST, False),
    (CA, INTERMEDIATE, NOBODY, False),
    (CA, INTERMEDIATE, TrustStore((STRANGER.certificate,)), False),
    (SERVICE, SERVER, TRUST, True),
    (SERVICE, SERVER, NOBODY, False),
    (SERVICE, SERVER, TrustStore((STRANGER.certificate,)), False),
    (SERVICE, OTHER, TRUST, False),
    (SERVICE, INTERMEDIATE, TRUST, False),
    (SERVICE, ROOT, TRUST, False),
    (ANCHOR, ROOT, NOBODY, True),
    (ANCHOR, INTERMEDIATE, NOBODY, True),
    (ANCHOR, STRANGER, TRUST, False),
    (ANCHOR, SERVER, TRUST, False),
    (DOMAIN, SERVER, NOBODY, True),
    (DOMAIN, SERVER, TRUST, True),
    (DOMAIN, OTHER, TRUST, False),
    (DOMAIN, INTERMEDIATE, TRUST, False),
    (DOMAIN, ROOT, NOBODY, False),
]


@pytest.mark.parametrize("matching", MatchingType)
@pytest.mark.parametrize(("usage", "pinned", "trust", "taken"), TABLE)
def test_each_usage_takes_what_it_means_and_nothing_else(
    usage: CertificateUsage, pinned: Issued, trust: TrustStore, taken: bool, matching: MatchingType
) -> None:
    if taken:
        assert check(pin(pinned, matching), usage, trust) == "x509:a server"
    else:
        assert refusal(pin(pinned, matching), usage, trust).alert in {42, 48}


@pytest.mark.parametrize("matching", MatchingType)
def test_a_raw_public_key_has_to_be_the_pinned_one(matching: MatchingType) -> None:
    spki, other = FileKey.generate().public_key, FileKey.generate().public_key
    hashes = [bytes, lambda data: sha256(data).digest(), lambda data: sha384(data).digest()]
    hashes.append(lambda data: sha512(data).digest())
    one = ServerCheck(Pin(hashes[matching](spki), matching))
    assert one(PeerKey(spki)) == rpk_identity(spki)
    with pytest.raises(CredentialsRefused, match="is not the one that /0/x/4 asks for"):
        one(PeerKey(other))


def test_without_a_pin_no_raw_public_key_is_taken() -> None:
    with pytest.raises(CredentialsRefused):
        ServerCheck(trust=TRUST)(PeerKey(public_key(SERVER.certificate)))


def test_without_a_pin_the_chain_has_to_lead_to_who_is_trusted() -> None:
    assert check(None, DOMAIN, TRUST) == "x509:a server"
    assert refusal(None, DOMAIN, TRUST, PeerChain((FOREIGN.der, STRANGER.der))).alert == 48
    assert "no certificate authority is trusted" in str(refusal(None, DOMAIN, NOBODY))


def test_a_hash_in_the_pin_has_the_length_of_its_kind() -> None:
    with pytest.raises(ValueError, match="it is a hash of 48"):
        Pin(bytes(32), MatchingType.SHA384)
    with pytest.raises(ValueError, match="is empty"):
        Pin(b"")


def test_an_anchor_known_by_its_hash_only_has_to_be_sent_by_the_server() -> None:
    hashed = pin(ROOT, MatchingType.SHA256)
    short = PeerChain((SERVER.der, INTERMEDIATE.der))
    assert "let the server send its whole chain" in str(refusal(hashed, ANCHOR, NOBODY, short))
    assert check(hashed, ANCHOR, TRUST, short) == "x509:a server"


def test_a_pin_that_is_no_certificate_is_said_to_be_none() -> None:
    assert "/0/x/4 leads to no authority" in str(refusal(Pin(b"nothing"), ANCHOR, TRUST))


def test_the_constraint_finds_the_way_through_the_pinned_of_two_authorities_with_one_name() -> None:
    other = root("Other root")
    crossed = other.issues(
        "Intermediate CA",
        *[(found.value, found.critical) for found in INTERMEDIATE.certificate.extensions],
        key=INTERMEDIATE.private,
    )
    both = TrustStore((ROOT.certificate, other.certificate))
    chain = PeerChain((SERVER.der, INTERMEDIATE.der, crossed.der))
    assert check(pin(crossed), CA, both, chain) == "x509:a server"
    assert check(pin(INTERMEDIATE), CA, both, chain) == "x509:a server"
    assert refusal(pin(crossed), CA, TRUST, chain).alert == 48


@pytest.mark.parametrize("usage", CertificateUsage)
def test_the_name_is_checked_whatever_the_usage(usage: CertificateUsage) -> None:
    pinned = pin(INTERMEDIATE if usage in {CA, ANCHOR} else SERVER)
    refused = refusal(pinned, usage, TRUST, name="elsewhere.example")
    assert refused.alert == 42
    assert str(refused).startswith("the server's certificate is for 'server.example', not for 'elsewhere.example'")
    assert check(pinned, usage, TRUST, name=None) == "x509:a server"


@pytest.mark.parametrize("usage", CertificateUsage)
def test_dates_count_as_soon_as_there_is_a_clock(usage: CertificateUsage) -> None:
    old = INTERMEDIATE.issues("old", hosts(HOST), end=TODAY - DAY)
    pinned = pin(INTERMEDIATE if usage in {CA, ANCHOR} else old)
    chain = PeerChain((old.der, INTERMEDIATE.der, ROOT.der))
    refused = refusal(pinned, usage, TRUST, chain)
    assert (refused.alert, str(refused)) == (
        45,
        "the certificate of 'old' expired on 2027-02-28 00:00 UTC: issue a new one",
    )
    assert check(pinned, usage, TRUST, chain, wall=None) == "x509:old"


def test_without_a_clock_there_has_to_be_some_moment_at_which_the_whole_path_is_valid() -> None:
    late = root("Late CA", begin=TODAY, end=TODAY + DAY)
    before = late.issues("early", hosts(HOST), end=TODAY - DAY)
    during = late.issues("overlapping", hosts(HOST), begin=TODAY - 9 * DAY)
    trust = TrustStore((ROOT.certificate, late.certificate))
    assert check(None, DOMAIN, trust, PeerChain((during.der,)), wall=None) == "x509:overlapping"
    assert refusal(None, DOMAIN, trust, PeerChain((before.der,)), wall=None).alert == 42


NAMES = [
    (hosts("server.example"), "SERVER.Example.", True),
    (hosts("*.example.org"), "a.example.org", True),
    (hosts("*.example.org"), "a.b.example.org", False),
    (hosts("*.example.org"), "example.org", False),
    (hosts("*.org"), "example.org", False),
    (hosts("a*.example.org"), "ab.example.org", False),
    (hosts("xn--bcher-kva.example"), "bücher.example", True),
    (hosts("192.0.2.1"), "192.0.2.1", True),
    (hosts("192.0.2.1"), "192.0.2.2", False),
    (hosts("2001:db8::1"), "2001:db8:0:0::1", True),
    (hosts("urn:dev:os:1"), "the name", True),
    (hosts("server.example"), "the name", False),
]


@pytest.mark.parametrize(("extension", "host", "fits"), NAMES)
def test_a_host_is_named_by_the_certificate(extension: object, host: str, fits: bool) -> None:
    chain = PeerChain((ROOT.issues("the name", extension).der,))  # type: ignore[arg-type]
    if fits:
        check(None, DOMAIN, TRUST, chain, name=host)
    else:
        assert refusal(None, DOMAIN, TRUST, chain, name=host).alert == 42


def test_the_common_name_counts_where_no_host_is_named_otherwise() -> None:
    assert check(None, DOMAIN, TRUST, PeerChain((ROOT.issues(HOST).der,))) == f"x509:{HOST}"
    assert check(None, DOMAIN, TRUST, PeerChain((ROOT.issues("127.0.0.1").der,)), name="127.0.0.1") == "x509:127.0.0.1"


def test_a_server_that_signed_its_certificate_itself_is_taken_when_pinned_or_trusted() -> None:
    alone = self_signed(HOST)
    chain = PeerChain((alone.der,))
    assert check(pin(alone), DOMAIN, NOBODY, chain) == f"x509:{HOST}"
    assert check(None, DOMAIN, TrustStore((alone.certificate,)), chain) == f"x509:{HOST}"
    assert "has signed its certificate itself" in str(refusal(None, DOMAIN, TRUST, chain))
