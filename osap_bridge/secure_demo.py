"""The demo with security everywhere: the lamp asks a bootstrap server over DTLS with a pre-shared key and registers
with the certificate that it gets, the gateway and the sensor register with pre-shared keys, the door speaks OSCORE."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path as FilePath

from lwm2m import Dtls, DtlsServer, Endpoint, Oscore, open_endpoint
from lwm2m.client import Client, Registered, RegistrationFailed
from lwm2m.security import CertificateName, ClientCheck, MemoryNumbers, MemorySecurity, SecurityInfo, trusted
from lwm2m.server import Admission, BootstrapConfigs, BootstrapServer, Server, ServerAccount, account_config
from osap_bridge.account import Account, AccountOf, shown
from osap_bridge.demo import DOOR, LAMP, NAMES, SENSOR, STEP_WITHIN, Demo
from osap_bridge.demo_keys import HOST, Certificates, draw, draw_oscore
from osap_bridge.story import Result, Story

SHORT_SERVER_ID = 1


class SecureDemo(Demo):
    """Each client has credentials of its own, so that each device is one."""

    async def _open_server(self, exits: AsyncExitStack, folder: FilePath) -> AccountOf:
        gateway, lamp, sensor, door = map(self._endpoint, ("", LAMP, SENSOR, DOOR))
        certificates = Certificates(folder)
        keys = {endpoint: draw(endpoint) for endpoint in (gateway, lamp, sensor)}
        at_client, at_server = draw_oscore()
        store = MemorySecurity(
            [
                SecurityInfo(gateway, keys[gateway]),
                SecurityInfo(lamp, CertificateName()),
                SecurityInfo(sensor, keys[sensor]),
                SecurityInfo(door, oscore=at_server),
            ]
        )
        admission = Admission(store, nosec=False)
        coaps = _coaps(admission, certificates)
        coap = open_endpoint(HOST, 0, oscore=Oscore(MemoryNumbers(), admission.oscore, refused=admission.refuse_claim))
        await self._serve(exits, Server([coaps, coap], admission=admission))
        self.coap, self.unsecured = coaps.uri, coap.uri
        account = ServerAccount(coaps.uri, SHORT_SERVER_ID, certificates.of_device(lamp))
        asked = _coaps(bootstrap_admission := Admission(MemorySecurity([SecurityInfo(lamp, keys[lamp])]), nosec=False))
        self.bootstrap_server = await exits.enter_async_context(
            BootstrapServer([asked], BootstrapConfigs({lamp: account_config([account])}), admission=bootstrap_admission)
        )
        accounts = {
            gateway: Account(coaps.uri, security=shown(keys[gateway])),
            lamp: Account(bootstrap=asked.uri, security=shown(keys[lamp])),
            sensor: Account(coaps.uri, security=shown(keys[sensor])),
            door: Account(coap.uri, oscore=at_client, numbers=MemoryNumbers()),
        }
        return accounts.__getitem__

    def _endpoint(self, serial: str) -> str:
        config = self._config(FilePath())
        return config.topology_value().endpoint_of(serial) if serial else config.endpoint


def _coaps(admission: Admission, certificates: Certificates | None = None) -> Endpoint:
    """Pre-shared keys, and certificates where there are some."""
    settings = DtlsServer(find_key=admission.psk)
    if certificates is not None:
        check = ClientCheck(trusted(certificates.trust), wall=time.time)
        settings = replace(settings, chain=certificates.own.chain, verify=check)
    return open_endpoint(HOST, 0, dtls=Dtls(server=settings))


class SecureStory(Story):
    """What the other one tells, and who everybody is; and what becomes of those who are not."""

    def __init__(self, demo: SecureDemo) -> None:
        super().__init__(demo)
        self._secured = demo

    async def tell(self) -> AsyncIterator[Result]:
        async for result in super().tell():
            yield result
        yield await self._bootstrapped()
        lamp, sensor = self.demo.endpoint_of(LAMP), self.demo.endpoint_of(SENSOR)
        yield self._identity(LAMP, "registered with its certificate", f"x509:{lamp}")
        yield self._identity(SENSOR, "registered with its pre-shared key", f"psk:{sensor}")
        yield self._identity(DOOR, "speaks OSCORE", "oscore:01")
        wrong = shown(draw(sensor))
        yield await self._stranger("somebody with another key", Client(sensor, self.demo.coap, security=wrong))
        yield await self._stranger("somebody without any key", Client(sensor, self._secured.unsecured))

    async def _bootstrapped(self) -> Result:
        async def look() -> str:
            sessions = self._secured.bootstrap_server.log(self.demo.endpoint_of(LAMP))
            return ", ".join(session.outcome for session in sessions) or "nothing"

        return await self._until(f"{NAMES[LAMP]} {LAMP} got its account over DTLS from bootstrap", "finished", look)

    def _identity(self, serial: str, what: str, expected: str) -> Result:
        identity = self.demo.server.registration(self.demo.endpoint_of(serial)).identity
        return Result(f"{NAMES[serial]} {serial} {what}", expected, identity or "nobody")

    async def _stranger(self, who: str, client: Client) -> Result:
        """Who says that it is the sensor."""
        events = client.events()
        async with client:
            seen = "nothing"
            try:
                async with asyncio.timeout(STEP_WITHIN):
                    async for event in events:
                        if isinstance(event, Registered | RegistrationFailed):
                            seen = "registered" if isinstance(event, Registered) else "refused"
                            break
            except TimeoutError:
                pass
        return Result(f"{who} says that it is {NAMES[SENSOR]}", "refused", seen)
