"""Who may be which client: nobody registers, updates, ends, sends or is asked as somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from lwm2m.coap.endpoint import Unreachable
from lwm2m.coap.message import Code, Peer, Request
from lwm2m.errors import BadRequest
from lwm2m.model.content_format import ContentFormat
from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import CertificateName, OscoreSecurity, SecurityInfo
from lwm2m.security.store import IdentityTaken, MemorySecurity, SecurityStoreError
from lwm2m.server import (
    Admission,
    Deregistered,
    DeregistrationReason,
    Refused,
    Registered,
    Server,
)
from lwm2m.server.store.memory import MemoryStore
from tests.unit.server_endpoint import MemoryEndpoint, peer, text

SECRET = b"a key of sixteen"
LAMP = SecurityInfo("lamp", PreSharedKey(b"lamp-id", SECRET))
METER = SecurityInfo("meter", CertificateName("meter.example"))
VALVE = SecurityInfo("valve", oscore=OscoreSecurity(SECRET, b"\x01", b"\x02"))
LAMP_PEER, FAN_PEER = peer(identity="psk:lamp-id"), peer(40001, "x509:fan")


class SecureEndpoint(MemoryEndpoint):
    def __init__(self) -> None:
        super().__init__()
        self.expelled: list[str] = []
        self.revoked: list[str] = []

    def expel(self, identity: str, *, revoked: bool = False) -> None:
        (self.revoked if revoked else self.expelled).append(identity)


@pytest.fixture
def endpoint() -> SecureEndpoint:
    return SecureEndpoint()


@pytest.fixture
async def server(endpoint: SecureEndpoint) -> AsyncIterator[Server]:
    async with Server([endpoint], admission=Admission(MemorySecurity((LAMP, METER, VALVE)))) as server:
        yield server


def register(name: str | None) -> Request:
    query = () if name is None else (f"ep={name}",)
    links = b"</1/0>,</3/0>"
    return Request(Code.POST, ("rd",), (*query, "lt=60", "lwm2m=1.1"), links, ContentFormat.LINK)


async def code_of(endpoint: MemoryEndpoint, request: Request, sender: Peer) -> Code:
    return (await endpoint.receive(request, sender)).code


async def registered(endpoint: MemoryEndpoint, name: str, sender: Peer) -> tuple[str, ...]:
    answer = await endpoint.receive(register(name), sender)
    assert answer.code is Code.CREATED
    return answer.location


@pytest.mark.parametrize(
    ("name", "identity"),
    [("lamp", "psk:lamp-id"), ("meter", "x509:meter.example"), ("valve", "oscore:02"), ("fan", "x509:fan")],
)
async def test_whoever_shows_its_credentials_registers(
    server: Server, endpoint: SecureEndpoint, name: str, identity: str
) -> None:
    await registered(endpoint, name, peer(identity=identity))
    assert server.registration(name).identity == identity


@pytest.mark.parametrize(
    ("name", "identity", "told"),
    [
        ("lamp", None, "it came without security although it has credentials"),
        ("lamp", "psk:other", "its credentials are others"),
        ("lamp", "x509:lamp", "its credentials are others"),
        ("lamp", "x509:meter.example", "its credentials are others"),
        ("meter", "x509:meter", "its credentials are others"),
        ("stranger", None, "there are no credentials for it: add some"),
        ("stranger", "psk:stranger", "add credentials that say so"),
        ("stranger", "rpk:00", "add credentials that say so"),
        ("stranger", "psk:lamp-id", "the identity of 'lamp': let it use that name, or give 'stranger' credentials of"),
        ("meter.example", "x509:meter.example", "the identity of 'meter'"),
        ("fan", "x509:fan.example", "or use the name of the certificate"),
        ("fan", "", "add credentials that say so"),
    ],
)
async def test_nobody_registers_as_somebody_else_and_the_reason_is_told(
    server: Server, endpoint: SecureEndpoint, name: str, identity: str | None, told: str
) -> None:
    events = server.events()
    sender = peer(identity=identity)
    answer = await endpoint.receive(register(name), sender)
    assert answer.code is Code.BAD_REQUEST
    assert repr(name) in answer.payload.decode()
    assert ("without security" if identity is None else repr(identity)) in answer.payload.decode()
    assert "use " in answer.payload.decode()
    assert server.registrations() == []
    refused = await anext(events)
    assert isinstance(refused, Refused)
    assert (refused.peer, refused.endpoint) == (sender, name)
    assert told in refused.reason


@pytest.mark.parametrize("identity", [None, "psk:lamp-id", "x509:valve"])
async def test_what_oscore_protects_is_not_served_without(
    server: Server, endpoint: SecureEndpoint, identity: str | None
) -> None:
    assert await code_of(endpoint, register("valve"), peer(identity=identity)) is Code.UNAUTHORIZED
    assert server.registrations() == []


@pytest.mark.parametrize(("identity", "name"), [("psk:lamp-id", "lamp"), ("x509:fan", "fan"), ("oscore:02", "valve")])
async def test_a_name_that_is_not_said_is_that_of_the_identity(
    server: Server, endpoint: SecureEndpoint, identity: str, name: str
) -> None:
    assert await code_of(endpoint, register(None), peer(identity=identity)) is Code.CREATED
    assert [registration.endpoint for registration in server.registrations()] == [name]


@pytest.mark.parametrize("identity", [None, "psk:stranger", "rpk:00"])
async def test_an_unknown_identity_has_no_name(server: Server, endpoint: SecureEndpoint, identity: str | None) -> None:
    assert await code_of(endpoint, register(None), peer(identity=identity)) is Code.BAD_REQUEST
    assert server.registrations() == []


async def test_nobody_updates_ends_replaces_or_sends_as_somebody_else(server: Server, endpoint: SecureEndpoint) -> None:
    location = await registered(endpoint, "lamp", LAMP_PEER)
    value = Request(Code.POST, ("dp",), payload=b'[{"n":"/3/0/9","v":1}]', content_format=ContentFormat.SENML_JSON)
    for sender in (peer(), FAN_PEER, peer(identity="psk:lamp"), peer(identity="x509:lamp")):
        for request in (Request(Code.POST, location), Request(Code.DELETE, location), register("lamp")):
            assert await code_of(endpoint, request, sender) is Code.BAD_REQUEST
        assert await code_of(endpoint, value, sender) is Code.NOT_FOUND
    assert server.registration("lamp").location == location
    assert await code_of(endpoint, value, LAMP_PEER) is Code.CHANGED
    assert await code_of(endpoint, Request(Code.POST, location), LAMP_PEER) is Code.CHANGED


async def test_without_a_store_everybody_comes_without_security(endpoint: SecureEndpoint) -> None:
    async with Server([endpoint]) as server:
        await registered(endpoint, "lamp", peer())
        assert server.registration("lamp").identity is None


async def test_a_server_with_a_store_may_be_told_to_serve_others_without_security(endpoint: SecureEndpoint) -> None:
    async with Server([endpoint], admission=Admission(MemorySecurity((LAMP,)), nosec=True)):
        assert await code_of(endpoint, register("stranger"), peer()) is Code.CREATED
        assert await code_of(endpoint, register("lamp"), peer()) is Code.BAD_REQUEST


async def test_a_name_that_was_taken_without_security_goes_to_the_owner_of_its_certificate(
    endpoint: SecureEndpoint,
) -> None:
    async with Server([endpoint], admission=Admission(MemorySecurity((LAMP,)), nosec=True)) as server:
        taken = await registered(endpoint, "fan", peer())
        assert await code_of(endpoint, register("fan"), peer(40002, "x509:other")) is Code.BAD_REQUEST
        assert server.registration("fan").location == taken
        await registered(endpoint, "fan", FAN_PEER)
        assert server.registration("fan").identity == "x509:fan"
        assert await code_of(endpoint, Request(Code.POST, taken), peer()) is Code.NOT_FOUND
        assert await code_of(endpoint, register("fan"), peer()) is Code.BAD_REQUEST


async def test_a_name_that_was_proved_by_a_certificate_is_not_for_those_without_security(
    endpoint: SecureEndpoint,
) -> None:
    admission = Admission(MemorySecurity((LAMP,)), nosec=True)
    async with Server([endpoint], admission=admission) as server:
        events = server.events()
        location = await registered(endpoint, "fan", FAN_PEER)
        assert await code_of(endpoint, Request(Code.DELETE, location), FAN_PEER) is Code.DELETED
        assert await code_of(endpoint, register("fan"), peer()) is Code.BAD_REQUEST
        refused = await anext(event async for event in events if isinstance(event, Refused))
        assert refused.reason.startswith("it came without security, and with a certificate before: let it use that")
        await registered(endpoint, "stranger", peer(40003))
        await registered(endpoint, "fan", FAN_PEER)

        assert await admission.remove("fan") is None
        assert not admission.is_proved("fan")


async def test_only_a_certificate_proves_a_name_and_only_of_who_has_no_credentials(endpoint: SecureEndpoint) -> None:
    admission = Admission(MemorySecurity((LAMP, METER, VALVE)), nosec=True)
    async with Server([endpoint], admission=admission):
        await registered(endpoint, "lamp", LAMP_PEER)
        await registered(endpoint, "meter", peer(40002, "x509:meter.example"))
        await registered(endpoint, "stranger", peer(40003))
        assert await code_of(endpoint, register("stranger"), peer(40004, "x509:other")) is Code.BAD_REQUEST
        assert not any(map(admission.is_proved, ("lamp", "meter", "meter.example", "stranger", "other")))


class FullSecurity(MemorySecurity):
    def prove(self, endpoint: str) -> Awaitable[None]:
        super().prove(endpoint)
        return self._write()

    async def _write(self) -> None:
        raise SecurityStoreError("the disk is full")


async def test_a_proof_that_cannot_be_kept_counts_and_is_told(
    endpoint: SecureEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    admission = Admission(FullSecurity(), nosec=True)
    async with Server([endpoint], admission=admission):
        await registered(endpoint, "fan", FAN_PEER)
    assert admission.is_proved("fan")
    assert "could not be kept" in caplog.text


async def test_credentials_that_are_taken_back_end_sessions_and_registration(
    server: Server, endpoint: SecureEndpoint
) -> None:
    location = await registered(endpoint, "lamp", LAMP_PEER)
    events = server.events()
    assert await server.admission.remove("lamp") == LAMP
    assert endpoint.expelled == ["psk:lamp-id"]
    gone = await anext(events)
    assert isinstance(gone, Deregistered)
    assert (gone.registration.endpoint, gone.reason) == ("lamp", DeregistrationReason.REVOKED)
    assert server.registrations() == []
    assert await code_of(endpoint, Request(Code.POST, location), LAMP_PEER) is Code.NOT_FOUND
    assert await code_of(endpoint, register("lamp"), LAMP_PEER) is Code.BAD_REQUEST
    assert await server.admission.remove("lamp") is None


async def test_a_new_key_ends_the_sessions_but_not_the_registration(server: Server, endpoint: SecureEndpoint) -> None:
    await registered(endpoint, "lamp", LAMP_PEER)
    await server.admission.add(LAMP)
    assert endpoint.expelled == []
    await server.admission.add(SecurityInfo("lamp", PreSharedKey(b"lamp-id", b"the next of the keys")))
    assert endpoint.expelled == ["psk:lamp-id"]
    assert server.admission.psk(b"lamp-id") == b"the next of the keys"


async def test_another_identity_ends_the_registration(server: Server, endpoint: SecureEndpoint) -> None:
    await registered(endpoint, "lamp", LAMP_PEER)
    await server.admission.add(SecurityInfo("lamp", PreSharedKey(b"lamp-2", SECRET)))
    assert server.registrations() == []
    await registered(endpoint, "lamp", peer(identity="psk:lamp-2"))


async def test_credentials_end_what_was_registered_without(endpoint: SecureEndpoint) -> None:
    async with Server([endpoint]) as server:
        await registered(endpoint, "lamp", peer())
        await registered(endpoint, "fan", peer(40001))
        await server.admission.add(LAMP)
        assert [registration.endpoint for registration in server.registrations()] == ["fan"]
        assert await code_of(endpoint, register("lamp"), peer()) is Code.BAD_REQUEST


async def test_an_identity_that_is_taken_changes_nothing(server: Server, endpoint: SecureEndpoint) -> None:
    await registered(endpoint, "lamp", LAMP_PEER)
    with pytest.raises(IdentityTaken):
        await server.admission.add(SecurityInfo("thief", PreSharedKey(b"lamp-id", SECRET)))
    assert server.registration("lamp").identity == "psk:lamp-id"
    assert endpoint.expelled == []


async def test_a_certificate_that_is_revoked_ends_what_went_on_under_it(
    server: Server, endpoint: SecureEndpoint
) -> None:
    await registered(endpoint, "fan", FAN_PEER)
    await registered(endpoint, "meter", peer(40002, "x509:meter.example"))
    await server.admission.revoke(frozenset(("x509:fan", "x509:meter.example")))
    assert sorted(endpoint.revoked) == ["x509:fan", "x509:meter.example"]
    assert endpoint.expelled == []
    assert server.registrations() == []


class RaisingSecurity(MemorySecurity):
    """Its answers are lost when `broken`."""

    broken = False

    def permits(self, endpoint: str, identity: str | None) -> bool:
        if self.broken:
            raise OSError("the disk is gone")
        return super().permits(endpoint, identity)


async def test_a_store_that_raises_says_no(endpoint: SecureEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    store = RaisingSecurity((LAMP,))
    endpoint.answers["/3/0/0"] = text("Acme")
    async with Server([endpoint], admission=Admission(store)) as server:
        location = await registered(endpoint, "lamp", LAMP_PEER)
        assert len(await server.read("lamp", "/3/0/0")) == 1
        store.broken = True
        assert await code_of(endpoint, register("lamp"), LAMP_PEER) is Code.BAD_REQUEST
        assert await code_of(endpoint, Request(Code.POST, location), LAMP_PEER) is Code.BAD_REQUEST
        with pytest.raises(Unreachable, match="has other credentials now"):
            await server.read("lamp", "/3/0/0")
        assert len(endpoint.asked) == 1
    assert "the disk is gone" in caplog.text


class LostSecurity(MemorySecurity):
    def get(self, endpoint: str) -> SecurityInfo | None:
        raise OSError(f"the disk is gone, and {endpoint} with it")


@pytest.mark.parametrize("sender", [LAMP_PEER, peer()])
async def test_a_store_that_cannot_say_who_there_is_says_no(
    endpoint: SecureEndpoint, caplog: pytest.LogCaptureFixture, sender: Peer
) -> None:
    admission = Admission(LostSecurity((LAMP,)), nosec=True)
    with pytest.raises(BadRequest, match=r"'lamp'.*credentials"):
        admission.check("lamp", sender)
    async with Server([endpoint], admission=admission):
        assert await code_of(endpoint, register("lamp"), sender) is Code.BAD_REQUEST
    assert "the disk is gone" in caplog.text


async def test_a_registration_that_was_kept_ends_when_its_identity_may_not_be_it_any_more(
    endpoint: SecureEndpoint,
) -> None:
    kept = MemoryStore()
    async with Server([endpoint], store=kept, admission=Admission(MemorySecurity((LAMP,)), nosec=True)):
        await registered(endpoint, "lamp", LAMP_PEER)
        await registered(endpoint, "fan", FAN_PEER)
        await registered(endpoint, "bell", peer(40002))
    bell = SecurityInfo("bell", PreSharedKey(b"bell", SECRET))
    async with Server([endpoint], store=kept, admission=Admission(MemorySecurity((bell,)), nosec=True)) as server:
        assert [registration.endpoint for registration in server.registrations()] == ["fan"]
    assert [registration.endpoint for registration in (await kept.load()).registrations] == ["fan"]


async def test_of_many_refusals_some_are_told(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    told: list[Refused] = []
    caplog.set_level("INFO")
    admission = Admission(MemorySecurity(), clock=lambda: now)
    await admission.open((), _nothing, told.append)
    for _ in range(1000):
        admission.refuse(peer(), "a stranger")
    assert len(told) == len(caplog.records) == 10
    now = 101.5
    admission.refuse(peer(), "a stranger")
    assert len(told) == 11


async def _nothing(_endpoint: str, _gone: frozenset[str]) -> None:
    await asyncio.sleep(0)


async def test_no_key_is_told_to_anybody(
    server: Server, endpoint: SecureEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    events = server.events()
    await code_of(endpoint, register("lamp"), peer())
    await registered(endpoint, "lamp", LAMP_PEER)
    seen = [await anext(events), await anext(events)]
    assert isinstance(seen[1], Registered)
    shown = f"{seen} {caplog.text} {server.admission.list()} {server.admission.list()[0]!r}"
    assert "sixteen" not in shown
    assert SECRET.hex() not in shown
