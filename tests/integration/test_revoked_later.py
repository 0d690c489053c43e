"""A client whose certificate is revoked while it is registered loses its session and its registration."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lwm2m.client import Client, UpdateFailed
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ServerSettings
from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CertificateChain
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.security.revocation import LOOK_AFTER, RevocationLists, end_revoked
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Admission, Deregistered, Server
from tests.authority import WALL, Issued, root
from tests.integration.test_client_security import AccountSecurity, Mode, pkcs8

CA = root("Fleet CA")
SERVER, DEVICE, OTHER = (CA.issues(name) for name in ("127.0.0.1", "dev1", "dev2"))
TRUST = TrustStore((CA.certificate,))


def client(name: str, issued: Issued, uri: str) -> Client:
    shown = AccountSecurity(Mode.CERTIFICATE, issued.der, SERVER.der, pkcs8(issued.private))
    return Client(name, uri, security=shown, wall_clock=lambda: WALL)


async def test_revoked_later_it_is_deregistered_and_stays_out(tmp_path: Path) -> None:
    time, file = [WALL], tmp_path / "list.crl"
    file.write_bytes(CA.revokes())
    admission = Admission(MemorySecurity())
    async with RevocationLists([str(file)], [CA.certificate], wall=lambda: time[0]) as lists:
        revocation = Revocation(RevocationPolicy.HARD, lists.lists)
        check = ClientCheck(TRUST, wall=lambda: time[0], revocation=revocation)
        lists.when_refreshed(end_revoked(check, admission.revoke))
        settings = ServerSettings(chain=CertificateChain((SERVER.der,), SERVER.key), verify=check)
        endpoint = open_endpoint("127.0.0.1", 0, dtls=Dtls(settings))
        async with asyncio.timeout(20), Server([endpoint], admission=admission) as server:
            events = server.events()
            async with client("dev1", DEVICE, endpoint.uri) as device, client("dev2", OTHER, endpoint.uri) as other:
                await device.registered(10)
                await other.registered(10)
                trouble = device.events()

                file.write_bytes(CA.revokes(DEVICE, number=2))
                time[0] += LOOK_AFTER
                await lists.refresh()

                gone = await anext(event async for event in events if isinstance(event, Deregistered))
                assert gone.registration.endpoint == "dev1"
                device.update_registration()
                failed = await anext(event async for event in trouble if isinstance(event, UpdateFailed))
                assert "revoked" in failed.reason
                assert [registration.endpoint for registration in server.registrations()] == ["dev2"]
