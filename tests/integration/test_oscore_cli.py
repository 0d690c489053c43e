"""`lwm2m server` and `lwm2m client` with OSCORE, as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from lwm2m.client import Client, ClientEvent, Notified, Served
from lwm2m.coap.message import Code
from lwm2m.model.path import Path as ResourcePath
from lwm2m.model.record import Record
from lwm2m.operations import Observe, Read
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers
from tests.integration.test_cli import ended, lwm2m, running_server
from tests.serial_cable import Cable
from tests.tls_credentials import authority

SECRET = "000102030405060708090a0b0c0d0e0f"
CLIENT = ("client", "--endpoint", "lamp", "--server", "coap://127.0.0.1:1", "--oscore")
PATIENCE = 20.0
ANY = "127.0.0.1:0"
VALUE = ResourcePath.parse("/3303/0/5700")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The credentials of the server, and the context of its one client."""
    server, client = tmp_path / "credentials.toml", tmp_path / "oscore.toml"
    context = f'master_secret = "{SECRET}"\n'
    server.write_text(
        f'[[client]]\nendpoint = "lamp"\n[client.oscore]\n{context}sender_id = "01"\nrecipient_id = "02"\n'
    )
    client.write_text(f'{context}sender_id = "02"\nrecipient_id = "01"\n')
    for path in (server, client):
        path.chmod(0o600)
    return server, client


async def until(process: asyncio.subprocess.Process, start: str) -> str:
    """The first line that begins so."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while not (line := (await process.stdout.readline()).decode()).startswith(start):
            assert line, "the process has ended"
    return line


async def test_a_client_registers_again_after_both_have_crashed(files: tuple[Path, Path], tmp_path: Path) -> None:
    credentials, context = files
    uri = "coap://127.0.0.1:0"
    for _ in range(2):
        host = uri.removeprefix("coap://")
        listening = ("--coap", host, "--http", "127.0.0.1:0")
        server = await lwm2m(
            "server", *listening, "--credentials", str(credentials), "--state", str(tmp_path / "server")
        )
        uri = (await until(server, "CoAP")).split()[1]
        client = await lwm2m(
            "client", "--endpoint", "lamp", "--server", uri, "--oscore", str(context), "--state", str(tmp_path / "lamp")
        )
        await until(client, "registered")
        await until(server, "+ lamp registered")
        for process in (client, server):
            process.kill()
            out, err = await process.communicate()
            assert SECRET not in (out + err).decode()


async def test_a_server_that_was_killed_reads_a_client_that_has_said_nothing_since(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    kept = ("--http", "127.0.0.1:0", "--credentials", str(files[0]), "--state", str(tmp_path / "server"))
    context = OscoreSecurity(bytes.fromhex(SECRET), b"\x02", b"\x01")
    async with AsyncExitStack() as running:
        first = await running.enter_async_context(running_server(*kept, "--coap", "127.0.0.1:0"))
        client = Client("lamp", first.coap, [Record(VALUE, 21.5)], oscore=context, numbers=MemoryNumbers())
        await running.enter_async_context(client)
        http = await running.enter_async_context(httpx.AsyncClient())
        await client.registered(PATIENCE)
        assert (await http.post(f"{first.http}/api/clients/lamp{VALUE}/observe")).json()["observing"] is True
        happenings = client.events()
        first.process.kill()
        await first.process.wait()
        second = await running.enter_async_context(running_server(*kept, "--coap", first.coap.removeprefix("coap://")))
        answer = (await http.get(f"{second.http}/api/clients/lamp{VALUE}")).json()
        assert answer["content"]["value"] == "21.5"
        async with asyncio.timeout(PATIENCE):
            assert {await _asked(happenings) for _ in range(2)} == {Observe, Read}
        assert await client.send([VALUE]) == {1: Code.CHANGED}


async def _asked(happenings: AsyncIterator[ClientEvent]) -> type[object]:
    """What the client is asked next, when it tells nothing by itself but what is observed."""
    while isinstance(event := await anext(happenings), Notified):
        pass
    assert isinstance(event, Served)
    return type(event.operation)


async def test_the_server_says_once_who_was_refused_and_what_to_mend(files: tuple[Path, Path], tmp_path: Path) -> None:
    listening = ("--coap", "127.0.0.1:0", "--http", "127.0.0.1:0")
    state = str(tmp_path / "server")
    server = await lwm2m("server", *listening, "--credentials", str(files[0]), "--state", state)
    uri = (await until(server, "CoAP")).split()[1]
    right = OscoreSecurity(bytes.fromhex(SECRET), b"\x02", b"\x01")
    wrong = {
        "lamp": replace(right, master_secret=b"another secret"),
        "fan": right,
        "door": replace(right, sender_id=b"\x03"),
    }
    clients = [Client(name, uri, oscore=oscore, numbers=MemoryNumbers()) for name, oscore in wrong.items()]
    async with AsyncExitStack() as running:
        for client in clients:
            await running.enter_async_context(client)
        told = sorted([(await until(server, "! refused")).split(": ", 1) for _ in clients], key=lambda line: line[1])
    server.terminate()
    out, err = await server.communicate()
    assert [sentence.split(":")[0] for _, sentence in told] == [
        "it has shown 'oscore",
        "nobody has the OSCORE context that it names, 'oscore",
        "what it has protected as 'oscore",
    ]
    fan, door, lamp = told
    assert fan[0].startswith("! refused fan at ")
    assert "the identity of 'lamp'" in fan[1]
    assert door[0].startswith("! refused 127.0.0.1")
    assert lamp[0].startswith("! refused lamp at ")
    assert not any(key in (out + err).decode() for key in (SECRET, b"another secret".hex()))
    assert "does not verify" not in out.decode()


ALL = ("coap+tcp", "coap+ws", "coap+serial", "coaps", "coaps+tcp")


def context(sender: str, recipient: str) -> str:
    return f'master_secret = "{SECRET}"\nsender_id = "{sender}"\nrecipient_id = "{recipient}"\n'


def private(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return str(path)


def shown(folder: Path, name: str) -> tuple[str, ...]:
    """A certificate of the authority, and the authority."""
    issued = authority().holder(name)
    key, certificate = private(folder / f"{name}.key", issued.key.pem()), private(folder / f"{name}.crt", issued.pem)
    trust = private(folder / "ca.crt", authority().issued.pem)
    return "--key", key, "--certificate", certificate, "--trust", trust


def known(number: int, scheme: str) -> str:
    """A client that is called after the scheme which it comes by."""
    name = scheme.replace("+", "-")
    tls = {"coaps": f'security = "psk"\nkey = "{SECRET}"\n', "coaps+tcp": 'security = "x509"\n'}.get(scheme, "")
    return f'[[client]]\nendpoint = "{name}"\n{tls}[client.oscore]\n{context("01", f"1{number}")}'


async def test_clients_come_by_every_transport(tmp_path: Path) -> None:
    credentials = private(tmp_path / "all.toml", "".join(known(*entry) for entry in enumerate(ALL)))
    key = private(tmp_path / "coaps.psk", SECRET)
    async with AsyncExitStack() as running:
        cable = await running.enter_async_context(Cable(tmp_path))
        at = [word for scheme in ALL if scheme != "coap+serial" for word in (f"--{scheme.replace('+', '-')}", ANY)]
        server = await lwm2m(
            "server", "--http", ANY, *at, "--coap-serial", cable.left, "--credentials", credentials,
            *shown(tmp_path, "127.0.0.1"), "--state", str(tmp_path / "server"),
        )  # fmt: skip
        running.push_async_callback(killed, server)
        uris = [(await until(server, "CoAP")).split()[1] for _ in ALL]
        for number, scheme in enumerate(ALL):
            (uri,) = (uri for uri in uris if uri.startswith(f"{scheme}:"))
            uri = f"coap+serial://{cable.right}" if scheme == "coap+serial" else uri
            name = scheme.replace("+", "-")
            oscore = private(tmp_path / f"{name}.toml", context(f"1{number}", "01"))
            keys = {"coaps": ("--psk-identity", name, "--psk-key-file", key), "coaps+tcp": shown(tmp_path, name)}
            client = await lwm2m(
                "client", "--endpoint", name, "--server", uri, "--oscore", oscore, "--state", str(tmp_path / name),
                *keys.get(scheme, ()),
            )  # fmt: skip
            running.push_async_callback(killed, client)
        registered = {(await until(server, "+ ")).split()[1] for _ in ALL}
    assert registered == {scheme.replace("+", "-") for scheme in ALL}


async def killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    out, err = await process.communicate()
    assert SECRET not in (out + err).decode()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("server", "--credentials", "CREDENTIALS"), "has clients with OSCORE, which needs --state."),
        ((*CLIENT, "CONTEXT"), "needs --state DIR"),
        ((*CLIENT, "CREDENTIALS", "--state", "STATE"), "there is no setting 'client'"),
        ((*CLIENT, "CONTEXT", "--state", "STATE", "--coap-stack", "aiocoap"), "the CoAP stack 'aiocoap' has no OSCORE"),
    ],
)
async def test_what_is_missing_is_said_in_a_sentence(
    files: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    given = {"CREDENTIALS": str(files[0]), "CONTEXT": str(files[1]), "STATE": str(tmp_path / "state")}
    outcome = await ended(await lwm2m(*(given.get(argument, argument) for argument in arguments)))
    assert outcome.code != 0
    assert sentence in outcome.err
    assert SECRET not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [((), "--state"), (("--state", "STATE", "--coap-stack", "aiocoap"), "the CoAP stack datagram")],
)
async def test_a_server_that_cannot_serve_oscore_takes_no_credentials_for_it(
    tmp_path: Path, arguments: tuple[str, ...], missing: str
) -> None:
    given = [str(tmp_path / "state") if argument == "STATE" else argument for argument in arguments]
    document = {"endpoint": "lamp", "oscore": {"msec": SECRET, "sid": "01", "rid": "02"}}
    async with (
        running_server("--coap", ANY, "--http", ANY, *given) as server,
        httpx.AsyncClient(base_url=server.http) as http,
    ):
        answer = await http.put("/api/security/clients", json=document)
        assert (answer.status_code, answer.text) == (400, f"Invalid request body: OSCORE needs {missing}")
        assert (await http.get("/api/security/clients")).json() == []
