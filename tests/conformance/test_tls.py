"""Over TLS: 1.1-int-404, 406. As in `test_tcp` nothing here is a wire of datagrams; what the two ends say is
asserted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lwm2m.client import Client
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Traced
from lwm2m.coap.message import Code, Request
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls
from lwm2m.dtls.settings import ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.security import MemorySecurity, PreSharedKey, SecurityInfo
from lwm2m.server import Admission, Server
from lwm2m.server.bootstrap import BootstrapServer
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapConfigs, WriteRecords, in_order
from tests.authority import Issued
from tests.conformance.configurations import DEVICE as DEVICE_VALUES
from tests.conformance.configurations import SERVER as SERVER_VALUES
from tests.conformance.configurations import records
from tests.raw_connection import RawPeer, csm
from tests.tls_credentials import KEY, authority, serving, with_psk

ENDPOINT = "urn:conformance:tls"


@dataclass
class Crossed:
    """Requests with the codes of their answers, at one endpoint."""

    exchanges: list[tuple[str, tuple[str, ...], Code]] = field(default_factory=list)
    _asked: dict[bytes, Request] = field(default_factory=dict)
    queries: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(self, traced: Traced) -> None:
        if isinstance(traced.message, Request):
            self._asked[traced.token] = traced.message
            self.queries.append(traced.message.query)
        elif (request := self._asked.pop(traced.token, None)) is not None:
            self.exchanges.append((Code(request.method).name, request.path, traced.message.code))


def account(uri: str, security: AccountSecurity, instance: Path, *, bootstrap: bool) -> tuple[Record, ...]:
    number = () if bootstrap else (Record(instance.child(10), 1),)
    return (Record(instance.child(0), uri), Record(instance.child(1), bootstrap), *number, *security.records(instance))


def with_certificates(shown: Issued, server: Issued) -> AccountSecurity:
    """C.19: the server shows its own (certificate usage 3)."""
    key = shown.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return AccountSecurity(Mode.CERTIFICATE, shown.der, server.der, key)


def a_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["coap"])
    return context


def certified(shown: Issued, folder: FilePath) -> ssl.SSLContext:
    context = a_context()
    context.load_verify_locations(cadata=authority().issued.der)
    file = folder / "shown.pem"
    file.write_bytes(shown.pem + shown.key.pem())
    context.load_cert_chain(file)
    return context


def keyed() -> ssl.SSLContext:
    context = a_context()
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    context.set_psk_client_callback(lambda _hint: (ENDPOINT, KEY))
    return context


@asynccontextmanager
async def csm_of(endpoint: TlsEndpoint, context: ssl.SSLContext) -> AsyncIterator[bytes]:
    """What the server says first."""
    peer = RawPeer(*await asyncio.open_connection(*endpoint.address, ssl=context))
    try:
        yield await peer.receive()
    finally:
        await peer.close()


@asynccontextmanager
async def registered(
    tls: Tls, admission: Admission, security: AccountSecurity, identity: str
) -> AsyncIterator[TlsEndpoint]:
    """Once everything of the case has been said: the server still listens."""
    crossed, bootstrapped = Crossed(), Crossed()
    endpoint = TlsEndpoint(tls=tls, tracer=crossed)
    bootstrap_endpoint = TlsEndpoint(tls=tls, tracer=bootstrapped)
    async with (
        Server([endpoint], admission=admission) as server,
        BootstrapServer([bootstrap_endpoint], admission=admission) as bootstrap,
    ):
        to_server = account(endpoint.uri, security, Path(0, 0), bootstrap=False)
        written = tuple(one for one in records("/1/0", {**SERVER_VALUES, 7: "T"}) if one.value is not None)
        steps = WriteRecords(Path(0, 0), to_server), WriteRecords(Path(1, 0), written)
        bootstrap.configs = BootstrapConfigs(default=BootstrapConfig(in_order(steps)))
        to_bootstrap = account(bootstrap_endpoint.uri, security, Path(0, 1), bootstrap=True)
        async with Client(ENDPOINT, (), [*to_bootstrap, *records("/3/0", DEVICE_VALUES)]) as client:
            await client.registered(10)
            assert sorted(bootstrapped.exchanges) == [
                ("POST", ("bs",), Code.CHANGED),
                ("POST", ("bs",), Code.CHANGED),
                ("PUT", ("0", "0"), Code.CHANGED),
                ("PUT", ("1", "0"), Code.CHANGED),
            ]
            registration = server.registration(ENDPOINT)
            assert crossed.exchanges[-1] == ("POST", ("rd",), Code.CREATED)
            assert "b=T" in crossed.queries[-1]
            assert registration.binding == "T"
            assert registration.peer.identity == identity
            assert await server.read(ENDPOINT, "/3/0/0")
            assert crossed.exchanges[-1] == ("GET", ("3", "0", "0"), Code.CONTENT)
        yield endpoint


async def test_1_1_int_404(tmp_path: FilePath) -> None:
    device, host = authority().holder(ENDPOINT), authority().holder("127.0.0.1")
    security = with_certificates(device, host)
    async with (
        registered(serving(host), Admission(), security, f"x509:{ENDPOINT}") as endpoint,
        csm_of(endpoint, certified(device, tmp_path)) as said,
    ):
        assert said == csm(64 * 1024 + 1152)


@with_psk
async def test_1_1_int_406() -> None:
    key = PreSharedKey(ENDPOINT.encode(), KEY)
    admission = Admission(MemorySecurity([SecurityInfo(ENDPOINT, key)]))
    tls = Tls(server=ServerSettings(find_key=admission.psk))
    security = AccountSecurity(Mode.PSK, key.identity, secret_key=key.key)
    async with (
        registered(tls, admission, security, f"psk:{ENDPOINT}") as endpoint,
        csm_of(endpoint, keyed()) as said,
    ):
        assert said == csm(64 * 1024 + 1152)
