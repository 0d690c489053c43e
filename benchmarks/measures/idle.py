"""What registered clients cost that say nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import quantities
from benchmarks.bench import Bench, Figure
from benchmarks.figures import Name, Sample
from benchmarks.measures.answering import WINDOW
from benchmarks.peers import ours

SETTLE = 2.0


def idle(bench: Bench) -> Iterator[Figure]:
    """A share of one core."""
    with ours.serve()(bench.cores.measured) as measured:
        once = ("-n", bench.plan.idle_clients, "-w", WINDOW, "-m", "none", "-k")
        bench.generator.run(measured, "register", *once, *bench.source())
        time.sleep(SETTLE)
        cpu, started = measured.cpu(), time.monotonic()
        time.sleep(bench.plan.idle_seconds)
        share = (measured.cpu() - cpu) / (time.monotonic() - started)
        yield Name(quantities.IDLE, ours.NAME), Sample(share)
