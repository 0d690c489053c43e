"""`lwm2m server --coaps` as people run it: with what `lwm2m keys` makes, good clients and bad ones."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ClientSettings
from lwm2m.model.content_format import ContentFormat
from lwm2m.security.credentials import CertificateChain, Credentials, PreSharedKey, RawPublicKey
from lwm2m.security.issuing import Authority, new_authority
from lwm2m.security.keys import FileKey
from lwm2m.security.serving import own_credentials
from tests.integration.test_cli import Running, ended, line, lwm2m

LAMP_KEY, FAN = b"a key of sixteen", FileKey.generate()
CREDENTIALS = f"""
[[client]]
endpoint = "lamp"
security = "psk"
identity = "lamp-id"
key = "{LAMP_KEY.hex()}"
[[client]]
endpoint = "fan"
security = "rpk"
public_key = "{FAN.public_key.hex()}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server of its and clients; another authority with a client of its."""
    made = tmp_path_factory.mktemp("keys")
    now = datetime.now(UTC)
    for authority, names in (("ca", ("server", "meter")), ("other", ("stranger",))):
        issued = new_authority(authority, now, 10)
        signer = Authority(issued.certificates, issued.key)
        _write(made, authority, issued.key, issued.certificates)
        for name in names:
            _write(made, name, *signer.issue(name, [], now, 5))
        if authority == "ca":
            _write(made, "old", *signer.issue("old", [], now - timedelta(days=9), 5))
    (made / "credentials.toml").write_text(CREDENTIALS)
    (made / "credentials.toml").chmod(0o600)
    return made


def _write(folder: Path, name: str, key: bytes, certificates: bytes) -> None:
    (folder / f"{name}.key").write_bytes(key)
    (folder / f"{name}.key").chmod(0o600)
    (folder / f"{name}.crt").write_bytes(certificates)


def options(folder: Path, *more: str) -> list[str]:
    files = {"credentials": "credentials.toml", "key": "server.key", "certificate": "server.crt", "trust": "ca.crt"}
    named = [word for option, file in files.items() for word in (f"--{option}", str(folder / file))]
    return ["--coaps", "127.0.0.1:0", "--http", "127.0.0.1:0", *named, *more]


@asynccontextmanager
async def running(*arguments: str, addresses: int = 1) -> AsyncIterator[tuple[Running, list[str]]]:
    process = await lwm2m(*arguments)
    try:
        lines = [await line(process) for _ in range(addresses + 1)]
        coap = [found.removeprefix("CoAP  ") for found in lines[:-1]]
        yield Running(process, coap[0], lines[-1].removeprefix("HTTP  ")), coap
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def client(credentials: Credentials | None) -> AsyncIterator[Endpoint]:
    def settings(_host: str) -> ClientSettings:
        assert credentials is not None
        return ClientSettings(credentials, verify=lambda _proof: "the server")

    dtls = None if credentials is None else Dtls(client=settings, first_timeout=0.3)
    endpoint = open_endpoint(dtls=dtls)
    await endpoint.start(lambda _request, _peer: Response(Code.NOT_FOUND))
    try:
        yield endpoint
    finally:
        await endpoint.stop()


async def registered(endpoint: Endpoint, uri: str, name: str) -> Code:
    query = (f"ep={name}", "lt=60", "lwm2m=1.1", "b=U")
    request = Request(Code.POST, ("rd",), query, b"</1/0>,</3/0>", ContentFormat.LINK)
    return (await endpoint.request(await endpoint.peer(uri), request, 10)).code


def chain(folder: Path, name: str) -> CertificateChain:
    own = own_credentials(str(folder / f"{name}.key"), folder / f"{name}.crt")
    return CertificateChain(own.certificates[:1], own.key)


async def test_clients_of_every_mode_register_and_nobody_as_somebody_else(folder: Path) -> None:
    good: list[tuple[str, Credentials]] = [
        ("lamp", PreSharedKey(b"lamp-id", LAMP_KEY)),
        ("fan", RawPublicKey(FAN)),
        ("meter", chain(folder, "meter")),
    ]
    async with running("server", *options(folder)) as (server, (coaps,)):
        assert coaps.startswith("coaps://127.0.0.1:")
        for name, credentials in good:
            async with client(credentials) as endpoint:
                for other in ("lamp", "fan", "meter", "stranger"):
                    if other != name:
                        assert await registered(endpoint, coaps, other) is Code.BAD_REQUEST
                        assert (await line(server.process)).startswith(f"! refused {other} at 127.0.0.1:")
                assert await registered(endpoint, coaps, name) is Code.CREATED
                assert (await line(server.process)).startswith(f"+ {name} registered from 127.0.0.1:")
        async with httpx.AsyncClient(base_url=server.http) as http:
            listed = (await http.get("/api/clients")).json()
            shown = (await http.get("/api/security/clients")).text
        assert {found["endpoint"]: found["secure"] for found in listed} == {"lamp": True, "fan": True, "meter": True}
        assert LAMP_KEY.hex() not in shown
        server.process.send_signal(signal.SIGTERM)
        out, err = (await ended(server.process))[1:]
        assert LAMP_KEY.hex() not in out + err


async def test_each_refusal_is_a_line_that_says_what_to_mend(folder: Path) -> None:
    bad: list[tuple[Credentials, str]] = [
        (PreSharedKey(b"nobody", LAMP_KEY), "nobody knows the PSK identity 'nobody'"),
        (PreSharedKey(b"lamp-id", b"another sixteen!"), "the two keys are not the same"),
        (RawPublicKey(FileKey.generate()), "nobody knows the client's public key .*: add it to its credentials"),
        (chain(folder, "stranger"), "authority|issuer|trust"),
        (chain(folder, "old"), "expired on .*: issue a new one"),
    ]
    async with running("server", *options(folder)) as (server, (coaps,)):
        for credentials, sentence in bad:
            async with client(credentials) as endpoint:
                with pytest.raises(HandshakeFailed):
                    await endpoint.peer(coaps)
            told = await line(server.process)
            assert re.match(rf"! refused 127\.0\.0\.1:\d+: .*({sentence})", told), told


async def test_without_key_the_server_has_no_suite_for_certificates(folder: Path) -> None:
    arguments = ("--coaps", "127.0.0.1:0", "--http", "127.0.0.1:0", "--credentials", str(folder / "credentials.toml"))
    async with running("server", *arguments) as (server, (coaps,)), client(chain(folder, "meter")) as endpoint:
        with pytest.raises(HandshakeFailed, match="handshake failure"):
            await endpoint.peer(coaps)
        assert "client and server have no cipher suite in common" in await line(server.process)


async def test_plain_coap_beside_it_serves_nobody_without_credentials_unless_told(folder: Path) -> None:
    for more, stranger in (((), Code.BAD_REQUEST), (("--nosec",), Code.CREATED)):
        arguments = options(folder, "--coap", "127.0.0.1:0", *more)
        async with running("server", *arguments, addresses=2) as (_, (coap, coaps)), client(None) as endpoint:
            assert (coap[:7], coaps[:8]) == ("coap://", "coaps://")
            assert await registered(endpoint, coap, "stranger") is stranger
            assert await registered(endpoint, coap, "lamp") is Code.BAD_REQUEST


async def test_credentials_that_came_over_http_outlive_the_server_and_so_does_their_end(
    folder: Path, tmp_path: Path
) -> None:
    bell = {"endpoint": "bell", "tls": {"mode": "psk", "details": {"identity": "bell", "key": LAMP_KEY.hex()}}}
    arguments = options(folder, "--state", str(tmp_path / "state"))
    async with running("server", *arguments) as (server, _), httpx.AsyncClient(base_url=server.http) as http:
        assert (await http.put("/api/security/clients/", json=bell)).status_code == 200
        assert (await http.delete("/api/security/clients/lamp")).text == ""
        server.process.send_signal(signal.SIGTERM)
        await ended(server.process)
    async with running("server", *arguments) as (server, _), httpx.AsyncClient(base_url=server.http) as http:
        listed = (await http.get("/api/security/clients")).json()
        assert [found["endpoint"] for found in listed] == ["bell", "fan"]


async def test_a_bootstrap_server_asks_who_calls_as_well(folder: Path) -> None:
    config = folder / "bootstrap.toml"
    config.write_text(
        '[[configuration]]\nendpoint = "lamp"\n[[configuration.account]]\nuri = "coap://192.0.2.1:5683"\n'
        "short_server_id = 1\n"
    )
    arguments = options(folder, "--config", str(config))
    request = Request(Code.POST, ("bs",), ("ep=lamp",))
    async with running("bootstrap-server", *arguments) as (server, (coaps,)):
        async with client(RawPublicKey(FAN)) as thief:
            assert (await thief.request(await thief.peer(coaps), request, 10)).code is Code.BAD_REQUEST
        assert re.match("! lamp it has shown 'rpk:.*', but its credentials are others", await line(server.process))
        async with client(PreSharedKey(b"lamp-id", LAMP_KEY)) as lamp:
            assert (await lamp.request(await lamp.peer(coaps), request, 10)).code is Code.CHANGED
            assert (await line(server.process)).startswith("+ lamp asked by 127.0.0.1:")


async def test_a_server_that_nobody_can_connect_to_yet_says_what_is_missing(folder: Path) -> None:
    secure = ("--coaps", "127.0.0.1:0", "--http", "127.0.0.1:0")
    for arguments, lines in ((secure, 1), (options(folder), 0)):
        async with running("server", *arguments) as (server, _):
            server.process.send_signal(signal.SIGTERM)
            outcome = await ended(server.process)
        assert outcome.err.count("\n") == outcome.err.count("nobody can connect with security yet") == lines


async def test_a_server_without_a_key_says_who_cannot_connect_for_it(folder: Path) -> None:
    credentials = ("--credentials", str(folder / "credentials.toml"))
    async with running("server", "--coaps", "127.0.0.1:0", "--http", "127.0.0.1:0", *credentials) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        outcome = await ended(server.process)
    assert outcome.err.endswith("cannot connect: the server needs a key of its own to show, --key\n")
    assert outcome.err.startswith("lwm2m: 'fan', and")


async def test_files_with_keys_that_others_can_read_are_told(tmp_path: Path, folder: Path) -> None:
    credentials = tmp_path / "credentials.toml"
    credentials.write_text(CREDENTIALS)
    credentials.chmod(0o644)
    arguments = ("--coaps", "127.0.0.1:0", "--http", "127.0.0.1:0", "--credentials", str(credentials))
    own = ("--key", str(folder / "server.key"))
    async with running("server", *arguments, *own) as (server, _):
        server.process.send_signal(signal.SIGTERM)
        outcome = await ended(server.process)
    assert outcome.err == f"lwm2m: {credentials} holds keys and can be read by others: chmod 600 {credentials}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--coaps 127.0.0.1:0 --coap-stack aiocoap", "aiocoap has no DTLS: use --coap-stack datagram"),
        ("--coaps 127.0.0.1:0 --certificate server.crt", "--certificate needs the private key that goes with it"),
        ("--coaps 127.0.0.1:0 --trust ca.crt", "--trust is for clients with certificates"),
        ("--key server.key", "say where with --coaps"),
        ("--coaps 127.0.0.1:0 --key gone.key", "gone.key cannot be read: No such file"),
        ("--coaps 127.0.0.1:0 --key ca.crt", "ca.crt: "),
        ("--coaps 127.0.0.1:0 --key meter.key --certificate server.crt", "is not for the private key"),
        ("--coaps 127.0.0.1:0 --key server.key --certificate server.key", "there is no certificate that can be read"),
        (
            "--coaps 127.0.0.1:0 --key server.key --certificate server.crt --trust server.key",
            "there is no certificate that can be read",
        ),
        ("--coaps 127.0.0.1:0 --cid-length 99", "a connection id has 0 to 32 bytes"),
        ("--coaps nowhere", "is no address such as"),
        ("--coaps 127.0.0.1:0 --coap 0.0.0.0:0", "nothing there is encrypted or asks who calls; --insecure allows it"),
        ("--coap-tcp 0.0.0.0:0", "--insecure allows it"),
    ],
)
async def test_what_cannot_be_meant_is_a_sentence(folder: Path, words: str, sentence: str) -> None:
    arguments = [str(folder / word) if (folder / word).is_file() else word for word in words.split()]
    outcome = await ended(await lwm2m("server", "--http", "127.0.0.1:0", *arguments))
    assert outcome.code in (1, 2)
    assert sentence in outcome.err, outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("program", ["server", "bootstrap-server"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "bad.toml cannot be read: No such file or directory"),
        ("[[client]\n", "bad.toml is not TOML: "),
        ('[[client]]\nendpoint = "a"\nsecurity = "psk"\nkey_file = "gone.psk"\n', "gone.psk cannot be read: No such"),
        ('[[client]]\nendpoint = "a"\nsecurity = "psk"\nkey_file = "text.psk"\n', "text.psk is not hexadecimal digits"),
    ],
)
async def test_credentials_that_cannot_be_used_are_a_sentence(
    tmp_path: Path, program: str, content: str | None, sentence: str
) -> None:
    file = tmp_path / "bad.toml"
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)
    (tmp_path / "text.psk").write_text("hello")
    (tmp_path / "text.psk").chmod(0o600)
    config = tmp_path / "bootstrap.toml"
    config.write_text(
        '[[configuration]]\nendpoint = "a"\n[[configuration.account]]\nuri = "coap://192.0.2.1:5683"\n'
        "short_server_id = 1\n"
    )
    more = ("--config", str(config)) if program == "bootstrap-server" else ()
    outcome = await ended(
        await lwm2m(program, "--http", "127.0.0.1:0", "--coaps", "127.0.0.1:0", "--credentials", str(file), *more)
    )
    assert (outcome.code, len(outcome.err.splitlines())) == (1, 1), outcome.err
    assert outcome.err.startswith("lwm2m: ")
    assert sentence in outcome.err


async def test_dtls_may_be_reached_from_other_machines(folder: Path) -> None:
    arguments = options(folder)
    arguments[1] = "0.0.0.0:0"
    async with running("server", *arguments) as (_, (coaps,)):
        assert coaps.startswith("coaps://0.0.0.0:")
