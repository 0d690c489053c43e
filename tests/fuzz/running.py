"""Runs over the table of targets: by time or by number of inputs, with a table at the end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.judging import KEPT_BLOCKS, Finding, Outcome, allocated, judge
from tests.fuzz.mutation import Inputs
from tests.fuzz.target import Target

FINDINGS = Path(".cache/fuzz")
MEMORY_ONE_IN = 64
LARGE = 8 * 1024
FINDINGS_OF_A_TARGET = 20


class Tally(NamedTuple):
    target: Target
    runs: int
    ways: int
    seconds: float
    findings: tuple[Finding, ...]


def run(target: Target, seed: str, wanted: Callable[[int, float], bool]) -> Tally:
    """`wanted` is told the number of inputs and the seconds so far. Each reason is reported once."""
    inputs = Inputs(target, f"{seed} {target.name}")
    ways: set[Outcome] = set()
    findings: dict[str, Finding] = {}
    started, runs, before = time.monotonic(), 0, allocated()
    while wanted(runs, time.monotonic() - started) and len(findings) < FINDINGS_OF_A_TARGET:
        data = inputs.next()
        verdict = judge(target, data, with_memory=runs % MEMORY_ONE_IN == 0 or len(data) > LARGE)
        runs += 1
        if verdict.finding is not None:
            findings.setdefault(_kind(verdict.finding), verdict.finding)
        elif verdict.outcome not in ways:
            ways.add(verdict.outcome)
            inputs.keep(data)
    found, took = len(ways), time.monotonic() - started
    del ways, inputs
    kept = allocated() - before
    if kept > KEPT_BLOCKS:
        findings["kept"] = Finding(target.name, b"", f"{kept} blocks of memory are left after {runs} inputs")
    return Tally(target, runs, found, took, tuple(findings.values()))


def _kind(finding: Finding) -> str:
    """Findings that differ in their values only are one."""
    place = [line for line in finding.details.splitlines() if line.lstrip().startswith("File ")]
    return place[-1] if place else finding.reason.split(":")[0].lstrip("0123456789. ")


def keep(finding: Finding, seed: str, folder: Path = FINDINGS) -> Path:
    """Two files: the input, and beside it what happened."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{finding.target.replace(' ', '-')}-{hashlib.sha256(finding.data).hexdigest()[:12]}"
    about = {"target": finding.target, "seed": seed, "reason": finding.reason, "details": finding.details}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    path = folder / f"{name}.bin"
    path.write_bytes(finding.data)
    return path


def kept_target(path: Path) -> str:
    """The name of the target of a kept input."""
    name: str = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["target"]
    return name


def table(tallies: Iterable[Tally]) -> str:
    rows = [("target", "inputs", "inputs/s", "ways", "findings")]
    for tally in tallies:
        rate = tally.runs / tally.seconds if tally.seconds else 0.0
        rows.append((tally.target.name, str(tally.runs), f"{rate:.0f}", str(tally.ways), str(len(tally.findings))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            (row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)))
        )
        for row in rows
    )
