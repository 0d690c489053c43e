"""What object 0 says of an account, as credentials and as a check of the server. lwm2m.md §9.1 to §9.4"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m.client import DataModel
from lwm2m.client.security import AccountSecurity, Mode, Own, UnusableSecurity, problem
from lwm2m.coap.streams.tls_psk import HAS_PSK
from lwm2m.dtls.settings import DEFAULT_SUITES, ClientSettings
from lwm2m.model.path import Path
from lwm2m.security.credentials import CertificateChain, PreSharedKey, RawPublicKey
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, MatchingType, Pin, ServerCheck
from tests.authority import hosts, root
from tests.integration.test_client_security import pkcs8

INSTANCE = Path(0, 3)
ROOT = root()
INTERMEDIATE = ROOT.authority("Intermediate CA")
DEVICE, SERVER = INTERMEDIATE.issues("dev1"), ROOT.issues("server", hosts("server.example"))
OTHER = INTERMEDIATE.issues("dev2")
PSK = AccountSecurity(Mode.PSK, b"dev1", secret_key=b"a key")
RPK = AccountSecurity(Mode.RPK, DEVICE.key.public_key, SERVER.key.public_key, pkcs8(DEVICE.private))
X509 = AccountSecurity(Mode.CERTIFICATE, DEVICE.der, SERVER.der, pkcs8(DEVICE.private))
NOBODY = Own()
TRUSTING = Own(trust=TrustStore((ROOT.certificate,)))


def settings(security: AccountSecurity, host: str | None = "server.example", own: Own = NOBODY) -> ClientSettings:
    return security.client_settings(INSTANCE, host, own=own, wall=lambda: None)


def check(security: AccountSecurity, host: str | None = "server.example", own: Own = NOBODY) -> ServerCheck:
    verify = settings(security, host, own).verify
    assert isinstance(verify, ServerCheck)
    return verify


@pytest.mark.parametrize(
    "security", [PSK, RPK, replace(X509, matching_type=0, server_name="h", usage=1, suites=(0xC0AE, 0xC023))]
)
def test_it_is_read_as_it_was_written(security: AccountSecurity) -> None:
    assert AccountSecurity.of(DataModel(security.records(INSTANCE)), INSTANCE) == security


def test_an_instance_that_says_nothing_has_no_security() -> None:
    assert AccountSecurity.of(DataModel(), INSTANCE) == AccountSecurity(Mode.NO_SEC)


def test_each_mode_has_its_credentials() -> None:
    assert settings(PSK).credentials == PreSharedKey(b"dev1", b"a key")
    assert settings(RPK).credentials == RawPublicKey(DEVICE.key)
    assert settings(X509).credentials == CertificateChain((DEVICE.der,), DEVICE.key)


def test_certificates_may_follow_one_another() -> None:
    both = replace(X509, identity=DEVICE.der + INTERMEDIATE.der)
    assert settings(both).credentials == CertificateChain((DEVICE.der, INTERMEDIATE.der), DEVICE.key)


def test_the_device_s_own_key_stands_in_for_a_missing_one() -> None:
    own = Own(signing_key=DEVICE.key)
    assert settings(replace(RPK, secret_key=b""), own=own).credentials == RawPublicKey(DEVICE.key)
    with pytest.raises(UnusableSecurity, match="/0/3/5 is not the private key of the certificate in /0/3/3"):
        settings(replace(X509, secret_key=b""), own=Own(signing_key=OTHER.key))


def test_the_server_is_checked_as_the_instance_says() -> None:
    pinned = check(X509)
    assert (pinned.pin, pinned.usage, pinned.name) == (Pin(SERVER.der), CertificateUsage(3), "server.example")
    hashed = replace(X509, server_key=bytes(32), matching_type=1, usage=2)
    assert check(hashed).pin == Pin(bytes(32), MatchingType.SHA256)
    assert check(hashed).usage is CertificateUsage.TRUST_ANCHOR_ASSERTION
    assert check(replace(X509, server_key=b""), own=TRUSTING).trust == TRUSTING.trust
    assert settings(PSK).verify is None


def test_a_name_is_sent_and_an_address_is_not() -> None:
    assert settings(X509).server_name == "server.example"
    assert settings(replace(X509, server_name="other.example")).server_name == "other.example"
    assert settings(X509, "127.0.0.1").server_name is None
    assert check(X509, "127.0.0.1").name == "127.0.0.1"


def test_suites_of_the_instance_replace_ours() -> None:
    assert settings(PSK).suites == DEFAULT_SUITES
    assert settings(replace(PSK, suites=(0x00AE,))).suites == (0x00AE,)
    with pytest.raises(UnusableSecurity, match="/0/3/16 cannot be used: none of the cipher suites fits"):
        settings(replace(PSK, suites=(0xC0AE,)))


@pytest.mark.parametrize(
    ("security", "sentence"),
    [
        (replace(PSK, identity=b""), "/0/3/3 is empty: write the identity"),
        (replace(PSK, secret_key=b""), "/0/3/5 is empty: write the pre-shared key"),
        (replace(RPK, identity=b""), "/0/3/3 is empty: write the public key"),
        (replace(RPK, server_key=b""), "/0/3/4 is empty: write the server's public key"),
        (replace(RPK, secret_key=b"secret"), "/0/3/5 cannot be used"),
        (replace(X509, identity=b"certificate"), "/0/3/3 cannot be used"),
        (replace(X509, identity=OTHER.der), "/0/3/5 is not the private key of the certificate"),
        (replace(X509, server_key=b""), "write the server's certificate, or trust an authority"),
        (replace(X509, usage=4), "/0/3/15 is 4: write a number from 0 to 3"),
        (replace(X509, matching_type=1), "/0/3/4 cannot be used"),
        (AccountSecurity(Mode.EST), "which is not done here"),
        (AccountSecurity(9), "/0/3/2 is no mode with keys"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_resource(security: AccountSecurity, sentence: str) -> None:
    with pytest.raises(UnusableSecurity) as refused:
        settings(security)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "security", "fits"),
    [
        ("coap://h", AccountSecurity(), True),
        ("coap+tcp://h", AccountSecurity(), True),
        ("coaps://h", PSK, True),
        ("coaps+tcp://h", X509, True),
        ("coaps+tcp://h", PSK, HAS_PSK),
        ("coaps+tcp://h", RPK, False),
        ("tel:123", PSK, True),
        ("coap://h", PSK, False),
        ("coap+ws://h", X509, False),
        ("coaps://h", AccountSecurity(), False),
        ("coaps+tcp://h", AccountSecurity(), False),
    ],
)
def test_a_scheme_and_a_mode_go_together(uri: str, security: AccountSecurity, fits: bool) -> None:
    found = problem(DataModel(security.records(INSTANCE)), INSTANCE, uri, NOBODY)
    assert (found is None) is fits


def test_keys_are_in_no_representation() -> None:
    assert "a key" not in repr(PSK)
    assert repr(pkcs8(DEVICE.private))[2:-1] not in repr(X509) + repr(Own(signing_key=FileKey.generate()))


@given(
    st.builds(
        AccountSecurity,
        st.integers(-1, 6),
        st.one_of(st.binary(max_size=64), st.sampled_from([DEVICE.der, DEVICE.der[:-1], DEVICE.der + b"0"])),
        st.binary(max_size=64),
        st.one_of(st.binary(max_size=64), st.just(pkcs8(DEVICE.private))),
        st.one_of(st.none(), st.integers(-1, 5)),
        st.one_of(st.none(), st.text(max_size=300)),
        st.one_of(st.none(), st.integers(-1, 5)),
        st.lists(st.integers(0, 0xFFFF), max_size=3).map(tuple),
    )
)
def test_whatever_a_bootstrap_server_writes_is_used_or_told(security: AccountSecurity) -> None:
    found = problem(DataModel(security.records(INSTANCE)), INSTANCE, "coaps://h", NOBODY)
    if found is None:
        assert settings(security, None).credentials
    else:
        assert "/0/3" in found
