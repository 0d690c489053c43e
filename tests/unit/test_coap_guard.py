"""What a stranger may cost us, each limit at n and one beyond."""

from __future__ import annotations

import pytest

from lwm2m.coap.guard import CHALLENGE_LIFETIME, PING_EXCHANGE, PROTECTION, Guard, Limits
from lwm2m.coap.message import Peer

LOCAL = ("192.0.2.1", 5683)
STRANGER = Peer(LOCAL, ("198.51.100.7", 5683))
OTHER = Peer(LOCAL, ("198.51.100.8", 5683))


def guarded(limits: Limits | None = None) -> Guard:
    return Guard(limits or Limits(), b"secret")


def numbered(number: int) -> Peer:
    return Peer(LOCAL, ("198.51.100.9", number))


def test_the_limits_are_these() -> None:
    assert Limits() == Limits(
        max_body=65536,
        max_package=1048576,
        max_packages=4,
        package_paths=(("5", "0", "0"), ("9", "*", "2")),
        max_uploads=256,
        max_large_answers=256,
        max_withheld=64,
        max_running=10_000,
        max_pending_per_peer=64,
        max_observations_per_client=64,
        max_unread_notifications=64,
        max_sent_once=4096,
        max_peers=100_000,
        max_peers_unverified=64,
        max_duplicates=100_000,
        max_connections=10_000,
        max_handshakes=1_000,
        max_associations=100_000,
        amplification=3,
        max_complaints=10,
    )


def test_a_stranger_is_answered_with_three_times_what_it_sent_and_no_more() -> None:
    guard = guarded()
    assert guard.may_answer(STRANGER, 20, 60)
    assert not guard.may_answer(STRANGER, 20, 61)


def test_a_verified_peer_is_answered_with_whatever_there_is() -> None:
    guard = guarded()
    guard.verified(STRANGER)
    assert guard.is_verified(STRANGER)
    assert guard.may_answer(STRANGER, 20, 1200)
    assert not guard.is_verified(OTHER)


def test_a_peer_with_an_association_needs_no_verification() -> None:
    peer = Peer(LOCAL, STRANGER.address, association="session")
    guard = guarded()
    assert guard.is_verified(peer)
    assert guard.may_send(peer, 1200)


def test_a_peer_that_has_moved_is_verified_by_what_answers_something_that_went_there() -> None:
    guard, before = guarded(), Peer(LOCAL, STRANGER.address, association="session")
    peer = Peer(LOCAL, OTHER.address, association="session")
    guard.moved(peer)
    assert not guard.is_verified(before)
    assert not guard.may_send(peer, 100)
    guard.verified(peer)
    assert not guard.is_verified(peer), "it answered what went to where it was"
    assert guard.may_answer(peer, 40, 120)
    assert not guard.may_answer(peer, 40, 121)
    guard.answered(peer, 40, 20)
    assert guard.may_send(peer, 100)
    assert not guard.may_send(peer, 1)
    guard.verified(peer)
    assert guard.may_send(peer, 1200)


def test_a_peer_that_has_moved_may_be_pinged_and_each_move_counts_anew() -> None:
    guard, peer = guarded(), Peer(LOCAL, STRANGER.address, association="session")
    for _ in range(2):
        guard.moved(peer)
        assert not guard.is_verified(peer)
        assert guard.may_ping(peer)
        guard.verified(peer)
        assert guard.is_verified(peer)


def test_of_an_association_that_has_ended_nothing_is_kept() -> None:
    guard, peer = guarded(), Peer(LOCAL, STRANGER.address, association="session")
    guard.moved(peer)
    guard.defer(peer)
    guard.answered(peer, 40, 0)
    guard.lost(peer)
    assert not any((guard._moved, guard._credit, guard._deferred))


def test_a_protected_peer_is_verified_where_the_peer_below_it_is_and_waits_for_no_ping() -> None:
    guard = guarded()
    protected = Peer(LOCAL, STRANGER.address, "a context with it", "oscore:01", STRANGER)
    assert not guard.is_verified(protected)
    assert not guard.may_defer(protected)
    assert guard.may_answer(protected, 100, 300 - PROTECTION)
    assert not guard.may_answer(protected, 100, 301 - PROTECTION)
    assert guard.accepts(protected, guard.challenge(protected, 0.0), 0.0)
    assert guard.is_verified(STRANGER)
    assert guard.is_verified(protected)
    connected = Peer(LOCAL, OTHER.address, "a connection")
    assert guard.is_verified(Peer(LOCAL, OTHER.address, "a context with it", "oscore:01", connected))


def test_whoever_repeats_the_challenge_is_verified() -> None:
    guard = guarded()
    echo = guard.challenge(STRANGER, 1000.5)
    assert 1 <= len(echo) <= 40
    assert not guard.is_verified(STRANGER)
    assert guard.accepts(STRANGER, echo, 1001.0)
    assert guard.is_verified(STRANGER)


def test_a_challenge_is_good_for_its_time() -> None:
    guard = guarded()
    echo = guard.challenge(STRANGER, 1000)
    assert not guard.accepts(STRANGER, echo, 1000 + CHALLENGE_LIFETIME + 1)
    assert guard.accepts(STRANGER, echo, 1000 + CHALLENGE_LIFETIME)


def test_a_challenge_outlives_the_end_of_the_timestamps() -> None:
    guard = guarded()
    assert guard.accepts(STRANGER, guard.challenge(STRANGER, 2**32 - 1), 2**32 + 1)


@pytest.mark.parametrize("local", [LOCAL, ("192.0.2.2", 5683)])
def test_a_challenge_is_good_for_its_peer_only(local: tuple[str, int]) -> None:
    guard = guarded()
    echo = guard.challenge(STRANGER, 1000)
    impostor = Peer(local, OTHER.address if local == LOCAL else STRANGER.address)
    assert not guard.accepts(impostor, echo, 1000)
    assert not guard.is_verified(impostor)


@pytest.mark.parametrize("damage", [0, 3, 4, 11])
def test_a_damaged_challenge_is_refused(damage: int) -> None:
    guard = guarded()
    echo = bytearray(guard.challenge(STRANGER, 1000))
    echo[damage] ^= 1
    assert not guard.accepts(STRANGER, bytes(echo), 1001)


@pytest.mark.parametrize("echo", [b"", b"\0", bytes(12), bytes(40)])
def test_a_made_up_challenge_is_refused(echo: bytes) -> None:
    assert not guarded().accepts(STRANGER, echo, 0)


def test_a_challenge_of_another_process_is_refused() -> None:
    assert not Guard(Limits(), b"another").accepts(STRANGER, guarded().challenge(STRANGER, 5), 5)


def test_what_an_answer_leaves_is_credit() -> None:
    guard = guarded()
    guard.answered(STRANGER, 20, 15)
    assert guard.may_send(STRANGER, 40)
    assert not guard.may_send(STRANGER, 6)
    assert guard.may_send(STRANGER, 5)
    assert not guard.may_send(STRANGER, 1)
    guard.answered(STRANGER, 4, 4)
    assert guard.may_send(STRANGER, 8)


def test_all_that_is_sent_stays_within_three_times_all_that_came() -> None:
    guard = guarded()
    came = sent = 0
    for size in (10, 80, 33, 4, 500):
        came, sent = came + size, sent + size
        guard.answered(STRANGER, size, size)
        while guard.may_send(STRANGER, 7):
            sent += 7
    assert came * 3 - 7 < sent <= came * 3


def test_a_stranger_that_sent_nothing_gets_one_ping_with_its_repetitions() -> None:
    guard = guarded()
    assert not guard.may_send(STRANGER, 4)
    assert [guard.may_ping(STRANGER) for _ in range(6)] == [True] * 5 + [False]
    assert PING_EXCHANGE == 20


def test_credit_pays_for_pings() -> None:
    guard = guarded()
    guard.answered(STRANGER, 5, 10)
    assert guard.may_ping(STRANGER)
    assert not guard.may_ping(STRANGER)


def test_verified_peers_have_no_account() -> None:
    guard = guarded()
    guard.verified(STRANGER)
    guard.answered(STRANGER, 10, 10_000)
    assert guard.may_send(STRANGER, 10_000)
    assert guard.may_ping(STRANGER)


@pytest.mark.parametrize("limit", [1, 3])
def test_so_many_verified_peers_are_remembered(limit: int) -> None:
    guard = guarded(Limits(max_peers=limit))
    for n in range(limit):
        guard.verified(numbered(n))
    assert all(guard.is_verified(numbered(n)) for n in range(limit))
    guard.verified(numbered(0))
    guard.verified(numbered(limit))
    remembered = [n for n in range(limit + 1) if guard.is_verified(numbered(n))]
    assert remembered == ([1] if limit == 1 else [0, 2, 3])


@pytest.mark.parametrize("limit", [1, 3])
def test_so_many_strangers_have_credit(limit: int) -> None:
    guard = guarded(Limits(max_peers=limit))
    for n in range(limit + 1):
        guard.answered(numbered(n), 100, 0)
    assert [guard.may_send(numbered(n), 30) for n in range(limit + 1)] == [False] + [True] * limit


def test_a_stranger_whose_account_is_forgotten_gets_a_ping() -> None:
    guard = guarded(Limits(max_peers=1))
    guard.answered(STRANGER, 100, 0)
    guard.answered(OTHER, 100, 0)
    assert not guard.may_send(STRANGER, 5)
    assert guard.may_ping(STRANGER)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_so_many_strangers_can_make_us_wait_for_their_pings(limit: int) -> None:
    guard = guarded(Limits(max_peers_unverified=limit))
    assert [guard.defer(numbered(n)) for n in range(limit + 1)] == [True] * limit + [False]
    assert not guard.may_defer(STRANGER)
    if limit:
        assert guard.defer(numbered(0))
        guard.ping_ended(numbered(0))
        assert guard.may_defer(STRANGER)
