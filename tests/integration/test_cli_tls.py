"""The servers and the simulated client as processes, over TLS with certificates."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.authority import Issued
from tests.integration.test_cli_tcp import lwm2m, told
from tests.tls_credentials import authority

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


@pytest.mark.parametrize("missing", ["--certificate", "--trust"])
async def test_tls_needs_certificates(files: Files, missing: str) -> None:
    shown = list(files.shown("127.0.0.1"))
    at = shown.index(missing)
    del shown[at : at + 2]
    if missing == "--certificate":
        del shown[shown.index("--trust") :]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from lwm2m.cli import main; main()", "server", *HTTP, "--coaps-tcp", "127.0.0.1:0",
        *shown, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert "--coaps-tcp is for clients with certificates" in output.decode()
