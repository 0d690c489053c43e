"""Over DTLS: 1.1-int-1, 2, 401, 402, 403 and ours, X-113 and X-407 to X-409. What the network sees cannot be read, so
what the two ends say is asserted here; the bytes of the handshake are judged by others in `tests/interop`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256, sha384, sha512

import pytest

from lwm2m.client import Client, RegistrationFailed, State, Updated
from lwm2m.client.security import AccountSecurity, Mode
from lwm2m.coap.endpoint import Endpoint
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.message import Code, Request, Response
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ClientSettings, ServerSettings
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations import BootstrapDelete, BootstrapDiscover
from lwm2m.security.credentials import CertificateChain, PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.info import CertificateName, ClientCredentials, PublicKey, SecurityInfo
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import CertificateUsage, ClientCheck, MatchingType
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Admission, BootstrapConfig, BootstrapConfigs, BootstrapServer, Server, SessionOutcome
from lwm2m.server.bootstrap_config import WriteRecords, in_order
from tests.authority import DAY, TODAY, Issued, hosts, new_key, root
from tests.integration.test_client_security import account, happened, pkcs8
from tests.udp_nat import Nat, nat

ENDPOINT, HOST = "urn:conformance:secure", "server.example.com"
PATIENCE = 10
CID_LENGTH = 6
ALERT = Path(1, 0, 11)
BEGIN, END = TODAY - 400 * DAY, TODAY + 40_000 * DAY
ROOT = root("Conformance CA", begin=BEGIN, end=END)
SERVER = ROOT.issues(HOST, hosts(HOST), begin=BEGIN, end=END)
OTHER_HOST = ROOT.issues("other.example.com", hosts("other.example.com"), begin=BEGIN, end=END)
DEVICE = ROOT.issues(ENDPOINT, begin=BEGIN, end=END)
RAW, SERVER_RAW = new_key(), FileKey.generate()
KEY = bytes(range(16))

PSK = AccountSecurity(Mode.PSK, ENDPOINT.encode(), secret_key=KEY)
RPK = AccountSecurity(Mode.RPK, FileKey(RAW).public_key, SERVER_RAW.public_key, pkcs8(RAW))
X509 = AccountSecurity(Mode.CERTIFICATE, DEVICE.der, SERVER.der, pkcs8(DEVICE.private), server_name=HOST)
SHOWN: dict[int, ClientCredentials] = {
    Mode.PSK: PreSharedKey(PSK.identity, KEY),
    Mode.RPK: PublicKey(RPK.identity),
    Mode.CERTIFICATE: CertificateName(),
}

IDENTITIES: dict[int, str] = {
    Mode.PSK: f"psk:{ENDPOINT}",
    Mode.RPK: rpk_identity(RPK.identity),
    Mode.CERTIFICATE: f"x509:{ENDPOINT}",
}


class Secured:
    """What listens at coaps, and who is admitted there: the device, by what it shows."""

    def __init__(self, security: AccountSecurity, chain: Sequence[Issued] = (SERVER,)) -> None:
        store = MemorySecurity([SecurityInfo(ENDPOINT, SHOWN[security.mode])])
        self.admission = Admission(store, nosec=False)
        check = ClientCheck(TrustStore((ROOT.certificate,)), wall=lambda: None, admits=self.admission.admits)
        shown = CertificateChain(tuple(one.der for one in chain), chain[0].key)
        settings = ServerSettings(self.admission.psk, RawPublicKey(SERVER_RAW), shown, check, cid_length=CID_LENGTH)
        self.coap: Endpoint = open_endpoint(stack="datagram", dtls=Dtls(settings))


@asynccontextmanager
async def served(security: AccountSecurity, chain: Sequence[Issued] = (SERVER,)) -> AsyncIterator[Server]:
    secured = Secured(security, chain)
    async with Server([secured.coap], admission=secured.admission) as server:
        yield server


@asynccontextmanager
async def registered(server: Server, security: AccountSecurity, **options: object) -> AsyncIterator[Client]:
    (coap,) = server.endpoints
    records = account(coap.uri, security)
    async with Client(ENDPOINT, records=records, **options) as client:  # type: ignore[arg-type]  # of Client
        await client.registered(PATIENCE)
        yield client


async def serves(server: Server, identity: str) -> None:
    """The steps of 401 and 402: who registered is the device, and answers a read."""
    assert server.registration(ENDPOINT).peer.identity == identity
    assert await server.read(ENDPOINT, "/3/0/0") == [Record(Path(3, 0, 0), "lwm2m-toolkit")]


async def test_1_1_int_401() -> None:
    async with served(PSK) as server, registered(server, PSK):
        await serves(server, f"psk:{ENDPOINT}")


async def test_1_1_int_402() -> None:
    async with served(X509) as server, registered(server, X509):
        await serves(server, f"x509:{ENDPOINT}")


async def test_1_1_int_403() -> None:
    """Pinned or not, a certificate for another host ends the handshake."""
    async with served(X509, [OTHER_HOST]) as server:
        (coap,) = server.endpoints
        pinned = replace(X509, server_key=OTHER_HOST.der)
        client = Client(ENDPOINT, records=account(coap.uri, pinned))
        events = client.events()
        async with client:
            failed = await happened(events, RegistrationFailed)
            assert "is for 'other.example.com', not for 'server.example.com'" in failed.reason
            assert (client.state, failed.retry_in) == (State.FAILED, None)
        assert server.registrations() == []


async def bootstrapped(over: AccountSecurity, to: AccountSecurity) -> None:
    """The server account is written over another association and discovered, then the client registers with it."""
    secured = Secured(over)
    async with served(to) as server:
        (coap,) = server.endpoints
        records = account(coap.uri, to)
        writes = [
            WriteRecords(Path(number, 0), tuple(record for record in records if record.path[0] == number))
            for number in (0, 1)
        ]
        steps = in_order([BootstrapDelete(Path(0)), BootstrapDelete(Path(1)), *writes, BootstrapDiscover(Path())])
        configs = BootstrapConfigs({ENDPOINT: BootstrapConfig(steps, auto_id=True)})
        async with BootstrapServer([secured.coap], configs, admission=secured.admission) as bootstrap:
            client = Client(ENDPOINT, bootstrap=secured.coap.uri, security=over)
            async with client, asyncio.timeout(PATIENCE):
                await client.registered()
                await serves(server, IDENTITIES[to.mode])
            (told,) = (log for log in bootstrap.log(ENDPOINT) if log.outcome is SessionOutcome.FINISHED)
            listed = {str(value.path): value.text for entry in told.entries for value in entry.values}
            assert listed["/"] == "</>;lwm2m=1.1"
            assert "ssid=1" in listed["/1/0"]
            assert sorted("ssid=1" in text for path, text in listed.items() if path in ("/0/0", "/0/1")) == [
                False,
                True,
            ]
            assert "/3/0" in listed


async def test_1_1_int_1() -> None:
    await bootstrapped(PSK, PSK)


async def test_1_1_int_1_writing_a_certificate() -> None:
    await bootstrapped(PSK, X509)


async def test_1_1_int_2() -> None:
    await bootstrapped(X509, X509)


async def test_1_1_int_2_writing_a_raw_public_key() -> None:
    await bootstrapped(X509, RPK)


async def test_x_407() -> None:
    async with served(RPK) as server, registered(server, RPK):
        await serves(server, rpk_identity(RPK.identity))


HASHES = {MatchingType.SHA256: sha256, MatchingType.SHA384: sha384, MatchingType.SHA512: sha512}


@pytest.mark.parametrize("matching", list(MatchingType))
@pytest.mark.parametrize("usage", list(CertificateUsage))
async def test_x_408(usage: CertificateUsage, matching: MatchingType) -> None:
    """The certificate that each usage asks for, whole or as a hash, from a server that sends its whole chain."""
    authority = usage in (CertificateUsage.CA_CONSTRAINT, CertificateUsage.TRUST_ANCHOR_ASSERTION)
    named = (ROOT if authority else SERVER).der
    data = named if matching is MatchingType.EXACT else HASHES[matching](named).digest()
    security = replace(X509, server_key=data, usage=int(usage), matching_type=int(matching))
    trust = TrustStore((ROOT.certificate,)) if usage < CertificateUsage.TRUST_ANCHOR_ASSERTION else TrustStore()
    async with served(security, [SERVER, ROOT]) as server, registered(server, security, trust=trust):
        await serves(server, f"x509:{ENDPOINT}")


async def test_x_113() -> None:
    """Whoever updates has credentials of its own, and knows the location."""
    stranger = PreSharedKey(b"stranger", KEY)
    endpoint = open_endpoint(stack="datagram", dtls=Dtls(client=lambda _: ClientSettings(stranger)))
    await endpoint.start(lambda _request, _peer: Response(Code.NOT_FOUND))
    try:
        async with served(PSK) as server, registered(server, PSK):
            await server.admission.add(SecurityInfo("stranger", stranger))
            before = server.registration(ENDPOINT)
            peer = await endpoint.peer(server.endpoints[0].uri)
            update = Request(Code.POST, before.location, ("lt=60",))
            assert (await endpoint.request(peer, update, PATIENCE)).code is Code.BAD_REQUEST
            assert server.registration(ENDPOINT) == before
            await serves(server, f"psk:{ENDPOINT}")
    finally:
        await endpoint.stop()


@asynccontextmanager
async def behind_a_nat(server: Server) -> AsyncIterator[tuple[Client, Nat]]:
    port = int(server.endpoints[0].uri.rpartition(":")[2])
    async with nat(port) as between:
        records = account(f"coaps://127.0.0.1:{between.port}", PSK)
        async with Client(ENDPOINT, records=records) as client:
            await client.registered(PATIENCE)
            yield client, between


async def test_x_409() -> None:
    """The address changes under the association, and neither handshake nor Register follow."""
    async with served(PSK) as server, behind_a_nat(server) as (client, between):
        events = client.events()
        before = server.registration(ENDPOINT)
        port = await between.rebind()
        client.update([Record(Path(1, 0, 1), 600)])
        await happened(events, Updated)
        after = server.registration(ENDPOINT)
        assert (after.id, after.lifetime, after.peer.address) == (before.id, 600, ("127.0.0.1", port))
        assert after.peer.association is before.peer.association
        await serves(server, f"psk:{ENDPOINT}")


async def test_x_409_resumed() -> None:
    """An association that ended is followed by a short handshake and an Update."""
    async with served(PSK) as server, registered(server, PSK) as client:
        events = client.events()
        before = server.registration(ENDPOINT)
        ended = before.peer.association
        assert isinstance(ended, Association)
        server.endpoints[0]._dtls._end(ended, "for the test")  # type: ignore[attr-defined]  # nothing else says it
        await happened(events, Updated)
        after = server.registration(ENDPOINT)
        assert after.id == before.id
        resumed = after.peer.association
        assert isinstance(resumed, Association)
        assert resumed is not ended
        assert resumed.session == ended.session != b""
        await serves(server, f"psk:{ENDPOINT}")
