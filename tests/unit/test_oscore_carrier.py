"""What an OSCORE carrier says in the clear, what it believes, and what has to be new."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from lwm2m.coap.carrier import Incoming
from lwm2m.coap.endpoint import RequestFailed, Unreachable
from lwm2m.coap.guard import Limits
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.object_security.context import Context
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.object_security.refusals import QUIET, TOLD, Fault, Refusals
from lwm2m.coap.oscore import OscoreCarrier
from lwm2m.coap.packet import ECHO, MAX_AGE, URI_PATH, Packet
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers
from tests.unit.fake_carrier import OTHER, PEER, FakeCarrier, FakeIncoming

AT_SERVER = OscoreSecurity(bytes(range(16)), b"s", b"c")
AT_CLIENT = OscoreSecurity(bytes(range(16)), b"c", b"s")
GET = Packet(Code.GET, b"t", {URI_PATH: (b"3", b"0")})
REGISTER = Packet(Code.POST, b"t", {URI_PATH: (b"rd",)}, b"</3/0>")
ANSWER = Packet(Code.CONTENT, b"t", {}, b"true")


def context(security: OscoreSecurity) -> Context:
    return Context(security, MemoryNumbers(), Freshness(b"secret"))


@dataclass
class Asker:
    answers: list[Packet] = field(default_factory=list)
    failures: list[RequestFailed] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def sent(self) -> None:
        """It was."""

    def believes(self, _packet: Packet) -> bool:
        return True

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:
        assert in_acknowledgement
        self.answers.append(packet)
        self.heard.set()
        return True

    def failed(self, failure: RequestFailed) -> None:
        self.failures.append(failure)


class Served:
    """A server's carrier, and a client's context."""

    def __init__(self) -> None:
        self.known: OscoreSecurity | None = AT_SERVER
        self.told: list[tuple[Peer, str, str | None]] = []
        self.numbers = MemoryNumbers()
        oscore = Oscore(self.numbers, self._find, refused=lambda *refusal: self.told.append(refusal))
        self.carrier = OscoreCarrier(FakeCarrier(), oscore)
        self.client = context(AT_CLIENT)
        self.served: list[Incoming] = []
        self.carrier.serve = self.served.append

    def _find(self, recipient_id: bytes, _id_context: bytes | None) -> OscoreSecurity | None:
        return self.known if recipient_id == b"c" else None

    def hears(self, packet: Packet, peer: Peer = PEER, *, confirmable: bool = True) -> FakeIncoming:
        incoming = FakeIncoming(packet, peer, confirmable=confirmable)
        self.carrier.receive(incoming)
        return incoming


@pytest.mark.parametrize(
    ("option", "payload", "code", "sentence"),
    [
        ("20", b"x", Code.BAD_OPTION, "Failed to decode COSE"),
        ("0100", b"x", Code.BAD_OPTION, "Failed to decode COSE"),
        ("0863", b"x", Code.BAD_OPTION, "Failed to decode COSE"),
        ("090063", b"", Code.BAD_OPTION, "Failed to decode COSE"),
        ("090064", b"x", Code.UNAUTHORIZED, "Security context not found"),
        ("090063", b"x", Code.BAD_REQUEST, "Decryption failed"),
        ("090063", bytes(40), Code.BAD_REQUEST, "Decryption failed"),
    ],
)
async def test_what_does_not_verify_is_refused_in_the_clear(
    option: str, payload: bytes, code: Code, sentence: str
) -> None:
    served = Served()
    packet = Packet(Code.POST, b"t", {OSCORE: (bytes.fromhex(option),)}, payload)
    incoming = served.hears(packet)
    assert incoming.outcome == Packet(code, b"t", {MAX_AGE: (b"",)}, sentence.encode())
    assert incoming.disowned
    assert served.hears(packet, confirmable=False).ignored
    assert served.served == []


@pytest.mark.parametrize(
    ("code", "option", "identity", "sentence"),
    [
        (Code.GET, "090063", None, "is neither POST nor FETCH: mend the client"),
        (Code.POST, "20", None, "option cannot be read: mend the client"),
        (Code.POST, "090064", "oscore:64", "nobody has the OSCORE context that it names, 'oscore:64': add credentials"),
        (Code.POST, "090063", "oscore:63", "protected as 'oscore:63' does not verify: compare master_secret"),
        (Code.POST, "0900" + "64" * 99, "oscore:" + "64" * 99, "names, 'oscore:" + "64" * 16 + "6...': add"),
    ],
)
async def test_who_runs_the_server_is_told_once_of_each_cause_what_to_mend(
    code: Code, option: str, identity: str | None, sentence: str
) -> None:
    served = Served()
    packet = Packet(code, b"t", {OSCORE: (bytes.fromhex(option),)}, bytes(20))
    for _ in range(3):
        served.hears(packet)
    ((peer, reason, named),) = served.told
    assert (peer, named) == (PEER, identity)
    assert sentence in reason
    served.hears(packet, OTHER)
    assert [told[0] for told in served.told] == [PEER, OTHER]


async def test_a_request_that_comes_again_is_told_beside_what_does_not_verify() -> None:
    served = Served()
    request, _ = served.client.protect_request(GET)
    for packet in (request, request, request._replace(payload=bytes(20)), request):
        served.hears(packet)
    assert ["came again" in reason or "does not verify" in reason for _, reason, _ in served.told] == [True, True]
    assert {named for _, _, named in served.told} == {"oscore:63"}


def test_the_same_is_told_again_after_a_pause_and_what_is_remembered_is_bounded() -> None:
    told: list[str] = []
    refusals = Refusals(lambda _peer, reason, _identity: told.append(reason))
    for now in (0.0, QUIET - 1, 2 * QUIET - 2, 3 * QUIET):
        refusals.tell(PEER, Fault.FORGED, "oscore:63", now)
    assert len(told) == 2
    for port in range(2 * TOLD):
        refusals.tell(Peer(PEER.local, ("192.0.2.7", port)), Fault.FORGED, "oscore:63", 3 * QUIET)
    assert len(refusals) == TOLD


async def test_a_register_is_served_with_an_echo_of_ours_only() -> None:
    served = Served()
    protected, asked = served.client.protect_request(REGISTER)
    challenge = served.client.unprotect_response(served.hears(protected).outcome, asked).packet
    assert (challenge.code, served.served) == (Code.UNAUTHORIZED, [])
    for echo, times in ((b"another", 0), (challenge.options[ECHO][0], 1)):
        repeated = REGISTER._replace(options={**REGISTER.options, ECHO: (echo,)})
        served.hears(served.client.protect_request(repeated)[0])
        assert len(served.served) == times
    assert served.served[0].packet == REGISTER


async def test_a_context_that_was_taken_back_is_used_no_more() -> None:
    served = Served()
    served.hears(served.client.protect_request(GET)[0])
    peer = served.served[0].peer
    served.known = None
    asker = Asker()
    served.carrier.ask(peer, GET, True, asker)
    await asyncio.sleep(0)
    assert isinstance(asker.failures[0], Unreachable)
    assert served.hears(served.client.protect_request(GET)[0]).outcome.code == Code.UNAUTHORIZED


async def test_the_true_answer_counts_whatever_is_said_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwm2m.coap.object_security.verifying.GRACE", 0.01)
    below = FakeCarrier()
    carrier = OscoreCarrier(below, Oscore.of_server(AT_CLIENT, MemoryNumbers()))
    server, asker = context(AT_SERVER), Asker()
    carrier.ask(carrier.peer(PEER), GET, True, asker)
    (asked,) = below.asked
    for lie in (
        Packet(Code.CONTENT, b"t"),
        Packet(Code.UNAUTHORIZED, b"t"),
        Packet(Code.CONTENT, b"t", {OSCORE: (b"",)}, b"x" * 20),
    ):
        assert not asked.listener.believes(lie)
    true = server.protect_response(ANSWER, server.unprotect_request(asked.packet, 0.0).request)
    assert asked.listener.believes(true)
    assert asked.listener.answered(true, in_acknowledgement=True)
    await asyncio.sleep(0.03)
    assert asker.answers == [ANSWER]


async def test_a_refusal_in_the_clear_counts_when_nothing_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwm2m.coap.object_security.verifying.GRACE", 0.01)
    below, asker = FakeCarrier(), Asker()
    carrier = OscoreCarrier(below, Oscore.of_server(AT_CLIENT, MemoryNumbers()))
    carrier.ask(carrier.peer(PEER), GET, True, asker)
    refusal = Packet(Code.UNAUTHORIZED, b"t", {ECHO: (b"echo",)}, b"Security context not found")
    assert not below.asked[0].listener.believes(refusal)
    async with asyncio.timeout(5):
        await asker.heard.wait()
    assert asker.answers == [refusal._replace(options={})]
    assert below.asked[0].withdrawn


async def test_peers_of_a_connection_that_is_lost_are_lost_with_it() -> None:
    served = Served()
    served.hears(served.client.protect_request(GET)[0])
    assert served.carrier.lost(PEER) == [served.served[0].peer]
    assert served.carrier.lost(PEER) == []


async def test_whoever_was_known_before_a_restart_is_spoken_with_at_once() -> None:
    """There may be many of them: no numbers are reserved before there is something to say."""
    served = Served()
    kept = Peer(PEER.local, PEER.address, "ended", "oscore:63", PEER)
    peer = served.carrier.recall(kept)
    assert served.numbers.reserve(context(AT_SERVER).name, 0) == 0
    served.hears(served.client.protect_request(GET)[0])
    assert peer is not None
    assert served.served[0].peer is peer
    assert (peer.identity, peer.below) == ("oscore:63", PEER)


@pytest.mark.parametrize(
    "kept",
    [
        Peer(PEER.local, PEER.address, "ended", "oscore:64", PEER),
        Peer(PEER.local, PEER.address, "ended", "oscore:63"),
        Peer(PEER.local, PEER.address, "ended", "psk:63", PEER),
        Peer(PEER.local, PEER.address, None, None),
    ],
)
async def test_nobody_is_known_again_without_a_context_and_an_address(kept: Peer) -> None:
    assert Served().carrier.recall(kept) is None


async def test_without_anybody_to_tell_a_few_refusals_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    carrier = OscoreCarrier(FakeCarrier(), Oscore(MemoryNumbers(), lambda *_: None), limits=Limits(max_complaints=3))
    packet = Packet(Code.POST, b"t", {OSCORE: (b"\x09\0d",)}, bytes(20))
    with caplog.at_level("INFO", "lwm2m.coap.oscore"):
        for host in range(20):
            carrier.receive(FakeIncoming(packet, Peer(PEER.local, (f"192.0.2.{host}", 1))))
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("192.0.2.0:1 was refused: nobody has the OSCORE context")
