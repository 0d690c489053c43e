"""Certificates that are revoked while their owners are connected: a client loses its session and its registration, and
a server its client."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path as FilePath

import pytest

from lwm2m.client import Client, State, UpdateFailed
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.coap.streams.tls import TlsEndpoint
from lwm2m.coap.streams.tls_settings import Tls
from lwm2m.dtls.settings import ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.security import revoking
from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import CertificateChain
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.security.revocation import LOOK_AFTER, RevocationLists, end_revoked
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Admission, Deregistered, Server
from lwm2m.testing import ScriptedServer
from tests.authority import WALL, Issued, root
from tests.integration.test_client_security import AccountSecurity, Mode, pkcs8

CA = root("Fleet CA")
SERVER, DEVICE, OTHER = (CA.issues(name) for name in ("127.0.0.1", "dev1", "dev2"))
TRUST = TrustStore((CA.certificate,))


def client(name: str, issued: Issued, uri: str) -> Client:
    shown = AccountSecurity(Mode.CERTIFICATE, issued.der, SERVER.der, pkcs8(issued.private))
    return Client(name, uri, security=shown, wall_clock=lambda: WALL)


async def test_revoked_later_it_is_deregistered_and_stays_out(tmp_path: FilePath) -> None:
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
                assert Record(Path(1, 0, 11), 44) in device.data_model.read(Path(1, 0, 11))
                assert [registration.endpoint for registration in server.registrations()] == ["dev2"]


async def serve(tls: bool) -> Endpoint:
    """A server that takes every certificate of the authority."""
    settings = ServerSettings(
        chain=CertificateChain((SERVER.der,), SERVER.key), verify=ClientCheck(TRUST, wall=lambda: WALL)
    )
    if tls:
        return TlsEndpoint(tls=Tls(server=settings, trust=TRUST))
    return open_endpoint("127.0.0.1", 0, dtls=Dtls(settings))


@pytest.mark.parametrize("tls", [False, True], ids=["DTLS", "TLS"])
async def test_a_server_that_is_revoked_later_loses_its_client_and_does_not_get_it_back(
    tls: bool, tmp_path: FilePath
) -> None:
    time, file = [WALL], tmp_path / "list.crl"
    file.write_bytes(CA.revokes())
    async with RevocationLists([str(file)], [CA.certificate], wall=lambda: time[0]) as lists:
        shown = AccountSecurity(Mode.CERTIFICATE, DEVICE.der, secret_key=pkcs8(DEVICE.private))
        async with asyncio.timeout(20), ScriptedServer(await serve(tls)) as server:
            device = Client(
                "dev1",
                server.coap.uri,
                security=shown,
                trust=TRUST,
                revocation=Revocation(RevocationPolicy.SOFT, lists.lists),
                wall_clock=lambda: time[0],
            )
            lists.when_refreshed(end_revoked(device, device.revoke))
            async with device:
                peer = (await server.registered(10)).peer
                await device.registered(10)
                trouble, losses = device.events(), server.coap.events()

                file.write_bytes(CA.revokes(OTHER, number=2))
                time[0] += LOOK_AFTER
                await lists.refresh()
                assert device.state is State.REGISTERED

                file.write_bytes(CA.revokes(OTHER, SERVER, number=3))
                time[0] += LOOK_AFTER
                await lists.refresh()
                assert (await anext(losses)).peer == peer
                failed = await anext(event async for event in trouble if isinstance(event, UpdateFailed))
                assert "the certificate of '127.0.0.1' was revoked" in failed.reason
                assert device.revoked() == set()
                if not tls:
                    assert isinstance(peer.association, Association)
                    assert peer.association.closed is not None
                    assert (peer.association.closed.alert, peer.association.closed.by_peer) == (44, True)


async def test_ocsp_is_asked_again_about_a_server_that_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revoking, "ASK_AFTER", 0.01)
    asked = Counter[None]()

    class Taking:
        def revoked(self) -> set[str]:
            asked[None] += 1
            return {"x509:server"} if asked[None] == 3 else set()

    ended: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    watching = revoking.Revoking("soft", (), TRUST)
    watching.end(Taking(), ended.put, ask_again=True)
    async with asyncio.timeout(20), watching:
        assert await ended.get() == {"x509:server"}
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "OCSP of peers"]
