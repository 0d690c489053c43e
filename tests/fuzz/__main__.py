"""Fuzz every parser of a stranger's bytes. `python -m tests.fuzz --seconds 600`, or give the files of findings to try
them again. Exit code 1 says that something was found."""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
from pathlib import Path

from tests.fuzz.judging import Finding, judge
from tests.fuzz.running import Tally, keep, kept_target, run, table
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


def main() -> int:
    options = _options()
    logging.getLogger().addHandler(logging.NullHandler())
    if options.again:
        return replay(options.again)
    targets = [target for target in TARGETS if options.only in target.name]
    print(f"seed {options.seed}, {options.seconds:.0f} s, {len(targets)} targets", flush=True)
    tallies = []
    for target in targets:
        tallies.append(by_time(target, options.seed, options.seconds / len(targets)))
        for finding in tallies[-1].findings:
            report(finding, options.seed)
    print(table(tallies))
    return 1 if any(tally.findings for tally in tallies) else 0


def by_time(target: Target, seed: str, share: float) -> Tally:
    return run(target, seed, lambda _, seconds: seconds < share)


def report(finding: Finding, seed: str) -> None:
    print(f"FOUND {finding.target}: {finding.reason}", f"  again: python -m tests.fuzz {keep(finding, seed)}", sep="\n")


def replay(paths: list[Path]) -> int:
    found = 0
    named = {target.name: target for target in TARGETS}
    for path in paths:
        verdict = judge(named[kept_target(path)], path.read_bytes(), with_memory=True)
        found += verdict.finding is not None
        print(f"{path}: {verdict.finding.reason if verdict.finding else 'nothing wrong'}")
        if verdict.finding:
            print(verdict.finding.details)
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("again", nargs="*", type=Path, help="files of findings to try again")
    parser.add_argument("--seconds", type=float, default=600.0, help="shared by the targets")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", default="", help="part of the names of the targets to run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
