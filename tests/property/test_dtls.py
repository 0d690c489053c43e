"""Whatever is done to the datagrams of a handshake: nothing is raised, nothing hangs, and the next one succeeds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.dtls.connection import Closed, Connection
from lwm2m.dtls.fragments import MOST_HELD
from lwm2m.dtls.settings import Sessions
from tests.dtls_pair import Pair, any_server, perfect, psk_client, rpk_client
from tests.fuzz.mutation import SMALL

LONGEST = 400.0
"""Seconds that any handshake may take, however it is disturbed."""

MAKE: dict[str, Callable[[], Pair]] = {
    "pre-shared key": lambda: Pair(psk_client(connection_id=b"c"), any_server(cid_length=4)),
    "raw public key": lambda: Pair(rpk_client(fragment_length=512), any_server()),
    "resumption": lambda: _resuming(),
    "block cipher": lambda: Pair(psk_client(suites=(0x00AE,)), any_server()),
}
LONGEST_FLIGHT = 12


def _resuming() -> Pair:
    first = Pair(psk_client(), any_server()).shake_hands()
    return Pair(psk_client(session=first.session), any_server(), first.sessions)


def mutated(data: bytes, seed: int) -> bytes:
    random = Random(seed)
    for _ in range(random.choice((1, 1, 2, 4))):
        data = random.choice(SMALL)(random, data)
    return data


def disturb(pair: Pair, number: int, seed: int, *, instead: bool) -> None:
    """Before the datagram of this number arrives, or in its place, another one comes that is much like it."""
    arrived = 0
    deliver = pair.deliver

    def disturbed(datagram: bytes, *, to_server: bool) -> None:
        nonlocal arrived
        arrived += 1
        if arrived - 1 == number:
            deliver(mutated(datagram, seed), to_server=to_server)
            if instead:
                return
        deliver(datagram, to_server=to_server)

    pair.deliver = disturbed  # type: ignore[method-assign]


def held(connection: Connection | None) -> int:
    assembly = None if connection is None else connection._assembly
    return 0 if assembly is None else sum(incomplete.length for incomplete in assembly._incomplete.values())


@pytest.mark.parametrize("kind", MAKE)
@settings(max_examples=100, deadline=None)
@given(number=st.integers(0, LONGEST_FLIGHT), seed=st.integers(0, 1 << 32), instead=st.booleans())
def test_a_handshake_that_is_disturbed_ends_one_way_or_the_other(
    kind: str, number: int, seed: int, instead: bool
) -> None:
    pair = MAKE[kind]()
    disturb(pair, number, seed, instead=instead)
    pair.client.start(pair.handshake.start(), pair.now)
    pair.run(until=1000 + LONGEST)
    sides = [pair.client] if pair.server is None else [pair.client, pair.server]
    for side in sides:
        assert side.is_connected or side.is_closed
        assert side.deadline() is None
        assert held(side) <= MOST_HELD
    if pair.are_connected and not pair.client.is_closed and not pair.serving_side.is_closed:
        assert pair.talk()
    again = Pair(pair.settings, pair.serving, pair.sessions).shake_hands()
    assert again.are_connected
    assert again.talk()


@pytest.mark.parametrize("kind", MAKE)
@settings(max_examples=75, deadline=None)
@given(seeds=st.lists(st.integers(0, 1 << 32), min_size=1, max_size=12))
def test_an_association_that_is_disturbed_goes_on(kind: str, seeds: list[int]) -> None:
    """Whoever has no keys cannot end it, whatever he makes of what he heard."""
    pair = MAKE[kind]().shake_hands()
    heard = [*pair.to_server, *pair.to_client, pair.client.send(b"to the server"), pair.serving_side.send(b"back")]
    for seed in seeds:
        forged = mutated(Random(seed).choice(heard[:-2]), seed)
        for side in (pair.client, pair.serving_side):
            assert not any(isinstance(event, Closed) for event in side.receive(forged, pair.now))
    assert pair.serving_side.receive(heard[-2], pair.now)
    assert pair.talk()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32), kind=st.sampled_from(sorted(MAKE)))
def test_a_network_at_its_worst_leaves_nobody_waiting(seed: int, kind: str) -> None:
    random = Random(seed)

    def fate(_number: int, _datagram: bytes) -> tuple[float, ...]:
        return tuple(random.uniform(0, 3) for _ in range(random.choice((0, 1, 1, 1, 2))))

    pair = MAKE[kind]()
    pair.fate = fate if seed % 2 else perfect
    pair.client.start(pair.handshake.start(), pair.now)
    pair.run(until=1000 + LONGEST)
    assert all(side.deadline() is None for side in pair._sides())
    assert Pair(psk_client(), any_server(), Sessions()).shake_hands().are_connected


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_nobody_is_surprised_by_any_bytes(data: bytes) -> None:
    for make in MAKE.values():
        pair = make()
        pair.client.start(pair.handshake.start(), pair.now)
        for prefix in (b"", b"\x16\xfe\xfd" + bytes(8), b"\x16\xfe\xfd" + bytes(8) + len(data).to_bytes(2, "big")):
            pair.client.receive(prefix + data, pair.now)
            pair.listener.receive(prefix + data, b"somebody", pair.now)
