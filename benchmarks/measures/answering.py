"""Registrations and Updates: what a server answers. For libcoap, which knows neither, GET."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks import quantities
from benchmarks.bench import Bench, Figure, Serve
from benchmarks.figures import Name, Sample
from benchmarks.generator import Phase
from benchmarks.measured import Measured
from benchmarks.peers import bare_aiocoap, bare_socket, leshan, libcoap, ours

CLIENTS = 1000
WINDOW = 32
REGISTERING = {ours.NAME: 16_000, leshan.NAME: 8_000}
"""How many register, which should take a second or two; for the others:"""
FEWER = 4_000


def answering(bench: Bench) -> Iterator[Figure]:
    peers = [
        (ours.NAME, ours.serve()),
        *((ours.over(stack), ours.serve(stack)) for stack in ours.OTHER_STACKS),
        (bare_aiocoap.NAME, bare_aiocoap.serve),
    ]
    turns = [partial(_fresh, bench, peer, serve, take) for peer, serve in peers for take in (_updates, _registrations)]
    turns.append(partial(_fresh, bench, bare_socket.NAME, bare_socket.serve, _updates))
    if libcoap.missing() is None:
        turns.append(partial(_gets, bench))
    with ExitStack() as kept:
        if leshan.missing() is None:
            measured = _warm_leshan(bench, kept)
            turns += [partial(take, bench, leshan.NAME, measured) for take in (_updates, _registrations)]
        for turn in bench.in_turn(turns):
            yield turn()


def _warm_leshan(bench: Bench, kept: ExitStack) -> Measured:
    """One for all rounds, since a Java program is slow at first."""
    measured = kept.enter_context(leshan.serve(bench.cores.measured))
    _updates(bench, leshan.NAME, measured, bench.plan.warm_up)
    _registrations(bench, leshan.NAME, measured)
    return measured


def _fresh(bench: Bench, peer: str, serve: Serve, take: Callable[[Bench, str, Measured], Figure]) -> Figure:
    with serve(bench.cores.measured) as measured:
        return take(bench, peer, measured)


def _updates(bench: Bench, peer: str, measured: Measured, seconds: float | None = None) -> Figure:
    steady = ("-n", CLIENTS, "-w", WINDOW, "-m", "update", "-s", seconds or bench.plan.seconds, "-k", "-e", "up")
    updates, _ = bench.generator.run(measured, "update", *steady, *bench.source())
    return Name(quantities.UPDATES, peer), sample(updates)


def _registrations(bench: Bench, peer: str, measured: Measured) -> Figure:
    once = ("-n", REGISTERING.get(peer, FEWER), "-w", WINDOW, "-m", "none", "-k", "-e", "reg")
    registrations, _ = bench.generator.run(measured, "register", *once, *bench.source())
    return Name(quantities.REGISTRATIONS, peer), sample(registrations)


def _gets(bench: Bench) -> Figure:
    with libcoap.serve(bench.cores.measured) as measured:
        steady = ("-n", CLIENTS, "-w", WINDOW, "-m", "get", "-s", bench.plan.seconds)
        gets, _ = bench.generator.run(measured, "get", *steady, *bench.source())
        return Name(quantities.GETS, libcoap.NAME), sample(gets)


def sample(phase: Phase) -> Sample:
    return Sample.of(phase.count, phase.seconds, phase.cpu, phase.own)
