"""A server and a client of ours on a network in memory, over each CoAP stack, with strangers on it."""

from __future__ import annotations

from functools import partial
from random import Random
from unittest.mock import patch

from lwm2m.coap.links import udp
from lwm2m.coap.stacks import STACKS
from lwm2m.testing import run
from tests.fuzz import grammars
from tests.fuzz.coap_targets import PAYLOADS, REGISTER, SEEDS
from tests.fuzz.live import MAX_STEPS, MOST_KEPT, PAUSES, Step, no_error_is_logged, scene
from tests.fuzz.mutation import LARGE, SMALL
from tests.fuzz.reshaping import reshaped_datagram
from tests.fuzz.target import Target, Way

LARGEST_DATAGRAM = 2048


def strangers(stack: str, data: bytes) -> Way:
    with no_error_is_logged(), patch.object(udp, "PEERS_KEPT", MOST_KEPT), patch.object(udp, "SOURCES_KEPT", MOST_KEPT):
        try:
            return run(scene(stack, data))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def sequence(random: Random) -> bytes:
    """Some steps; sometimes very many of the same."""
    if random.random() < 0.1:
        return flood(random)
    return b"".join(bytes(_step(random)) for _ in range(random.choice((1, 3, 10, 30))))


def flood(random: Random) -> bytes:
    """As many as there may be, each of them with another message ID and token."""
    step = _step(random)
    made: list[bytes] = []
    of_devices, from_anywhere = random.random() < 0.3, random.random() < 0.5
    for number in range(MAX_STEPS):
        datagram = _numbered(number, _register(random) if of_devices else step.datagram)
        port = number if from_anywhere else 0
        made.append(bytes(step._replace(datagram=datagram, sender=random.randrange(4), port=port, pause=0.0)))
    return b"".join(made)


def _step(random: Random) -> Step:
    datagram = _datagram(random)
    if random.random() < 0.8:
        datagram = _numbered(random.randrange(65536), datagram)
    port = random.randrange(512) if random.random() < 0.2 else 0
    return Step(
        random.randrange(4), port, random.random() < 0.4, random.random() < 0.3, random.choice(PAUSES), datagram
    )


def _datagram(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.2:
        return grammars.datagram(random, PAYLOADS)[:LARGEST_DATAGRAM]
    datagram = random.choice(SEEDS) if kind < 0.8 else _register(random)
    if kind < 0.6:
        datagram = reshaped_datagram(random, datagram)
    if 0.4 < kind < 0.7 or kind > 0.9:
        datagram = random.choice(SMALL)(random, datagram)
    if kind > 0.99:
        return random.choice(LARGE)(random, datagram)[:60_000]
    return datagram[:LARGEST_DATAGRAM]


def _register(random: Random) -> bytes:
    """Of one of a hundred devices, more than there is room for."""
    return REGISTER.replace(b"ep=stranger", b"ep=device%02d" % random.randrange(100))


def _numbered(number: int, datagram: bytes) -> bytes:
    """With a message ID and the begin of a token of its own."""
    mark = number.to_bytes(2, "big")
    return datagram[:2] + mark + mark + datagram[6:] if len(datagram) >= 8 else datagram


_SEEDS = (
    b"".join(bytes(Step(0, 0, False, False, 0.2, _numbered(*seed))) for seed in enumerate(SEEDS)),
    b"".join(bytes(Step(1, 0, True, False, 0.2, _numbered(*seed))) for seed in enumerate(SEEDS)),
    b"".join(bytes(Step(2, 0, False, bool(number), 0.02, seed)) for number, seed in enumerate((SEEDS[0], *SEEDS[-4:]))),
    b"",
)

TARGETS = tuple(
    Target(
        f"strangers to the stack {stack}",
        partial(strangers, stack),
        (),
        _SEEDS,
        SEEDS,
        sequence,
        short=150,
        seconds=5.0,
        memory_is_measured=False,
    )
    for stack in sorted(STACKS)
)
