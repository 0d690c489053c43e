"""`python -m benchmarks`: measure everything once and write docs/performance.md.

python -m benchmarks [--quick] [--only MEASURE ...] [--rounds N] [--dry-run]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.bench import QUICK, Bench, Measure, Plan
from benchmarks.cores import Cores, TooFewCores
from benchmarks.document import DOCUMENT, replaced, section
from benchmarks.figures import Name, Sample
from benchmarks.generator import NoGenerator, RunFailed, build
from benchmarks.machine import facts
from benchmarks.measured import DidNotStart
from benchmarks.measures.answering import answering
from benchmarks.measures.conversing import notifications, reads
from benchmarks.measures.crowd import crowd
from benchmarks.measures.idle import idle
from benchmarks.measures.secured import secured
from benchmarks.table import table
from benchmarks.targets import REASONS, rows

MEASURES: dict[str, Measure] = {
    "answering": answering,
    "crowd": crowd,
    "notifications": notifications,
    "reads": reads,
    "idle": idle,
    "secured": secured,
}


def main() -> int:
    arguments = _arguments()
    try:
        cores = Cores.choose()
        bench = Bench(cores, build(cores.generator), _plan(arguments))
        here = list(facts(datetime.now(UTC)))
        written = section(here, table(rows(), _measure(bench, arguments.only), REASONS))
    except (TooFewCores, NoGenerator, DidNotStart, RunFailed) as error:
        print(f"nothing was written: {error}", file=sys.stderr)
        return 1
    print(written)
    if not arguments.dry_run:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), written))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the server costs, beside others.")
    parser.add_argument("--quick", action="store_true", help="one short round of each, for trying; writes nothing")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=[*MEASURES], help="writes nothing")
    parser.add_argument("--rounds", type=int, help="instead of those planned")
    parser.add_argument("--dry-run", action="store_true", help="do not write docs/performance.md")
    arguments = parser.parse_args()
    arguments.dry_run |= arguments.quick or len(set(arguments.only)) < len(MEASURES)
    return arguments


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else Plan()
    if arguments.rounds is None:
        return plan
    return replace(plan, rounds=arguments.rounds, crowd_rounds=min(arguments.rounds, plan.crowd_rounds))


def _measure(bench: Bench, wanted: Sequence[str]) -> Mapping[Name, Sequence[Sample]]:
    """Each sample is shown as it comes."""
    found: defaultdict[Name, list[Sample]] = defaultdict(list)
    for title in wanted:
        for name, sample in MEASURES[title](bench):
            found[name].append(sample)
            print(f"{name.quantity}, {name.peer}: {_shown(sample)}", file=sys.stderr, flush=True)
    return found


def _shown(sample: Sample) -> str:
    if not sample.cpu:
        return f"{sample.value:.4g}"
    return f"{sample.value:.0f}/s, {sample.cpu * 1e6:.1f} µs, core {sample.busy:.0%}, generator {sample.generator:.0%}"


if __name__ == "__main__":
    sys.exit(main())
