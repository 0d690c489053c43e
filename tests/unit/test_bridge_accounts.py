"""What each client of the gateway shows its server, from files as `lwm2m keys` writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lwm2m.security import MemoryNumbers
from lwm2m.security.keys import FileKey
from lwm2m.server import SecurityMode
from osap_bridge.account import NoCredentials
from osap_bridge.accounts import Accounts
from osap_bridge.client_check import check_config
from osap_bridge.config import Config, Device
from osap_bridge.security_settings import SecuritySettings
from tests.authority import root

KEY, OTHER_KEY = "00112233445566778899aabbccddeeff", "ff" * 16
CA = root("CA")
LAMP = CA.issues("osap:Z1")
RAW = FileKey.generate()
COAPS = "coaps://127.0.0.1:5684"
OSCORE = f'[client.oscore]\nmaster_secret = "{KEY}"\nsender_id = "01"\nrecipient_id = "02"\nid_context = "03"'

Write = Callable[[str, bytes | str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file for its owner only; its path."""

    def written(name: str, content: bytes | str) -> str:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(0o600)
        return str(file)

    return written


@pytest.fixture
def files(write: Write, tmp_path: Path) -> Path:
    for name, content in {
        "osap-Z1.psk": KEY + "\n",
        "osap-Z1.key": LAMP.key.pem(),
        "osap-Z1.crt": LAMP.pem,
        "ca.crt": CA.pem,
        "raw.key": RAW.pem(),
        "server.pub": RAW.public_key,
    }.items():
        write(name, content)
    return tmp_path


def accounts(settings: SecuritySettings, *servers: str, bootstrap: str | None = None) -> Accounts:
    return Accounts(servers or (COAPS,), bootstrap, 0, settings, MemoryNumbers())


def client(endpoint: str, *lines: str) -> str:
    return "\n".join(["[[client]]", f'endpoint = "{endpoint}"', *lines, ""])


def psk(endpoint: str, key: str = KEY) -> str:
    return client(endpoint, 'security = "psk"', f'key = "{key}"')


def listed(write: Write, *clients: str) -> SecuritySettings:
    return SecuritySettings(credentials=write("clients.toml", "".join(clients)))


def reason(made: Accounts, endpoint: str) -> str:
    with pytest.raises(NoCredentials) as refused:
        made(endpoint)
    assert KEY not in str(refused.value)
    return str(refused.value)


def test_a_key_for_each_client_from_a_file_of_credentials(write: Write):
    made = accounts(listed(write, psk("osap-bridge"), psk("osap:Z1", OTHER_KEY)))
    for endpoint, key in (("osap-bridge", KEY), ("osap:Z1", OTHER_KEY)):
        shown = made(endpoint).security
        assert shown is not None
        assert (shown.mode, shown.identity, shown.secret_key.hex()) == (SecurityMode.PSK.value, endpoint.encode(), key)
        assert KEY not in repr(made(endpoint))


def test_a_key_for_each_client_from_files_named_by_the_endpoint(files: Path):
    made = accounts(SecuritySettings(psk_key_file=str(files / "{endpoint}.psk")))
    shown = made("osap:Z1").security
    assert shown is not None
    assert (shown.identity, shown.secret_key.hex()) == (b"osap:Z1", KEY)
    assert reason(made, "osap:Z2") == f"{files}/osap-Z2.psk cannot be read: No such file or directory"


def test_a_certificate_for_each_client(files: Path):
    settings = SecuritySettings(key="{endpoint}.key", certificate="{endpoint}.crt", trust="ca.crt").beside(files)
    account = accounts(settings)("osap:Z1")
    assert account.security is not None
    assert (account.security.mode, account.security.identity) == (SecurityMode.X509.value, LAMP.der)
    assert account.signing_key is not None
    assert account.signing_key.public_key == LAMP.key.public_key
    assert [authority.subject for authority in account.trust.anchors] == [CA.certificate.subject]


def test_what_the_certificate_of_the_server_is_for(files: Path):
    settings = SecuritySettings(
        key="{endpoint}.key", certificate="{endpoint}.crt", server_certificate="ca.crt", certificate_usage=2
    )
    shown = accounts(settings.beside(files))("osap:Z1").security
    assert shown is not None
    assert (shown.server_key, shown.usage) == (CA.der, 2)


def test_a_raw_public_key_is_held_to_what_the_server_knows(files: Path, write: Write):
    for key, fits in ((RAW.public_key, True), (LAMP.key.public_key, False)):
        write("clients.toml", client("gateway", 'security = "rpk"', f'public_key = "{key.hex()}"'))
        settings = SecuritySettings(credentials="clients.toml", key="raw.key", server_public_key="server.pub")
        made = accounts(settings.beside(files))
        if fits:
            shown = made("gateway").security
            assert shown is not None
            assert (shown.mode, shown.identity) == (SecurityMode.RPK.value, RAW.public_key)
        else:
            assert "raw.key is not the private key of the public key that" in reason(made, "gateway")


def test_whoever_stands_in_the_file_has_that_and_the_others_their_key_files(files: Path, write: Write):
    write("clients.toml", psk("osap-bridge") + client("osap:Z1", 'security = "x509"'))
    settings = SecuritySettings("clients.toml", key="{endpoint}.key", certificate="{endpoint}.crt", trust="ca.crt")
    made = accounts(settings.beside(files))
    modes = [shown.mode for endpoint in ("osap-bridge", "osap:Z1") if (shown := made(endpoint).security)]
    assert modes == [SecurityMode.PSK.value, SecurityMode.X509.value]
    assert "osap-Z2.key cannot be read" in reason(made, "osap:Z2")


def test_oscore_is_the_servers_context_seen_from_the_other_side(write: Write):
    account = accounts(listed(write, client("osap:Z1", OSCORE)), "coap://127.0.0.1")("osap:Z1")
    assert account.security is None
    assert account.numbers is not None
    assert account.oscore is not None
    assert (account.oscore.sender_id, account.oscore.recipient_id, account.oscore.id_context) == (b"\2", b"\1", b"\3")


def test_oscore_goes_inside_of_dtls_too(write: Write):
    made = accounts(listed(write, client("osap:Z1", 'security = "psk"', f'key = "{KEY}"', OSCORE)))
    account = made("osap:Z1")
    assert account.oscore is not None
    assert account.security is not None


@pytest.mark.parametrize(
    ("text", "servers", "bootstrap", "sentence"),
    [
        ("", (), None, "has no credentials for osap:Z1: add a [[client]] with this endpoint"),
        (client("osap:Z1", OSCORE), (COAPS,), None, "has no keys for osap:Z1 and coaps://127.0.0.1:5684"),
        (psk("osap:Z1"), ("coap://h",), None, "coap://h would not use them; a URI with security has coaps"),
        (client("osap:Z1", OSCORE), ("coap://h",), "coap://b", "for one server: name either 'server' or 'bootstrap'"),
        (client("osap:Z1", 'security = "x509"'), (), None, "shows a certificate: under [lwm2m] set 'key' and"),
        (
            client("osap:Z1", 'security = "rpk"', f'public_key = "{RAW.public_key.hex()}"'),
            (),
            None,
            "shows a raw public key: under [lwm2m] set 'key' and 'server_public_key'",
        ),
        ("[[client]]\nkey = 5", (), None, "clients.toml:2: key is a text in quotes"),
        (psk("osap:Z1", "no digits"), (), None, "clients.toml:4: key is hexadecimal digits"),
    ],
)
def test_what_is_missing_is_one_sentence(
    write: Write, text: str, servers: tuple[str, ...], bootstrap: str | None, sentence: str
):
    made = accounts(listed(write, text), *servers, bootstrap=bootstrap)
    assert sentence in reason(made, "osap:Z1")
    assert "no digits" not in reason(made, "osap:Z1")


def test_a_file_that_has_changed_is_read_again(write: Write):
    made = accounts(listed(write, psk("osap-bridge")))
    assert "add a [[client]]" in reason(made, "osap:Z1")
    write("clients.toml", psk("osap-bridge") + psk("osap:Z1"))
    assert made("osap:Z1").security is not None


def test_authorities_that_cannot_be_read_are_told_at_once(tmp_path: Path):
    with pytest.raises(NoCredentials, match=r"ca\.crt cannot be read"):
        accounts(SecuritySettings(trust=str(tmp_path / "ca.crt")))


@pytest.mark.skipif(os.name != "posix", reason="there are no such modes of files")
def test_files_that_others_can_read_are_told_once(write: Write, files: Path, caplog: pytest.LogCaptureFixture):
    settings = SecuritySettings(credentials=write("clients.toml", psk("a") + psk("b", OTHER_KEY)))
    made = accounts(settings)
    made("a")
    assert caplog.messages == []
    (files / "clients.toml").chmod(0o640)
    made = accounts(settings)
    made("a")
    made("b")
    assert caplog.messages == [
        f"{files}/clients.toml holds keys and can be read by others: chmod 600 {files}/clients.toml"
    ]


def config(folder: Path, security: SecuritySettings, server: str = COAPS) -> Config:
    devices = tuple(Device(serial, "QWERTY") for serial in ("Z1", "Z2"))
    return Config(state=folder / "state", server=server, devices=devices, security=security)


def test_a_check_looks_at_the_gateway_and_each_device(write: Write, tmp_path: Path):
    found = check_config(config(tmp_path, listed(write, psk("osap-bridge"), psk("osap:Z1"), psk("osap:Z9"), psk("x"))))
    assert [(each.endpoint, each.shows) for each in found.clients] == [
        ("osap-bridge", "a pre-shared key"),
        ("osap:Z1", "a pre-shared key"),
        ("osap:Z2", ""),
    ]
    assert not found.is_usable
    assert "add a [[client]] with this endpoint" in found.clients[2].problem
    (remark,) = found.remarks
    assert "for what may not connect as a device, Z9: add it with osap-bridge device add Z9 --code-file FILE" in remark


def test_a_check_names_a_few_of_many_that_are_no_device(write: Write, tmp_path: Path):
    def remarks(pattern: str, *endpoints: str) -> tuple[str, ...]:
        given = listed(write, *(psk(endpoint, f"{number:032x}") for number, endpoint in enumerate(endpoints)))
        return check_config(replace(config(tmp_path, given), pattern=pattern, endpoint="osap:gateway")).remarks

    (remark,) = remarks("osap:{serial}", *(f"osap:Z{number}" for number in range(3, 9)), "osap:gateway")
    assert "Z3, Z4, Z5 and 3 more: add it" in remark
    assert remarks("{serial}", "lamp-1", "osap:gateway") == ()


def test_a_check_of_a_gateway_without_security_says_so(tmp_path: Path):
    found = check_config(config(tmp_path, SecuritySettings(), "coap://192.0.2.1"))
    assert {each.shows for each in found.clients} == {"nothing"}
    assert found.is_usable
    (remark,) = found.remarks
    assert remark.startswith("coap://192.0.2.1 leads to another machine, and nothing on the way there is encrypted")


def test_a_check_finds_a_uri_that_cannot_be(tmp_path: Path):
    found = check_config(config(tmp_path, SecuritySettings(), "http://h"))
    assert "is not a coap://" in found.clients[0].problem
