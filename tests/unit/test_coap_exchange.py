"""The message layer as scripts: datagrams in, datagrams out, and what time it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lwm2m.coap.carrier import Incoming, Room
from lwm2m.coap.deadlines import NEVER
from lwm2m.coap.endpoint import Delivery, Rejected, RequestFailed, TimedOut, TooBusy, Transmission, Unreachable
from lwm2m.coap.exchange import EMPTY_ACK_DELAY, PING_PATIENCE, Exchanges
from lwm2m.coap.guard import Guard, Limits
from lwm2m.coap.message import Peer
from lwm2m.coap.messaging.datagram_format import ACK, CON, NON, RST, decode, encode
from lwm2m.coap.messaging.duplicates import EXCHANGE_LIFETIME
from lwm2m.coap.messaging.message_ids import IDS, SEGMENT, MessageIds
from lwm2m.coap.packet import ECHO, OBSERVE, URI_PATH, Packet

LOCAL = ("192.0.2.1", 5683)
PEER = Peer(LOCAL, ("198.51.100.7", 5683))
OTHER = Peer(LOCAL, ("198.51.100.8", 5683))
GET, CONTENT, UNAUTHORIZED = 0x01, 0x45, 0x81
NOTHING = Packet(0)


@dataclass
class Asker:
    """A listener that remembers."""

    sendings: int = 0
    answers: list[Packet] = field(default_factory=list)
    failures: list[RequestFailed] = field(default_factory=list)
    wants: bool = True
    doubted: tuple[bytes, ...] = ()

    def sent(self) -> None:
        self.sendings += 1

    def believes(self, packet: Packet) -> bool:
        return packet.payload not in self.doubted

    def answered(self, packet: Packet, *, in_acknowledgement: bool) -> bool:
        assert isinstance(in_acknowledgement, bool)
        self.answers.append(packet)
        return self.wants

    def failed(self, failure: RequestFailed) -> None:
        self.failures.append(failure)


def refuse(incoming: Incoming) -> None:
    incoming.disown()
    incoming.answer(Packet(UNAUTHORIZED, incoming.packet.token))


@dataclass
class Script:
    """Both sides of one local address; `out` is what left since it was looked at."""

    limits: Limits = Limits()  # noqa: RUF009  # immutable
    now: float = 0.0
    out: list[tuple[int, int, Packet]] = field(default_factory=list)
    woken: list[float] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    reply: Packet | None = None

    def __post_init__(self) -> None:
        self.guard = Guard(self.limits, b"secret")
        self.guard.verified(PEER)
        self.exchanges = Exchanges(
            lambda datagram, _peer: self.out.append(decode(datagram)),
            lambda _peer: Room(1024, 6),
            guard=self.guard,
            limits=self.limits,
            transmission=Transmission(),
            clock=lambda: self.now,
            chance=lambda: 0.0,
            spread=lambda: 0.0,
            wake=self.woken.append,
        )
        self.exchanges.serve = self.serve

    def serve(self, incoming: Incoming) -> None:
        self.incoming.append(incoming)
        if self.reply is not None:
            incoming.answer(self.reply._replace(token=incoming.packet.token))

    def hears(self, kind: int, mid: int, packet: Packet = NOTHING, peer: Peer = PEER) -> list[tuple[int, int, Packet]]:
        self.exchanges.receive(encode(kind, mid, packet), peer, self.now)
        return self.left()

    def at(self, now: float) -> list[tuple[int, int, Packet]]:
        self.now = now
        self.exchanges.handle_timer(now)
        return self.left()

    def left(self) -> list[tuple[int, int, Packet]]:
        left, self.out[:] = list(self.out), []
        return left


def ask(token: bytes = b"a") -> Packet:
    return Packet(GET, token)


def test_an_answer_is_in_the_acknowledgement_and_repeated_with_it() -> None:
    script = Script(reply=Packet(CONTENT, payload=b"1"))
    answer = [(ACK, 7, Packet(CONTENT, b"a", {}, b"1"))]
    assert script.hears(CON, 7, ask()) == answer
    assert script.hears(CON, 7, ask()) == answer
    assert len(script.incoming) == 1
    assert script.exchanges.deadline() == NEVER


def test_a_device_that_starts_with_the_same_message_id_again_is_heard() -> None:
    script = Script(reply=Packet(CONTENT))
    script.hears(CON, 7, ask(b"before"))
    script.hears(CON, 7, ask(b"after"))
    assert len(script.incoming) == 2


def test_a_slow_answer_has_a_message_of_its_own_that_is_repeated_until_acknowledged() -> None:
    script, told = Script(), list[Delivery]()
    assert script.hears(CON, 7, ask()) == []
    assert script.exchanges.deadline() == EMPTY_ACK_DELAY
    assert script.at(EMPTY_ACK_DELAY) == [(ACK, 7, Packet(0))]
    assert script.hears(CON, 7, ask()) == [(ACK, 7, Packet(0))]
    script.incoming[0].answer(Packet(CONTENT, b"a"), told.append)
    ((kind, mid, _),) = sent = script.left()
    assert kind == CON
    assert script.at(EMPTY_ACK_DELAY + 2) == sent
    script.hears(ACK, mid)
    assert told == [Delivery.DELIVERED]
    assert script.exchanges.deadline() == NEVER


def test_a_token_that_is_used_again_ends_the_request_that_had_it() -> None:
    script = Script()
    script.hears(CON, 7, ask())
    assert script.hears(CON, 8, ask()) == [(ACK, 7, Packet(0))]
    assert [incoming.is_wanted for incoming in script.incoming] == [False, True]
    script.incoming[0].answer(Packet(CONTENT, b"a"))
    assert script.left() == []


def test_a_request_that_is_ignored_is_acknowledged() -> None:
    script = Script()
    script.hears(CON, 7, ask())
    script.incoming[0].ignore()
    assert script.left() == [(ACK, 7, Packet(0))]
    assert not script.incoming[0].is_wanted


def test_a_request_that_nobody_vouches_for_takes_the_place_of_none() -> None:
    script = Script()
    script.hears(CON, 6, ask())
    serve = script.exchanges.serve
    script.exchanges.serve = refuse
    refused = (ACK, 7, Packet(UNAUTHORIZED, b"a"))
    assert script.hears(CON, 7, ask()) == [refused]
    assert script.hears(CON, 7, ask()) == [refused]
    assert script.incoming[0].is_wanted
    script.exchanges.serve = serve
    script.hears(CON, 7, ask())
    assert [incoming.is_wanted for incoming in script.incoming] == [False, True]


@pytest.mark.parametrize("kind", [CON, NON, ACK])
def test_an_answer_that_is_not_believed_might_as_well_not_have_come(kind: int) -> None:
    script, asker = Script(), Asker(doubted=(b"forged",))
    script.exchanges.ask(PEER, ask(), True, asker)
    sent = script.left()
    mid = sent[0][1]
    assert script.hears(kind, mid, Packet(CONTENT, b"a", {}, b"forged")) == []
    assert script.at(2) == sent
    script.hears(ACK, mid, Packet(CONTENT, b"a", {}, b"true"))
    assert [answer.payload for answer in asker.answers] == [b"true"]
    assert asker.failures == []


def test_a_request_is_repeated_until_time_is_up_and_ends_alone() -> None:
    script, first, second = Script(), Asker(), Asker()
    script.exchanges.ask(PEER, ask(b"a"), True, first)
    script.exchanges.ask(PEER, ask(b"b"), True, second)
    sent = script.left()
    assert [packet.token for _, _, packet in sent] == [b"a"]
    for due in (2, 6, 14, 30):
        assert script.exchanges.deadline() == due
        assert script.at(due) == sent
    (following,) = script.at(62)
    assert following[2].token == b"b"
    assert [type(failure) for failure in first.failures] == [TimedOut]
    assert (first.sendings, second.sendings, second.failures) == (1, 1, [])


def test_what_is_withdrawn_is_not_repeated_and_the_next_goes() -> None:
    script, asker = Script(), Asker()
    withdraw = script.exchanges.ask(PEER, ask(b"a"), True, asker)
    withdraw_second = script.exchanges.ask(PEER, ask(b"b"), True, asker)
    script.exchanges.ask(PEER, ask(b"c"), True, asker)
    script.left()
    withdraw_second()
    withdraw()
    withdraw()
    assert [packet.token for _, _, packet in script.left()] == [b"c"]
    assert [packet.token for _, _, packet in script.at(2)] == [b"c"]


@pytest.mark.parametrize("kind", [CON, NON])
def test_a_separate_answer_ends_the_repetition(kind: int) -> None:
    script, asker = Script(), Asker()
    script.exchanges.ask(PEER, ask(), True, asker)
    script.left()
    answer = Packet(CONTENT, b"a")
    for _ in range(2):
        assert script.hears(kind, 99, answer) == ([(ACK, 99, Packet(0))] if kind == CON else [])
    assert asker.answers[0] == answer
    assert script.exchanges.deadline() == NEVER


def test_an_answer_of_somebody_else_is_none() -> None:
    script, asker = Script(), Asker()
    script.exchanges.ask(PEER, ask(), True, asker)
    ((_, mid, _),) = script.left()
    script.hears(ACK, mid, Packet(CONTENT, b"a"), OTHER)
    script.hears(ACK, mid + 1, Packet(CONTENT, b"a"))
    script.hears(ACK, mid, Packet(CONTENT, b"another"))
    assert asker.answers == []
    script.hears(ACK, mid, Packet(CONTENT, b"a"))
    assert asker.answers == [Packet(CONTENT, b"a")]


def test_a_reset_rejects_a_request() -> None:
    for confirmable in (True, False):
        script, asker = Script(), Asker()
        script.exchanges.ask(PEER, ask(), confirmable, asker)
        ((_, mid, _),) = script.left()
        script.hears(RST, mid)
        assert [type(failure) for failure in asker.failures] == [Rejected]


@pytest.mark.parametrize("kind", [CON, NON])
def test_a_notification_that_nobody_wants_is_reset(kind: int) -> None:
    script = Script()
    assert script.hears(kind, 5, Packet(CONTENT, b"x", {OBSERVE: (b"\1",)})) == [(RST, 5, Packet(0))]


@pytest.mark.parametrize(("confirmable", "verdicts"), [(True, [Delivery.RESET]), (False, [Delivery.RESET])])
def test_a_reset_is_told_to_who_notified(confirmable: bool, verdicts: list[Delivery]) -> None:
    script, told = Script(), list[Delivery]()
    script.exchanges.notify(PEER, Packet(CONTENT, b"a"), confirmable, told.append)
    ((_, mid, _),) = script.left()
    script.hears(RST, mid)
    script.hears(RST, mid)
    assert told == verdicts


def test_what_the_network_reports_ends_what_waits_and_no_observation() -> None:
    script, observing, waiting = Script(), Asker(), Asker()
    script.exchanges.ask(PEER, ask(b"o"), True, observing)
    ((_, mid, _),) = script.left()
    script.hears(ACK, mid, Packet(CONTENT, b"o", {OBSERVE: (b"\1",)}))
    script.exchanges.ask(PEER, ask(b"w"), True, waiting)
    script.exchanges.failed(PEER, "refused")
    assert (observing.failures, [type(failure) for failure in waiting.failures]) == ([], [Unreachable])
    script.hears(NON, 9, Packet(CONTENT, b"o", {OBSERVE: (b"\2",)}))
    assert len(observing.answers) == 2
    script.exchanges.lost(PEER)
    assert [type(failure) for failure in observing.failures] == [Unreachable]


def test_a_queue_has_its_length() -> None:
    script = Script(Limits(max_pending_per_peer=1, max_observations_per_client=1))
    askers = [Asker() for _ in range(4)]
    for n, asker in enumerate(askers):
        script.exchanges.ask(PEER, ask(bytes((n,))), True, asker)
    assert askers[3].failures == []
    script.at(0)
    assert [[type(failure) for failure in asker.failures] for asker in askers] == [[], [], [], [TooBusy]]


def test_who_is_not_verified_is_pinged_before_it_is_asked() -> None:
    script, asker = Script(), Asker()
    script.exchanges.ask(OTHER, ask(), True, asker)
    ((kind, mid, packet),) = script.left()
    assert (kind, packet) == (CON, Packet(0))
    ((kind, _, packet),) = script.hears(RST, mid, peer=OTHER)
    assert (kind, packet) == (CON, ask())
    assert script.guard.is_verified(OTHER)


def test_who_does_not_answer_a_ping_is_asked_nothing() -> None:
    script, asker = Script(), Asker()
    script.exchanges.ask(OTHER, ask(), True, asker)
    sent = script.left()
    for due in (2, 6, 14, 30, 62):
        sent += script.at(due)
    assert [packet for _, _, packet in sent] == [Packet(0)] * 5
    assert [type(failure) for failure in asker.failures] == [TimedOut]


def test_a_large_answer_waits_for_a_ping() -> None:
    script = Script(reply=Packet(CONTENT, payload=bytes(100)))
    ((kind, mid, packet),) = script.hears(CON, 7, ask(), OTHER)
    assert (kind, packet) == (CON, Packet(0))
    assert script.hears(RST, mid, peer=OTHER) == [(ACK, 7, Packet(CONTENT, b"a", {}, bytes(100)))]
    assert script.exchanges.deadline() == NEVER


def test_a_large_answer_is_not_repeated_to_a_small_request() -> None:
    script = Script(reply=Packet(CONTENT, payload=bytes(100)))
    script.hears(CON, 7, Packet(GET, b"a", {}, bytes(100)), OTHER)
    assert script.hears(CON, 7, ask(), OTHER) == []


def test_who_answers_no_ping_may_ask_again_with_an_echo() -> None:
    script = Script(reply=Packet(CONTENT, payload=bytes(1000)))
    (ping,) = script.hears(CON, 7, Packet(GET, b"a", {URI_PATH: (b"somewhere",)}), OTHER)
    assert ping[2] == Packet(0)
    ((kind, mid, challenge),) = script.at(PING_PATIENCE)
    assert (kind, mid, challenge.code, challenge.token) == (ACK, 7, UNAUTHORIZED, b"a")
    assert script.guard.accepts(OTHER, challenge.options[ECHO][0], script.now)
    assert script.hears(RST, ping[1], peer=OTHER) == []


def test_whoever_is_challenged_does_not_observe() -> None:
    script, told = Script(), list[Delivery]()
    script.hears(CON, 7, Packet(GET, b"a", {OBSERVE: (b"",), URI_PATH: (b"somewhere",)}), OTHER)
    script.incoming[0].answer(Packet(CONTENT, b"a", {OBSERVE: (b"",)}, bytes(1000)), told.append)
    assert [packet.code for _, _, packet in script.left()] == [0]
    assert [packet.code for _, _, packet in script.at(PING_PATIENCE)] == [UNAUTHORIZED]
    assert told == [Delivery.SUPERSEDED]


def test_who_sent_too_little_for_an_echo_gets_an_acknowledgement() -> None:
    script = Script(reply=Packet(CONTENT, payload=bytes(1000)))
    script.hears(CON, 7, ask(), OTHER)
    assert script.at(PING_PATIENCE) == [(ACK, 7, Packet(0))]


def test_a_ping_is_answered_with_a_reset() -> None:
    assert Script().hears(CON, 5) == [(RST, 5, Packet(0))]


def test_message_ids_come_once_in_the_lifetime_of_an_exchange() -> None:
    ids = MessageIds(SEGMENT // 2)
    taken = [ids.take(0) for _ in range(IDS)]
    given = [mid for mid in taken if mid is not None]
    assert len(given) == len(set(given)) >= IDS - SEGMENT
    assert taken[-1] is None
    assert ids.take(EXCHANGE_LIFETIME - 1) is None
    assert ids.take(EXCHANGE_LIFETIME) is not None
