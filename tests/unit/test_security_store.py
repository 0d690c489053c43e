"""Credentials of clients: as values, and kept in every kind of store."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.security.credentials import PreSharedKey, rpk_identity
from lwm2m.security.info import CertificateName, OscoreSecurity, PublicKey, SecurityInfo, oscore_identity
from lwm2m.security.keys import FileKey
from lwm2m.security.store import IdentityTaken, MemorySecurity, SecurityStore, SecurityStoreError
from lwm2m.server.store.security_json import security_from_json, security_to_json
from lwm2m.server.store.sqlite_security import SqliteSecurity

SECRET = b"a key of sixteen"
KEY = FileKey.generate()
LAMP = SecurityInfo("lamp", PreSharedKey(b"lamp-id", SECRET))
FAN = SecurityInfo("fan", PublicKey(KEY.public_key))
METER = SecurityInfo("meter", CertificateName())
VALVE = SecurityInfo("valve", oscore=OscoreSecurity(SECRET, b"\x01", b"\x02", b"salt", b"ctx"))
BOTH = SecurityInfo("both", PreSharedKey(b"both", SECRET), OscoreSecurity(SECRET, b"", b"\x07"))
ALL = (LAMP, FAN, METER, VALVE, BOTH)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SecurityStore]:
    made: SecurityStore = MemorySecurity() if request.param == "memory" else SqliteSecurity(tmp_path)
    await made.load()
    yield made
    await made.close()


async def filled(store: SecurityStore, infos: Iterable[SecurityInfo] = ALL) -> SecurityStore:
    for info in infos:
        assert await store.add(info) is None
    return store


IDENTITIES = {
    "lamp": "psk:lamp-id",
    "fan": rpk_identity(KEY.public_key),
    "meter": "x509:meter",
    "valve": "oscore:02/637478",
    "both": "oscore:07",
}


async def test_each_endpoint_is_spoken_for_by_its_own_identity_only(store: SecurityStore) -> None:
    await filled(store)
    for endpoint in IDENTITIES:
        for owner, identity in IDENTITIES.items():
            assert store.permits(endpoint, identity) is (endpoint == owner)


@pytest.mark.parametrize("identity", [None, "", "lamp", "lamp-id", "psk:", "psk:lamp", "x509:lamp", "rpk:lamp-id"])
async def test_anything_else_is_a_no(store: SecurityStore, identity: str | None) -> None:
    await filled(store)
    assert not store.permits("lamp", identity)
    assert not store.permits("stranger", identity)


async def test_the_outer_identity_does_not_do_where_there_is_an_inner_one(store: SecurityStore) -> None:
    await filled(store)
    assert not store.permits("both", "psk:both")
    assert store.psk(b"both") == SECRET
    assert store.endpoint_of("psk:both") == store.endpoint_of("oscore:07") == "both"


async def test_keys_are_found_by_the_identity_that_they_go_with(store: SecurityStore) -> None:
    await filled(store)
    assert store.psk(b"lamp-id") == SECRET
    assert [store.psk(identity) for identity in (b"lamp", b"", b"meter", b"\xff", b"LAMP-ID")] == [None] * 5


async def test_bytes_that_look_like_the_text_of_others_are_another_identity(store: SecurityStore) -> None:
    await store.add(SecurityInfo("odd", PreSharedKey(b"\\xff", SECRET)))
    assert store.psk(b"\xff") is None


async def test_the_list_is_in_the_order_of_the_names(store: SecurityStore) -> None:
    await filled(store)
    assert [info.endpoint for info in store.list()] == ["both", "fan", "lamp", "meter", "valve"]
    assert set(store.list()) == set(ALL)


@pytest.mark.parametrize(
    "other",
    [
        SecurityInfo("thief", PreSharedKey(b"lamp-id", b"some other secret")),
        SecurityInfo("thief", PublicKey(KEY.public_key)),
        SecurityInfo("thief", CertificateName("meter")),
        SecurityInfo("thief", oscore=OscoreSecurity(b"other", b"\x05", b"\x02", b"", b"ctx")),
    ],
)
async def test_what_one_endpoint_shows_another_cannot_show(store: SecurityStore, other: SecurityInfo) -> None:
    await filled(store)
    with pytest.raises(IdentityTaken, match=r"'thief' cannot have the identity .*: another endpoint has it"):
        await store.add(other)
    assert store.get("thief") is None
    assert store.psk(b"lamp-id") == SECRET


async def test_credentials_are_replaced(store: SecurityStore) -> None:
    await filled(store)
    rotated = SecurityInfo("lamp", PreSharedKey(b"lamp-2", b"the key after it"))
    assert await store.add(rotated) == LAMP
    assert (store.psk(b"lamp-id"), store.psk(b"lamp-2")) == (None, b"the key after it")
    assert store.permits("lamp", "psk:lamp-2")
    assert not store.permits("lamp", "psk:lamp-id")


async def test_what_is_removed_is_gone(store: SecurityStore) -> None:
    await filled(store)
    assert await store.remove("lamp") == LAMP
    assert await store.remove("lamp") is None
    assert store.psk(b"lamp-id") is None
    assert store.get("lamp") is None
    assert not store.permits("lamp", "psk:lamp-id")
    assert await store.add(SecurityInfo("heir", PreSharedKey(b"lamp-id", SECRET))) is None


async def reopened(folder: Path, *given: SecurityInfo) -> SqliteSecurity:
    store = SqliteSecurity(folder, given)
    await store.load()
    return store


async def test_everything_outlives_the_process(tmp_path: Path) -> None:
    first = await reopened(tmp_path)
    await filled(first)
    await first.remove("fan")
    await first.close()
    second = await reopened(tmp_path)
    assert set(second.list()) == {LAMP, METER, VALVE, BOTH}
    assert second.permits("lamp", "psk:lamp-id")
    await second.close()


async def test_the_file_is_for_its_owner_and_forgets_keys_that_were_removed(tmp_path: Path) -> None:
    store = await reopened(tmp_path)
    await store.add(SecurityInfo("lamp", PreSharedKey(b"lamp-id", b"\xde\xad\xbe\xef" * 4)))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    await store.remove("lamp")
    await store.close()
    assert b"deadbeef" not in store.path.read_bytes()


async def test_what_is_given_yields_to_what_was_added_and_stays_removed(tmp_path: Path) -> None:
    store = await reopened(tmp_path, LAMP, METER)
    rotated = SecurityInfo("lamp", PreSharedKey(b"lamp-2", SECRET))
    await store.add(rotated)
    await store.remove("meter")
    await store.close()
    store = await reopened(tmp_path, LAMP, METER, FAN)
    assert set(store.list()) == {rotated, FAN}
    await store.close()


async def test_a_clash_of_what_is_given_and_what_was_kept_is_told(tmp_path: Path) -> None:
    store = await reopened(tmp_path)
    await store.add(LAMP)
    await store.close()
    with pytest.raises(SecurityStoreError, match=r"another endpoint has it already, in .*lwm2m-security\.sqlite3"):
        await reopened(tmp_path, SecurityInfo("other", PreSharedKey(b"lamp-id", SECRET)))


async def test_a_file_that_another_process_has_is_refused(tmp_path: Path) -> None:
    store = await reopened(tmp_path)
    with pytest.raises(SecurityStoreError, match="another process has it"):
        await reopened(tmp_path)
    await store.close()


@pytest.mark.parametrize("info", ALL)
def test_values_are_the_same_after_json_and_show_no_key(info: SecurityInfo) -> None:
    assert security_from_json(info.endpoint, security_to_json(info)) == info
    assert "sixteen" not in repr(info)
    assert "salt'" not in repr(info)


@settings(max_examples=50, deadline=None)
@given(st.text("aü/% \\'", min_size=1, max_size=30), st.text(max_size=20), st.binary(min_size=1, max_size=20))
def test_whatever_becomes_a_value_is_kept_as_it_is(endpoint: str, identity: str, key: bytes) -> None:
    info = SecurityInfo(endpoint, PreSharedKey(identity.encode(), key))
    assert security_from_json(endpoint, security_to_json(info)) == info


P384 = ec.generate_private_key(ec.SECP384R1()).public_key()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SecurityInfo("lamp"), "'lamp' has no credentials"),
        (lambda: SecurityInfo("", CertificateName()), "an endpoint name has 1 to"),
        (lambda: SecurityInfo("a\nb", CertificateName()), "can be printed"),
        (lambda: CertificateName(""), "the name of a certificate has 1 to"),
        (lambda: PreSharedKey(b"lamp", b""), "from 1 to 65535 bytes"),
        (lambda: SecurityInfo("lamp", PreSharedKey(b"\xff", SECRET)), "is text in UTF-8"),
        (lambda: PublicKey(b"no key"), "not a SubjectPublicKeyInfo"),
        (
            lambda: PublicKey(P384.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "not one on the curve P-256",
        ),
        (lambda: OscoreSecurity(b"", b"\x01", b"\x02"), "has a master secret"),
        (lambda: OscoreSecurity(b"s", b"\x01", b"\x01"), "are different ones"),
        (lambda: OscoreSecurity(b"s", b"12345678", b"\x01"), "at most 7 bytes"),
        (lambda: OscoreSecurity(b"s", b"1234567", b"\x01", aead=24), "at most 6 bytes with AEAD algorithm 24"),
        (lambda: OscoreSecurity(b"s", b"1", b"2", aead=99), "there is no AEAD algorithm 99"),
        (lambda: OscoreSecurity(b"s", b"1", b"2", hkdf=0), "there is no HKDF algorithm 0"),
    ],
)
def test_there_is_no_value_that_means_nothing(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=sentence):
        make()


def test_an_oscore_identity_tells_contexts_apart() -> None:
    assert oscore_identity(b"\x0a") == "oscore:0a"
    assert oscore_identity(b"\x0a", b"") == "oscore:0a/"
    assert oscore_identity(b"", b"\x0a") == "oscore:/0a"


async def prove(store: SecurityStore, endpoint: str) -> None:
    durable = store.prove(endpoint)
    if durable is not None:
        await durable


async def test_a_name_is_proved_until_the_endpoint_is_removed(store: SecurityStore) -> None:
    await filled(store, (LAMP,))
    for endpoint in ("fan", "lamp"):
        assert not store.is_proved(endpoint)
        await prove(store, endpoint)
        assert store.is_proved(endpoint)
    assert await store.remove("fan") is None
    assert await store.remove("lamp") == LAMP
    assert not store.is_proved("fan")
    assert not store.is_proved("lamp")


async def test_the_latest_names_that_were_proved_are_kept(
    store: SecurityStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lwm2m.security.store", "lwm2m.server.store.sqlite_security"):
        monkeypatch.setattr(f"{module}.MOST_PROVED", 2)
    for endpoint in ("one", "two", "three"):
        await prove(store, endpoint)
    assert [store.is_proved(endpoint) for endpoint in ("one", "two", "three")] == [False, True, True]


async def test_what_was_proved_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwm2m.server.store.sqlite_security.MOST_PROVED", 2)
    store = SqliteSecurity(tmp_path)
    await store.load()
    for endpoint in ("gone", "one", "two", "three", "three"):
        await prove(store, endpoint)
    await store.remove("two")
    await store.close()
    again = SqliteSecurity(tmp_path)
    await again.load()
    assert [again.is_proved(endpoint) for endpoint in ("gone", "one", "two", "three")] == [False, False, False, True]
    await again.close()
