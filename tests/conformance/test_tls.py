"""Over TLS: 1.1-int-404. As in `test_tcp` nothing here is a wire of datagrams; what the two ends say is asserted."""

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
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server import Server
from lwm2m.server.bootstrap import BootstrapServer
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapConfigs, WriteRecords, in_order
from tests.authority import Issued
from tests.conformance.configurations import DEVICE as DEVICE_VALUES
from tests.conformance.configurations import SERVER as SERVER_VALUES
from tests.conformance.configurations import records
from tests.raw_connection import RawPeer, csm
from tests.tls_credentials import authority, serving

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


def account(uri: str, shown: Issued, server: Issued, instance: Path, *, bootstrap: bool) -> tuple[Record, ...]:
    """C.19: a Security instance with certificates, whose server shows its own (certificate usage 3)."""
    key = shown.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    secured = AccountSecurity(Mode.CERTIFICATE, shown.der, server.der, key)
    number = () if bootstrap else (Record(instance.child(10), 1),)
    return (
        Record(instance.child(0), uri),
        Record(instance.child(1), bootstrap),
        *number,
        *secured.records(instance),
    )


@asynccontextmanager
async def csm_of(endpoint: TlsEndpoint, shown: Issued, folder: FilePath) -> AsyncIterator[bytes]:
    """What the server says first to whoever shows this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority().issued.der)
    context.set_alpn_protocols(["coap"])
    file = folder / "shown.pem"
    file.write_bytes(shown.pem + shown.key.pem())
    context.load_cert_chain(file)
    peer = RawPeer(*await asyncio.open_connection(*endpoint.address, ssl=context))
    try:
        yield await peer.receive()
    finally:
        await peer.close()


async def test_1_1_int_404(tmp_path: FilePath) -> None:
    device, host = authority().holder(ENDPOINT), authority().holder("127.0.0.1")
    crossed, bootstrapped = Crossed(), Crossed()
    endpoint = TlsEndpoint(tls=serving(host), tracer=crossed)
    bootstrap_endpoint = TlsEndpoint(tls=serving(host), tracer=bootstrapped)
    async with Server([endpoint]) as server, BootstrapServer([bootstrap_endpoint]) as bootstrap:
        to_server = account(endpoint.uri, device, host, Path(0, 0), bootstrap=False)
        written = tuple(one for one in records("/1/0", {**SERVER_VALUES, 7: "T"}) if one.value is not None)
        steps = WriteRecords(Path(0, 0), to_server), WriteRecords(Path(1, 0), written)
        bootstrap.configs = BootstrapConfigs(default=BootstrapConfig(in_order(steps)))
        to_bootstrap = account(bootstrap_endpoint.uri, device, host, Path(0, 1), bootstrap=True)
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
            assert registration.peer.identity == f"x509:{ENDPOINT}"
            assert await server.read(ENDPOINT, "/3/0/0")
            assert crossed.exchanges[-1] == ("GET", ("3", "0", "0"), Code.CONTENT)
        async with csm_of(endpoint, device, tmp_path) as said:
            assert said == csm(64 * 1024 + 1152)
