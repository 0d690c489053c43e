"""What it matters how many clients are registered: for Updates, and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import quantities
from benchmarks.bench import Bench, Figure
from benchmarks.figures import Name, Sample
from benchmarks.measures.answering import CLIENTS, WINDOW, sample
from benchmarks.peers import ours

BEHIND_ONE_SOCKET = 6
"""Of the generator's: the usual limit of open files does not allow a socket for each of 100 000 clients."""


def crowd(bench: Bench) -> Iterator[Figure]:
    turns = [
        partial(_updates, bench, quantities.UPDATES_BESIDE_FEW, CLIENTS),
        partial(_updates, bench, quantities.UPDATES_BESIDE_MANY, bench.plan.crowd),
    ]
    for turn in bench.in_turn(turns, bench.plan.crowd_rounds):
        yield from turn()


def _updates(bench: Bench, quantity: str, clients: int) -> Iterator[Figure]:
    """The memory is that of the whole process, what it remembers of the registering messages included."""
    with ours.serve()(bench.cores.measured) as measured:
        steady = ("-n", clients, "-c", BEHIND_ONE_SOCKET, "-w", WINDOW, "-m", "update", "-s", bench.plan.seconds, "-k")
        updates, report = bench.generator.run(measured, "update", *steady, *bench.source())
        yield Name(quantity, ours.NAME), sample(updates)
        if quantity == quantities.UPDATES_BESIDE_MANY:
            yield Name(quantities.MEMORY, ours.NAME), Sample(report["bytes_per_client"])
