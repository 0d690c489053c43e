"""What follows from the alerts of a server. lwm2m.md §9.6"""

from __future__ import annotations

import pytest

from lwm2m.client.alerts import FINAL, IGNORED, begins_anew, heard, heard_at_the_end, is_final, reason
from lwm2m.client.bootstrap import Begin, BootstrapSequence, BootstrapState, GiveWay
from lwm2m.client.bootstrap import Due as BootstrapDue
from lwm2m.client.bootstrap import Failed as BootstrapFailed
from lwm2m.client.registration import Accepted, Due, GaveUp, Registration, Settings, Start, State, Triggered
from lwm2m.client.security import UnusableSecurity
from lwm2m.coap.endpoint import TimedOut, Unreachable
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Peer

RETRIED = (0, 10, 20, 21, 22, 40, 47, 50, 51, 70, 71, 86, 90, 100, 111)


def said(alert: int | None, *, by_peer: bool = True) -> HandshakeFailed:
    return HandshakeFailed("no secure session with 10.0.0.1:5684: why", alert, by_peer=by_peer)


def test_every_alert_is_of_one_class() -> None:
    assert frozenset({42, 43, 44, 45, 46, 48, 49, 112, 113, 114, 115}) <= FINAL
    assert frozenset({30, 41, 60, 110}) == IGNORED
    assert FINAL.isdisjoint(IGNORED)
    assert FINAL.isdisjoint(RETRIED)


@pytest.mark.parametrize("alert", sorted(FINAL))
def test_a_final_alert_is_final_whoever_said_it(alert: int) -> None:
    assert is_final(said(alert))
    assert is_final(said(alert, by_peer=False))


@pytest.mark.parametrize("alert", [*RETRIED, *IGNORED, None])
def test_after_the_others_and_after_silence_it_is_tried_again(alert: int | None) -> None:
    assert not is_final(said(alert))


def test_an_account_that_cannot_be_used_is_final_and_a_network_is_not() -> None:
    assert is_final(UnusableSecurity("/0/0/5 is empty"))
    assert not is_final(TimedOut())
    assert not is_final(Unreachable("no route"))


def test_object_1_shows_what_the_server_said_and_not_what_we_said() -> None:
    assert heard(said(48)) == 48
    assert heard(said(48, by_peer=False)) is None
    assert heard(said(60)) is None
    assert heard(said(None)) is None
    assert heard(TimedOut()) is None


def test_other_transports_end_without_an_alert() -> None:
    peer = Peer(("127.0.0.1", 1), ("127.0.0.1", 2), association="a connection")
    assert heard_at_the_end(peer) is None
    assert not begins_anew(peer)


def test_a_reason_ends_with_what_to_do() -> None:
    assert reason(said(115)).endswith("it does not know our PSK identity: add it at the server, or correct it here")
    assert reason(said(20)).endswith("compare the pre-shared key here with the server's")
    assert reason(said(42, by_peer=False)) == "no secure session with 10.0.0.1:5684: why"
    assert reason(said(None)).endswith("is a server with DTLS there, and has it the same key?")
    assert reason(said(200)) == "no secure session with 10.0.0.1:5684: why"
    assert reason(TimedOut()) == "no answer"


def test_a_registration_that_no_try_can_better_rests() -> None:
    registration = Registration(lambda: Settings(retry_count=5, sequence_count=9))
    registration.handle(Start(), 0.0)
    registration.handle(Due(), 0.0)
    assert registration.state is State.REGISTERING
    assert registration.handle(GaveUp("unknown ca"), 1.0) == ()
    assert (registration.state, registration.deadline()) == (State.FAILED, None)


def test_an_established_registration_ends_in_the_same_way() -> None:
    registration = Registration(lambda: Settings(lifetime=60))
    registration.handle(Start(), 0.0)
    registration.handle(Due(), 0.0)
    registration.handle(Accepted(("rd", "1")), 0.0)
    registration.handle(Triggered(), 1.0)
    registration.handle(GaveUp("certificate revoked"), 2.0)
    assert (registration.state, registration.deadline()) == (State.FAILED, None)


def test_a_bootstrap_server_that_refuses_for_good_is_asked_once_a_day() -> None:
    sequence = BootstrapSequence()
    sequence.handle(Begin(), 0.0)
    sequence.handle(BootstrapDue(), 0.0)
    assert sequence.handle(BootstrapFailed("unknown psk identity", is_final=True), 1.0) == (GiveWay(),)
    assert (sequence.state, sequence.deadline()) == (BootstrapState.RESTING, 86_401.0)
