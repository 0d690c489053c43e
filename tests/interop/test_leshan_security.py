"""Our client at a server and a bootstrap server of Eclipse Leshan, over the DTLS of its Scandium, in every mode."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lwm2m import Client
from lwm2m.client import RegistrationFailed
from lwm2m.client.security import AccountSecurity, Mode
from tests.authority import Issued, hosts, new_key
from tests.integration.test_client_security import ALERT, BEGIN, END, ROOT, SECONDS, STRANGER, account, happened, pkcs8
from tests.interop.leshan_device import thermometer
from tests.interop.leshan_peer import LeshanPeer, running

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

NAMES = (f"secured-{number}" for number in itertools.count(1))
KEY = bytes(range(16))
PROGRAMS = {"server": ("peers", "SecureServerPeer"), "bootstrap": ("bootstrap", "SecureBootstrapPeer")}
SERVER = ROOT.issues("localhost", hosts("localhost", "127.0.0.1"), begin=BEGIN, end=END)


def spki(issued: Issued) -> bytes:
    return issued.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def leshan(which: str, folder: Path) -> Iterator[LeshanPeer]:
    module, program = PROGRAMS[which]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(module, program, str(port), str(folder), uri=f"coaps://127.0.0.1:{port}") as peer:
        yield peer


def keys(folder: Path, *, certified: bool) -> Path:
    """Of Leshan, which has either a certificate or a raw public key."""
    files = {"server.key": pkcs8(SERVER.private), "server.pub": spki(SERVER)}
    if certified:
        files |= {"server.crt": SERVER.der, "ca.crt": ROOT.der}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["raw public key", "certificate"])
def certified(request: pytest.FixtureRequest) -> bool:
    """Whether Leshan has a certificate."""
    return bool(request.param)


@pytest.fixture(scope="module")
def server(certified: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeshanPeer]:
    with leshan("server", keys(tmp_path_factory.mktemp("server"), certified=certified)) as peer:
        yield peer


@pytest.fixture(scope="module")
def bootstrap(certified: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeshanPeer]:
    with leshan("bootstrap", keys(tmp_path_factory.mktemp("bootstrap"), certified=certified)) as peer:
        yield peer


def modes(certified: bool) -> list[Mode]:
    return [Mode.PSK, Mode.CERTIFICATE if certified else Mode.RPK]


async def shown(to: LeshanPeer, name: str, mode: Mode) -> AccountSecurity:
    """What the device shows; Leshan knows it then."""
    if mode is Mode.PSK:
        await to.ask("admit", endpoint=name, identity=f"id-{name}", psk=KEY.hex())
        return AccountSecurity(mode, f"id-{name}".encode(), secret_key=KEY)
    device = ROOT.issues(name, begin=BEGIN, end=END, key=new_key())
    if mode is Mode.RPK:
        await to.ask("admit", endpoint=name, rpk=spki(device).hex())
        return AccountSecurity(mode, spki(device), spki(SERVER), pkcs8(device.private))
    await to.ask("admit", endpoint=name)
    return AccountSecurity(mode, device.der, SERVER.der, pkcs8(device.private))


@asynccontextmanager
async def registered(server: LeshanPeer, name: str, security: AccountSecurity) -> AsyncIterator[Client]:
    async with Client(name, server.uri, thermometer(), security=security) as client:
        await client.registered(SECONDS)
        await server.event("registered", endpoint=name)
        yield client


async def test_it_registers_is_read_updates_and_leaves(server: LeshanPeer, certified: bool) -> None:
    for mode in modes(certified):
        name = next(NAMES)
        async with registered(server, name, await shown(server, name, mode)) as client:
            assert (await server.ask("read", endpoint=name, path="/3303/0/5700"))["code"] == "2.05"
            assert (await server.ask("read", endpoint=name, path="/0"))["code"] == "4.01"
            client.update_registration()
            await server.event("updated", endpoint=name)
        await server.event("deregistered", endpoint=name)


@pytest.mark.parametrize("certified", [True], indirect=True)
async def test_a_certificate_of_a_stranger_is_refused_with_a_sentence(server: LeshanPeer) -> None:
    name = next(NAMES)
    good = await shown(server, name, Mode.CERTIFICATE)
    stranger = STRANGER.issues(name, begin=BEGIN, end=END)
    security = replace(good, identity=stranger.der, secret_key=pkcs8(stranger.private))
    client = Client(name, records=[*account(server.uri, security, _17=3, _18=60), *thermometer()])
    events = client.events()
    async with client:
        failed = await happened(events, RegistrationFailed)
        assert "the peer says: " in failed.reason
        assert failed.retry_in is None
        assert client.data_model.has(ALERT)


async def test_it_is_bootstrapped_and_registers_with_what_was_written(
    server: LeshanPeer, bootstrap: LeshanPeer, certified: bool
) -> None:
    for before, after in itertools.product(modes(certified), repeat=2):
        name = next(NAMES)
        shows, gets = await shown(bootstrap, name, before), await shown(server, name, after)
        await bootstrap.ask(
            "configure",
            endpoint=name,
            server=server.uri,
            mode=int(gets.mode),
            shown=gets.identity.hex(),
            expected=gets.server_key.hex(),
            secret=gets.secret_key.hex(),
        )
        async with Client(name, records=thermometer(), bootstrap=bootstrap.uri, security=shows) as client:
            await client.registered(3 * SECONDS)
            await server.event("registered", endpoint=name)
            assert (await server.ask("read", endpoint=name, path="/3303/0/5700"))["code"] == "2.05"
