"""Settings of the gateway: what is wrong is refused with its line, and no code shows itself."""

from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from lwm2m import Address
from osap_bridge.config import Config, ConfigError, Device, default_state, read_config
from osap_bridge.security_settings import NAMES
from osap_bridge.topology import ClientPerDevice, SingleClient

EXAMPLE = FilePath(__file__).resolve().parents[2] / "examples" / "osap-bridge.toml"


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> FilePath:
        file = tmp_path / "bridge.toml"
        file.write_text(text)
        return file

    return written


def test_the_shipped_example_says_the_defaults():
    config = read_config(EXAMPLE)
    assert config.servers == Config().servers
    assert replace(config, server=None) == Config(devices=(Device("Z88889999", "QWERTY"),), source=str(EXAMPLE))


def test_every_commented_key_of_the_example_can_be_used(write, tmp_path):
    text = EXAMPLE.read_text()
    for key in ("state", "advertise", "[[device]]", "serial", "code_file", "bootstrap", "hold_off", *NAMES):
        text = text.replace(f"# {key}", key)
    (tmp_path / "Z88880001.code").write_text("ABCDEF\n")
    config = read_config(write(text))
    assert config.advertise == Address("gateway.example.net", 1883)
    assert config.devices[1] == Device("Z88880001", "ABCDEF")
    assert config.folder == FilePath("/var/lib/osap-bridge")
    assert config.bootstrap == "coaps://lwm2m.example.net:5784"
    assert all(getattr(config.security, name) not in (None, ()) for name in NAMES)


def test_an_empty_file_is_enough(write):
    config = read_config(write(""))
    assert config.topology_value() == ClientPerDevice("osap:{serial}")
    assert config.folder == default_state()


def test_the_das_takes_its_black_list_and_the_life_of_its_keys(write):
    config = read_config(write("[das]\nblack_list = ['Z1', 'Z2']\nsession_life = 0"))
    assert config.black_list == {"Z1", "Z2"}
    assert config.session_life == 0


def test_devices_with_the_older_sdk_can_be_kept_out(write):
    assert read_config(write("")).accept_v2_auth
    assert not read_config(write("[lbs]\naccept_v2_auth = false")).accept_v2_auth


def test_the_single_client_has_the_gateways_name(write):
    config = read_config(write('[lwm2m]\ntopology = "single"\nendpoint = "house"\n'))
    assert config.topology_value() == SingleClient("house")


REFUSED = {
    "lbs = 5": (1, "lbs is a table"),
    "\n[lbs]\nport = 5": (3, "no setting 'port' in [lbs]"),
    "\nstat = 'x'": (2, "no setting 'stat' outside the tables"),
    "[lbx]\nlisten = 'x'": (1, "no setting 'lbx'"),
    "[lbs]\n\nlisten = 'nowhere'": (3, "no address"),
    "[das]\nlisten = '127.0.0.1:66000'": (2, "no address"),
    "[lbs]\naccept_v2_auth = 1": (2, "true or false"),
    "[das]\nadvertise = 'gateway:0'": (2, "a port"),
    "[das]\nadvertise = '" + "g" * 64 + ":1883'": (2, "at most 63"),
    "[das]\nstorage_port = true": (2, "whole number from 0 to 65535"),
    "[das]\nblack_list = 'Z1'": (2, "a list of serials"),
    "[das]\nsession_life = -1": (2, "a number of seconds"),
    "[lwm2m]\nserver = 5": (2, "a text in quotes"),
    "[lwm2m]\ntopology = 'double'": (2, "one of per-device, single"),
    "[lwm2m]\npattern = 'osap'": (2, "does not hold {serial}"),
    "[lwm2m]\ngrace = -1": (2, "number of seconds"),
    "[lwm2m]\nserve_stale = 1": (2, "true or false"),
    "[lwm2m]\nhold_off = -1": (2, "whole number from 0"),
    "[lwm2m]\nrevocation = 'strict'": (2, "one of off, soft, hard"),
    "[lwm2m]\ncrl = [5]": (2, "a file or an http:// URI"),
    "[lwm2m]\ncertificate_usage = 4": (2, "whole number from 0 to 3"),
    "[lwm2m]\ninsecure = 'yes'": (2, "true or false"),
    "[lwm2m]\ntrust = 5": (2, "a text in quotes"),
    "[device]\nserial = 'Z1'": (1, "written [[device]]"),
    "[[device]]\nserial = 'Z1'\ncode = 'A'\n[[device]]\nserial = 'Z2'\ncolour = 'A'": (6, "'colour' in [[device]]"),
    "[[device]]\nserial = 'Z1'\ncode = 'A'\n[[device]]\ncode = 'B'\nserial = 'Z1'": (6, "is there already"),
    "[[device]]\nserial = 'Z1'": (2, "either a code or a code_file"),
    "[[device]]\nserial = 'Z1'\ncode = 'A'\ncode_file = 'B'": (2, "either a code or a code_file"),
    "[[device]]\nserial = 'Z1'\ncode_file = 'missing'": (3, "cannot be read"),
    "[[device]]\nserial = 'Z/1'\ncode = 'A'": (2, "no serial"),
    "[[device]]\nserial = 'Z1'\ncode = '" + "A" * 48 + "'": (2, "1 to 47 characters"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_refused_with_its_line(write, text):
    line, sentence = REFUSED[text]
    with pytest.raises(ConfigError) as refused:
        read_config(write(text))
    assert f"bridge.toml:{line}:" in str(refused.value)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")


def test_what_is_no_toml_or_not_there_is_a_sentence_too(write, tmp_path):
    with pytest.raises(ConfigError, match="is not TOML"):
        read_config(write("[lbs"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "missing.toml")


def test_no_code_shows_itself(write):
    config = read_config(write("[[device]]\nserial = 'Z1'\ncode = 'QWERTY'"))
    assert "QWERTY" not in repr(config)
    with pytest.raises(ConfigError) as refused:
        read_config(write("[[device]]\nserial = 'Z1'\ncode = '" + "QWERTY" * 9 + "'"))
    assert "QWERTY" not in str(refused.value)


@pytest.mark.parametrize("text", ["127.0.0.1:8666", "[::1]:8666", "gateway.example.net:0"])
def test_addresses_are_written_as_they_are_read(text):
    assert str(Address.parse(text)) == text
