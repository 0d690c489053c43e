"""`osap-bridge run` with keys from its settings, against `lwm2m server --coaps`, all in processes of their own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lwm2m import Address
from lwm2m.security.keys import FileKey
from osap_bridge.cli import app
from osap_bridge.installed import find
from osap_bridge.simulation import SimulatedDevice
from osap_bridge.store import Store
from tests.authority import DAY, Issued, hosts, root
from tests.integration.test_bridge_cli import Running, bridge, running

LWM2M = [sys.executable, "-c", "from lwm2m.cli import main; main()"]
KEYS = {name: f"{number:032x}" for number, name in enumerate(("osap-bridge", "osap:Z1", "osap:Z2", "house"), 1)}
PRODUCT = find().products["EZ-Humiture"]
HTTP = ("--http", "127.0.0.1:0")

NOW = datetime.now(UTC)
SPAN = {"begin": NOW - DAY, "end": NOW + DAY}
CA = root("CA", **SPAN)
SERVER = CA.issues("server", hosts("127.0.0.1"), **SPAN)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(0o600)
    return file


def psk(*endpoints: str, keys: dict[str, str] = KEYS) -> str:
    return "".join(
        f'[[client]]\nendpoint = "{endpoint}"\nsecurity = "psk"\nkey = "{keys[endpoint]}"\n' for endpoint in endpoints
    )


def certificate(folder: Path, name: str, issued: Issued) -> None:
    write(folder, f"{name}.key", issued.key.pem())
    write(folder, f"{name}.crt", issued.pem)


def settings(folder: Path, *lines: str, devices: Iterable[str] = ("Z1", "Z2")) -> Path:
    """What a gateway is given: these lines under [lwm2m], and its devices."""
    known = (f'[[device]]\nserial = "{serial}"\ncode = "QWERTY"' for serial in devices)
    listen = '[lbs]\nlisten = "127.0.0.1:0"\n[das]\nlisten = "127.0.0.1:0"\n[lwm2m]'
    return write(folder, "bridge.toml", "\n".join([f'state = "{folder}/state"', listen, *lines, *known]))


@asynccontextmanager
async def serving(*options: str | Path, program: str = "server") -> AsyncIterator[tuple[Running, str]]:
    """An LwM2M server and where it listens."""
    async with running(program, *HTTP, *options, command=LWM2M) as server:
        yield server, (await server.until(r"^CoAP +(\S+)"))[1]


@asynccontextmanager
async def gateway_with(config: Path, *serials: str) -> AsyncIterator[Running]:
    """A gateway and devices that connect with it."""
    async with running("run", "--config", config) as gateway, AsyncExitStack() as exits:
        lbs = Address.parse((await gateway.until(r"LBS +(\S+:\d+)"))[1])
        for serial in serials:
            device = SimulatedDevice(PRODUCT, serial, "QWERTY", lbs)
            exits.push_async_callback(device.stop)
            await device.start()
        yield gateway
        await stopped(gateway)


async def stopped(gateway: Running) -> None:
    """It ends as it should, and has told nobody any key."""
    code, _ = await gateway.interrupt()
    output = "".join(gateway.lines)
    assert (code, "Traceback" in output) == (0, False), output
    assert not any(key in output for key in KEYS.values())


async def test_each_device_has_a_key_from_the_file_that_the_server_has(tmp_path: Path):
    file = write(tmp_path, "clients.toml", psk("osap-bridge", "osap:Z1"))
    async with serving("--coaps", "127.0.0.1:0", "--credentials", file) as (server, uri):
        config = settings(tmp_path, f'server = "{uri}"', 'credentials = "clients.toml"')
        async with gateway_with(config, "Z1", "Z2") as gateway:
            for endpoint in ("osap-bridge", "osap:Z1"):
                await server.until(rf"^\+ {endpoint} registered")
            await gateway.until("osap:Z2 does not register: .*clients.toml has no credentials for osap:Z2: add a ")
            assert "can be read by others" not in "".join(gateway.lines)
            assert "add a [[client]]" in await last_error(tmp_path, "Z2")


async def last_error(folder: Path, serial: str) -> str:
    """What `osap-bridge devices` has to say of it, once it has something."""
    async with asyncio.timeout(20):
        while True:
            store = Store(folder / "state")
            errors = {status.serial: status.last_error for status in store.statuses()}
            store.close()
            if errors[serial]:
                return errors[serial]
            await asyncio.sleep(0.1)


async def test_each_device_has_a_certificate_from_files_of_its_name(tmp_path: Path):
    certificate(tmp_path, "server", SERVER)
    for endpoint in ("osap-bridge", "osap:Z1", "osap:Z2"):
        certificate(tmp_path, endpoint.replace(":", "-"), CA.issues(endpoint, **SPAN))
    trust = write(tmp_path, "ca.crt", CA.pem)
    shown = ("--key", tmp_path / "server.key", "--certificate", tmp_path / "server.crt", "--trust", trust)
    async with serving("--coaps", "127.0.0.1:0", *shown) as (server, uri):
        files = ('key = "{endpoint}.key"', 'certificate = "{endpoint}.crt"', 'trust = "ca.crt"')
        async with gateway_with(settings(tmp_path, f'server = "{uri}"', *files), "Z1", "Z2"):
            for endpoint in ("osap-bridge", "osap:Z1", "osap:Z2"):
                await server.until(rf"^\+ {endpoint} registered")


async def test_a_server_whose_certificate_was_taken_back_is_refused(tmp_path: Path):
    certificate(tmp_path, "server", SERVER)
    certificate(tmp_path, "house", CA.issues("house", **SPAN))
    trust = write(tmp_path, "ca.crt", CA.pem)
    write(tmp_path, "list.crl", CA.revokes(SERVER, **SPAN))
    shown = ("--key", tmp_path / "server.key", "--certificate", tmp_path / "server.crt", "--trust", trust)
    async with serving("--coaps", "127.0.0.1:0", *shown) as (_, uri):
        files = ('key = "house.key"', 'certificate = "house.crt"', 'trust = "ca.crt"', 'crl = "list.crl"')
        config = settings(tmp_path, f'server = "{uri}"', 'topology = "single"', 'endpoint = "house"', *files)
        async with gateway_with(config) as gateway:
            await gateway.until("house is not registered with .*: the certificate of 'server' was revoked")


async def test_the_one_client_of_a_topology_has_keys_too(tmp_path: Path):
    write(tmp_path, "house.psk", KEYS["house"])
    file = write(tmp_path, "clients.toml", psk("house"))
    async with serving("--coaps", "127.0.0.1:0", "--credentials", file) as (server, uri):
        single = ('topology = "single"', 'endpoint = "house"', 'psk_key_file = "house.psk"')
        async with gateway_with(settings(tmp_path, f'server = "{uri}"', *single), "Z1") as gateway:
            await server.until(r"^\+ house registered")
            await gateway.until(r"Z1 \(EZ-Humiture\) is online as house")


async def test_a_wrong_key_is_told_in_a_sentence_by_both_sides_and_can_be_mended(tmp_path: Path):
    file = write(tmp_path, "clients.toml", psk("osap-bridge", "osap:Z1"))
    write(tmp_path, "gateway.toml", psk("osap-bridge") + psk("osap:Z1", keys={"osap:Z1": KEYS["osap:Z2"]}))
    async with serving("--coaps", "127.0.0.1:0", "--credentials", file) as (server, uri):
        config = settings(tmp_path, f'server = "{uri}"', 'credentials = "gateway.toml"')
        async with gateway_with(config, "Z1") as gateway:
            await server.until("^! refused .*the two keys are not the same")
            await gateway.until(rf"osap:Z1 is not registered with {uri}: .*key")
            assert f"not registered with {uri}" in await last_error(tmp_path, "Z1")
            write(tmp_path, "gateway.toml", psk("osap-bridge", "osap:Z1"))
            await gateway.until("osap:Z1 tries again with other credentials")
            await server.until(r"^\+ osap:Z1 registered")


async def test_devices_get_their_keys_from_a_bootstrap_server(tmp_path: Path):
    """They ask it with keys of their own, and register with what it writes."""
    file = write(tmp_path, "clients.toml", psk("osap-bridge", "osap:Z1"))
    given = {"osap-bridge": "aa" * 16, "osap:Z1": "bb" * 16}
    async with AsyncExitStack() as exits:
        first = write(tmp_path, "given.toml", psk(*given, keys=given))
        server, uri = await exits.enter_async_context(serving("--coaps", "127.0.0.1:0", "--credentials", first))
        accounts = "".join(
            f'[[configuration]]\nendpoint = "{endpoint}"\n[[configuration.account]]\nuri = "{uri}"\n'
            f'short_server_id = 101\nsecurity = "psk"\nidentity = "{endpoint}"\nkey = "{key}"\n'
            for endpoint, key in given.items()
        )
        options = ("--coaps", "127.0.0.1:0", "--credentials", file, "--config", write(tmp_path, "boot.toml", accounts))
        _, asked = await exits.enter_async_context(serving(*options, program="bootstrap-server"))
        config = settings(tmp_path, f'bootstrap = "{asked}"', 'credentials = "clients.toml"')
        gateway = await exits.enter_async_context(gateway_with(config, "Z1"))
        for endpoint in given:
            await server.until(rf"^\+ {endpoint} registered")
        await gateway.until("osap:Z1 is registered with coaps://")
        assert f"bootstrap from {asked}" in "".join(gateway.lines)


async def test_raw_public_keys_with_oscore_inside(tmp_path: Path):
    """The file that both sides have says how the client is known, its private key lies beside it."""
    ours, servers = FileKey.generate(), FileKey.generate()
    write(tmp_path, "house.key", ours.pem())
    write(tmp_path, "server.key", servers.pem())
    write(tmp_path, "server.pub", servers.public_key)
    file = write(
        tmp_path,
        "clients.toml",
        f'[[client]]\nendpoint = "house"\nsecurity = "rpk"\npublic_key = "{ours.public_key.hex()}"\n[client.oscore]\n'
        f'master_secret = "{KEYS["house"]}"\nsender_id = "01"\nrecipient_id = "02"\n',
    )
    options = ("--coaps", "127.0.0.1:0", "--credentials", file, "--key", tmp_path / "server.key")
    async with serving(*options, "--state", tmp_path / "server") as (server, uri):
        single = ('topology = "single"', 'endpoint = "house"', 'credentials = "clients.toml"', 'key = "{endpoint}.key"')
        config = settings(tmp_path, f'server = "{uri}"', 'server_public_key = "server.pub"', *single)
        async with gateway_with(config):
            await server.until(r"^\+ house registered")


async def test_oscore_goes_by_the_contexts_that_the_server_has(tmp_path: Path):
    contexts = "".join(
        f'[[client]]\nendpoint = "{endpoint}"\n[client.oscore]\nmaster_secret = "{KEYS[endpoint]}"\n'
        f'sender_id = "{number}1"\nrecipient_id = "{number}2"\n'
        for number, endpoint in enumerate(("osap-bridge", "osap:Z1"))
    )
    file = write(tmp_path, "clients.toml", contexts)
    options = ("--coap", "127.0.0.1:0", "--credentials", file, "--state", tmp_path / "server")
    async with serving(*options) as (server, uri):
        config = settings(tmp_path, f'server = "{uri}"', 'credentials = "clients.toml"')
        async with gateway_with(config, "Z1"):
            for endpoint in ("osap-bridge", "osap:Z1"):
                await server.until(rf"^\+ {endpoint} registered")


COAPS = 'server = "coaps://127.0.0.1:5684"'


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((COAPS,), "coaps://127.0.0.1:5684 needs keys: under [lwm2m] set 'credentials'"),
        ((COAPS, 'credentials = "gone.toml"'), "gone.toml cannot be read: No such file or directory"),
        ((COAPS, 'credentials = "clients.toml"'), "clients.toml has no credentials for osap-bridge: add a [[client]]"),
        ((COAPS, 'psk_key_file = "all.psk"'), "'psk_key_file' is the same for all: let it hold {endpoint}"),
        ((COAPS, 'psk_key_file = "{endpoint}.psk"'), "osap-bridge.psk cannot be read: No such file or directory"),
        ((COAPS, 'trust = "clients.toml"', 'credentials = "clients.toml"'), "there is no certificate that can be read"),
        (('credentials = "all.toml"',), "coap://127.0.0.1:5683 would not use them; a URI with security has coaps"),
    ],
)
def test_a_gateway_that_could_not_register_does_not_start_and_says_why(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
):
    write(tmp_path, "clients.toml", psk("osap:Z1"))
    write(tmp_path, "all.toml", psk("osap-bridge", "osap:Z1", "osap:Z2"))
    done = CliRunner().invoke(app, ["run", "--config", str(settings(tmp_path, *lines))])
    assert (done.exit_code, done.stdout) == (1, "")
    assert sentence in done.stderr
    assert done.stderr.startswith("osap-bridge: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_check_of_the_settings_names_each_client_that_could_not_register(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write(tmp_path, "clients.toml", psk("osap-bridge", "osap:Z1"))
    check = ["check", "--config", str(settings(tmp_path, COAPS, 'credentials = "clients.toml"'))]
    table = bridge(*check)
    assert table.returncode == 1
    assert "has no credentials for osap:Z2: add a [[client]] with this endpoint" in table.stdout
    added = write(tmp_path, "clients.toml", psk("osap-bridge", "osap:Z1", "osap:Z2"))
    added.chmod(0o644)
    told = CliRunner().invoke(app, [*check, "--json"])
    assert told.exit_code == 0
    shows = {each["endpoint"]: each["shows"] for each in json.loads(told.stdout)["clients"]}
    assert shows == dict.fromkeys(("osap-bridge", "osap:Z1", "osap:Z2"), "a pre-shared key")
    assert caplog.messages == [f"{added} holds keys and can be read by others: chmod 600 {added}"]
    single = CliRunner().invoke(app, [*check, "--topology", "single", "--json"])
    assert [each["endpoint"] for each in json.loads(single.stdout)["clients"]] == ["osap-bridge"]
    assert not any(key in table.stdout + table.stderr + told.output for key in KEYS.values())


def test_what_a_check_is_about_is_named(tmp_path: Path):
    assert CliRunner().invoke(app, ["check", "--state", str(tmp_path)]).exit_code == 2


@pytest.mark.parametrize("options", [(), ("--insecure",)])
async def test_a_server_on_another_machine_without_security_is_warned_of_unless_it_is_meant(
    tmp_path: Path, options: tuple[str, ...]
):
    server = ("--server", "coap://192.0.2.1", "--state", tmp_path, "--lbs", "127.0.0.1:0", "--das", "127.0.0.1:0")
    async with running("run", *server, *options) as gateway:
        await gateway.until(r"^state ")
        told = [line for line in gateway.lines if "nothing on the way there is encrypted" in line]
        assert len(told) == (0 if options else 1), gateway.lines
