"""The servers and the simulated client as processes, over TLS with certificates and pre-shared keys."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.authority import Issued
from tests.integration.test_cli_tcp import lwm2m, told
from tests.tls_credentials import KEY, authority, with_psk, without_psk

HTTP = ("--http", "127.0.0.1:0")


@dataclass(frozen=True)
class Files:
    """Of certificates and their keys, and of the authority's certificate."""

    folder: Path

    def shown(self, name: str, *, issued: Issued | None = None) -> tuple[str, ...]:
        issued = issued or authority().holder(name)
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(issued.pem)
        key.write_bytes(issued.key.pem())
        key.chmod(0o600)
        trust = self.folder / "ca.crt"
        trust.write_bytes(authority().issued.pem)
        return "--key", str(key), "--certificate", str(certificate), "--trust", str(trust)

    def key(self, name: str, key: bytes = KEY) -> tuple[str, ...]:
        """Of the client."""
        file = self.folder / f"{name}.psk"
        file.write_text(key.hex())
        file.chmod(0o600)
        return "--psk-identity", name, "--psk-key-file", str(file)

    def known(self, name: str) -> tuple[str, ...]:
        """To the server."""
        file = self.folder / "credentials.toml"
        file.write_text(f'[[client]]\nendpoint = "{name}"\nsecurity = "psk"\nkey = "{KEY.hex()}"\n')
        file.chmod(0o600)
        return "--credentials", str(file)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def test_a_simulated_client_registers_over_tls(files: Files) -> None:
    async with lwm2m("server", *HTTP, "--coaps-tcp", "127.0.0.1:0", *files.shown("127.0.0.1")) as server:
        uri = (await told(server, "CoAP  coaps+tcp://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter", *files.shown("meter")):
            assert "meter registered from 127.0.0.1:" in await told(server, "+ ")
        assert await told(server, "- ") == "- meter deregistered"


async def test_a_bootstrap_server_listens_for_tls_too(files: Files) -> None:
    secured = ("--coaps-tcp", "127.0.0.1:0", *files.shown("127.0.0.1"))
    async with lwm2m("bootstrap-server", *HTTP, *secured) as server:
        uri = (await told(server, "CoAP  coaps+tcp://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--bootstrap", uri, "--endpoint", "meter", *files.shown("meter")):
            assert (await told(server, "! meter")).startswith("! meter")


async def test_a_refused_client_is_told_of_with_the_reason(files: Files) -> None:
    secured = ("--coaps-tcp", "127.0.0.1:0", *files.shown("127.0.0.1"))
    expired = authority().holder("meter", since=-3, until=-1)
    async with lwm2m("server", *HTTP, *secured) as server:
        uri = (await told(server, "CoAP  coaps+tcp://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter", *files.shown("meter", issued=expired)) as it:
            assert "the peer's certificate has expired: issue a new one" in await told(server, "! refused")
            await told(it, "registering")
            assert "the peer says: certificate expired" in await told(it, "")


@with_psk
async def test_a_simulated_client_registers_over_tls_with_a_pre_shared_key(files: Files) -> None:
    async with lwm2m("server", *HTTP, "--coaps-tcp", "127.0.0.1:0", *files.known("meter")) as server:
        uri = (await told(server, "CoAP  coaps+tcp://")).removeprefix("CoAP  ")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter", *files.key("meter")):
            assert "meter registered from 127.0.0.1:" in await told(server, "+ ")
        assert await told(server, "- ") == "- meter deregistered"
        async with lwm2m("client", "--server", uri, "--endpoint", "other", *files.key("other")) as it:
            assert "nobody knows the PSK identity 'other'" in await told(server, "! refused")
            await told(it, "registering")
            assert "add it at the server, or correct it here" in await told(it, "not registered")
        async with lwm2m("client", "--server", uri, "--endpoint", "meter", *files.key("meter", bytes(16))) as it:
            assert "the two keys are not the same" in await told(server, "! refused")
            await told(it, "registering")
            assert "compare the pre-shared key here with the server's" in await told(it, "not registered")


@without_psk
async def test_a_pre_shared_key_is_refused_at_the_start(files: Files) -> None:
    needed = f"pre-shared keys over TLS need Python 3.13, and this is 3.{sys.version_info.minor}: use a newer one"
    key = files.key("meter")
    for asked in ("--server", "--bootstrap"):
        assert needed in await refused("client", asked, "coaps+tcp://127.0.0.1", "--endpoint", "meter", *key)
    for command in ("server", "bootstrap-server"):
        assert needed in await refused(command, *HTTP, "--coaps-tcp", "127.0.0.1:0", *files.known("meter"))


async def test_a_raw_public_key_is_refused_at_the_start(files: Files) -> None:
    ours = files.shown("meter")
    key = ("--key", ours[1], "--server-public-key", ours[1])
    said = await refused("client", "--server", "coaps+tcp://127.0.0.1", "--endpoint", "meter", *key)
    assert "raw public keys over TLS are not there in Python: use certificates, or DTLS (coaps://)" in said


async def test_certificates_need_authorities(files: Files) -> None:
    *shown, _, _ = files.shown("127.0.0.1")
    assert "--trust their authorities" in await refused("server", *HTTP, "--coaps-tcp", "127.0.0.1:0", *shown)


async def refused(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from lwm2m.cli import main; main()", *words, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode
    assert output.count(b"\n") == 1
    return output.decode()
