"""What the gateway's settings say about security: what goes together, and which file is whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from osap_bridge.config import Config, ConfigError, read_config
from osap_bridge.security_settings import SecuritySettings
from osap_bridge.topology import ClientPerDevice, SingleClient

COAPS = 'server = "coaps://h"'
PSK = 'psk_key_file = "{endpoint}.psk"'
X509 = 'key = "{endpoint}.key"\ncertificate = "{endpoint}.crt"\ntrust = "ca.crt"'
RPK = 'key = "{endpoint}.key"\nserver_public_key = "server.pub"'


def config_of(folder: Path, *lines: str) -> Config:
    file = folder / "bridge.toml"
    file.write_text("\n".join(["[lwm2m]", *lines]))
    return read_config(file)


@pytest.mark.parametrize("given", [PSK, X509, RPK, 'credentials = "clients.toml"'])
@pytest.mark.parametrize("where", [COAPS, 'bootstrap = "coaps://h"', f'{COAPS}\nbootstrap = "coaps://h:5784"'])
def test_each_kind_of_credentials_goes_with_servers_and_bootstrap_servers(tmp_path: Path, given: str, where: str):
    config_of(tmp_path, where, given).require_usable()


def test_files_lie_beside_the_settings_and_are_called_as_lwm2m_keys_calls_them(tmp_path: Path):
    config = config_of(tmp_path, COAPS, PSK, 'crl = ["http://ca/x.crl", "y.crl"]', 'trust = "/etc/ca"')
    files = config.security.key_files("osap:Z1")
    assert files.psk_key_file == tmp_path / "osap-Z1.psk"
    assert files.psk_identity == "osap:Z1"
    assert files.crl == ("http://ca/x.crl", str(tmp_path / "y.crl"))
    assert files.trust == Path("/etc/ca")


def test_an_endpoint_name_leads_to_no_other_folder():
    files = SecuritySettings(psk_key_file="keys/{endpoint}.psk").key_files("../../etc/x")
    assert files.psk_key_file == Path("keys/etc-x.psk")


def test_a_token_may_hold_the_keys_of_all(tmp_path: Path):
    key = 'key = "pkcs11:token=gateway;object={endpoint}"'
    config = config_of(tmp_path, COAPS, key, 'certificate = "{endpoint}.crt"', 'trust = "ca.crt"')
    assert config.security.key_files("osap:Z1").key == "pkcs11:token=gateway;object=osap%3AZ1"


def test_without_a_server_the_bootstrap_server_says_it(tmp_path: Path):
    assert config_of(tmp_path).uris == ("coap://127.0.0.1:5683",)
    assert config_of(tmp_path, 'bootstrap = "coap://h:5783"').uris == ("coap://h:5783",)
    both = config_of(tmp_path, 'server = "coap://h"', 'bootstrap = "coap://h:5783"', "hold_off = 7")
    assert (both.servers, both.bootstrap, both.hold_off) == (("coap://h",), "coap://h:5783", 7)


UNUSABLE = {
    (COAPS,): "coaps://h needs keys: under [lwm2m] set 'credentials'",
    ('bootstrap = "coaps+tcp://h"',): "coaps+tcp://h needs keys",
    (PSK,): "coap://127.0.0.1:5683 has no security and would not use the keys; a URI with security has coaps",
    (COAPS, 'psk_identity = "a"'): "'psk_identity' and 'psk_key_file' go together",
    (COAPS, PSK, RPK): "either a pre-shared key or 'key', not both",
    (COAPS, 'credentials = "c"', 'certificate = "{endpoint}.crt"'): "a certificate or a public key goes with 'key'",
    (COAPS, 'key = "{endpoint}.key"'): "'key' goes with 'server_public_key' for raw public keys",
    (COAPS, X509, 'server_public_key = "s"'): "with 'certificate' the server has one too: 'server_certificate'",
    (COAPS, PSK, 'revocation = "hard"'): "'revocation' and 'crl' are about certificates of servers",
    (COAPS, X509, "certificate_usage = 2"): "'certificate_usage' says what 'server_certificate' is for",
    (COAPS, 'psk_key_file = "all.psk"'): "'psk_key_file' is the same for all: let it hold {endpoint}",
    (COAPS, X509.replace("{endpoint}.crt", "all.crt")): "'certificate' is the same for all",
}


@pytest.mark.parametrize("lines", UNUSABLE)
def test_what_does_not_go_together_is_one_sentence_that_names_the_settings(tmp_path: Path, lines: tuple[str, ...]):
    with pytest.raises(ConfigError) as refused:
        config_of(tmp_path, *lines).require_usable()
    assert str(refused.value).startswith(f"{tmp_path}/bridge.toml: ")
    assert UNUSABLE[lines] in str(refused.value)


def test_the_one_client_may_have_files_of_any_name(tmp_path: Path):
    config_of(tmp_path, COAPS, 'topology = "single"', 'psk_key_file = "gateway.psk"').require_usable()


@pytest.mark.parametrize(
    ("lines", "is_exposed"),
    [
        ((), False),
        (('server = "coap://localhost"',), False),
        (('server = "coap://[::1]:5683"',), False),
        (('server = "coap://192.0.2.1"',), True),
        (('bootstrap = "coap+tcp://h"',), True),
        (('server = "coap://h"', "insecure = true"), False),
        (('server = "coap://h"', 'credentials = "with-oscore.toml"'), False),
        ((COAPS, PSK), False),
        (('server = "coap+serial:///dev/ttyUSB0"',), False),
    ],
)
def test_a_server_on_another_machine_without_security_is_told_of(tmp_path: Path, lines: tuple[str, ...], *, is_exposed):
    assert (config_of(tmp_path, *lines).exposed is not None) is is_exposed


@pytest.mark.parametrize(
    ("pattern", "endpoint", "serial"),
    [
        ("osap:{serial}", "osap:Z1", "Z1"),
        ("osap:{serial}", "osap:", None),
        ("osap:{serial}", "osap", None),
        ("osap:{serial}", "lamp-1", None),
        ("{serial}@gw", "Z1@gw", "Z1"),
        ("{serial}-{serial}", "Z1-Z1", "Z1"),
        ("{serial}-{serial}", "Z1-Z2", None),
    ],
)
def test_an_endpoint_says_which_device_it_is(pattern: str, endpoint: str, serial: str | None):
    assert ClientPerDevice(pattern).serial_of(endpoint) == serial
    assert SingleClient("house").serial_of(endpoint) is None
