"""Clients of Eclipse Leshan at our server, over the DTLS of its Scandium, in every mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lwm2m import Path, Record
from lwm2m.client.security import AccountSecurity
from lwm2m.server import Registered
from tests.conformance.test_security import ENDPOINT, PSK, RPK, X509, served
from tests.integration.test_client_security import SERVER
from tests.interop.leshan_device import thermometer
from tests.interop.leshan_peer import DEFINITIONS, LeshanPeer, lines, running

pytestmark = [pytest.mark.interop, pytest.mark.leshan]

PATIENCE = 15
DEVICE = [Record(Path(3, 0, 0), "somebody else"), Record(Path(3, 0, 16), "U")]
BY_ADDRESS = replace(X509, server_key=SERVER.der, server_name=None)


@pytest.fixture(scope="module")
def leshan() -> Iterator[LeshanPeer]:
    with running("peers", "ClientPeer", *DEFINITIONS) as peer:
        yield peer


@pytest.mark.parametrize("security", [PSK, RPK, BY_ADDRESS], ids=["PSK", "RPK", "X.509"])
async def test_it_registers_and_is_read(leshan: LeshanPeer, security: AccountSecurity) -> None:
    async with served(security, [SERVER]) as server:
        events = server.events()
        (coap,) = server.endpoints
        await leshan.ask(
            "start",
            endpoint=ENDPOINT,
            server=coap.uri,
            security={
                "mode": int(security.mode),
                "shown": security.identity.hex(),
                "secret": security.secret_key.hex(),
                "expected": security.server_key.hex(),
            },
            records=lines([*DEVICE, *thermometer()]),
        )
        async with asyncio.timeout(PATIENCE):
            await anext(event async for event in events if isinstance(event, Registered))
        assert await server.read(ENDPOINT, "/3303/0/5700") == [Record(Path(3303, 0, 5700), 21.5)]
        await leshan.ask("stop", endpoint=ENDPOINT)
