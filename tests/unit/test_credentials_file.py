"""The file of `--credentials`: what it says, and what is wrong with it, by line and without a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.credentials_file import read_credentials
from lwm2m.security.info import CertificateName, OscoreSecurity, PublicKey, SecurityInfo
from lwm2m.security.keys import FileKey
from lwm2m.toml_lines import SettingsError

ROOT = Path(__file__).resolve().parent.parent.parent
DIGITS = "00112233445566778899aabbccddeeff"
SECRET = bytes.fromhex(DIGITS)
PUBLIC = FileKey.generate().public_key
LAMP = f'[[client]]\nendpoint = "lamp"\nsecurity = "psk"\nkey = "{DIGITS}"\n'
VALVE = '[[client]]\nendpoint = "valve"\n[client.oscore]\n'
OSCORE = f'master_secret = "{DIGITS}"\nsender_id = "01"\nrecipient_id = "02"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lamp.psk").write_text(f"{DIGITS}\n")
    (tmp_path / "fan.der").write_bytes(PUBLIC)
    pem = load_der_public_key(PUBLIC).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "fan.pem").write_bytes(pem)
    (tmp_path / "bad.pem").write_bytes(b"-----BEGIN nothing")
    return tmp_path / "credentials.toml"


def read(file: Path, text: str) -> tuple[SecurityInfo, ...]:
    file.write_text(text)
    return read_credentials(file, lambda _: None)


@pytest.mark.parametrize(
    ("text", "info"),
    [
        (LAMP, SecurityInfo("lamp", PreSharedKey(b"lamp", SECRET))),
        (f'{LAMP}identity = "id-ä"\n', SecurityInfo("lamp", PreSharedKey("id-ä".encode(), SECRET))),
        (
            LAMP.replace(f'key = "{DIGITS}"', 'key_file = "lamp.psk"'),
            SecurityInfo("lamp", PreSharedKey(b"lamp", SECRET)),
        ),
        (
            f'[[client]]\nendpoint = "fan"\nsecurity = "rpk"\npublic_key = "{PUBLIC.hex()}"\n',
            SecurityInfo("fan", PublicKey(PUBLIC)),
        ),
        (
            '[[client]]\nendpoint = "fan"\nsecurity = "rpk"\npublic_key_file = "fan.der"\n',
            SecurityInfo("fan", PublicKey(PUBLIC)),
        ),
        (
            '[[client]]\nendpoint = "fan"\nsecurity = "rpk"\npublic_key_file = "fan.pem"\n',
            SecurityInfo("fan", PublicKey(PUBLIC)),
        ),
        ('[[client]]\nendpoint = "m"\nsecurity = "x509"\n', SecurityInfo("m", CertificateName())),
        ('[[client]]\nendpoint = "m"\nsecurity = "x509"\nname = "n"\n', SecurityInfo("m", CertificateName("n"))),
        (VALVE + OSCORE, SecurityInfo("valve", oscore=OscoreSecurity(SECRET, b"\x01", b"\x02"))),
        (
            f'{VALVE}{OSCORE}master_salt = "aa"\nid_context = ""\naead = 11\nhkdf = 5\n',
            SecurityInfo("valve", oscore=OscoreSecurity(SECRET, b"\x01", b"\x02", b"\xaa", b"", 11, 5)),
        ),
        (
            f"{LAMP}[client.oscore]\n{OSCORE}",
            SecurityInfo("lamp", PreSharedKey(b"lamp", SECRET), OscoreSecurity(SECRET, b"\x01", b"\x02")),
        ),
    ],
)
def test_every_kind_of_credentials(file: Path, text: str, info: SecurityInfo) -> None:
    assert read(file, text) == (info,)


def test_a_file_may_hold_nobody(file: Path) -> None:
    assert read(file, "") == ()


def test_each_file_with_keys_is_told(file: Path) -> None:
    file.write_text(LAMP.replace(f'key = "{DIGITS}"', 'key_file = "lamp.psk"'))
    told: list[str] = []
    read_credentials(file, lambda path: told.append(path.name))
    assert told == ["lamp.psk"]
    file.write_text(LAMP + VALVE + OSCORE)
    told.clear()
    read_credentials(file, lambda path: told.append(path.name))
    assert told == ["credentials.toml"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[server]\n", 1, "no setting 'server' outside [[client]]"),
        (f'{LAMP}keys = "x"\n', 5, "no setting 'keys' in client"),
        ('[[client]]\nsecurity = "x509"\n', 1, "client needs endpoint"),
        ('[[client]]\nendpoint = "x"\n', 2, "a client has security, one of psk, rpk, x509, or a table oscore"),
        ('[[client]]\nendpoint = "x"\nsecurity = "nosec"\n', 3, "security is one of psk, rpk, x509"),
        ('[[client]]\nendpoint = ""\nsecurity = "x509"\n', 2, "an endpoint name has 1 to"),
        (LAMP.replace(DIGITS, f"{DIGITS}g"), 4, "key is hexadecimal digits"),
        (LAMP.replace(DIGITS, ""), 3, "from 1 to 65535 bytes"),
        (LAMP.replace("key =", "name ="), 4, "name is nothing that security psk takes"),
        (f'{LAMP}key_file = "lamp.psk"\n', 4, "there is to be a key or a key_file"),
        ('[[client]]\nendpoint = "x"\nsecurity = "psk"\n', 1, "there is to be a key or a key_file"),
        (LAMP.replace(f'key = "{DIGITS}"', 'key_file = "gone"'), 4, "gone cannot be read: No such file"),
        (LAMP.replace(f'key = "{DIGITS}"', 'key_file = "fan.der"'), 4, "fan.der is not hexadecimal digits"),
        (
            f'[[client]]\nendpoint = "x"\nsecurity = "rpk"\npublic_key = "{DIGITS}"\n',
            3,
            "the public key is not a SubjectPublicKeyInfo",
        ),
        (
            '[[client]]\nendpoint = "x"\nsecurity = "rpk"\npublic_key_file = "bad.pem"\n',
            4,
            "holds no public key that can be read",
        ),
        (f"{LAMP}\n{LAMP}", 7, "there is a second client lamp"),
        (LAMP + LAMP.replace('endpoint = "lamp"', 'endpoint = "x"\nidentity = "lamp"'), 6, "another endpoint has it"),
        (VALVE + OSCORE.replace('"02"', '"01"'), 4, "sender id and recipient id are different ones"),
        (VALVE + OSCORE.replace("sender_id", "sender"), 5, "no setting 'sender' in client.oscore"),
        (VALVE + OSCORE.replace(DIGITS, "xx"), 4, "master_secret is hexadecimal digits"),
        (f'{VALVE}{OSCORE}aead = "10"\n', 7, "aead is a whole number"),
        (f"{VALVE}{OSCORE}aead = 7\n", 4, "there is no AEAD algorithm 7"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_without_a_key(file: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(SettingsError) as told:
        read(file, text)
    sentence = str(told.value)
    assert sentence.startswith(f"{file}:{line}: "), sentence
    assert words in sentence
    assert DIGITS not in sentence


def test_the_example_says_everything() -> None:
    infos = read_credentials(ROOT / "examples" / "credentials.toml", lambda _: None)
    kinds = [type(info.oscore if info.tls is None else info.tls).__name__ for info in infos]
    assert kinds == ["PreSharedKey", "PublicKey", "CertificateName", "OscoreSecurity"]
