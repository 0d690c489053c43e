"""OSCORE over all that carries CoAP, alone and inside of DTLS and TLS: a client registers, is asked, and tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest

from lwm2m.client import Client
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.line import Line
from lwm2m.coap.links.serial_line import serial_endpoint
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.coap.streams.connected import TcpEndpoint, WebSocketEndpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.dtls.settings import ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import CertificateName, ClientCredentials, OscoreSecurity, SecurityInfo
from lwm2m.security.sequence_numbers import MemoryNumbers
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Admission, Notified, Server
from tests.serial_cable import Cable
from tests.tls_credentials import authority, serving

ENDPOINT = "urn:dev:lamp"
CONTEXT = OscoreSecurity(bytes(range(16)), b"lamp", b"srv", b"salt")
AT_SERVER = replace(CONTEXT, sender_id=b"srv", recipient_id=b"lamp")
KEY = PreSharedKey(b"lamp", b"a key of sixteen")
TEXT = Path.parse("/3303/0/5750")
LONG = "x" * 3000
PATIENCE = 20.0


class Way:
    """One scheme, with what each end of it needs."""

    def __init__(self, scheme: str, cable: Cable, mtu: int = 1280) -> None:
        self.scheme = scheme
        self._line = Line(cable.left, mtu=mtu)
        self._far_line = Line(cable.right, mtu=mtu)

    @property
    def tls(self) -> ClientCredentials | None:
        return {"coaps": KEY, "coaps+tcp": CertificateName("lamp")}.get(self.scheme)

    def served(self, oscore: Oscore, admission: Admission) -> Endpoint:
        match self.scheme:
            case "coap":
                return open_endpoint(oscore=oscore)
            case "coaps":
                return open_endpoint(dtls=Dtls(ServerSettings(admission.psk)), oscore=oscore)
            case "coap+tcp":
                return TcpEndpoint(oscore=oscore)
            case "coap+ws":
                return WebSocketEndpoint(oscore=oscore)
            case "coaps+tcp":
                return TlsEndpoint(tls=serving(authority().holder("127.0.0.1")), oscore=oscore)
        return serial_endpoint(self._line, oscore=oscore)

    def uri(self, server: Endpoint) -> str:
        return self._far_line.uri if self.scheme == "coap+serial" else server.uri

    def shown(self) -> Mapping[str, Any]:
        match self.scheme:
            case "coaps":
                return {"security": AccountSecurity(Mode.PSK, KEY.identity, secret_key=KEY.key)}
            case "coaps+tcp":
                lamp = authority().holder("lamp")
                security = AccountSecurity(Mode.CERTIFICATE, lamp.der)
                return {"security": security, "signing_key": lamp.key, "trust": authority().trust}
        return {}


@pytest.fixture
async def cable(tmp_path: FilePath) -> AsyncIterator[Cable]:
    async with Cable(tmp_path) as cable:
        yield cable


async def notified(happenings: AsyncIterator[object]) -> Notified:
    async with asyncio.timeout(PATIENCE):
        while not isinstance(event := await anext(happenings), Notified):
            pass
    return event


async def registered_and_asked(way: Way) -> None:
    admission = Admission(MemorySecurity([SecurityInfo(ENDPOINT, way.tls, AT_SERVER)]))
    there = way.served(Oscore(MemoryNumbers(), admission.oscore), admission)
    async with AsyncExitStack() as running:
        server = await running.enter_async_context(Server([there], admission=admission))
        records = [Record(TEXT, "short")]
        client = Client(ENDPOINT, way.uri(there), records, oscore=CONTEXT, numbers=MemoryNumbers(), **way.shown())
        await running.enter_async_context(client)
        await client.registered(PATIENCE)
        assert server.registration(ENDPOINT).identity == "oscore:6c616d70"
        await server.write(ENDPOINT, TEXT, LONG)
        assert await server.read(ENDPOINT, TEXT) == [Record(TEXT, LONG)]
        happenings = server.events()
        await server.observe(ENDPOINT, TEXT)
        client.update([Record(TEXT, LONG[:2000])])
        assert (await notified(happenings)).records == (Record(TEXT, LONG[:2000]),)
        assert await client.send([TEXT]) == {1: 0x44}


@pytest.mark.parametrize("scheme", ["coap", "coaps", "coap+tcp", "coaps+tcp", "coap+ws", "coap+serial"])
async def test_both_ends_ask_and_are_answered(scheme: str, cable: Cable) -> None:
    await registered_and_asked(Way(scheme, cable))
    assert not any(b"xxxx" in data or ENDPOINT.encode() in data for side in cable.crossed for data in side)


@pytest.mark.parametrize("mtu", [176, 256])
async def test_a_line_with_small_messages_has_space_for_protection(cable: Cable, mtu: int) -> None:
    await registered_and_asked(Way("coap+serial", cable, mtu))
