"""The URIs of keys in tokens, and the names of key files. RFC 7512, lwm2m.md §9.8"""

from __future__ import annotations

from pathlib import Path

import pytest

from lwm2m.security.key_reference import signing_key
from lwm2m.security.keys import FileKey
from lwm2m.security.token_uri import TokenUri


def test_what_a_uri_says() -> None:
    uri = TokenUri.parse(
        "pkcs11:token=My%20token;object=key;id=%01%ff;type=private?module-path=/a.so&pin-source=file:/p"
    )
    assert uri == TokenUri("/a.so", "My token", None, "key", b"\x01\xff", "/p")
    assert str(uri) == "the key 'key' in the token My token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("token=a", "is not a pkcs11: URI"),
        ("pkcs11:token=a?module-path=/a.so", "add object=LABEL or id="),
        ("pkcs11:object=a", r"add \?module-path="),
        ("pkcs11:object=a?module-path=/a.so&pin-value=1234", "name that with pin-source"),
        ("pkcs11:object=a;type=cert?module-path=/a.so", "has to name a private key"),
        ("pkcs11:object=a;object=b?module-path=/a.so", "has 'object' twice"),
        ("pkcs11:object=a;colour=b?module-path=/a.so", "has 'colour', which is not understood"),
        ("pkcs11:object?module-path=/a.so", "has 'object', which is not understood"),
    ],
)
def test_a_uri_that_cannot_be_used_says_what_to_mend(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        TokenUri.parse(text)
    assert "1234" not in str(caught.value)


def test_a_key_in_a_file_is_read_in_either_form(tmp_path: Path) -> None:
    key = FileKey.generate()
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.pem())
    assert signing_key(str(pem)).public_key == key.public_key


@pytest.mark.parametrize(
    ("content", "words"), [(b"none", "none.pem: "), (None, "none.pem cannot be read: No such file")]
)
def test_a_file_without_a_key_says_so(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        signing_key(str(path))
