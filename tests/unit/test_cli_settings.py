"""Settings of the server: the command line before the file, the file before the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from lwm2m.address import Address
from lwm2m.cli.settings import ServerSettings, server_settings
from lwm2m.toml_lines import SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.toml"


def test_options_go_before_the_file_and_the_file_before_defaults(file: Path) -> None:
    file.write_text('[server]\ncoap = "[::1]:0"\nhttp = "127.0.0.1:81"\ntrace = true\nobjects = "mine"\n')
    settings = server_settings(file, {"http": "127.0.0.1:82", "coap": None, "trace": None})
    assert settings == ServerSettings(Address("::1", 0), Address("127.0.0.1", 82), objects=Path("mine"), trace=True)


def test_without_a_file_the_defaults_are_local() -> None:
    settings = server_settings(None, {})
    assert (str(settings.coap), str(settings.http)) == ("127.0.0.1:5683", "127.0.0.1:8080")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[server]\n# a comment\ncap = "x"\n', 3, "no setting 'cap' in"),
        ('[server]\ncoap = "127.0.0.1:0"\n\n[servre]\n', 4, "no setting 'servre' outside"),
        ('\ncoap = "127.0.0.1:0"\n', 2, "no setting 'coap' outside"),
        ('[server]\ntrace = "yes"\n', 2, "trace is true or false"),
        ("[server]\ncoap = 5683\n", 2, "coap is a text in quotes"),
        ("server = 1\n", 1, "server is a table"),
    ],
)
def test_what_is_wrong_is_told_by_line(file: Path, text: str, line: int, words: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        server_settings(file, {})
    assert str(told.value).startswith(f"{file}:{line}: ")
    assert words in str(told.value)


@pytest.mark.parametrize("content", [b"[server\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_a_sentence(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="is not TOML"):
        server_settings(file, {})


def test_a_missing_file_is_a_sentence(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        server_settings(file, {})


@pytest.mark.parametrize("text", ["127.0.0.1", "::1:5683", "[::1]", "host:70000", ":5683", "a b:1", "127.0.0.1:-1", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Address.parse(text)
    with pytest.raises(SettingsError, match="is no address"):
        server_settings(None, {"coap": text})


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:5683", "localhost:5683", "127.8.8.8:1"])
def test_loopback_needs_no_leave(text: str) -> None:
    assert Address.parse(text).is_loopback
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", ["0.0.0.0:5683", "[::]:5683", "192.0.2.1:5683", "lamp.example:5683"])
@pytest.mark.parametrize("name", ["coap", "http"])
def test_an_address_that_others_can_reach_needs_insecure(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match="--insecure"):
        server_settings(None, {name: text})
    assert getattr(server_settings(None, {name: text, "insecure": True}), name) == Address.parse(text)


def test_an_unknown_stack_is_named() -> None:
    with pytest.raises(SettingsError, match="no CoAP stack 'other'; known: aiocoap"):
        server_settings(None, {"coap_stack": "other"})


def test_who_listens_with_security_listens_without_only_when_told() -> None:
    assert server_settings(None, {"coaps": "0.0.0.0:5684"}).coap_addresses == (Address("0.0.0.0", 5684),)
    both = server_settings(None, {"coaps": "0.0.0.0:5684", "coap": "127.0.0.1:1"})
    assert both.coap_addresses == (Address("127.0.0.1", 1), Address("0.0.0.0", 5684))
    with pytest.raises(SettingsError, match="--insecure"):
        server_settings(None, {"coaps": "0.0.0.0:5684", "coap_ws": "0.0.0.0:80"})


@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ({}, True),
        ({"coaps": "127.0.0.1:0"}, False),
        ({"coaps": "127.0.0.1:0", "coap": "127.0.0.1:0"}, False),
        ({"coaps": "127.0.0.1:0", "coap": "127.0.0.1:0", "nosec": True}, True),
        ({"credentials": "clients.toml"}, False),
        ({"credentials": "clients.toml", "nosec": True}, True),
    ],
)
def test_who_has_no_credentials_is_served_where_nothing_else_is_meant_or_told(
    options: dict[str, object], takes: bool
) -> None:
    assert server_settings(None, options).takes_nosec is takes
