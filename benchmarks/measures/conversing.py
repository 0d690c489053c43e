"""What the server begins: notifications that it asked for, and reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import quantities
from benchmarks.bench import Bench, Figure, Serve
from benchmarks.figures import Name, Sample
from benchmarks.measured import Measured, cpu_seconds
from benchmarks.peers import bare_aiocoap, ours

PATH = "/3303/0/5700"
OBSERVED = 1000
OFFERED = 250_000
"""Notifications a second, all non-confirmable: more than anybody takes. What the socket has no room for is lost."""
READ = 200
FOR_LONG = 600
SETTLE = 0.5

STACKS: list[tuple[str, Serve]] = [
    (ours.NAME, ours.serve()),
    *((ours.over(stack), ours.serve(stack)) for stack in ours.OTHER_STACKS),
    (bare_aiocoap.NAME, bare_aiocoap.serve),
]


def notifications(bench: Bench) -> Iterator[Figure]:
    turns = [partial(_notifications, bench, peer, serve) for peer, serve in STACKS]
    for turn in bench.in_turn(turns):
        yield turn()


def reads(bench: Bench) -> Iterator[Figure]:
    turns = [partial(_reads, bench, peer, serve) for peer, serve in STACKS]
    for turn in bench.in_turn(turns):
        yield turn()


def _notifications(bench: Bench, peer: str, serve: Serve) -> Figure:
    streaming = ("-n", OBSERVED, "-r", OFFERED, "-O", OBSERVED)
    with serve(bench.cores.measured) as measured, _clients(bench, measured, *streaming) as generator:
        measured.ask("registered", clients=OBSERVED)
        measured.ask("observe", path=PATH)
        measured.ask("receive", seconds=SETTLE)
        return Name(quantities.NOTIFICATIONS, peer), _sample(measured, generator, "receive", bench.plan.seconds)


def _reads(bench: Bench, peer: str, serve: Serve) -> Figure:
    with serve(bench.cores.measured) as measured, _clients(bench, measured, "-n", READ) as generator:
        measured.ask("registered", clients=READ)
        measured.ask("read", path=PATH, seconds=SETTLE)
        return Name(quantities.READS, peer), _sample(measured, generator, "read", bench.plan.seconds, path=PATH)


@contextmanager
def _clients(bench: Bench, measured: Measured, *options: object) -> Iterator[int]:
    """Clients that answer as long as we are inside: the process that they are in."""
    running = bench.generator.start(measured, "-m", "answer", "-f", "senml", "-s", FOR_LONG, *options, *bench.source())
    try:
        yield running.pid
    finally:
        running.kill()
        running.wait()


def _sample(measured: Measured, generator: int, do: str, seconds: float, **arguments: object) -> Sample:
    before = cpu_seconds(generator)
    found = measured.ask(do, seconds=seconds, **arguments)
    busy = (cpu_seconds(generator) - before) / found["seconds"]
    return Sample.of(found["count"], found["seconds"], found["cpu"], busy)
