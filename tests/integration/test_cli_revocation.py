"""Servers and clients as processes that refuse certificates which were taken back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lwm2m.cli.settings import SettingsError, server_settings
from tests.authority import DAY, Issued, hosts, root
from tests.integration.test_cli_tcp import lwm2m, told

NOW = datetime.now(UTC)
SPAN = {"begin": NOW - DAY, "end": NOW + DAY}
CA = root("Meter CA", **SPAN)
SERVER = CA.issues("server", hosts("127.0.0.1"), **SPAN)
METER, OTHER = CA.issues("meter", **SPAN), CA.issues("other", **SPAN)


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list = folder / "list.crl"
        (folder / "ca.pem").write_bytes(CA.pem)

    def shown(self, issued: Issued, name: str) -> tuple[str, ...]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(issued.pem)
        key.write_bytes(issued.key.pem())
        key.chmod(0o600)
        return "--key", str(key), "--certificate", str(certificate), "--trust", str(self.folder / "ca.pem")

    def revoked(self, *issued: Issued) -> tuple[str, ...]:
        self.list.write_bytes(CA.revokes(*issued, **SPAN))
        return "--crl", str(self.list)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def server_of(files: Files) -> tuple[str, ...]:
    return "server", "--http", "127.0.0.1:0", "--coaps", "127.0.0.1:0", *files.shown(SERVER, "server")


def client_of(files: Files, issued: Issued, name: str, uri: str) -> tuple[str, ...]:
    return "client", "--server", uri, "--endpoint", name, *files.shown(issued, name)


async def test_a_server_refuses_a_revoked_client_and_takes_another(files: Files) -> None:
    async with lwm2m(*server_of(files), *files.revoked(METER), "--revocation", "hard") as server:
        uri = (await told(server, "CoAP  coaps://")).removeprefix("CoAP  ")
        async with lwm2m(*client_of(files, METER, "meter", uri)) as client:
            assert "the certificate of 'meter' was revoked: issue a new one" in await told(server, "! refused")
            assert "certificate revoked" in await told(client, "not registered")
        async with lwm2m(*client_of(files, OTHER, "other", uri)):
            assert "other registered" in await told(server, "+ ")


async def test_a_client_refuses_a_server_of_which_nothing_is_known_when_it_is_told_to(files: Files) -> None:
    async with lwm2m(*server_of(files)) as server:
        uri = (await told(server, "CoAP  coaps://")).removeprefix("CoAP  ")
        async with lwm2m(*client_of(files, METER, "meter", uri), "--revocation", "hard") as client:
            assert "it is not known whether the certificate of 'server' was revoked" in await told(
                client, "not registered"
            )
        async with lwm2m(*client_of(files, METER, "meter", uri), "--revocation", "hard", *files.revoked()):
            assert "meter registered" in await told(server, "+ ")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"revocation": "strict", "trust": "ca.pem"},
            "there is no policy 'strict' for revocation; known: off, soft, hard",
        ),
        ({"crl": ["list.crl"]}, "--revocation and --crl are about certificates of clients: --trust their authority"),
    ],
)
def test_what_cannot_be_meant_is_said(options: dict[str, object], words: str) -> None:
    shown = {"coaps": "127.0.0.1:0", "key": "server.key", "certificate": "server.pem"}
    with pytest.raises(SettingsError, match=words):
        server_settings(None, shown | options)


def test_lists_in_a_file_are_one_or_several(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    common = '[server]\ncoaps = "127.0.0.1:0"\nkey = "k"\ncertificate = "c"\ntrust = "t"\n'
    for written, meant in (('"a.crl"', ("a.crl",)), ('["a.crl", "http://b/"]', ("a.crl", "http://b/"))):
        file.write_text(f"{common}crl = {written}\n")
        assert server_settings(file, {}).crl == meant
    file.write_text(f"{common}crl = 3\n")
    with pytest.raises(SettingsError, match=r"server.toml:6: .*several are a list of these"):
        server_settings(file, {})
