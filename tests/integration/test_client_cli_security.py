"""`lwm2m client` with keys: in every mode, from options and from a factory configuration, with good and bad input."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lwm2m.testing import ScriptedServer
from tests.integration.test_client_cli import line, running
from tests.integration.test_client_security import DEVICE, DEVICE_KEY, PSK, ROOT, RPK, SECONDS, SERVER, endpoint, pkcs8


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder of files as `lwm2m keys` and openssl write them."""
    files = {
        "device.psk": PSK.secret_key.hex().encode() + b"\n",
        "device.key": DEVICE.key.pem(),
        "device.pem": DEVICE.pem,
        "raw.key": pkcs8(DEVICE_KEY),
        "server.spki": RPK.server_key,
        "server.pem": SERVER.pem,
        "ca.pem": ROOT.pem,
        "text.txt": b"this is no key",
        "empty": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


WITH_PSK = "--psk-identity dev1 --psk-key-file device.psk"
WITH_RPK = "--key raw.key --server-public-key server.spki"
WITH_X509 = "--key device.key --certificate device.pem"


def arguments(keys: Path, words: str) -> list[str]:
    return [str(keys / word) if (keys / word).is_file() else word for word in words.split()]


@pytest.mark.parametrize(
    ("words", "identity"),
    [
        (WITH_PSK, "psk:dev1"),
        (WITH_RPK, "rpk:"),
        (f"{WITH_X509} --server-certificate server.pem", "x509:dev1"),
        (f"{WITH_X509} --trust ca.pem", "x509:dev1"),
    ],
)
async def test_it_registers_with_keys_from_files(keys: Path, words: str, identity: str) -> None:
    async with ScriptedServer(endpoint()) as server:
        options = ["--server", server.coap.uri, "--endpoint", "dev1", *arguments(keys, words)]
        async with running(*options) as process:
            assert (await server.registered(SECONDS)).peer.identity.startswith(identity)  # type: ignore[union-attr]
            assert await line(process) == f"registering with {server.coap.uri} as dev1"
            assert await line(process) == "registered at /rd/1"


FACTORY = """
[[resource]]
path = "/0/0/0"
value = "{uri}"
[[resource]]
path = "/0/0/1"
value = false
[[resource]]
path = "/0/0/2"
value = 2
[[resource]]
path = "/0/0/3"
file = "device.pem"
[[resource]]
path = "/0/0/4"
file = "server.pem"
[[resource]]
path = "/0/0/5"
file = "{key}"
[[resource]]
path = "/0/0/10"
value = 1
[[resource]]
path = "/1/0/0"
value = 1
[[resource]]
path = "/1/0/1"
value = 300
[[resource]]
path = "/1/0/6"
value = true
[[resource]]
path = "/1/0/7"
value = "U"
"""


async def test_it_registers_with_the_keys_of_its_factory_configuration(keys: Path) -> None:
    async with ScriptedServer(endpoint()) as server:
        (keys / "factory.toml").write_text(FACTORY.format(uri=server.coap.uri, key="device.key"))
        async with running("--factory", str(keys / "factory.toml"), "--endpoint", "dev1") as process:
            assert (await server.registered(SECONDS)).peer.identity == "x509:dev1"
            assert await line(process) == f"registering with {server.coap.uri} as dev1"


async def test_the_key_of_a_factory_account_may_be_the_device_s_own(keys: Path) -> None:
    """As in a token: there is no Secret Key."""
    async with ScriptedServer(endpoint()) as server:
        text = FACTORY.format(uri=server.coap.uri, key="").replace('file = ""', 'value = ""')
        (keys / "factory.toml").write_text(text)
        options = ("--factory", str(keys / "factory.toml"), "--endpoint", "dev1", "--key", str(keys / "device.key"))
        async with running(*options):
            assert (await server.registered(SECONDS)).peer.identity == "x509:dev1"


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("none.key", "line 19: "),
        ("empty", "is empty"),
        ("raw.key", "/0/0/5 is not the private key of the certificate in /0/0/3"),
        ("text.txt", "/0/0/5 cannot be used"),
    ],
)
async def test_a_factory_configuration_with_a_wrong_key_is_refused(keys: Path, key: str, sentence: str) -> None:
    (keys / "factory.toml").write_text(FACTORY.format(uri="coaps://h", key=key))
    assert sentence in await refused(1, "--factory", str(keys / "factory.toml"), "--endpoint", "dev1")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (f"{WITH_PSK} --coap-stack aiocoap", 2, "the CoAP stack 'aiocoap' has no DTLS"),
        ("", 2, "coaps://h needs keys: --psk-identity with --psk-key-file"),
        ("--psk-identity dev1", 2, "--psk-identity and --psk-key-file go together"),
        (f"{WITH_PSK} {WITH_RPK}", 2, "either a pre-shared key or --key, not both"),
        ("--certificate device.pem", 2, "goes with --key"),
        ("--key raw.key", 2, "--key goes with --server-public-key"),
        (WITH_X509, 2, "who is the server?"),
        (f"{WITH_X509} --server-public-key server.spki", 2, "with --certificate the server has one too"),
        ("--psk-identity dev1 --psk-key-file text.txt", 1, "does not hold a key as hexadecimal digits"),
        ("--psk-identity dev1 --psk-key-file empty", 1, "is empty"),
        ("--psk-identity dev1 --psk-key-file none", 1, "none cannot be read: No such file"),
        ("--key text.txt --server-public-key server.spki", 1, "text.txt: "),
        ("--key raw.key --server-public-key text.txt", 1, "holds no public key that can be read"),
        ("--key raw.key --certificate device.pem --trust ca.pem", 1, "is not for the private key"),
        (f"{WITH_X509} --server-certificate text.txt", 1, "there is no certificate that can be read"),
        (f"{WITH_X509} --trust text.txt", 1, "there is no certificate that can be read"),
    ],
)
async def test_keys_that_cannot_be_are_one_sentence(keys: Path, words: str, code: int, sentence: str) -> None:
    said = await refused(code, "--server", "coaps://h", "--endpoint", "dev1", *arguments(keys, words))
    assert sentence in said
    assert "this is no key" not in said


async def test_keys_for_a_server_without_security_are_refused(keys: Path) -> None:
    options = ("--server", "coap://h", "--endpoint", "dev1", *arguments(keys, WITH_PSK))
    assert "coap://h has no security and would not use the keys" in await refused(2, *options)


async def refused(code: int, *options: str) -> str:
    async with running(*options) as process:
        output, errors = await asyncio.wait_for(process.communicate(), 15)
    assert (process.returncode, output, errors.count(b"\n")) == (code, b"", 1), errors.decode()
    return errors.decode()
