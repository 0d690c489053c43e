"""The file of the bootstrap server: what it says, and which line is wrong when it cannot be meant."""

from __future__ import annotations

import re
from pathlib import Path as FilePath

import pytest

from lwm2m.address import Address
from lwm2m.cli.bootstrap_file import bootstrap_configs, bootstrap_settings
from lwm2m.cli.settings import OptionError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server import BootstrapConfig, BootstrapConfigs
from lwm2m.toml_lines import SettingsError, TomlFile

EXAMPLE = FilePath(__file__).resolve().parents[2] / "examples" / "bootstrap-server.toml"
ACCOUNT = '[[configuration.account]]\nuri = "coap://a"\nshort_server_id = 1\n'
LAMP = '[[configuration]]\nendpoint = "lamp"\n'


def configs(folder: FilePath, text: str) -> BootstrapConfigs:
    file = folder / "bootstrap.toml"
    file.write_text(text)
    read = TomlFile(file)
    bootstrap_settings(read, {})
    return bootstrap_configs(read, shipped())


def written(config: BootstrapConfig | None) -> dict[str, object]:
    assert config is not None
    return {str(record.path): record.value for write in config.written for record in write.records}


def test_the_example_is_read() -> None:
    read = TomlFile(EXAMPLE)
    settings = bootstrap_settings(read, {})
    assert (settings.coap, settings.http) == (Address("127.0.0.1", 5783), Address("127.0.0.1", 8081))
    found = bootstrap_configs(read, shipped())
    lamp = found.find("lamp-1")
    values = written(lamp)
    assert (values["/0/1/0"], values["/0/1/3"], values["/0/1/5"]) == (
        "coaps://127.0.0.1:5684",
        b"lamp-1",
        bytes(range(16)),
    )
    assert (values["/1/0/0"], values["/1/0/2"], values["/2/0/2/101"], values["/3/0/14"]) == (101, 1, 15, "+01:00")
    sensor = found.find("sensor-7")
    assert sensor is not None
    kinds = [type(step.operation).__name__ for step in sensor.steps]
    assert kinds == ["BootstrapDelete", "WriteRecords", "WriteRecords", "BootstrapRead", "BootstrapFinish"]
    assert written(found.find("anything"))["/1/0/0"] == 1


def test_options_go_before_the_file() -> None:
    settings = bootstrap_settings(TomlFile(EXAMPLE), {"coap": "[::1]:0", "http": None, "trace": True})
    assert (settings.coap, settings.http.port, settings.trace) == (Address("::1", 0), 8081, True)


def test_other_machines_are_served_only_when_told() -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        bootstrap_settings(None, {"coap": "0.0.0.0:5783"})
    assert bootstrap_settings(None, {"coap": "0.0.0.0:5783", "insecure": True}).coap.host == "0.0.0.0"
    with pytest.raises(OptionError, match="is no address"):
        bootstrap_settings(None, {"coap": "nowhere"})


def test_a_key_may_lie_in_a_file_beside(tmp_path: FilePath) -> None:
    (tmp_path / "lamp.key").write_text("0a1b 2c3d\n")
    text = f'{LAMP}{ACCOUNT}security = "psk"\nidentity = "lamp"\nkey_file = "lamp.key"\n'
    assert written(configs(tmp_path, text).find("lamp"))["/0/1/5"] == bytes.fromhex("0a1b2c3d")


def test_key_pairs_lie_in_files(tmp_path: FilePath) -> None:
    for name in ("public", "private", "server"):
        (tmp_path / f"{name}.der").write_bytes(name.encode())
    files = 'public_key_file = "public.der"\nprivate_key_file = "private.der"\nserver_public_key_file = "server.der"\n'
    values = written(configs(tmp_path, f'{LAMP}{ACCOUNT}security = "x509"\n{files}').find("lamp"))
    assert [values[f"/0/1/{number}"] for number in (2, 3, 4, 5)] == [2, b"public", b"server", b"private"]


def test_several_servers_may_share_object_instances(tmp_path: FilePath) -> None:
    second = ACCOUNT.replace("= 1", "= 2")
    values = written(configs(tmp_path, f'{LAMP}shared_access = ["/3/0"]\n{ACCOUNT}{second}').find("lamp"))
    assert (values["/2/0/2/1"], values["/2/1/2/2"], values["/2/2/2/1"], values["/2/2/2/2"]) == (15, 15, 15, 15)
    assert (values["/2/0/3"], values["/2/1/3"], values["/2/2/3"]) == (1, 2, 65535)


def test_operations_are_in_the_order_of_the_file_and_may_fail(tmp_path: FilePath) -> None:
    text = f"""{LAMP}content_format = "SENML_JSON"
[[configuration.operation]]
operation = "discover"
path = "/"
[[configuration.operation]]
operation = "read"
path = "/2"
continue_on_error = true
[[configuration.operation]]
operation = "delete"
path = "/1"
"""
    config = configs(tmp_path, text).find("lamp")
    assert config is not None
    assert [step.operation for step in config.steps[:-1]] == [
        BootstrapDiscover(Path()),
        BootstrapRead(Path(2)),
        BootstrapDelete(Path(1)),
    ]
    assert [step.continue_on_error for step in config.steps] == [False, True, False, False]
    assert (config.content_format, config.auto_id) == (ContentFormat.SENML_JSON, False)


def test_what_a_client_refuses_can_be_written_when_asked_for(tmp_path: FilePath) -> None:
    """ETS 1.1-int-9: only /1/0/5, so that Finish is refused."""
    write = '[[configuration.operation]]\noperation = "write"\npath = "/1/0"\nresources = { 5 = 86400 }\n'
    with pytest.raises(SettingsError, match="no account in object 0"):
        configs(tmp_path, LAMP + write)
    assert written(configs(tmp_path, f"{LAMP}unchecked = true\n{write}").find("lamp")) == {"/1/0/5": 86400}


def operation(path: str, rest: str) -> str:
    return f'{LAMP}\n[[configuration.operation]]\noperation = "write"\npath = "{path}"\n{rest}\n'


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("[servers]\n", 1, "there is no setting 'servers' outside"),
        ("x = 1\n", 1, "there is no setting 'x' outside"),
        ('[server]\ncoap = "x"\n', 2, "'x' is no address"),
        ("[server]\n\ncoap = 1\n", 3, "coap is a text in quotes"),
        ('[server]\ncoap_stack = "x"\n', 2, "there is no setting 'coap_stack' in server"),
        ("[[configuration]]\n", 1, "has an endpoint, a pattern or default = true"),
        (f'{LAMP}pattern = "x"\n', 2, "has an endpoint, a pattern or default = true"),
        (f"{LAMP}\n{LAMP}", 5, "there is a second configuration of endpoint lamp"),
        (f'{LAMP}end = "x"\n', 3, "there is no setting 'end' in configuration"),
        (f'{LAMP}content_format = "TEXT"\n', 3, "content_format is one of TLV"),
        (f'{LAMP}content_format = "XML"\n', 3, "content_format is one of TLV"),
        (f"{LAMP}shared_access = [3]\n", 3, "list of object instances"),
        (f'{LAMP}shared_access = ["/3"]\n', 3, "access is shared to object instances"),
        (f"{LAMP}account = 3\n", 3, "account is a list"),
        (f"{LAMP}{ACCOUNT}port = 1\n", 6, "there is no setting 'port' in configuration.account"),
        (f"{LAMP}{ACCOUNT}{ACCOUNT}lifetime = true\n", 9, "lifetime is a whole number"),
        (f"{LAMP}{ACCOUNT}{ACCOUNT}", 1, "two accounts have the same short server id"),
        (f'{LAMP}{ACCOUNT}security = "dtls"\n', 6, "security is one of nosec, psk"),
        (f'{LAMP}{ACCOUNT}security = "psk"\nidentity = "x"\n', 3, "takes a key or a key_file"),
        (f'{LAMP}{ACCOUNT}security = "psk"\nidentity = "x"\nkey = "topsecret"\n', 8, "a key is hexadecimal digits"),
        (f'{LAMP}{ACCOUNT}security = "psk"\nidentity = "x"\nkey_file = "gone"\n', 8, "gone cannot be read"),
        (f'{LAMP}{ACCOUNT}security = "psk"\nkey = "00"\n', 3, "needs identity"),
        (f'{LAMP}{ACCOUNT}key = "00"\n', 6, "key is nothing that security nosec takes"),
        (f"{LAMP}{ACCOUNT}resources = {{ 1 = 'x' }}\n", 6, "does not fit /1/0/1, Lifetime, Integer"),
        (f'{LAMP}[[configuration.account]]\nuri = "coap://a"\n', 3, "needs short_server_id"),
        (f"{LAMP}[[configuration.access]]\nobject = 3\ninstance = 0\nrights = {{ x = 1 }}\n", 6, "rights map short"),
        (f"{LAMP}[[configuration.access]]\nobject = 3\ninstance = 0\nrights = {{ 1 = 32 }}\n", 6, "0 to 31"),
        (operation("/3/0/14", ""), 6, "a write has a value, for a resource, or resources"),
        (operation("/3/0", 'value = "x"'), 6, "a value is for a resource"),
        (operation("/3/x", 'value = "x"'), 6, "'x' is not an id"),
        (operation("/3/0/14", "value = 5"), 7, "does not fit /3/0/14, UTC Offset, String"),
        (operation("/1/0", "resources = { x = 5 }"), 7, "'x' is not an id"),
        (operation("/1", "resources = { 0 = 5 }"), 7, "/1/0 is no resource"),
        (f'{LAMP}[[configuration.operation]]\noperation = "finish"\npath = "/"\n', 4, "operation is one of discover"),
        (f'{LAMP}[[configuration.operation]]\noperation = "read"\npath = "/3"\n', 5, "reads objects 1 and 2"),
    ],
)
def test_what_cannot_be_meant_is_told_by_line(tmp_path: FilePath, text: str, line: int, sentence: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(sentence)) as refused:
        configs(tmp_path, text)
    assert f"bootstrap.toml:{line}: " in str(refused.value)
    assert "topsecret" not in str(refused.value)


def test_a_file_that_is_no_toml_or_not_there_is_told(tmp_path: FilePath) -> None:
    with pytest.raises(SettingsError, match="is not TOML"):
        configs(tmp_path, "[")
    with pytest.raises(SettingsError, match="cannot be read"):
        TomlFile(tmp_path / "gone")
